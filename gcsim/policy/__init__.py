"""Every pure decision of Go's memory manager: no SimPy, no clock, no logging, no randomness.

A collection goes through this room like this. `pacer.Pacer.trigger` says at which heap size it starts; `start_cycle`
plans the mark workers (`workers`) and the first assist ratio, which `revise` keeps up to date as memory is allocated
and scanned; `assist` turns a goroutine's debt into scan work and credit; `limiter.GCCPULimiter` says when nobody may
assist any more; `end_cycle` measures, `reset_live` and `commit` set the next goal. `sweep` then spreads the sweeping
over the allocation until the next trigger, and `scavenge` decides how much memory may be kept.
What a request takes is in `size_classes`, how settings are read in `byte_counts`. Before any of that the compiler
decides whether something is allocated at all (`escape`); how slices and maps grow and what they leave behind is in
`slices` and `maps`, and what Go's own counters say of it in `objects`.

Time, counts and measured work come in as arguments or attributes; decisions come back as values. What differs by Go
release is in `releases.ReleaseRules`; `constants` holds what does not. Where results must match the real runtime bit
for bit, `conversions` has Go's 64-bit arithmetic.
"""
