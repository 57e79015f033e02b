"""Lessons on where and how much a program allocates, and on what keeps it."""

from __future__ import annotations

from gcsim.lessons.lesson import Lesson, at_least, at_most

ALLOCATION_LESSONS = (
    Lesson(
        name="stack",
        title="What stays in its function costs no heap",
        change="Each request makes 20 structs of 1 KiB, whose addresses are returned before, and only used in the function "
        "after.",
        why="An address that cannot outlive its function lets the compiler put the struct into the frame: it costs the "
        "time to clear it and room on the stack, no allocation, no sweeping and no collection.",
        precise="The frame is not released either, it is merely left, and the next call writes over it. That is why a "
        "local whose address is returned is moved to the heap instead: nothing of it is released when the function "
        "returns.",
        claims=(
            at_most(0.01, "bytes_per_request"),
            at_most(0.1, "num_gc"),
            at_least(1.5, "throughput_rps"),
        ),
        shows=("allocs_per_request", "gc_cpu_frac"),
    ),
    Lesson(
        name="stack-growth",
        title="Stacks grow by copying",
        change="300 calls nested in each other, with 200 bytes of frame each, in goroutines that then wait, before; the "
        "same calls one after another after.",
        why="A goroutine begins with a few KiB of stack. When a call does not fit, the stack is copied to one twice the "
        "size, and every frame on it is looked through for pointers into the stack. It stays that large while the goroutine waits, until collections find less than a quarter of it used "
        "and halve it, and the next deep call has it copied again.",
        precise="Stacks are no heap: they add to memory, and their frames to what is scanned as roots. New "
        "goroutines begin with the average size that the last collection found (since Go 1.19), which saves some copies.",
        claims=(
            at_most(0.5, "stacks_bytes_mean"),
            at_most(0.8, "mutator_cpu_ns"),
            at_most(1.05, "bytes_per_request"),
            at_least(0.95, "bytes_per_request"),
        ),
        shows=("frames_scanned_bytes_mean", "memory_peak_bytes", "num_gc", "latency_ns_p50"),
    ),
    Lesson(
        name="size-classes",
        title="An object pays for its size class",
        change="Objects of 33, 1,025 and 32,769 bytes before, of 32, 1,024 and 32,768 bytes after.",
        why="The allocator has 67 sizes up to 32 KiB: 33 bytes take 48, and 1,025 take 1,152. Above that each object has a "
        "span of whole pages of 8 KiB of its own: 32,769 bytes take 40,960.",
        precise="Since Go 1.22 an object with pointers above 512 bytes carries a header of 8 bytes, so of those 1,016 "
        "bytes are what fits into 1,024.",
        claims=(
            at_most(0.85, "bytes_per_request"),
            at_least(1.0, "allocs_per_request"),
            at_most(1.0, "allocs_per_request"),
            at_least(1.05, "throughput_rps"),
        ),
        shows=("gc_cpu_frac", "num_gc"),
    ),
    Lesson(
        name="tiny",
        title="Tiny objects without pointers share a block",
        change="400 objects of 8 bytes per request, each with a pointer before and without one after.",
        why="Below 16 bytes and without pointers, objects are cut from blocks of 16 bytes: two of 8 bytes share one, at "
        "half the cost. With a pointer each has a slot of its own, and its span is scanned.",
        precise="A block is freed when all of its objects are dead, so one of them that is kept keeps its neighbours.",
        claims=(at_least(1.1, "throughput_rps"),),
        shows=("bytes_per_request", "allocs_per_request", "num_gc"),
    ),
    Lesson(
        name="escape",
        title="The same source on the stack in one release and in the heap in another",
        change="The same program, built with Go 1.24 before and with Go 1.25 after.",
        why="Whether something escapes is the compiler's decision, and it gets better. From 1.25 on a slice of variable size "
        "and the first array of append begin in the frame, if they are small and stay in the function: here the 24 byte "
        "keys and the short lists no longer reach the heap.",
        precise="new, & and make do not decide where something is, and neither does size alone: what matters is where its "
        "address goes. `gcsim escape workloads/lessons/escape-before.yaml --go 1.25` says for each site why.",
        claims=(
            at_most(0.6, "allocs_per_request"),
            at_most(0.8, "bytes_per_request"),
            at_most(0.9, "num_gc"),
        ),
        shows=("throughput_rps", "gc_cpu_frac"),
    ),
    Lesson(
        name="values",
        title="Copying a small struct is cheaper than sharing it",
        change="30 structs of 256 bytes, each passed through 5 calls: by pointer before, which makes them escape; by value "
        "after.",
        why="A copy costs about a nanosecond per cache line and nothing later. A struct in the heap costs its allocation, "
        "the sweeping of its span and its share of the marking that its bytes bring about.",
        precise="Where the pointer does not escape it is as good as free at any size. Otherwise the break-even depends on the "
        "number of calls and on what a collection costs: `gcsim breakeven` works it out.",
        claims=(at_most(0.01, "allocs_per_request"), at_least(1.1, "throughput_rps"), at_most(0.1, "num_gc")),
        shows=("bytes_per_request", "gc_cpu_frac"),
    ),
    Lesson(
        name="append-hint",
        title="append without a hint leaves half of it behind",
        change="1,000 elements appended to an empty slice before, to one made with room for 1,000 after.",
        why="Each time the array is full append allocates one of twice the size (by and by of 1.25 times, beyond 256 "
        "elements), copies what is there and leaves the old one as garbage.",
        claims=(
            at_most(0.5, "bytes_per_request"),
            at_most(0.2, "allocs_per_request"),
            at_least(1.2, "throughput_rps"),
        ),
        shows=("num_gc", "gc_cpu_frac"),
    ),
    Lesson(
        name="subslice",
        title="s[1:] keeps the whole array",
        change="Of 64 KiB of rows each request keeps one of 64 bytes for 100 ms: as a sub-slice before, as a clone after.",
        why="A slice is a pointer into an array. The collector knows arrays, not slices: as long as anything points into one, "
        "all of it is live, what lies before the sub-slice's beginning included. A clone has an array of its own.",
        precise="s = s[1:] moves the pointer and gives nothing back (lesson queue). The elements that were left are kept too, with all "
        "that they refer to, until append outgrows the array; clear them if they hold pointers.",
        claims=(at_most(0.4, "heap_marked_bytes_mean"), at_most(0.5, "memory_peak_bytes")),
        shows=("bytes_per_request", "num_gc", "gc_cpu_frac"),
    ),
    Lesson(
        name="queue",
        title="q = q[1:] keeps what has left the queue",
        change="250 jobs of 16 KiB wait in a slice: each request does q = append(q[1:], job) before, and q[0] = nil first "
        "after.",
        why="q[1:] moves the slice's beginning and leaves the pointer in front of it in the array, which the collector "
        "looks through whole. When append finds the array full it copies the jobs that wait to one of twice the size (1.25 "
        "times and 192 beyond 256): until then, what has left the queue stays live.",
        precise="Nothing leaks for ever, and clearing the slot does not save the copies: as many bytes are "
        "allocated either way. A ring buffer does both.",
        claims=(
            at_most(0.85, "heap_marked_bytes_mean"),
            at_most(1.01, "bytes_per_request"),
            at_least(0.99, "bytes_per_request"),
        ),
        shows=("heap_goal_bytes_mean", "memory_peak_bytes", "num_gc", "gc_cpu_frac"),
    ),
    Lesson(
        name="map-hint",
        title="A map that grows leaves its smaller selves behind",
        change="100 keys put into make(map[int]int) before, into make(map[int]int, 100) after.",
        why="A map that is full moves to one twice as large: each key is hashed and put again. With a hint it has its final size at once.",
        precise="In both designs: buckets until Go 1.23, Swiss tables from 1.24 on (--set runtime.go=1.23 shows the other "
        "one). Above 1,024 slots a Swiss map splits table by table and never copies all of it.",
        claims=(
            at_most(0.65, "bytes_per_request"),
            at_most(0.5, "allocs_per_request"),
            at_least(1.2, "throughput_rps"),
        ),
        shows=("num_gc",),
    ),
    Lesson(
        name="map-delete",
        title="delete does not make a map smaller",
        change="A map of 400,000 keys is down to 4,000 after 200 ms: the others deleted before, the rest put into a new map "
        "after.",
        why="delete frees slots, not tables: they stay for keys to come, in both designs of maps, and clear does the same. "
        "Only a new map has the size of what is in it.",
        claims=(at_most(0.5, "heap_marked_bytes_mean"), at_most(0.7, "heap_goal_bytes_mean")),
        shows=("num_gc", "memory_end_bytes", "mark_cpu_ns_per_gc"),
    ),
    Lesson(
        name="map-pointers",
        title="A map without pointers is not scanned",
        change="200,000 keys that are strings before, and hashes of them of the same 16 bytes after.",
        why="A string is a pointer: groups of strings are scanned and each key is an object to find. A map whose keys and "
        "values hold no pointers is a few objects that nobody looks into, whatever its size.",
        claims=(
            at_most(0.1, "scan_work_bytes_mean"),
            at_most(0.3, "mark_cpu_ns_per_gc"),
            at_most(0.5, "gc_cpu_frac"),
        ),
        shows=("heap_marked_bytes_mean", "num_gc"),
    ),
    Lesson(
        name="tricolor",
        title="What is born while a cycle marks is black",
        change="4 KiB of garbage per request before, 16 KiB after, beside the same live heap.",
        why="White is what marking has not reached, grey what it has reached and not looked into, black what is done. New "
        "objects are black at once, dead or not, so more allocation beside marking means more that this cycle cannot free: "
        "it counts as live until the next one.",
        precise="Marking finds what can be reached. It does not look for what cannot: when nothing is grey any more, "
        "whatever is still white is garbage, at no cost. The run's table `tricolor` has the three colours over time.",
        claims=(at_least(1.5, "black_new_bytes_per_gc"), at_least(1.05, "heap_marked_bytes_mean")),
        shows=("bytes_per_request", "num_gc", "mark_ns_mean"),
    ),
    Lesson(
        name="large-values",
        title="An 8 MiB struct by value",
        change="A struct of 8 MiB passed through three calls: by value before, by pointer after.",
        why="By value each call copies all of it into its frame, and the stack has to hold it: it is copied over and over "
        "until it has 16 MiB. By pointer the struct is in the heap once and a call passes 8 bytes.",
        precise="Since Go 1.24 a variable above 128 KiB is in the heap whatever happens to its address; until then "
        "up to 10 MiB could lie on the stack. Arguments and results are on the stack in every release. The request's "
        "time says little here: making 8 MiB, page faults included, takes ten times as long as copying them.",
        claims=(at_most(0.7, "memory_peak_bytes"), at_most(0.2, "stacks_bytes_mean")),
        shows=("bytes_per_request", "latency_ns_p50", "num_gc", "frames_scanned_bytes_mean"),
    ),
    Lesson(
        name="nil-early",
        title="A reference dropped early",
        change="Requests decode from a buffer of 8 MiB and then wait 60 ms for a backend: the variable holds the buffer to "
        "the end before, and is set to nil before the wait after.",
        why="What a cycle finds referred to is live. The same bytes are allocated either way, but a buffer that nothing "
        "refers to while the request waits is free for the next cycle.",
        precise="Often there is nothing to set: the compiler knows where a local is last used, and after that the frame no "
        "longer keeps what it points to. A field, a closure or a variable that is used again later does.",
        claims=(
            at_most(0.6, "heap_marked_bytes_mean"),
            at_most(0.8, "memory_peak_bytes"),
            at_least(0.95, "bytes_per_request"),
        ),
        shows=("num_gc", "heap_goal_bytes_mean"),
    ),
    Lesson(
        name="profile",
        title="alloc_space says what costs CPU, inuse_space what costs memory",
        change="The site at the top of alloc_space, 24 KiB of temporary buffers per request, is taken away after.",
        why="Allocated bytes decide how often a cycle comes, live bytes what each costs and how much memory there is. A site "
        "that allocates much and keeps nothing is at the top of the one profile and absent from the other.",
        precise="`gcsim pprof` writes both views of a run for `go tool pprof -sample_index=alloc_space` or "
        "`inuse_space`. Go's own profiles are samples, one per 512 KiB on average, and inuse is as of the last cycle; "
        "gcsim counts everything.",
        claims=(
            at_most(0.3, "bytes_per_request"),
            at_most(0.5, "mark_cpu_ns_per_request"),
            at_least(0.9, "heap_marked_bytes_mean"),
            at_most(1.1, "heap_marked_bytes_mean"),
        ),
        shows=("num_gc", "gc_cpu_frac", "throughput_rps", "memory_peak_bytes"),
    ),
)
