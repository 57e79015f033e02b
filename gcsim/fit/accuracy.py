"""The accuracy report: tables and pictures of a validation, in one folder, remade by one command.

Nothing of the time or place of its making goes in: the same records, profile and version give the same bytes, pictures
included (for one version of matplotlib).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from gcsim.fit.compare import Comparison, Errors, Validation
from gcsim.fit.measured import METRIC_BY_NAME, METRICS
from gcsim.fit.pictures import cases_picture, summary_picture
from gcsim.fit.side_by_side import replace_file

# What predictions are meant to reach, (median, mean) of the absolute relative errors; chosen before the first comparison.
TARGETS: Mapping[str, tuple[float, float | None]] = {
    "num_gc": (0.04, 0.06),
    "throughput_rps": (0.025, 0.04),
    "heap_peak_bytes_mean": (0.025, 0.04),
    "heap_goal_bytes_mean": (0.02, 0.03),
    "gc_cpu_ns": (0.07, 0.10),
    "stw_pause_ns_p50": (0.20, 0.30),
    "latency_ns_p50": (0.03, 0.05),
    "latency_ns_p90": (0.05, 0.08),
    "latency_ns_p99": (0.12, 0.18),
    "latency_ns_p999": (0.25, 0.40),
    "memory_end_bytes": (0.05, None),
}
WORST_TARGET = 0.20
"""No case may be worse on collections or heap, unless its own repeats differ by more."""
_WORST_CHECKED = ("num_gc", "heap_peak_bytes_mean", "heap_goal_bytes_mean")

_PANELS = (
    "num_gc", "throughput_rps", "heap_peak_bytes_mean", "heap_goal_bytes_mean", "gc_cpu_ns", "mark_assist_cpu_ns",
    "stw_pause_ns_p50", "latency_ns_p50", "latency_ns_p90", "latency_ns_p99", "latency_ns_p999", "memory_end_bytes",
)  # fmt: skip


def write_report(result: Validation, directory: Path, *, seeds: int) -> None:
    """Write README.md, errors.json, summary.png and cases.png; existing ones are replaced.

    Args:
        seeds: simulations per case, for the text.
    Raises:
        RunError: matplotlib is not installed.
    """
    files = {
        "summary.png": summary_picture(result),
        "cases.png": cases_picture(result, _PANELS),
        "errors.json": (json.dumps(result.as_dict(), indent=1, allow_nan=False) + "\n").encode(),
        "README.md": report_text(result, seeds=seeds).encode(),
    }
    directory.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        replace_file(directory / name, content)


def report_text(result: Validation, *, seeds: int) -> str:
    """The report as Markdown."""
    checked = result.checked
    covered = sum(case in result.formula for case in checked)
    parts = [
        "# How accurate predictions are",
        f"{_count(len(checked), 'recorded case')} of real Go programs, each predicted from its workload's description "
        f"and the machine profile alone (median of {_count(seeds, 'simulation')}), against the median of the recorded "
        "repeats. No profile is fitted to these programs. Made by",
        "```\ngcsim validate RECORDS --skip-micro --report results/accuracy\n```",
        "where RECORDS is the folder of the recorded cases. All numbers, by case: `errors.json`.",
        "![errors by metric](summary.png)",
        "## By metric",
        "Absolute relative errors in %. Noise: half the spread between repeats of the real program, median over the "
        "cases; no prediction can do better. Formula: the steady state of the Go GC guide, fitted on measurements at "
        f"GOGC=100 of the same program; it covers {covered} of the {len(checked)} cases (no memory limits, nothing "
        "without a measurement at GOGC=100), and the simulator's errors on just these stand beside it. An error of "
        "at most one collection counts as none, for both.",
        _metric_table(result, covered),
        *_weak(result),
        "## By case",
        "![error over measured value](cases.png)",
        "Signed errors in %, predicted against measured; **bold** beyond a tenth and beyond the spread of the repeats.",
        _case_table(result, [name for name in METRIC_BY_NAME if not name.startswith("mark_")]),
    ]
    return "\n\n".join(parts) + "\n"


def _count(n: int, what: str) -> str:
    return f"{n} {what}{'' if n == 1 else 's'}"


def _metric_table(result: Validation, covered: int) -> str:
    errors, noise = result.errors, result.noise
    formula, beside = result.formula_errors, result.errors_where_formula
    head = ["metric", "median", "mean", "worst", "target median / mean", "noise"]
    if covered:
        head += [f"on {covered}: median / mean", "formula: median / mean"]
    rows = []
    for metric in METRICS:
        if metric.name not in errors:
            continue
        found = errors[metric.name]
        row = [f"`{metric.name}`", *map(_percent, (found.median, found.mean, found.worst))]
        row += [_target(metric.name), _percent(noise.get(metric.name))]
        if covered:
            in_formula = metric.name in formula
            row += [_pair(beside[metric.name]) if in_formula else "", _pair(formula.get(metric.name))]
        rows.append(row)
    return _markdown(head, rows)


def _target(name: str) -> str:
    if name not in TARGETS:
        return ""
    middle, mean = TARGETS[name]
    return f"{100 * middle:g}" + (f" / {100 * mean:g}" if mean is not None else "")


def _pair(errors: Errors | None) -> str:
    return f"{_percent(errors.median)} / {_percent(errors.mean)}" if errors else ""


def _weak(result: Validation) -> Iterable[str]:
    """What misses its target, worst first, and the cases that are beyond the worst that is meant to be."""
    yield "## Where it is weak"
    errors = result.errors
    missed = []
    for name, (middle, mean) in TARGETS.items():
        if name in errors:
            found = errors[name]
            times = max(found.median / middle, found.mean / mean if mean else 0.0)
            if round(times, 2) > 1:
                missed.append((times, name))
    met = [name for name in TARGETS if name in errors and name not in {missing for _, missing in missed}]
    if met:
        yield "Within target (median and mean): " + ", ".join(f"`{name}`" for name in met) + "."
    if missed:
        lines = [
            f"- `{name}`: {times:.2f} times its target; median {_percent(errors[name].median)} %, mean "
            f"{_percent(errors[name].mean)} %, worst {_percent(errors[name].worst)} % ({errors[name].worst_case})"
            for times, name in sorted(missed, reverse=True)
        ]
        yield "Beyond target, worst first:\n\n" + "\n".join(lines)
    far = [
        f"- {case}: `{name}` {100 * (row[name].error_rel or 0.0):+.1f} %"
        for case, row in result.checked.items()
        for name in _WORST_CHECKED
        if abs(row[name].error_rel or 0.0) > max(WORST_TARGET, 2 * (row[name].half_spread_rel or 0.0))
    ]
    if far:
        yield f"Further off than {100 * WORST_TARGET:g} % on collections or heap:\n\n" + "\n".join(far)
    else:
        yield f"No case is further off than {100 * WORST_TARGET:g} % on collections or heap."
    unknown = [
        name for name in METRIC_BY_NAME if any(row[name].error_rel is None for row in result.checked.values())
    ]
    if unknown:
        yield (
            "Where a program measured nothing there is no relative error; such cases are left out of "
            + ", ".join(f"`{name}`" for name in unknown)
            + "."
        )


def _case_table(result: Validation, names: Sequence[str]) -> str:
    rows = [[case, *(_error(row[name]) for name in names)] for case, row in result.checked.items()]
    return _markdown(["case", *(METRIC_BY_NAME[name].short for name in names)], rows)


def _error(found: Comparison) -> str:
    if found.error_rel is None:
        return ""
    text = f"{round(100 * found.error_rel, 1) + 0.0:+.1f}"
    return f"**{text}**" if found.is_off else text


def _percent(fraction: float | None) -> str:
    return "" if fraction is None else f"{100 * fraction:.1f}"


def _markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
