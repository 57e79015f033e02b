"""Building retained sets: at start-up, at load start, and when a phase makes one grow."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from gcsim.runtime.costs import Footprint
from gcsim.runtime.goroutine import Goroutine, Rates
from gcsim.runtime.heap import RetainedState

if TYPE_CHECKING:
    from gcsim.runtime.world import P, World

_ROWS = 256
_LARGE_BYTES = 32 << 10  # objects above have a span of their own


class _Row(NamedTuple):
    """So many entries of a set, or its new table; `at_once`: large objects, which count when they are cleared."""

    retained: RetainedState
    entries: int
    table: Footprint | None
    ns: float
    bytes: int
    at_once: bool


class Builder(Goroutine):
    """Builds entries of retained sets one after another, then calls `then`."""

    __slots__ = ("_fastest", "_rows", "_stretches", "_then")

    def __init__(
        self, world: World, parts: list[tuple[RetainedState, int]], then: Callable[[], object]
    ) -> None:
        super().__init__(world, "builder")
        world.stacks.add(self)
        self._then = then
        rows = [row for retained, n in parts for row in self._plan(retained, n)]
        units = [(row.table or row.retained.entry.times(row.entries)) for row in rows]
        total = sum(unit.bytes for unit in units)
        self.rates = Rates(
            live_per_byte=sum(unit.live_bytes for unit in units) / total if total else 1.0,
            scannable_per_byte=sum(unit.scannable_bytes for unit in units) / total if total else 0.0,
            bytes_per_ns=total / max(1.0, sum(row.ns for row in rows)),
        )
        fastest = max((row.bytes / row.ns for row in rows if not row.at_once), default=0.0)
        # It allocates beside the load: both together bound how soon the trigger can be reached.
        self._fastest = fastest * self.rates.live_per_byte
        world.max_alloc_per_ns += self._fastest
        self._rows: list[_Row] = []
        self._stretches = _stretches(rows)
        self._next_stretch()

    @property
    def makes(self) -> Footprint:
        """What it is at."""
        row = self._rows[min(self.row, len(self._rows) - 1)] if self._rows else None
        return Footprint() if row is None else row.table or row.retained.entry

    def _plan(self, retained: RetainedState, n: int) -> Iterator[_Row]:
        world = self.world
        table = retained.table_for(world.costs, retained.entries + retained.building + n)
        retained.building += n
        if table.bytes:
            cost = max(1.0, table.alloc_ns)
            yield _Row(retained, 0, table, cost, table.bytes, table.bytes > _LARGE_BYTES)
        entry = retained.entry
        at_once = entry.bytes > _LARGE_BYTES * entry.objects
        chunk = 1 if at_once else max(1, n // _ROWS)
        while n > 0:
            k = min(chunk, n)
            n -= k
            yield _Row(
                retained,
                k,
                None,
                max(1.0, k * entry.alloc_ns),
                k * entry.bytes,
                at_once,
            )

    def _next_stretch(self) -> bool:
        self._rows = next(self._stretches, [])
        ns, alloc = [0.0], [0]
        for row in self._rows:
            if row.at_once:  # cleared first, counted then: the last nanosecond of the stretch
                ns.append(ns[-1] + row.ns)
                alloc.append(alloc[-1])
            ns.append(ns[-1] + (1.0 if row.at_once else row.ns))
            alloc.append(alloc[-1] + row.bytes)
        if len(ns) == 1:
            ns.append(1.0)
            alloc.append(0)
        self.begin(ns, alloc)
        return bool(self._rows)

    def finish_rows(self, p: P, first: int, last: int) -> None:
        heap = self.world.heap
        heap.in_flight_bytes -= self.cum_alloc[last] - self.cum_alloc[first]
        if self._rows and self._rows[0].at_once:
            done = self._rows if last == 2 else []
        else:
            done = self._rows[first:last]
        for row in done:
            retained = row.retained
            made = row.table or retained.entry.times(row.entries)
            site = heap.sites.get("build", retained.name)
            site.add(made.bytes, made.objects, made.alloc_ns, max(0.0, row.ns - made.alloc_ns))
            if row.table is not None:
                old, retained.table = retained.table, row.table
                heap.dead_bytes += old.bytes
                heap.dead_objects += old.objects
                heap.allocated_objects += row.table.objects
            else:
                retained.building -= row.entries
                retained.add(row.entries)
                heap.allocated_objects += row.entries * retained.entry.objects

    def finish_stretch(self, p: P) -> bool | None:
        if self._next_stretch():
            return True
        world = self.world
        world.stacks.remove(self)
        world.max_alloc_per_ns = max(0.0, world.max_alloc_per_ns - self._fastest)
        self._then()
        return False


def _stretches(rows: list[_Row]) -> Iterator[list[_Row]]:
    """Rows in runs; what counts at once is a stretch of its own, so that the trigger is tested right after it."""
    run: list[_Row] = []
    for row in rows:
        if row.at_once:
            if run:
                yield run
            yield [row]
            run = []
        else:
            run.append(row)
    if run:
        yield run
