// Package ns times what ../go_memory counts: stack and heap, values and pointers, slices, maps. An operation is a
// thousand calls, so that the loop around them and whatever surrounds an operation elsewhere do not matter. Benchmarks
// whose names begin with Cal are what constants of a machine profile are worked out from; gcsim says the others in advance.
// Run: go test -run '^$' -bench . -benchtime 200ms -count 10 -cpu 1
package ns

import "testing"

const calls = 1000

type b16 struct{ data [16]byte }
type b64 struct{ data [64]byte }
type b256 struct{ data [256]byte }
type b1k struct{ data [1 << 10]byte }
type b2k struct{ data [2 << 10]byte }
type b4k struct{ data [4 << 10]byte }
type b16k struct{ data [16 << 10]byte }
type b32k struct{ data [32 << 10]byte }
type b64k struct{ data [64 << 10]byte }
type b256k struct{ data [256 << 10]byte }

type p64 struct {
	next *p64
	data [56]byte
}
type p512 struct {
	next *p512
	data [504]byte
}
type p1k struct {
	next *p1k
	data [1016]byte
}

var (
	sinkByte byte
	sinkInts []int
	sinkMap  map[int]int
	at       = 3
	one      = 1
	thousand = 1000
	hundred  = 100
)

// ---- the frame ---------------------------------------------------------------------------------------------

//go:noinline
func empty(i int) byte { return byte(i) }

//go:noinline
func local64(i int) byte {
	p := new(b64)
	p.data[i&63] = 1
	return p.data[at&63]
}

//go:noinline
func local256(i int) byte {
	p := new(b256)
	p.data[i&255] = 1
	return p.data[at&255]
}

//go:noinline
func local1k(i int) byte {
	p := new(b1k)
	p.data[i&1023] = 1
	return p.data[at&1023]
}

//go:noinline
func local4k(i int) byte {
	p := new(b4k)
	p.data[i&4095] = 1
	return p.data[at&4095]
}

//go:noinline
func local16k(i int) byte {
	p := new(b16k)
	p.data[i&16383] = 1
	return p.data[at&16383]
}

// ---- the heap ----------------------------------------------------------------------------------------------

var (
	sink16   *b16
	sink64   *b64
	sink256  *b256
	sink1k   *b1k
	sink2k   *b2k
	sink4k   *b4k
	sink16k  *b16k
	sink32k  *b32k
	sink64k  *b64k
	sink256k *b256k
	sinkp64  *p64
	sinkp512 *p512
	sinkp1k  *p1k
)

// ---- values ------------------------------------------------------------------------------------------------

var (
	global64  b64
	global256 b256
	global1k  b1k
	global4k  b4k
	global16k b16k
	global32k b32k
)

//go:noinline
func value64(s b64, i int) byte { return s.data[i&63] }

//go:noinline
func value256(s b256, i int) byte { return s.data[i&255] }

//go:noinline
func value1k(s b1k, i int) byte { return s.data[i&1023] }

//go:noinline
func value4k(s b4k, i int) byte { return s.data[i&4095] }

//go:noinline
func value16k(s b16k, i int) byte { return s.data[i&16383] }

//go:noinline
func value32k(s b32k, i int) byte { return s.data[i&32767] }

//go:noinline
func pointer1k(s *b1k, i int) byte { return s.data[i&1023] }

//go:noinline
func pointer16k(s *b16k, i int) byte { return s.data[i&16383] }

//go:noinline
func nested(n int) int {
	var pad [200]byte
	pad[n&127] = byte(n)
	if n == 0 {
		return int(pad[at])
	}
	return nested(n-1) + int(pad[at])
}

// ---- slices and maps ---------------------------------------------------------------------------------------

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
func refills(s []int, n int) []int {
	s = s[:0]
	for i := 0; i < n; i++ {
		s = append(s, i)
	}
	return s
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
func refillsMap(m map[int]int, n int) map[int]int {
	clear(m)
	for i := 0; i < n; i++ {
		m[i] = i
	}
	return m
}

func run(b *testing.B, f func(i int)) {
	b.ReportAllocs()
	for n := 0; n < b.N; n++ {
		for i := 0; i < calls; i++ {
			f(i)
		}
	}
}

func BenchmarkCalCall(b *testing.B) {
	b.ReportAllocs()
	for n := 0; n < b.N; n++ {
		for i := 0; i < calls; i++ {
			sinkByte += empty(i)
		}
	}
}
func BenchmarkCalLocal256(b *testing.B) { run(b, func(i int) { sinkByte += local256(i) }) }
func BenchmarkCalLocal4k(b *testing.B)  { run(b, func(i int) { sinkByte += local4k(i) }) }
func BenchmarkValue256(b *testing.B)    { run(b, func(i int) { sinkByte += value256(global256, i) }) }
func BenchmarkCalValue4k(b *testing.B)  { run(b, func(i int) { sinkByte += value4k(global4k, i) }) }
func BenchmarkCalNoscan64(b *testing.B) { run(b, func(int) { sink64 = new(b64) }) }
func BenchmarkCalNoscan2k(b *testing.B) { run(b, func(int) { sink2k = new(b2k) }) }
func BenchmarkCalScan64(b *testing.B)   { run(b, func(int) { sinkp64 = new(p64) }) }
func BenchmarkCalScan1k(b *testing.B)   { run(b, func(int) { sinkp1k = new(p1k) }) }
func BenchmarkCalLarge64k(b *testing.B) { run(b, func(int) { sink64k = new(b64k) }) }
func BenchmarkCalLarge256k(b *testing.B) {
	run(b, func(int) { sink256k = new(b256k) })
}
func BenchmarkCalAppend(b *testing.B) {
	s := make([]int, 0, 1000)
	run(b, func(int) { s = refills(s, thousand) })
}
func BenchmarkCalMap(b *testing.B) {
	m := make(map[int]int, 100)
	run(b, func(int) { m = refillsMap(m, hundred) })
}

func BenchmarkLocal64(b *testing.B)     { run(b, func(i int) { sinkByte += local64(i) }) }
func BenchmarkLocal1k(b *testing.B)     { run(b, func(i int) { sinkByte += local1k(i) }) }
func BenchmarkLocal16k(b *testing.B)    { run(b, func(i int) { sinkByte += local16k(i) }) }
func BenchmarkTiny16(b *testing.B)      { run(b, func(int) { sink16 = new(b16) }) }
func BenchmarkEscaping256(b *testing.B) { run(b, func(int) { sink256 = new(b256) }) }
func BenchmarkEscaping1k(b *testing.B)  { run(b, func(int) { sink1k = new(b1k) }) }
func BenchmarkEscaping4k(b *testing.B)  { run(b, func(int) { sink4k = new(b4k) }) }
func BenchmarkEscaping16k(b *testing.B) { run(b, func(int) { sink16k = new(b16k) }) }
func BenchmarkPointers512(b *testing.B) { run(b, func(int) { sinkp512 = new(p512) }) }
func BenchmarkLarge128k(b *testing.B) {
	run(b, func(int) { sinkBytes = make([]byte, 128<<10) })
}
func BenchmarkValue64(b *testing.B)  { run(b, func(i int) { sinkByte += value64(global64, i) }) }
func BenchmarkValue1k(b *testing.B)  { run(b, func(i int) { sinkByte += value1k(global1k, i) }) }
func BenchmarkValue16k(b *testing.B) { run(b, func(i int) { sinkByte += value16k(global16k, i) }) }
func BenchmarkValue32k(b *testing.B) { run(b, func(i int) { sinkByte += value32k(global32k, i) }) }
func BenchmarkPointer1k(b *testing.B) {
	run(b, func(i int) { sinkByte += pointer1k(&global1k, i) })
}
func BenchmarkPointer16k(b *testing.B) {
	run(b, func(i int) { sinkByte += pointer16k(&global16k, i) })
}
func BenchmarkPointerEscaping1k(b *testing.B) {
	run(b, func(i int) { sink1k = new(b1k); sinkByte += pointer1k(sink1k, i) })
}
func BenchmarkNested(b *testing.B) { run(b, func(i int) { sinkByte += byte(nested(hundred)) }) }
func BenchmarkAppend(b *testing.B) { run(b, func(int) { sinkInts = appends(thousand, 0) }) }
func BenchmarkAppendHint(b *testing.B) {
	run(b, func(int) { sinkInts = appends(thousand, thousand) })
}
func BenchmarkMap(b *testing.B)     { run(b, func(int) { sinkMap = fills(hundred, 0) }) }
func BenchmarkMapHint(b *testing.B) { run(b, func(int) { sinkMap = fills(hundred, hundred) }) }

// What a queue does where nothing grows.
func BenchmarkCalQueue(b *testing.B) {
	b.ReportAllocs()
	array := make([]*b64, 250+calls)
	for n := 0; n < b.N; n++ {
		sinkQueue = array[:250]
		for i := 0; i < calls; i++ {
			sinkQueue = append(sinkQueue[1:], &global64)
		}
	}
}

func queue(b *testing.B, depth int) {
	sinkQueue = make([]*b64, depth)
	b.ResetTimer()
	b.ReportAllocs()
	for n := 0; n < b.N; n++ {
		for i := 0; i < calls; i++ {
			sinkQueue = append(sinkQueue[1:], &global64)
		}
	}
}
func BenchmarkQueue250(b *testing.B)  { queue(b, 250) }
func BenchmarkQueue5000(b *testing.B) { queue(b, 5000) }
func BenchmarkLarge512k(b *testing.B) {
	run(b, func(int) { sinkBytes = make([]byte, 512<<10) })
}

var sinkQueue []*b64
var sinkBytes []byte
