"""Pictures of comparisons with real programs, as PNG; needs matplotlib (`pip install 'gcsim[plot]'`).

One colour means one thing everywhere: blue the simulation, orange the real program, grey the formula of the Go GC guide.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

from gcsim.errors import RunError
from gcsim.fit.compare import Comparison, Validation
from gcsim.fit.measured import METRIC_BY_NAME
from gcsim.fit.side_by_side import LiveResult, Sawtooth
from gcsim.units import MIB, MS, US

SIMULATED, REAL, FORMULA = "#1f6fb4", "#e07b00", "#9a9a9a"
_NO_METADATA = {"Software": None}  # the same picture, the same bytes


def _figure(width: float, height: float) -> Any:
    """A figure that needs no display and no global state.

    Raises:
        RunError: matplotlib is not installed.
    """
    try:
        from matplotlib import rc_context
        from matplotlib.figure import Figure
    except ImportError as error:
        raise RunError("pictures need matplotlib; install it with `pip install 'gcsim[plot]'`") from error
    with rc_context({"font.size": 9}):
        return Figure(figsize=(width, height), dpi=130, layout="constrained")


def _png(figure: Any) -> bytes:
    out = io.BytesIO()
    figure.savefig(out, format="png", metadata=_NO_METADATA)
    return out.getvalue()


def _tidy(axes: Any) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#e6e6e6", linewidth=0.7)
    axes.set_axisbelow(True)


# ---- one spec, run for real ------------------------------------------------------------------------------------


def live_picture(result: LiveResult) -> bytes:
    """Heap sawtooth and latency distribution, predicted and real over each other, as PNG.

    Raises:
        RunError: matplotlib is not installed.
    """
    figure = _figure(11, 7.5)
    heap, zoom, latency = figure.subplot_mosaic([["heap", "heap"], ["zoom", "latency"]]).values()
    figure.suptitle(f"{result.case}: predicted and real", fontsize=12, fontweight="bold")
    if result.disturbance:
        figure.text(0.99, 0.985, "the machine was busy with others", ha="right", va="top", color="#b00000")
    end_s = max((*result.real_heap.time_s, *result.simulated_heap.time_s, 1e-3))
    _draw_heap(heap, result, (0.0, end_s))
    heap.set_title("heap live over the whole load phase", loc="left")
    heap.legend(loc="upper left", bbox_to_anchor=(0.0, 1.0), ncols=4, frameon=False)
    _room_for_legend(heap)
    _draw_heap(zoom, result, _zoom_window(result.real_heap, end_s))
    zoom.set_title("the same in the middle, a few collections", loc="left")
    _draw_latency(latency, result)
    return _png(figure)


def _room_for_legend(axes: Any) -> None:
    low, high = axes.get_ylim()
    axes.set_ylim(low, low + (high - low) * 1.15)


def _draw_heap(axes: Any, result: LiveResult, window_s: tuple[float, float]) -> None:
    for name, curve, colour in (
        ("real", result.real_heap, REAL),
        ("simulated", result.simulated_heap, SIMULATED),
    ):
        heap_mib = [size / MIB for size in curve.heap_bytes]
        axes.plot(curve.time_s, heap_mib, color=colour, linewidth=1.1, label=name)
        goal_mib = [size / MIB for size in curve.goal_bytes]
        axes.plot(
            curve.goal_time_s, goal_mib, color=colour, linewidth=0.9, linestyle=":", label=f"goal, {name}"
        )
    axes.set_xlim(*window_s)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("seconds since the load began")
    axes.set_ylabel("MiB")
    _tidy(axes)


def _zoom_window(curve: Sawtooth, end_s: float) -> tuple[float, float]:
    """About six collections from the middle of the real run."""
    ends = curve.goal_time_s
    if len(ends) <= 8:
        return 0.0, end_s
    middle = len(ends) // 2
    return ends[middle - 3], ends[middle + 3]


def _draw_latency(axes: Any, result: LiveResult) -> None:
    for number, curve in enumerate(result.real_latency):
        shown = [(f, ns) for f, ns in zip(curve.fractions, curve.latency_ns, strict=True) if f < 1]
        rest, micros = [1 / (1 - f) for f, _ in shown], [ns / US for _, ns in shown]
        axes.plot(
            rest, micros, color=REAL, marker="o", markersize=4, linewidth=0.9, alpha=0.75,
            label="real, each repeat" if number == 0 else None,
        )  # fmt: skip
    curve = result.simulated_latency
    rest = [1 / (1 - f) for f in curve.fractions]
    micros = [ns / US for ns in curve.latency_ns]
    axes.plot(rest, micros, color=SIMULATED, linewidth=1.6, label="simulated")
    axes.set_xscale("log")
    axes.set_yscale("log")
    ticks = {2: "p50", 10: "p90", 100: "p99", 1000: "p99.9", 10_000: "p99.99"}
    axes.set_xticks(list(ticks), list(ticks.values()))
    axes.set_xticks([], minor=True)
    axes.set_title("request latency by percentile", loc="left")
    axes.yaxis.set_major_formatter(lambda value, _position: _time_text(value * US))
    axes.legend(loc="upper left", frameon=False)
    _tidy(axes)


def _time_text(ns: float) -> str:
    return f"{ns / MS:g} ms" if ns >= MS else f"{ns / US:g} µs"


# ---- many cases ------------------------------------------------------------------------------------------------

PICTURED = (
    "num_gc", "heap_peak_bytes_mean", "heap_goal_bytes_mean", "gc_cpu_ns", "throughput_rps", "latency_ns_p50",
    "latency_ns_p90", "latency_ns_p99", "latency_ns_p999", "stw_pause_ns_p50", "memory_end_bytes",
)  # fmt: skip
"""The metrics that the accuracy report draws."""


def summary_picture(result: Validation) -> bytes:
    """Errors of every checked case by metric, with their median, beside the formula's and the noise; PNG.

    Raises:
        RunError: matplotlib is not installed.
    """
    figure = _figure(11, 6)
    axes = figure.subplots()
    errors, formula, noise = result.errors, result.formula_errors, result.noise
    names = [name for name in PICTURED if name in errors]
    for position, name in enumerate(names):
        for rows, offset, colour in (
            (result.checked, -0.17, SIMULATED),
            ({case: row for case, row in result.formula.items() if case in result.checked}, 0.17, FORMULA),
        ):
            values = _absolute_errors(rows, name)
            spots = [position + offset + _spread(k) for k in range(len(values))]
            axes.scatter(spots, [_floor(v) for v in values], s=9, color=colour, alpha=0.45, linewidths=0)
        middle = _floor(errors[name].median)
        axes.plot([position - 0.32, position - 0.02], [middle] * 2, color=SIMULATED, linewidth=3)
        if name in formula:
            middle = _floor(formula[name].median)
            axes.plot([position + 0.02, position + 0.32], [middle] * 2, color=FORMULA, linewidth=3)
        if name in noise:
            axes.plot(
                [position - 0.4, position + 0.4], [_floor(noise[name])] * 2, color="black", linewidth=1,
                linestyle=(0, (2, 2)),
            )  # fmt: skip
    axes.set_yscale("log")
    axes.set_ylim(_LEAST * 0.8, None)
    ticks = [0.001, 0.01, 0.03, 0.1, 0.3, 1, 3, 10]
    axes.set_yticks(ticks, ["< 0.1 %", "1 %", "3 %", "10 %", "30 %", "100 %", "×4", "×11"])
    axes.set_yticks([], minor=True)
    top = max((max(_absolute_errors(result.checked, name), default=0.0) for name in names), default=1.0)
    axes.set_ylim(_LEAST * 0.8, max(1.2, top * 1.3))
    axes.set_xticks(range(len(names)), [METRIC_BY_NAME[name].short for name in names])
    axes.set_ylabel("absolute relative error")
    axes.set_title(
        f"Errors of predictions on {len(result.checked)} recorded cases", loc="left", fontweight="bold"
    )
    marks = (
        (
            "simulator: each case, median",
            {"color": SIMULATED, "linewidth": 3, "marker": "o", "markersize": 3},
        ),
        (
            "Go GC guide's formula, fitted at GOGC=100",
            {"color": FORMULA, "linewidth": 3, "marker": "o", "markersize": 3},
        ),
        ("noise: half the spread of repeats, median", {"color": "black", "linewidth": 1, "linestyle": "--"}),
    )
    for label, style in marks:
        axes.plot([], [], label=label, **style)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.07), ncols=3, frameon=False)
    _tidy(axes)
    return _png(figure)


_LEAST = 0.001


def _floor(error: float) -> float:
    return max(error, _LEAST)


def _spread(k: int) -> float:
    """Where the k-th dot of a column goes sideways: fixed, and no two neighbours alike."""
    return ((k * 7) % 11 - 5) * 0.022


def _absolute_errors(rows: Mapping[str, Mapping[str, Comparison]], name: str) -> list[float]:
    found = (row[name].error_rel for row in rows.values() if name in row)
    return [abs(error) for error in found if error is not None]


_LIMIT = 0.5
"""Errors beyond are drawn at the edge, as triangles."""


def cases_picture(result: Validation, names: tuple[str, ...]) -> bytes:
    """Signed error over measured size, one panel per metric and one dot per checked case, coloured by program; PNG.

    Raises:
        RunError: matplotlib is not installed.
    """
    columns = 3
    rows = -(-len(names) // columns)
    figure = _figure(12, 2.6 * rows + 0.9)
    programs = list(dict.fromkeys(case.split("__")[0] for case in result.checked))
    colours = {program: _PROGRAM_COLOURS[k % len(_PROGRAM_COLOURS)] for k, program in enumerate(programs)}
    panels = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axes, name in zip(panels, names, strict=False):
        _draw_errors(axes, result, name, colours)
    for axes in panels[len(names) :]:
        axes.set_visible(False)
    for program, colour in colours.items():
        panels[0].plot([], [], "o", markersize=5, color=colour, label=program)
    figure.legend(loc="outside lower center", ncols=7, frameon=False)
    figure.suptitle(
        "Error of each case over its measured value; bars: spread of the repeats, grey: within 10 %",
        fontsize=11, fontweight="bold", x=0.01, ha="left",
    )  # fmt: skip
    return _png(figure)


def _draw_errors(axes: Any, result: Validation, name: str, colours: Mapping[str, str]) -> None:
    scale, unit = _scale(name)
    axes.axhspan(-10, 10, color="#efefef", linewidth=0)
    axes.axhline(0, color="black", linewidth=0.7)
    for case, row in result.checked.items():
        found = row[name]
        if found.error_rel is None or not found.measured:
            continue
        clipped = max(-_LIMIT, min(_LIMIT, found.error_rel))
        marker = "o" if clipped == found.error_rel else "^" if clipped > 0 else "v"
        axes.errorbar(
            found.measured / scale, 100 * clipped, yerr=100 * (found.half_spread_rel or 0.0), fmt=marker, markersize=4,
            color=colours[case.split("__")[0]], elinewidth=0.7, alpha=0.8,
        )  # fmt: skip
    axes.set_xscale("log")
    axes.set_ylim(-104 * _LIMIT, 104 * _LIMIT)
    axes.yaxis.set_major_formatter(lambda value, _position: f"{value:+g} %" if value else "0")
    axes.xaxis.set_major_formatter(lambda value, _position: f"{value:,g}")
    axes.xaxis.set_minor_formatter(lambda _value, _position: "")
    axes.set_title(f"{METRIC_BY_NAME[name].short} [{unit}]", loc="left", fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)


_PROGRAM_COLOURS = (
    "#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#8c564b", "#e377c2", "#7f7f7f", "#bcbd22", "#17becf",
    "#08306b", "#7f2704", "#00441b", "#67000d",
)  # fmt: skip


def _scale(name: str) -> tuple[float, str]:
    unit = METRIC_BY_NAME[name].unit
    if unit == "bytes":
        return MIB, "MiB"
    if unit == "ns":
        return (MS, "ms") if name.endswith("cpu_ns") else (US, "µs")
    return 1.0, "1/s" if unit == "1/s" else "collections"
