"""The question a log raises: what if it ran with other settings?  Every combination simulated, and a word on each.

Verdicts go by what an engineer acts on: whether the limit can be met, whether the collector eats the CPU, what is gained
in CPU and what it costs in memory.  Thresholds are in one table below, with their reasons.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Literal

from gcsim.fit.forecast import Outcome, Range, Settings, own_settings, run_all, spread, tasks
from gcsim.fit.infer import Fit
from gcsim.fit.logs import Gogc, Log
from gcsim.fit.window import Figures, from_start, of_logs, window_ns
from gcsim.units import MIB, S, format_bytes

# derived: runtime/mgclimit.go: the limiter caps the collector at half of the CPU
SPIRAL_GC_FRAC = 0.35  # assumed: beyond, a little more live heap runs into the limiter
LIMITER_SHARE = 0.05
UNREACHABLE = 1.1  # assumed: a peak this far over the limit is no slip between two collections
# derived: the GC guide and golang/go#58106: an effective GOGC below 10 is the early sign of a death spiral
TIGHT_EFFECTIVE_GOGC = 15
WORTH_CPU_POINTS = 0.01  # assumed: a gain of less than a point of CPU is not worth a change
WORTH_MEMORY_FRAC = 0.1
HEAVY_GC_FRAC = 0.25  # derived: the share that the runtime's background workers take while marking

Verdict = Literal["base", "dangerous", "worth it", "trade-off", "costly", "no gain"]

MEASURES = (
    "cycles_per_s", "heap_end_bytes", "heap_goal_bytes", "memory_peak_bytes", "gc_cpu_frac", "assist_share",
    "throughput_rel", "latency_p50_rel", "latency_p99_rel", "limiter_share",
)  # fmt: skip
"""Of a row, in order.  The `_rel` ones are relative to the log's own settings, seed by seed."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One combination."""

    settings: Settings
    measures: dict[str, Range | None]
    verdict: Verdict
    reason: str


def grid(
    base: Settings,
    *,
    gogc: Sequence[Gogc] = (),
    gomemlimit: Sequence[int | Literal["off"]] = (),
    gomaxprocs: Sequence[int] = (),
) -> list[Settings]:
    """The log's own settings, then every combination of the others; a list left empty keeps the log's own value."""
    asked = [
        Settings(gogc=g, gomemlimit_bytes=m, gomaxprocs=p)
        for p, m, g in product(
            gomaxprocs or (base.gomaxprocs,), gomemlimit or (base.gomemlimit_bytes,), gogc or (base.gogc,)
        )
    ]
    return [base, *dict.fromkeys(s for s in asked if s != base)]


def whatif(fit: Fit, settings: Sequence[Settings], *, seeds: int = 3, jobs: int | None = None) -> list[Row]:
    """Simulate every combination.

    Args:
        settings: the log's own first, as `grid` gives them; it is what the others are compared with.
        seeds: simulations of each.
        jobs: processes; default: as many as CPUs.
    """
    window = max(window_ns(p) for p in fit.log.processes)
    work = [
        task
        for one in settings
        for task in tasks(fit, one, window_ns=window, start_up=from_start(fit.log), seeds=seeds)
    ]
    outcomes = run_all(work, jobs=jobs)
    by_setting = [outcomes[i * seeds : (i + 1) * seeds] for i in range(len(settings))]
    base = by_setting[0]
    rows = []
    for number, (one, found) in enumerate(zip(settings, by_setting, strict=True)):
        measures = _measures(found, base)
        verdict, reason = _judge(fit, one, found, base, is_base=number == 0)
        rows.append(Row(settings=one, measures=measures, verdict=verdict, reason=reason))
    return rows


def _measures(found: Sequence[Outcome], base: Sequence[Outcome]) -> dict[str, Range | None]:
    pairs = list(zip(found, base, strict=True))
    values: dict[str, Iterator[float | None]] = {
        "cycles_per_s": (o.figures.cycles_per_s for o in found),
        "heap_end_bytes": (o.figures.heap_end_bytes for o in found),
        "heap_goal_bytes": (o.figures.heap_goal_bytes for o in found),
        "memory_peak_bytes": (o.memory_peak_bytes for o in found),
        "gc_cpu_frac": (o.gc_cpu_frac for o in found),
        "assist_share": (o.figures.assist_share for o in found),
        "throughput_rel": (_over(o.alloc_per_s, b.alloc_per_s) for o, b in pairs),
        "latency_p50_rel": (_over(o.latency_p50_ns, b.latency_p50_ns) for o, b in pairs),
        "latency_p99_rel": (_over(o.latency_p99_ns, b.latency_p99_ns) for o, b in pairs),
        "limiter_share": (o.limiter_share for o in found),
    }
    return {name: spread(values[name]) for name in MEASURES}


def _over(value: float, base: float) -> float | None:
    return value / base if base else None


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _judge(
    fit: Fit, settings: Settings, found: Sequence[Outcome], base: Sequence[Outcome], *, is_base: bool
) -> tuple[Verdict, str]:
    """The first that applies: dangers before gains."""
    live = _mean([o.live_bytes for o in found]) or fit.observed.live_bytes.value
    peak = _mean([o.memory_peak_bytes for o in found])
    gc = _mean([o.gc_cpu_frac for o in found])
    idle_free = gc if fit.service.load == "closed" else _mean([_without_idle(o, fit) for o in found])
    limited = _mean([o.limiter_share for o in found])
    limit = settings.gomemlimit_bytes
    danger = _danger(settings, live, peak, idle_free, limited, limit, fit)
    if danger:
        return "dangerous", danger
    if is_base:
        return "base", "the log's own settings"
    gc_gain = _mean([o.gc_cpu_frac for o in base]) - gc
    before = _mean([o.memory_peak_bytes for o in base])
    memory_gain = 1 - peak / before if before else 0.0
    work = _mean([o.alloc_per_s for o in found]) / max(1.0, _mean([o.alloc_per_s for o in base])) - 1
    text = (
        f"GC CPU {-100 * gc_gain:+.1f} points, memory {-100 * memory_gain:+.0f} % ({format_bytes(peak)}),"
        f" throughput {100 * work:+.1f} %"
    )
    if gc_gain >= WORTH_CPU_POINTS and memory_gain >= -0.02:
        return "worth it", text
    if memory_gain >= WORTH_MEMORY_FRAC and gc_gain > -WORTH_CPU_POINTS:
        return "worth it", text
    if gc_gain >= WORTH_CPU_POINTS:
        return "trade-off", text + ": CPU for memory"
    if memory_gain >= WORTH_MEMORY_FRAC:
        return ("costly" if idle_free > HEAVY_GC_FRAC else "trade-off"), text + ": memory for CPU"
    if gc_gain <= -WORTH_CPU_POINTS or memory_gain <= -WORTH_MEMORY_FRAC:
        return "costly", text
    return "no gain", text


def _without_idle(outcome: Outcome, fit: Fit) -> float:
    """GC CPU without idle workers, which use nobody's time: by the log's own division."""
    seen = fit.observed
    busy = seen.gc_share.value + seen.idle_share.value
    return outcome.gc_cpu_frac * (seen.gc_share.value / busy if busy else 1.0)


def _danger(
    settings: Settings, live: float, peak: float, gc: float, limited: float, limit: int | str, fit: Fit
) -> str:
    if settings.gogc == "off" and limit == "off":
        rate = fit.observed.alloc_per_ns.value * S
        return f"no collection at all: memory grows by {format_bytes(rate)}/s until the process is killed"
    if isinstance(limit, int):
        held = live + fit.service.stacks_bytes + fit.service.globals_bytes
        if limit <= held:
            return (
                f"limit below the live heap ({format_bytes(held)} with stacks and globals): it cannot be met, and the"
                f" collector runs without pause ({100 * gc:.0f} % of the CPU)"
            )
        if peak > UNREACHABLE * limit:
            return (
                f"limit unreachable: {format_bytes(peak)} held at the peak, {format_bytes(limit)} allowed"
                f" ({100 * gc:.0f} % of the CPU in the collector)"
            )
    if limited > LIMITER_SHARE:
        return f"death spiral: the GC CPU limiter is on in {100 * limited:.0f} % of the cycles"
    if gc > SPIRAL_GC_FRAC:
        kind = "death spiral near" if isinstance(limit, int) else "the collector eats the program"
        return f"{kind}: {100 * gc:.0f} % of the CPU in the collector"
    if isinstance(limit, int) and live > 0 and 100 * (limit - live) / live < TIGHT_EFFECTIVE_GOGC:
        return (
            f"too close: {format_bytes(limit - live)} of room above {format_bytes(live)} live is an effective GOGC of"
            f" {100 * (limit - live) / live:.0f}; a little more live heap is a death spiral"
        )
    return ""


# ---- against a real log ----------------------------------------------------------------------------------------

COMPARED = (
    "cycles_per_s", "heap_start_bytes", "heap_end_bytes", "heap_marked_bytes", "heap_goal_bytes", "gc_cpu_per_s",
    "assist_share",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Predicted beside real; `errors` are (predicted - real) / real, None where either is missing.

    One cycle more or less is chance: an error in `cycles_per_s` counts from one cycle in the window up.
    """

    name: str
    settings: Settings
    predicted: dict[str, Range | None]
    real: Figures
    errors: dict[str, float | None]


def compare(fit: Fit, others: Sequence[Log], *, seeds: int = 3, jobs: int | None = None) -> list[Comparison]:
    """Predict each of the logs from the fitted one.

    A setting that a log does not say is taken to be the fitted log's.
    """
    base = own_settings(fit.service)
    asked = [settings_of(log, base) for log in others]
    work = [
        task
        for log, one in zip(others, asked, strict=True)
        for task in tasks(
            fit,
            one,
            window_ns=_median([window_ns(p) for p in log.processes]),
            start_up=from_start(log),
            seeds=seeds,
        )
    ]
    outcomes = run_all(work, jobs=jobs)
    found = []
    for number, (log, one) in enumerate(zip(others, asked, strict=True)):
        mine = outcomes[number * seeds : (number + 1) * seeds]
        real = of_logs(log)
        predicted = {name: spread(getattr(o.figures, name) for o in mine) for name in COMPARED}
        errors = {name: relative_error(name, predicted[name], real) for name in COMPARED}
        found.append(Comparison(name=log.name, settings=one, predicted=predicted, real=real, errors=errors))
    return found


def settings_of(log: Log, base: Settings) -> Settings:
    """What a log ran under, as far as it says."""
    known = log.settings
    return Settings(
        gogc=known.gogc if known.gogc is not None else base.gogc,
        gomemlimit_bytes=known.gomemlimit_bytes or base.gomemlimit_bytes,
        gomaxprocs=known.gomaxprocs or log.cycles[-1].line.gomaxprocs,
    )


def relative_error(name: str, predicted: Range | None, real: Figures) -> float | None:
    """(predicted - real) / real of one figure; see `Comparison`."""
    value = getattr(real, name)
    if predicted is None or not value:
        return None
    if name == "cycles_per_s" and abs(predicted.value - value) * real.cycles / value < 1:
        return 0.0
    return float(predicted.value / value - 1)


def _median(values: Sequence[float]) -> float:
    ordered = sorted(values)
    n = len(ordered)
    return (ordered[(n - 1) // 2] + ordered[n // 2]) / 2


# ---- as data ---------------------------------------------------------------------------------------------------


def _range_json(value: Range | None) -> dict[str, float] | None:
    return None if value is None else {"value": value.value, "low": value.low, "high": value.high}


def _settings_json(settings: Settings) -> dict[str, Any]:
    return {
        "gogc": settings.gogc, "gomemlimit_bytes": settings.gomemlimit_bytes, "gomaxprocs": settings.gomaxprocs,
    }  # fmt: skip


def rows_json(fit: Fit, rows: Sequence[Row]) -> dict[str, Any]:
    """`{trace, fitted, rows: [{settings, verdict, reason, measures: {name: {value, low, high}}}]}`; bytes, ns, shares."""
    return {
        "trace": fit.log.name,
        "notes": list(fit.notes),
        "rows": [
            {
                "settings": _settings_json(row.settings),
                "verdict": row.verdict,
                "reason": row.reason,
                "measures": {name: _range_json(value) for name, value in row.measures.items()},
            }
            for row in rows
        ],
    }


def comparisons_json(fit: Fit, found: Sequence[Comparison]) -> dict[str, Any]:
    """`{trace, cases: {name: {settings, figures: {name: {predicted, low, high, real, error_rel}}}}, median: {name: x}}`."""
    cases = {
        one.name: {
            "settings": _settings_json(one.settings),
            "figures": {
                name: {
                    "predicted": None if (guess := one.predicted[name]) is None else guess.value,
                    "low": None if guess is None else guess.low,
                    "high": None if guess is None else guess.high,
                    "real": getattr(one.real, name),
                    "error_rel": one.errors[name],
                }
                for name in COMPARED
            },
        }
        for one in found
    }
    known = {name: [abs(e) for one in found if (e := one.errors[name]) is not None] for name in COMPARED}
    return {
        "trace": fit.log.name,
        "notes": list(fit.notes),
        "cases": cases,
        "median": {name: _median(values) if values else None for name, values in known.items()},
        "worst": {name: max(values) if values else None for name, values in known.items()},
    }


def mib(value: int | Literal["off"]) -> str:
    """A limit for people."""
    return "off" if value == "off" else f"{value / MIB:g} MiB"
