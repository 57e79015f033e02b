// Package copies measures what passing a struct by value costs per byte, in CPU time of the process: other programs on
// the machine do not count. Run: go test -run Copy -v
package copies

import (
	"syscall"
	"testing"
)

type kib1 struct{ words [128]int }
type kib4 struct{ words [512]int }
type kib16 struct{ words [2048]int }
type kib32 struct{ words [4096]int }

var (
	global1  kib1
	global4  kib4
	global16 kib16
	global32 kib32
	sink     int
)

//go:noinline
func value1(s kib1, i int) int { return s.words[i&7] }

//go:noinline
func value4(s kib4, i int) int { return s.words[i&7] }

//go:noinline
func value16(s kib16, i int) int { return s.words[i&7] }

//go:noinline
func value32(s kib32, i int) int { return s.words[i&7] }

//go:noinline
func pointer(s *kib1, i int) int { return s.words[i&7] }

func cpuNs() int64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err)
	}
	return usage.Utime.Nano() + usage.Stime.Nano()
}

// least returns the least CPU time per call of seven attempts.
func least(calls int, f func(i int) int) float64 {
	best := 0.0
	for attempt := 0; attempt < 7; attempt++ {
		start := cpuNs()
		for i := 0; i < calls; i++ {
			sink += f(i)
		}
		if took := float64(cpuNs()-start) / float64(calls); attempt == 0 || took < best {
			best = took
		}
	}
	return best
}

func TestCopy(t *testing.T) {
	base := least(5_000_000, func(i int) int { return pointer(&global1, i) })
	t.Logf("copy of 1024 bytes: %.4f ns/B", (least(1_000_000, func(i int) int { return value1(global1, i) })-base)/(1<<10))
	t.Logf("copy of 4096 bytes: %.4f ns/B", (least(300_000, func(i int) int { return value4(global4, i) })-base)/(4<<10))
	t.Logf("copy of 16384 bytes: %.4f ns/B", (least(100_000, func(i int) int { return value16(global16, i) })-base)/(16<<10))
	t.Logf("copy of 32768 bytes: %.4f ns/B", (least(50_000, func(i int) int { return value32(global32, i) })-base)/(32<<10))
}
