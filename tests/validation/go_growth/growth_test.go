// Package growth measures what growing costs beside allocating: per key that a growing map moves, and per step, frame
// and byte of a stack that is copied. CPU time of the process: other programs on the machine do not count.
// Run: go test -run 'Map|Stack' -v -cpu 1
package growth

import (
	"runtime"
	"runtime/debug"
	"syscall"
	"testing"
)

func cpuNs() int64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err)
	}
	return usage.Utime.Nano() + usage.Stime.Nano()
}

// least returns the least CPU time per call of 25 attempts, with collections between them only.
func least(calls int, f func(i int)) float64 {
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	best := 0.0
	for attempt := 0; attempt < 25; attempt++ {
		runtime.GC()
		start := cpuNs()
		for i := 0; i < calls; i++ {
			f(i)
		}
		if took := float64(cpuNs()-start) / float64(calls); attempt == 0 || took < best {
			best = took
		}
	}
	return best
}

//go:noinline
func empty(i int) byte { return byte(i) }

var sinkByte byte

func call() float64 { return least(1_000_000, func(i int) { sinkByte += empty(i) }) }

// ---- maps --------------------------------------------------------------------------------------------------

type v16 struct{ words [2]int }
type v64 struct{ words [8]int }

type table struct {
	_ *byte
	_ [24]byte
}

var (
	sinkMap   any
	sinkBytes []byte
	sinkTable *table
)

func fill[V any](keys, hint int) {
	var value V
	m := make(map[int]V, hint)
	for i := 0; i < keys; i++ {
		m[i] = value
	}
	sinkMap = m
}

// leaves allocates what a map to so many keys of 8 bytes leaves behind: groups of 8, 16, .. slots, a table for each but
// the first, while one table is enough (896 keys).
func leaves(keys, slotBytes int) {
	for slots := 8; slots*7/8 < keys; slots *= 2 {
		sinkBytes = make([]byte, slots/8*(8+8*slotBytes))
		if slots > 8 {
			sinkTable = new(table)
		}
	}
}

// moved is how many keys are put again on the way.
func moved(keys int) int {
	n := 8
	for slots := 16; slots*7/8 < keys; slots *= 2 {
		n += slots * 7 / 8
	}
	return n
}

func mapOf[V any](t *testing.T, name string, slotBytes int) {
	for _, keys := range []int{50, 100, 400, 800} {
		calls := 200_000 / keys
		grown := least(calls, func(int) { fill[V](keys, 0) })
		hinted := least(calls, func(int) { fill[V](keys, keys) })
		left := least(calls, func(int) { leaves(keys, slotBytes) })
		t.Logf("%s, %d keys: grown %.0f ns, made with a hint %.0f, left behind allocated in %.0f: %.1f ns a key moved",
			name, keys, grown, hinted, left, (grown-hinted-left)/float64(moved(keys)))
	}
}

func TestMap(t *testing.T) {
	t.Logf("call %.2f ns", call())
	mapOf[int](t, "value of 8 bytes", 16)
	mapOf[v16](t, "value of 16 bytes", 24)
	mapOf[v64](t, "value of 64 bytes", 72)
}

// ---- stacks ------------------------------------------------------------------------------------------------

var at = 3

//go:noinline
func frame64(n int) int {
	var pad [40]byte
	pad[n&31] = byte(n)
	if n == 0 {
		return int(pad[at])
	}
	return frame64(n-1) + int(pad[at])
}

//go:noinline
func frame224(n int) int {
	var pad [200]byte
	pad[n&127] = byte(n)
	if n == 0 {
		return int(pad[at])
	}
	return frame224(n-1) + int(pad[at])
}

//go:noinline
func frame1k(n int) int {
	var pad [1000]byte
	pad[n&511] = byte(n)
	if n == 0 {
		return int(pad[at])
	}
	return frame1k(n-1) + int(pad[at])
}

var sinkInt int

func inGoroutine(f func()) float64 {
	done := make(chan struct{})
	return least(500, func(int) {
		go func() { f(); done <- struct{}{} }()
		<-done
	})
}

func TestStack(t *testing.T) {
	t.Logf("call %.2f ns", call())
	base := inGoroutine(func() {})
	for _, each := range []struct {
		bytes int
		f     func(int) int
	}{{64, frame64}, {224, frame224}, {1024, frame1k}} {
		for _, kib := range []int{2, 6, 14, 30, 62, 126} {
			frames := kib << 10 / each.bytes
			once := inGoroutine(func() { sinkInt += each.f(frames) })
			twice := inGoroutine(func() { sinkInt += each.f(frames); sinkInt += each.f(frames) })
			t.Logf("%d frames of %d bytes: calls %.0f ns, growing %.0f", frames, each.bytes, twice-once, 2*once-twice-base)
		}
	}
}
