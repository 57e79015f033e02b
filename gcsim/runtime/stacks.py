"""Goroutine stacks: grown by copying, shrunk by halves while they are scanned, started at the average size.

A new goroutine's stack is as big as the average of those that the last cycle scanned.  When frames do not fit, it is
copied to one twice the size, at a cost; a cycle that finds less than a quarter of it used halves it.  Stacks are no
heap: they are memory, roots and scan work.

Source: runtime/stack.go newstack, shrinkstack, gcComputeStartingStackSize (go1.19 .. go1.27).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gcsim.runtime.goroutine import Goroutine
    from gcsim.runtime.world import World

FIXED_STACK_BYTES = 2048  # derived: runtime/stack.go fixedStack (linux/amd64)
STACK_GUARD_BYTES = 928  # derived: runtime/stack.go stackGuard
STACK_NOSPLIT_BYTES = 800  # derived: internal/abi StackNosplitBase
MAX_STACK_BYTES = 1 << 30  # derived: runtime/proc.go main, maxstacksize on 64 bits


def stack_size(used_bytes: int) -> int:
    """Size of the stack that holds so many bytes of frames: doubled from 2 KiB until they fit above the guard."""
    size = FIXED_STACK_BYTES
    while size - STACK_GUARD_BYTES < used_bytes:
        size *= 2
    return size


class Stacks:
    """All goroutines' stacks.

    Attributes:
        idle_stack_bytes: size of the stack of each goroutine that is blocked for ever.
        starting_bytes: size of a new goroutine's stack.
        in_use_bytes: memory of all stacks now.
        grown, shrunk: copies so far.
    """

    def __init__(self, world: World) -> None:
        self._w = world
        self._step_ns = world.profile["stack_copy_ns"]
        self._frame_ns = world.profile["stack_copy_frame_ns"]
        self._ns_per_byte = world.profile["stack_copy_ns_per_byte"]
        idle = world.spec.idle_goroutines
        self._idle = idle.count
        self._idle_used_bytes = idle.stack_used_bytes
        self.idle_stack_bytes = stack_size(idle.stack_used_bytes)
        self.starting_bytes = FIXED_STACK_BYTES
        self.in_use_bytes = self._idle * self.idle_stack_bytes
        self.grown = 0
        self.shrunk = 0

    def add(self, g: Goroutine) -> None:
        """A goroutine has been started."""
        self._w.alive[g] = None
        self.in_use_bytes += g.stack_bytes

    def remove(self, g: Goroutine) -> None:
        """It has ended."""
        del self._w.alive[g]
        self.in_use_bytes -= g.stack_bytes

    def grow(self, g: Goroutine, used_bytes: int, frames: int = 0) -> float:
        """Make room for so many bytes of frames; CPU time of the copies in ns.

        Args:
            frames: how many these are, as far as it is known; pointers in each are adjusted by each copy.

        Source: runtime/stack.go copystack, adjustframe (go1.19 .. go1.27).  Simplified: frames are of one size.
        """
        g.frames_bytes = used_bytes
        needed = stack_size(used_bytes)
        ns = 0.0
        while g.stack_bytes < needed:
            there = frames * min(1.0, g.stack_bytes / used_bytes)
            ns += self._step_ns + self._frame_ns * there + self._ns_per_byte * g.stack_bytes
            if g in self._w.alive:
                self.in_use_bytes += g.stack_bytes
            g.stack_bytes *= 2
            self.grown += 1
        return ns

    def scan(self) -> tuple[int, int, int]:
        """A cycle scans every stack: goroutines, bytes of live frames, bytes of stacks before it shrinks any."""
        count = self._idle + len(self._w.alive)
        used = self._idle * self._idle_used_bytes
        size = self._idle * self.idle_stack_bytes
        for g in self._w.alive:
            used += g.frames_bytes
            size += g.stack_bytes
            if (
                g.stack_bytes > FIXED_STACK_BYTES
                and g.frames_bytes + STACK_NOSPLIT_BYTES < g.stack_bytes // 4
            ):
                g.stack_bytes //= 2
                self.in_use_bytes -= g.stack_bytes
                self.shrunk += 1
        if count:
            average = min(used // count + STACK_GUARD_BYTES, MAX_STACK_BYTES)
            self.starting_bytes = max(FIXED_STACK_BYTES, 1 << (average - 1).bit_length())
        return count, used, size

    def by_goroutine_bytes(self) -> int:
        """Memory of all stacks, by goroutine."""
        return self._idle * self.idle_stack_bytes + sum(g.stack_bytes for g in self._w.alive)

    def roots(self) -> tuple[int, int]:
        """Goroutines, and bytes of live frames on their stacks: what a minor collection scans."""
        used = self._idle * self._idle_used_bytes + sum(g.frames_bytes for g in self._w.alive)
        return self._idle + len(self._w.alive), used
