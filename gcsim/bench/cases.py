"""What is benchmarked: two programs of `workloads/` and what becomes of them as one thing about them grows.

The specs are written here, since an installed package has no `workloads/`; a test holds them against the files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from gcsim.spec.load import parse_spec
from gcsim.spec.models import Spec
from gcsim.spec.overrides import apply_overrides

MEMORY_LIMIT_MIB = 400
"""Peak memory that no case may exceed.  A promise of the project, not a measurement."""

Table = Literal["programs", "procs", "rate", "goroutines", "sim_time"]

CLOSED_LOOP = """\
version: 1
name: cache-service
runtime: {go: "1.27", gomaxprocs: 2, gogc: 100, gomemlimit: off}
machine: {profile: epyc-genoa-kvm, cores: 2}
run: {duration: 8s, settle: 50ms, latency_report_bytes_per_request: 12}
globals: {scan_bytes: 1MiB}
retained:
  - name: cache
    entries: 20000
    objects:
      - {size: 32B, pointer_words: 2, shape: slice}
      - {count: 16, size: 64B, pointer_words: 2, shape: tree}
      - {size: 1KiB}
  - name: instrument
    entries: 2
    built: load_start
    table_slot_bytes: 0
    objects:
      - {size: 8MiB}
requests:
  - workers: 2
    steps:
      - cpu: {ns: 10us, calibrated_spin: true}
      - allocate: {count: 4, size: 1KiB}
      - allocate: {count: 1, size: 96B, pointer_words: 10}
      - allocate: {count: 1, size: 24B, pointer_words: 1, scaled: false}
      - allocate: {count: 16, size: 64B, pointer_words: 2, shape: list}
      - replace: {set: cache, count: 0.2}
      - cpu: {ns: 10us, calibrated_spin: true}
"""

OPEN_LOOP = """\
version: 1
name: open-loop
runtime: {go: "1.27", gomaxprocs: 2, gogc: 100, gomemlimit: off}
machine: {profile: epyc-genoa-kvm, cores: 2}
run: {duration: 8s, settle: 50ms}
globals: {scan_bytes: 1MiB}
retained:
  - name: cache
    entries: 10000
    objects:
      - {size: 32B, pointer_words: 2, shape: slice}
      - {count: 32, size: 64B, pointer_words: 2, shape: tree}
      - {size: 512B}
  - name: instrument
    entries: 1
    built: load_start
    table_slot_bytes: 0
    objects:
      - {size: 16MiB}
      - {size: 800000B, pointer_words: 100000}
  - name: request-states
    entries: 32
    built: load_start
    table_slot_bytes: 0
    objects:
      - {size: 5KiB}
requests:
  - rate_per_s: 4000
    arrivals: poisson
    dispatcher: true
    steps:
      - allocate: {count: 1, size: 80B, pointer_words: 10, scaled: false}
      - cpu: {ns: 50us, calibrated_spin: true}
      - allocate: {count: 8, size: 2KiB}
      - allocate: {count: 1, size: 192B, pointer_words: 22}
      - allocate: {count: 1, size: 24B, pointer_words: 1, scaled: false}
      - allocate: {count: 32, size: 64B, pointer_words: 2, shape: list}
      - allocate: {count: 1, size: 96B, pointer_words: 12, scaled: false}
      - block: {ns: 500us, timer: true}
      - replace: {set: cache, count: 0.1}
      - cpu: {ns: 50us, calibrated_spin: true}
"""


@dataclass(frozen=True, slots=True)
class Case:
    """One row of the benchmark.

    Attributes:
        name: what `--only` calls it; the text that says what is simulated is in `what`.
        table: which table it is a row of.
        knob: the value of what grows in that table; None among the programs.
        base: spec text, changed by `overrides`.
        duration_s: simulated load phase; `quick_s` the same with `--quick` (None: left out).
        target: simulated seconds per wall second that the project promises on a core of its own; None: none.
    """

    name: str
    table: Table
    what: str
    base: str
    overrides: tuple[str, ...] = ()
    knob: int | None = None
    duration_s: float = 8.0
    quick_s: float | None = None
    target: float | None = None

    def spec(self, *, quick: bool) -> Spec:
        """What to simulate.

        Raises:
            ValueError: the case is left out of the quick benchmark.
        """
        seconds = self.quick_s if quick else self.duration_s
        if seconds is None:
            raise ValueError(f"{self.name} is no part of the quick benchmark")
        return apply_overrides(parse_spec(self.base), [*self.overrides, f"duration={round(seconds * 1e9)}"])


def _procs(procs: int) -> tuple[str, ...]:
    """So many Ps on as many cores, a worker and 10,000 cache entries for each, as the program has at 2."""
    return (
        f"gomaxprocs={procs}",
        f"cores={procs}",
        f"requests.request.workers={procs}",
        f"retained.cache.entries={10_000 * procs}",
        f"retained.instrument.entries={procs}",
    )


def _grow(
    table: Table,
    what: str,
    base: str,
    change: Callable[[int], tuple[str, ...]],
    rows: Iterable[tuple[int, float, float | None]],
) -> list[Case]:
    """A growth table; `rows` are the knob, the simulated seconds and the same for `--quick`."""
    return [
        Case(f"{table}-{knob}", table, what.format(knob), base, change(knob), knob, seconds, quick)
        for knob, seconds, quick in rows
    ]


CASES: tuple[Case, ...] = (
    Case("closed-loop", "programs", "cache-service, 2 P", CLOSED_LOOP, duration_s=40, quick_s=1, target=50),
    Case("open-loop", "programs", "4,000 requests/s that block, 2 P", OPEN_LOOP, duration_s=16, quick_s=0.5, target=8),
    Case(
        "service-64p",
        "programs",
        "cache-service at 64 P with 640,000 entries, 100,000 idle goroutines",
        CLOSED_LOOP,
        (*_procs(64), "idle_goroutines.count=100000"),
        duration_s=4,
        quick_s=0.05,
        target=1,
    ),
    *_grow(
        "procs", "cache-service at {} P, as much live heap per P", CLOSED_LOOP, _procs,
        [
            (1, 16, 0.2), (2, 16, None), (4, 8, 0.2), (8, 8, None), (16, 4, None), (32, 4, None), (64, 2, None),
            (128, 2, None),
        ],
    ),
    *_grow(
        "rate", "open loop, {:,} requests/s", OPEN_LOOP, lambda rate: (f"requests.request.rate_per_s={rate}",),
        [(500, 8, 0.2), (1_000, 8, None), (2_000, 8, None), (4_000, 8, 0.2), (8_000, 4, None), (16_000, 2, None)],
    ),
    *_grow(
        "goroutines", "cache-service with {:,} idle goroutines", CLOSED_LOOP,
        lambda count: (f"idle_goroutines.count={count}",),
        [(0, 16, 0.2), (1_000, 16, None), (10_000, 16, None), (100_000, 16, 0.2), (1_000_000, 16, None)],
    ),
    *_grow(
        "sim_time", "cache-service for {:,} s", CLOSED_LOOP, lambda seconds: (),
        [(1, 1, 0.1), (10, 10, 0.2), (100, 100, None), (1_000, 1_000, None)],
    ),
)  # fmt: skip
"""All rows, in the order in which they are measured and shown."""

BY_NAME = {case.name: case for case in CASES}


def select(only: Iterable[str], *, quick: bool) -> list[Case]:
    """The cases of these names or tables (all, if none is given), those of the quick benchmark if `quick`.

    Raises:
        KeyError: a name is neither a case's nor a table's, or of a case that `quick` leaves out.
    """
    cases = [case for case in CASES if case.quick_s is not None or not quick]
    wanted = tuple(only)
    for name in wanted:
        if not any(name in (case.name, case.table) for case in cases):
            raise KeyError(name)
    return [case for case in cases if not wanted or case.name in wanted or case.table in wanted]
