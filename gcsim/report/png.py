"""Figures for slides, with matplotlib (extra `gcsim[plot]`)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from gcsim.datasets.pareto import pareto_front
from gcsim.datasets.reader import Result
from gcsim.datasets.sweep import SweepResult
from gcsim.errors import DatasetError
from gcsim.report import extract, style, sweep_extract
from gcsim.units import MIB, S, format_ns

_STYLE = {
    "font.family": "sans-serif",
    "font.size": 12,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#94a3b8",
    "axes.labelcolor": style.MUTED,
    "xtick.color": style.MUTED,
    "ytick.color": style.MUTED,
    "axes.grid": True,
    "grid.color": style.GRID,
    "axes.axisbelow": True,
    "legend.frameon": False,
}


def draw(result: Result | SweepResult, path: Path) -> None:
    """A run: heap, CPU and latency.  A sweep: memory against p99, coloured by GC CPU.  16:9, 1920 x 1080 pixels.

    Raises:
        DatasetError: matplotlib is not installed, the sweep has no run, or the file cannot be written.
    """
    try:
        import matplotlib as mpl
        from matplotlib.figure import Figure
    except ImportError:
        raise DatasetError("drawing PNG files needs matplotlib: pip install 'gcsim[plot]'") from None
    with mpl.rc_context(_STYLE):
        fig = Figure(figsize=(12.8, 7.2), dpi=150, layout="constrained", facecolor="white")
        if isinstance(result, SweepResult):
            _sweep(fig, result)
        else:
            _run(fig, result.runs[0] if result.runs else result)
        part = path.with_name(f".{path.name}.partial")
        try:
            # No software version and no time in the file: the same dataset gives the same bytes.
            fig.savefig(part, format="png", metadata={"Software": None})
            part.replace(path)
        except OSError as err:
            raise DatasetError(f"{path}: cannot be written ({err})") from err


def _run(fig: Any, run: Result) -> None:
    spec, tables = run.spec, run.tables
    settings = f"Go {spec['runtime']['go']}, GOGC={spec['runtime']['gogc']}, GOMEMLIMIT={spec['runtime']['gomemlimit']}"
    fig.suptitle(f"{spec['name']}   ({settings}; simulated)", fontsize=17, color=style.INK, x=0.02, ha="left")
    grid = fig.add_gridspec(2, 2, height_ratios=[1.25, 1])
    axes = fig.add_subplot(grid[0, :])
    curves = extract.heap_curves(tables)
    for curve, colour, label in (
        (curves.memory, style.MEMORY, "memory held"),
        (curves.goal, style.GOAL, "heap goal"),
        (curves.live, style.ACCENT, "heap live"),
    ):
        axes.plot(curve.x / S, curve.y / MIB, color=colour, label=label, linewidth=1.4)
    axes.set(xlabel="s since process start", ylabel="MiB", ylim=(0, None))
    axes.margins(x=0)
    axes.legend(ncols=3, loc="lower right")
    start, end, shares = extract.cpu_split(tables)
    cpu = fig.add_subplot(grid[1, 0])
    below = np.zeros(len(start))
    for state, (colour, label) in style.STATES.items():
        if shares[state].any():
            cpu.bar(
                start / S,
                shares[state] * 100,
                (end - start) / S,
                below,
                align="edge",
                color=colour,
                label=label,
            )
            below = below + shares[state] * 100
    cpu.set(xlabel="s since process start", ylabel="% of P time", ylim=(0, 100))
    cpu.margins(x=0)
    cpu.legend(ncols=2, fontsize=9, loc="lower center", frameon=True, framealpha=0.92, edgecolor="none")
    latency = fig.add_subplot(grid[1, 1])
    for name, counts in extract.latency_counts(tables).items():
        x, y = extract.percentile_curve(counts)
        latency.plot(x, y, label=name, linewidth=1.8)
    latency.set_yscale("log")
    latency.yaxis.set_major_formatter(lambda value, _: format_ns(value))
    latency.set_xticks([0.30103, 1, 2, 3, 4], ["50 %", "90 %", "99 %", "99.9 %", "99.99 %"])
    latency.set(xlabel="share of requests as fast or faster", ylabel="latency")
    if latency.lines:
        latency.legend(loc="upper left")


def _sweep(fig: Any, sweep: SweepResult) -> None:
    points = [p for p in sweep_extract.done_points(sweep) if p.summary is not None]
    if not points:
        raise DatasetError(f"{sweep.path}: no run of this sweep has succeeded, so there is nothing to draw")
    rows = [
        [(p.summary or {})[name] for name in ("memory_peak_bytes", "latency_ns_p99", "gc_cpu_frac")]
        for p in points
    ]
    front = pareto_front(rows)
    values = np.array([[np.nan if v is None else float(v) for v in row] for row in rows])
    axes = fig.add_subplot()
    fig.suptitle(
        f"{sweep.description.name}: {len(points)} settings (simulated)",
        fontsize=17,
        color=style.INK,
        x=0.02,
        ha="left",
    )
    dots = axes.scatter(
        values[:, 0] / MIB,
        values[:, 1],
        c=values[:, 2] * 100,
        s=130,
        cmap="viridis_r",
        edgecolors=[style.FRONT if one else "white" for one in front],
        linewidths=[2.2 if one else 0.8 for one in front],
    )
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(lambda value, _: format_ns(value))
    axes.yaxis.set_minor_formatter(lambda value, _: format_ns(value))
    axes.set(xlabel="peak memory, MiB", ylabel="latency p99")
    fig.colorbar(dots, label="CPU in the collector, %")
    _label_front(axes, [p.label for p in points], values, front)


def _label_front(axes: Any, labels: list[str], values: Any, front: list[bool]) -> None:
    """Name points of the front where there is room: over no name that is there already."""
    axes.figure.draw_without_rendering()  # lays the figure out; where a name is drawn depends on it
    middle = sum(axes.get_xlim()) / 2
    drawn: list[Any] = []
    for i in np.argsort(values[:, 0], kind="stable"):
        if not front[i]:
            continue
        x = values[i, 0] / MIB
        left = x > middle
        note = axes.annotate(
            labels[i],
            (x, values[i, 1]),
            xytext=(-11 if left else 11, 6),
            textcoords="offset points",
            ha="right" if left else "left",
            fontsize=9,
            color=style.MUTED,
        )
        note.set_in_layout(False)  # the axes keep their width
        box = note.get_window_extent()
        if any(box.overlaps(other) for other in drawn):
            note.remove()
        else:
            drawn.append(box)
