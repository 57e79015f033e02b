"""The simulated Go runtime: SimPy actors over the pure decisions of `gcsim.policy`.

A run starts at process start and goes through the phases **start-up** (retained sets are built, with the collections
that takes), **settle**, **warm-up** and **load**.  Actors: Ps that run goroutines or mark (`scheduler`, `world`), the
collector's course (`cycle`), marking with its workers and assists (`mark`), sweeping (`sweep`), memory and scavenger
(`memory`), cores and quota (`machine`), load (`load`).  The heap is kept as cohorts (`heap`), progress as curves
(`goroutine`, `program`), so events are scheduling decisions, not allocations.

Go's collector marks beside the program.  Two others answer what-if questions: one that stops the world for whole cycles,
as GODEBUG=gcstoptheworld does (`cycle`, `scheduler`), and one with generations, which Go has not (`generations`).

Left out: escape analysis, growth of slices and maps, finalizers, the binary execution trace.
"""

from gcsim.runtime.engine import Progress, RunStatistics, gomaxprocs_of, simulate

__all__ = ["Progress", "RunStatistics", "gomaxprocs_of", "simulate"]
