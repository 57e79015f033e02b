"""The Go ecosystem's formats, so that tools made for real programs read simulated ones, and the other way round.

``gctrace`` writes and parses the runtime's line per collection; ``trace_viewer`` writes the time line for Perfetto,
``benchfmt`` Go's benchmark format, ``pprof`` profiles for `go tool pprof`.
"""
