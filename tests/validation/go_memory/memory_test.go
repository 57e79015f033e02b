// Package memory has one benchmark per rule about where Go allocates and how much. B/op and allocs/op are exact
// whatever the machine; what gcsim says about each is in ../test_go_memory.py.
package memory

import "testing"

type small struct {
	next *small
	data [56]byte
}

type large struct{ data [8 << 20]byte }

var (
	sinkSmall    *small
	sinkLarge    *large
	sinkInts     []int
	sinkPtrs     []*small
	sinkMap      map[int]int
	sinkBig      map[int][64]byte
	sinkSet      map[int]struct{}
	sinkNarrow   map[uint8]int64
	sinkStrings  map[string]bool
	sinkIndirect map[int][200]byte
	words        = makeWords(keys)
	sinkByte     byte
	three        = 3
	size32       = 32
	size33       = 33
	elements     = 1000
	keys         = 100
	text32       = "0123456789abcdef0123456789abcdef"
	text33       = "0123456789abcdef0123456789abcdefg"
)

//go:noinline
func local() byte {
	p := new(small)
	p.data[3] = 1
	return p.data[sinkByte%8]
}

//go:noinline
func escaping() *small { return new(small) }

//go:noinline
func makes(n int) byte {
	s := make([]byte, n)
	for i := range s {
		s[i]++
	}
	return s[n-1]
}

//go:noinline
func converts(s string) byte {
	b := []byte(s)
	b[0]++
	return b[len(b)-1]
}

//go:noinline
func appends(n, hint int) []int {
	var s []int
	if hint > 0 {
		s = make([]int, 0, hint)
	}
	for i := 0; i < n; i++ {
		s = append(s, i)
	}
	return s
}

//go:noinline
func appendsPointers(n int) []*small {
	var s []*small
	for i := 0; i < n; i++ {
		s = append(s, nil)
	}
	return s
}

//go:noinline
func sums(n int) int {
	var s []int
	for i := 0; i < n; i++ {
		s = append(s, i)
	}
	return s[n-1] + len(s)
}

//go:noinline
func fills(n, hint int) map[int]int {
	m := make(map[int]int, hint)
	for i := 0; i < n; i++ {
		m[i] = i
	}
	return m
}

//go:noinline
func fillsBig(n int) map[int][64]byte {
	m := make(map[int][64]byte)
	for i := 0; i < n; i++ {
		m[i] = [64]byte{}
	}
	return m
}

//go:noinline
func fillsSet(n int) map[int]struct{} {
	m := make(map[int]struct{})
	for i := 0; i < n; i++ {
		m[i] = struct{}{}
	}
	return m
}

//go:noinline
func fillsNarrow(n int) map[uint8]int64 {
	m := make(map[uint8]int64)
	for i := 0; i < n; i++ {
		m[uint8(i)] = 1
	}
	return m
}

//go:noinline
func fillsStrings(words []string) map[string]bool {
	m := make(map[string]bool, len(words))
	for _, word := range words {
		m[word] = true
	}
	return m
}

//go:noinline
func fillsIndirect(n int) map[int][200]byte {
	m := make(map[int][200]byte)
	for i := 0; i < n; i++ {
		m[i] = [200]byte{}
	}
	return m
}

func makeWords(n int) []string {
	words := make([]string, n)
	for i := range words {
		words[i] = string(rune('a'+i%26)) + string(rune('a'+i/26))
	}
	return words
}

//go:noinline
func counts() int {
	m := make(map[int]int)
	for i := 0; i < 8; i++ {
		m[i] = i
	}
	return len(m)
}

//go:noinline
func byPointer(p *large) *large {
	p.data[7]++
	return p
}

func run(b *testing.B, f func()) {
	b.ReportAllocs()
	for i := 0; i < b.N; i++ {
		f()
	}
}

func BenchmarkLocal(b *testing.B)          { run(b, func() { sinkByte = local() }) }
func BenchmarkEscaping(b *testing.B)       { run(b, func() { sinkSmall = escaping() }) }
func BenchmarkMake32(b *testing.B)         { run(b, func() { sinkByte = makes(size32) }) }
func BenchmarkMake33(b *testing.B)         { run(b, func() { sinkByte = makes(size33) }) }
func BenchmarkConvert32(b *testing.B)      { run(b, func() { sinkByte = converts(text32) }) }
func BenchmarkConvert33(b *testing.B)      { run(b, func() { sinkByte = converts(text33) }) }
func BenchmarkAppend(b *testing.B)         { run(b, func() { sinkInts = appends(elements, 0) }) }
func BenchmarkAppendHint(b *testing.B)     { run(b, func() { sinkInts = appends(elements, elements) }) }
func BenchmarkAppendPointers(b *testing.B) { run(b, func() { sinkPtrs = appendsPointers(elements) }) }
func BenchmarkAppendFew(b *testing.B)      { run(b, func() { sinkPtrs = appendsPointers(three) }) }
func BenchmarkAppendLocal(b *testing.B)    { run(b, func() { sinkByte = byte(sums(elements)) }) }
func BenchmarkMap(b *testing.B)            { run(b, func() { sinkMap = fills(keys, 0) }) }
func BenchmarkMapHint(b *testing.B)        { run(b, func() { sinkMap = fills(keys, keys) }) }
func BenchmarkMapBig(b *testing.B)         { run(b, func() { sinkBig = fillsBig(keys) }) }
func BenchmarkMapSet(b *testing.B)         { run(b, func() { sinkSet = fillsSet(keys) }) }
func BenchmarkMapNarrow(b *testing.B)      { run(b, func() { sinkNarrow = fillsNarrow(keys) }) }
func BenchmarkMapStrings(b *testing.B)     { run(b, func() { sinkStrings = fillsStrings(words) }) }
func BenchmarkMapIndirect(b *testing.B)    { run(b, func() { sinkIndirect = fillsIndirect(keys) }) }
func BenchmarkMapLocal(b *testing.B)       { run(b, func() { sinkByte = byte(counts()) }) }
func BenchmarkLargePointer(b *testing.B) {
	run(b, func() { sinkLarge = byPointer(new(large)) })
}

// ---- queues: the first element of a slice off, a new one on, 10,000 times -----------------------------------

type job struct {
	body *int
	n    int
}

var (
	sinkJobs []job
	sinkJob  int
)

//go:noinline
func queues(depth int) []job {
	s := make([]job, depth)
	for i := 0; i < 10_000; i++ {
		s = append(s[1:], job{&sinkJob, i})
	}
	return s
}

func BenchmarkQueue1(b *testing.B)    { run(b, func() { sinkJobs = queues(1) }) }
func BenchmarkQueue3(b *testing.B)    { run(b, func() { sinkJobs = queues(3) }) }
func BenchmarkQueue100(b *testing.B)  { run(b, func() { sinkJobs = queues(100) }) }
func BenchmarkQueue1000(b *testing.B) { run(b, func() { sinkJobs = queues(1000) }) }
func BenchmarkQueue5000(b *testing.B) { run(b, func() { sinkJobs = queues(5000) }) }
