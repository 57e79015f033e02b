// Command workload does what a record's workload says and prints what it measured as one JSON object.
//
//	GODEBUG=gctrace=1 GOGC=100 GOMAXPROCS=2 workload '{"name": "...", "workers": 2, ...}'
//
// It runs in three stages: the retained set is built, 50 ms pass, the load runs for `seconds`.  Measurements cover the
// load alone.  Two marks on standard error say where the load begins and ends among the collector's trace lines.
package main

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand"
	"os"
	"runtime"
	"runtime/metrics"
	"sort"
	"sync"
	"sync/atomic"
	"time"
)

const (
	frameBytes        = 1040    // of an idle goroutine's stack, return address and frame pointer included
	globalPointers    = 1 << 17 // 1 MiB of scannable globals
	openLoopLatencies = 1 << 21 // 16 MiB
	defaultLatencyCap = 1 << 20
	freeStates        = 100_000
	settle            = 50 * time.Millisecond
)

// ---- what to do ----------------------------------------------------------------------------------------------

type garbage struct {
	Kind  string  `json:"kind"`
	Size  int     `json:"size"`
	Count float64 `json:"count"`
}

type phase struct {
	Seconds      float64  `json:"seconds"`
	RatePerS     float64  `json:"rate_per_s"`
	GarbageScale *float64 `json:"garbage_scale"`
	CacheEntries *int     `json:"cache_entries"`
}

type workload struct {
	Name                string    `json:"name"`
	Workers             int       `json:"workers"`
	RatePerS            float64   `json:"rate_per_s"`
	Seconds             float64   `json:"seconds"`
	SpinNs              int64     `json:"spin_ns"`
	SleepUs             float64   `json:"sleep_us"`
	Garbage             []garbage `json:"garbage"`
	CacheEntries        int       `json:"cache_entries"`
	ChainNodes          int       `json:"chain_nodes"`
	TreeShaped          bool      `json:"tree_shaped"`
	PayloadBytes        int       `json:"payload_bytes"`
	ReplacePerRequest   float64   `json:"replace_per_request"`
	LeakBytesPerRequest int       `json:"leak_bytes_per_request"`
	IdleGoroutines      int       `json:"idle_goroutines"`
	StackDepth          int       `json:"stack_depth"`
	GlobalsPtrMb        int       `json:"globals_ptr_mb"`
	PoolBufferBytes     int       `json:"pool_buffer_bytes"`
	PointerWrites       int       `json:"pointer_writes"`
	Phases              []phase   `json:"phases"`
	LatencyCap          int       `json:"latency_cap"`
}

// ---- what it keeps -------------------------------------------------------------------------------------------

// node is 64 B with pointers in the first two words.
type node struct {
	left, right *node
	_           [48]byte
}

// entry is 32 B; its pointers are the root and the payload's array.
type entry struct {
	root    *node
	payload []byte
}

var (
	work        workload
	cache       []*entry // as long as the largest size of any phase
	cacheSize   atomic.Int64
	scale       atomic.Uint64 // bits of the garbage scale
	rate        atomic.Uint64 // bits of the arrivals per second
	leakMutex   sync.Mutex
	leaked      [][]byte
	globalNodes [globalPointers]*node
	forever     = make(chan struct{})
	buffers     sync.Pool
	spinsPerNs  float64
	sink        atomic.Uint64
)

func tree(nodes int) *node {
	if nodes <= 0 {
		return nil
	}
	n := new(node)
	left := (nodes - 1) / 2
	n.left = tree(left)
	n.right = tree(nodes - 1 - left)
	return n
}

func list(nodes int) *node {
	var head *node
	for i := 0; i < nodes; i++ {
		n := new(node)
		n.left = head
		head = n
	}
	return head
}

func newEntry() *entry {
	e := new(entry)
	if work.TreeShaped {
		e.root = tree(work.ChainNodes)
	} else {
		e.root = list(work.ChainNodes)
	}
	if work.PayloadBytes > 0 {
		e.payload = make([]byte, work.PayloadBytes)
	}
	return e
}

func resize(entries int) {
	old := int(cacheSize.Load())
	for i := old; i < entries; i++ {
		cache[i] = newEntry()
		cacheSize.Store(int64(i + 1))
	}
	if entries < old {
		cacheSize.Store(int64(entries))
		clear(cache[entries:])
	}
}

// block waits for ever, depth + 1 frames deep.
//
//go:noinline
func block(depth int) byte {
	var frame [frameBytes - 32]byte
	frame[depth&63] = 1
	if depth > 0 {
		frame[1] = block(depth - 1)
	} else {
		<-forever
	}
	return frame[depth&31]
}

func build() {
	largest := work.CacheEntries
	for _, p := range work.Phases {
		if p.CacheEntries != nil && *p.CacheEntries > largest {
			largest = *p.CacheEntries
		}
	}
	if largest > 0 {
		cache = make([]*entry, largest)
		resize(work.CacheEntries)
	}
	if work.GlobalsPtrMb > 0 {
		for i := range globalNodes {
			globalNodes[i] = new(node)
		}
	}
	for i := 0; i < work.IdleGoroutines; i++ {
		go block(work.StackDepth)
	}
	if n := work.PoolBufferBytes; n > 0 {
		buffers.New = func() any { b := make([]byte, n); return &b }
	}
}

// ---- a request -----------------------------------------------------------------------------------------------

// state is what a request needs of its own: a worker's, or taken from a free list by a request of an open loop.
type state struct {
	rng         *rand.Rand
	kept        []any
	replacement float64
}

func newState(seed int64) *state {
	return &state{rng: rand.New(rand.NewSource(seed)), kept: make([]any, 0, 2*len(work.Garbage)+1)}
}

func spinFor(iterations int64) {
	x := uint64(88172645463325252)
	for i := int64(0); i < iterations; i++ {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
	}
	if x == 0 {
		sink.Add(1)
	}
}

// calibrate finds how many rounds of arithmetic take a nanosecond: the best of 20 tries.
func calibrate() {
	const rounds = 100_000
	best := time.Duration(math.MaxInt64)
	for try := 0; try < 20; try++ {
		start := time.Now()
		spinFor(rounds)
		if took := time.Since(start); took < best {
			best = took
		}
	}
	spinsPerNs = rounds / float64(best.Nanoseconds())
}

func spin(ns int64) {
	if ns > 0 {
		spinFor(int64(float64(ns) * spinsPerNs))
	}
}

func (s *state) count(mean float64) int {
	whole := int(mean)
	if part := mean - float64(whole); part > 0 && s.rng.Float64() < part {
		whole++
	}
	return whole
}

func (s *state) makeGarbage(factor float64) {
	for i := range work.Garbage {
		g := &work.Garbage[i]
		n := s.count(g.Count * factor)
		switch g.Kind {
		case "bytes":
			held := make([][]byte, n)
			for j := range held {
				held[j] = make([]byte, g.Size)
			}
			s.kept = append(s.kept, held)
		case "ptrs":
			held := make([][]*node, n)
			for j := range held {
				held[j] = make([]*node, g.Size/8)
			}
			s.kept = append(s.kept, held)
		default:
			s.kept = append(s.kept, list(n))
		}
	}
}

func (s *state) randomEntry() *entry {
	if n := int(cacheSize.Load()); n > 0 {
		return cache[s.rng.Intn(n)]
	}
	return nil
}

func (s *state) request() {
	half := work.SpinNs / 2
	spin(half)
	s.makeGarbage(math.Float64frombits(scale.Load()))
	var buffer *[]byte
	if work.PoolBufferBytes > 0 {
		buffer = buffers.Get().(*[]byte)
		for i := 0; i < len(*buffer); i += 64 {
			(*buffer)[i]++
		}
	}
	if work.SleepUs > 0 {
		time.Sleep(time.Duration(work.SleepUs * float64(time.Microsecond)))
	}
	for s.replacement += work.ReplacePerRequest; s.replacement >= 1; s.replacement-- {
		if n := int(cacheSize.Load()); n > 0 {
			cache[s.rng.Intn(n)] = newEntry()
		}
	}
	for i := 0; i < work.PointerWrites; i++ {
		if e := s.randomEntry(); e != nil && e.root != nil {
			e.root.right = e.root.left
		}
	}
	if work.LeakBytesPerRequest > 0 {
		object := make([]byte, work.LeakBytesPerRequest)
		leakMutex.Lock()
		leaked = append(leaked, object)
		leakMutex.Unlock()
	}
	spin(work.SpinNs - half)
	if buffer != nil {
		buffers.Put(buffer)
	}
	clear(s.kept)
	s.kept = s.kept[:0]
}

// ---- the load ------------------------------------------------------------------------------------------------

func runPhases(stop <-chan struct{}) {
	for i := 0; ; i = (i + 1) % len(work.Phases) {
		p := work.Phases[i]
		if p.RatePerS > 0 {
			rate.Store(math.Float64bits(p.RatePerS))
		}
		if p.GarbageScale != nil {
			scale.Store(math.Float64bits(*p.GarbageScale))
		}
		end := time.After(time.Duration(p.Seconds * float64(time.Second)))
		if p.CacheEntries != nil {
			resize(*p.CacheEntries)
		}
		select {
		case <-stop:
			return
		case <-end:
		}
	}
}

func closedLoop(deadline time.Time) (latencies []int64, requests int64) {
	capacity := work.LatencyCap
	if capacity <= 0 {
		capacity = defaultLatencyCap
	}
	perWorker := make([][]int64, work.Workers)
	done := make([]int64, work.Workers)
	var all sync.WaitGroup
	for w := 0; w < work.Workers; w++ {
		perWorker[w] = make([]int64, 0, capacity)
		all.Add(1)
		go func(w int) {
			defer all.Done()
			s := newState(int64(w) + 1)
			recorded, n := perWorker[w], int64(0)
			for {
				start := time.Now()
				s.request()
				end := time.Now()
				if len(recorded) < cap(recorded) {
					recorded = append(recorded, int64(end.Sub(start)))
				}
				n++
				if !end.Before(deadline) {
					break
				}
			}
			perWorker[w], done[w] = recorded, n
		}(w)
	}
	all.Wait()
	for w := range perWorker {
		latencies = append(latencies, perWorker[w]...)
		requests += done[w]
	}
	return latencies, requests
}

func openLoop(begin, deadline time.Time) (latencies []int64, requests int64) {
	recorded := make([]int64, openLoopLatencies)
	free := make(chan *state, freeStates)
	var next, seeds atomic.Int64
	var all sync.WaitGroup
	arrivals := rand.New(rand.NewSource(1))
	due := begin
	for {
		perNs := math.Float64frombits(rate.Load()) / 1e9
		due = due.Add(time.Duration(arrivals.ExpFloat64() / perNs))
		if due.After(deadline) {
			break
		}
		if wait := time.Until(due); wait > 0 {
			time.Sleep(wait)
		}
		all.Add(1)
		scheduled := due
		go func() {
			defer all.Done()
			var s *state
			select {
			case s = <-free:
			default:
				s = newState(seeds.Add(1))
			}
			s.request()
			select {
			case free <- s:
			default:
			}
			if i := next.Add(1) - 1; i < int64(len(recorded)) {
				recorded[i] = int64(time.Since(scheduled))
			}
		}()
	}
	all.Wait()
	requests = next.Load()
	return recorded[:min(requests, int64(len(recorded)))], requests
}

// ---- what is measured ----------------------------------------------------------------------------------------

var cpuClasses = []string{
	"/cpu/classes/gc/mark/assist:cpu-seconds", "/cpu/classes/gc/mark/dedicated:cpu-seconds",
	"/cpu/classes/gc/mark/idle:cpu-seconds", "/cpu/classes/gc/pause:cpu-seconds", "/cpu/classes/gc/total:cpu-seconds",
	"/cpu/classes/idle:cpu-seconds", "/cpu/classes/scavenge/total:cpu-seconds", "/cpu/classes/total:cpu-seconds",
	"/cpu/classes/user:cpu-seconds",
}

func cpuSeconds() map[string]float64 {
	samples := make([]metrics.Sample, len(cpuClasses))
	for i, name := range cpuClasses {
		samples[i].Name = name
	}
	metrics.Read(samples)
	out := map[string]float64{}
	for _, s := range samples {
		if s.Value.Kind() == metrics.KindFloat64 {
			out[s.Name] = s.Value.Float64()
		}
	}
	return out
}

// histogram gives quantiles of a runtime histogram as middles of its buckets.
func histogram(name string) map[string]float64 {
	samples := []metrics.Sample{{Name: name}}
	metrics.Read(samples)
	if samples[0].Value.Kind() != metrics.KindFloat64Histogram {
		return nil
	}
	h := samples[0].Value.Float64Histogram()
	var total uint64
	for _, n := range h.Counts {
		total += n
	}
	out := map[string]float64{"count": float64(total)}
	if total == 0 {
		return out
	}
	for _, q := range quantiles {
		if q.name == "p99.9" {
			continue
		}
		rank, seen := uint64(math.Ceil(q.share*float64(total))), uint64(0)
		for i, n := range h.Counts {
			if seen += n; seen >= rank && n > 0 {
				low, high := h.Buckets[i], h.Buckets[i+1]
				if math.IsInf(low, -1) {
					low = high
				}
				if math.IsInf(high, 1) {
					high = low
				}
				out[q.name] = (low + high) / 2
				break
			}
		}
	}
	return out
}

var quantiles = []struct {
	name  string
	share float64
}{{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p99.9", 0.999}, {"p100", 1}}

func latencyQuantiles(latencies []int64) map[string]int64 {
	out := map[string]int64{}
	sort.Slice(latencies, func(i, j int) bool { return latencies[i] < latencies[j] })
	for _, q := range quantiles {
		if n := len(latencies); n > 0 {
			out[q.name] = latencies[max(0, int(math.Ceil(q.share*float64(n)))-1)]
		}
	}
	return out
}

// started is when the program's own code begins, a fraction of a millisecond after the zero of the trace's @ times.
var started = time.Now()

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: workload JSON")
		os.Exit(2)
	}
	if err := json.Unmarshal([]byte(os.Args[1]), &work); err != nil {
		fmt.Fprintln(os.Stderr, "workload:", err)
		os.Exit(2)
	}
	calibrate()
	scale.Store(math.Float64bits(1))
	rate.Store(math.Float64bits(work.RatePerS))
	build()
	time.Sleep(settle)

	var before, after runtime.MemStats
	cpuBefore := cpuSeconds()
	runtime.ReadMemStats(&before)
	println("gcsim: load begins")
	begin := time.Now()
	deadline := begin.Add(time.Duration(work.Seconds * float64(time.Second)))
	stop := make(chan struct{})
	if len(work.Phases) > 0 {
		go runPhases(stop)
	}
	var latencies []int64
	var requests int64
	if work.Workers > 0 {
		latencies, requests = closedLoop(deadline)
	} else {
		latencies, requests = openLoop(begin, deadline)
	}
	elapsed := time.Since(begin)
	println("gcsim: load ends")
	close(stop)
	runtime.ReadMemStats(&after)
	cpu := cpuSeconds()
	for name := range cpu {
		cpu[name] -= cpuBefore[name]
	}
	result := map[string]any{
		"go":                  runtime.Version(),
		"gogc":                os.Getenv("GOGC"),
		"gomemlimit":          os.Getenv("GOMEMLIMIT"),
		"gomaxprocs":          runtime.GOMAXPROCS(0),
		"load_start_s":        begin.Sub(started).Seconds(),
		"elapsed_s":           elapsed.Seconds(),
		"requests":            requests,
		"alloc_bytes":         after.TotalAlloc - before.TotalAlloc,
		"alloc_objects":       after.Mallocs - before.Mallocs,
		"num_gc":              after.NumGC - before.NumGC,
		"pause_total_ns":      after.PauseTotalNs - before.PauseTotalNs,
		"cpu_s":               cpu,
		"stw_pause_s":         histogram("/sched/pauses/total/gc:seconds"),
		"stw_stopping_s":      histogram("/sched/pauses/stopping/gc:seconds"),
		"sched_latency_s":     histogram("/sched/latencies:seconds"),
		"sys_bytes":           after.Sys,
		"heap_sys_bytes":      after.HeapSys,
		"heap_released_bytes": after.HeapReleased,
		"stack_inuse_bytes":   after.StackInuse,
		"latency_ns":          latencyQuantiles(latencies),
	}
	if err := json.NewEncoder(os.Stdout).Encode(result); err != nil {
		fmt.Fprintln(os.Stderr, "workload:", err)
		os.Exit(1)
	}
	runtime.KeepAlive(cache)
}
