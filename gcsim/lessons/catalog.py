"""The lessons: what changes from before to after, what is claimed to follow, and why.

A claim compares one number of both sides and is checked on every run, in the tests and by `gcsim learn`.
"""

from __future__ import annotations

from gcsim.lessons.allocation import ALLOCATION_LESSONS
from gcsim.lessons.lesson import Claim as Claim
from gcsim.lessons.lesson import Lesson, at_least, at_most

_LESSONS = (
    Lesson(
        name="pool",
        title="sync.Pool gains nothing without Put",
        change="Before, requests take a 16 KiB buffer from a sync.Pool and forget it; after, they put it back.",
        why="A Get that finds nothing calls New. Without Put there is never anything to find, so every request "
        "allocates its buffer. With Put the buffer goes round, allocation all but stops and so do collections.",
        precise="A pool is no cache: each collection moves what lies in it to a victim cache and drops what lay "
        "there, so buffers unused for two cycles are gone.",
        claims=(
            at_most(0.1, "bytes_per_request"),
            at_most(0.2, "num_gc"),
            at_least(1.1, "throughput_rps"),
        ),
        shows=("gc_cpu_frac", "latency_ns_p99"),
    ),
    Lesson(
        name="globals",
        title="What a global holds is marked again in every cycle",
        change="Before, each request appends a record to a slice in a global variable; after, it replaces one in a "
        "bounded cache.",
        why="Globals are roots: what they reach is live. It is marked in every later cycle and counts in the heap "
        "goal, so memory grows by GOGC on top of the leak.",
        precise="At first a leak makes collections rarer, not dearer: the goal grows with it. The bill comes as memory, "
        "and under a memory limit as the death spiral of the lesson memory-limit.",
        claims=(
            at_most(0.7, "heap_marked_bytes_mean"),
            at_most(0.7, "memory_end_bytes"),
            at_most(0.5, "marked_growth"),
        ),
        shows=("num_gc", "mark_cpu_ns_per_gc", "gc_cpu_frac"),
    ),
    Lesson(
        name="memory-limit",
        title="A memory limit close to the live heap is a death spiral",
        change="GOGC=off under a GOMEMLIMIT hardly above what is live before, with room above it after.",
        why="The collector may free only garbage. The nearer the live heap is to the limit, the less may be allocated "
        "between two cycles, down to a collection after the other.",
        precise="The limit is soft: a limiter holds the collector at about half of the CPU, and memory then passes "
        "the limit instead.",
        claims=(
            at_most(0.2, "num_gc"),
            at_most(0.5, "gc_cpu_frac"),
            at_least(1.2, "throughput_rps"),
        ),
        shows=("memory_peak_bytes", "num_limited_gc", "latency_ns_p99"),
    ),
    Lesson(
        name="scope",
        title="What is referred to longer is marked",
        change="Requests parse 64 KiB and wait 20 ms for a backend: what they parsed is referred to until their end before, and "
        "last used ahead of the wait after.",
        why="Lifetime is reachability. The same bytes are allocated either way, but those still referred to when a "
        "cycle begins are marked, count as live and raise the heap goal.",
        precise="Leaving a function frees nothing on the heap: a local that escapes is freed by the sweep after "
        "the first cycle that no longer reaches it, and one that does not escape lies in the frame. And marking finds "
        "what is reachable; what is not is merely what was left unmarked.",
        claims=(at_most(0.7, "heap_marked_bytes_mean"), at_most(0.7, "heap_goal_bytes_mean")),
        shows=("bytes_per_request", "num_gc", "memory_peak_bytes"),
    ),
    Lesson(
        name="lists",
        title="A linked list is marked by one worker at a time",
        change="150,000 nodes of 64 bytes in one linked list before, in a tree after, on four Ps of which the program "
        "keeps one busy.",
        why="The next node of a list is known only once this one is scanned, so there is never more than one piece "
        "of work to share. A tree fans out, and idle Ps help to mark it.",
        claims=(at_most(0.7, "mark_ns_mean"), at_least(1.5, "mark_parallelism")),
        shows=("inuse_objects", "scan_work_bytes_mean", "mark_cpu_ns_per_gc", "num_gc", "latency_ns_p99"),
    ),
    Lesson(
        name="arrays",
        title="One array of structs instead of a slice of pointers",
        change="100,000 structs of 64 bytes, each an object of its own with two pointers before, all in one array with "
        "indices in place of pointers after.",
        why="Marking costs by object and by pointer word. One object without pointers is marked by setting one bit: "
        "its spans are noscan and nobody looks into them.",
        claims=(
            at_most(0.001, "inuse_objects"),
            at_most(0.2, "scan_work_bytes_mean"),
            at_most(0.5, "mark_cpu_ns_per_gc"),
        ),
        shows=("heap_marked_bytes_mean", "num_gc", "gc_cpu_frac"),
    ),
    Lesson(
        name="pauses",
        title="Two short pauses, however large the heap",
        change="8 MiB are live before, 64 MiB after; the program is the same.",
        why="Marking runs beside the program and takes longer with more to mark. The world stops only to switch the "
        "write barrier on and to end marking, which does not depend on the size of the heap.",
        precise="There is no pause between mark and sweep. A cycle has two: sweep termination before marking and "
        "mark termination after it; sweeping then runs beside the program too.",
        claims=(
            at_least(4.0, "mark_ns_mean"),
            at_most(2.0, "stw_pause_ns_p50"),
            at_most(1.0, "pauses_per_gc"),
            at_least(1.0, "pauses_per_gc"),
        ),
        shows=("stw_pause_ns_p99", "num_gc"),
    ),
    Lesson(
        name="gogc",
        title="GOGC trades memory for CPU",
        change="GOGC=100 before, GOGC=400 after.",
        why="The goal is live heap + GOGC percent of it (stacks and globals count too). Four times the room means about "
        "a fourth of the cycles, each of which costs the same.",
        claims=(
            at_most(0.4, "num_gc"),
            at_most(0.7, "gc_cpu_frac"),
            at_least(1.5, "memory_peak_bytes"),
        ),
        shows=("heap_goal_bytes_mean", "throughput_rps", "mark_cpu_ns_per_gc"),
    ),
    Lesson(
        name="large-structs",
        title="A pointer into a large struct keeps all of it",
        change="Before, a pointer to 64 bytes inside an 8 MiB struct is kept for 300 ms; after, the 64 bytes are copied "
        "and the struct is let go.",
        why="The collector marks objects, not fields: an interior pointer marks the whole allocation. Copying out "
        "what is needed, or setting the pointer to nil early, lets the next cycle have the rest.",
        claims=(at_most(0.5, "heap_marked_bytes_mean"), at_most(0.7, "memory_peak_bytes")),
        shows=("alloc_bytes", "num_gc", "heap_goal_bytes_mean"),
    ),
    Lesson(
        name="write-barrier",
        title="Pointer stores cost more while a cycle marks",
        change="4,000 pointer stores per request before; after, the same links as indices, for the same CPU time "
        "outside of marking.",
        why="While marking, each pointer store shades the old and the new target, lest the program hide a white "
        "object behind a black one. Integers need no barrier.",
        claims=(at_most(0.98, "latency_ns_p99"), at_least(1.01, "throughput_rps")),
        shows=("latency_ns_p50", "num_gc"),
    ),
    Lesson(
        name="generations",
        title="Go's collector has no generations",
        change="The same live heap; three times the garbage per request after.",
        why="Each cycle marks everything live, young or old, and garbage costs nothing to mark. So a cycle is as dear "
        "with three times the garbage; there are only more of them.",
        precise="Go has no nursery, no promotion and no minor collection, whatever is written about it. Objects that "
        "die young are cheap in Go where they do not escape to the heap at all.",
        claims=(
            at_least(1.3, "num_gc"),
            at_most(1.25, "mark_cpu_ns_per_gc"),
            at_least(0.75, "mark_cpu_ns_per_gc"),
        ),
        shows=("bytes_per_request", "heap_marked_bytes_mean", "gc_cpu_frac"),
    ),
    Lesson(
        name="stop-the-world",
        title="What marking beside the program buys",
        change="Before, nothing of the program runs while a cycle marks, as under GODEBUG=gcstoptheworld=1; after, Go's "
        "collector as it is.",
        why="A collector that stops the world has all Ps for marking, needs no write barrier and no assists, and finds a "
        "heap that does not grow meanwhile. But who arrives waits for all of it. Marking beside the program takes longer "
        "and about as much CPU, and stops it twice for tens of microseconds.",
        precise="Go has marked beside the program since release 1.5; stopping the world for whole cycles is a debug "
        "setting. Under it gctrace and the runtime's pause metrics still show two short pauses, as if the program ran "
        "between them: goroutines are held back instead. Here the pause is what the program sees.",
        claims=(
            at_most(0.05, "stw_pause_ns_p50"),
            at_most(0.6, "latency_ns_p99"),
            at_most(1.5, "gc_cpu_frac"),
            at_least(1.2, "mark_ns_mean"),
        ),
        shows=("stw_pause_ns_max", "mark_assist_cpu_ns", "num_gc", "latency_ns_p50"),
    ),
    Lesson(
        name="generational",
        title="What generations would change (Go has none)",
        change="Before, Go's own collector; after, a what-if collector with a nursery of 4 MiB, promotion at the second "
        "minor collection and the old generation under GOGC.",
        why="Nearly all that this service allocates is dead when its request ends. Go finds the room again by marking the "
        "whole cache each time; a minor collection looks at what survived in the nursery, which is next to nothing, "
        "and at the cards of old memory that were written to. The price: pauses that copy, for every nursery, and a "
        "write barrier that is never off.",
        precise="Go's collector has no generations, no nursery and no promotion, and does not move objects; articles "
        "that say otherwise are mistaken. The what-if's costs are derived from measured constants of Go's own work or "
        "assumed, not measured on such a collector. And it pays only where the young die: where most of what is "
        "allocated survives, everything is copied and then marked all the same, and it loses.",
        claims=(
            at_most(0.3, "num_gc"),
            at_most(0.5, "gc_cpu_frac"),
            at_least(1.05, "throughput_rps"),
            at_least(1.2, "stw_pause_ns_p50"),
        ),
        shows=("num_minor_gc", "minor_pauses_per_s", "promoted_frac", "memory_peak_bytes", "latency_ns_p99"),
    ),
)

LESSONS: dict[str, Lesson] = {lesson.name: lesson for lesson in (*_LESSONS, *ALLOCATION_LESSONS)}
