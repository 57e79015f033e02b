"""The figures of one run, with Bokeh.  Those over time share their time axis (seconds since process start)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from bokeh.models import (
    BoxZoomTool,
    ColumnDataSource,
    CustomJSTickFormatter,
    FixedTicker,
    HoverTool,
    Legend,
    NumeralTickFormatter,
    Range1d,
    RangeTool,
    ResetTool,
    Span,
    WheelZoomTool,
)
from bokeh.plotting import figure

from gcsim.datasets.table import Tables
from gcsim.report import extract, style
from gcsim.units import MIB, S

BYTES_TICKS = """
const abs = Math.abs(tick);
for (const [unit, size] of [["GiB", 2**30], ["MiB", 2**20], ["KiB", 2**10]])
    if (abs >= size) return (tick / size).toFixed(tick % size === 0 || abs >= 10 * size ? 0 : 1) + " " + unit;
return tick.toFixed(0) + " B";
"""
NS_TICKS = """
const abs = Math.abs(tick);
for (const [unit, size] of [["s", 1e9], ["ms", 1e6], ["µs", 1e3]])
    if (abs >= size) return String(+(tick / size).toPrecision(3)) + " " + unit;
return String(+tick.toPrecision(3)) + " ns";
"""
_MIB_HOVER = "{0,0.0} MiB"


def new_figure(**options: Any) -> Any:
    """A figure in the house style: horizontal zoom by dragging, no toolbar, no outline."""
    fig = figure(
        **{"sizing_mode": "stretch_width", "toolbar_location": None, "min_border_left": 86, "min_border_right": 18, "tools": []}
        | options
    )  # fmt: skip
    fig.outline_line_color = None
    fig.grid.grid_line_color = style.GRID
    fig.xgrid.grid_line_color = None
    fig.axis.axis_line_color = "#cbd5e1"
    fig.axis.major_tick_line_color = "#cbd5e1"
    fig.axis.minor_tick_line_color = None
    fig.axis.major_label_text_color = style.MUTED
    fig.axis.major_label_text_font_size = "12px"
    fig.axis.axis_label_text_color = style.MUTED
    fig.axis.axis_label_text_font_size = "12px"
    fig.axis.axis_label_text_font_style = "normal"
    fig.title.text_color = style.INK
    fig.title.text_font_size = "14px"
    return fig


def time_figure(x_range: Any, **options: Any) -> Any:
    """A figure on the shared time axis: dragging zooms in, Ctrl and the wheel zoom, a double tap shows all."""
    fig = new_figure(x_range=x_range, **options)
    zoom = BoxZoomTool(dimensions="width")
    fig.add_tools(zoom, WheelZoomTool(dimensions="width", modifiers="ctrl"), ResetTool())
    fig.toolbar.active_drag = zoom
    return fig


def add_legend(fig: Any, entries: Sequence[tuple[str, list[Any]]], *, columns: int | str = "auto") -> None:
    """A legend above the figure; a click hides what it names."""
    legend = Legend(
        items=list(entries), orientation="horizontal", ncols=columns, click_policy="hide", location="top_left", border_line_color=None,
        label_text_color=style.INK, label_text_font_size="12px", glyph_width=16, glyph_height=14, label_height=14,
        spacing=14, padding=2, margin=0, background_fill_alpha=0,
    )  # fmt: skip
    fig.add_layout(legend, "above")


def seconds(ns: Any) -> Any:
    """ns -> s as float64."""
    return np.asarray(ns) / S


def hover(renderer: Any, tooltips: Sequence[tuple[str, str]], **options: Any) -> HoverTool:
    """Tooltips of one renderer."""
    return HoverTool(renderers=[renderer], tooltips=list(tooltips), **options)


def time_range(tables: Tables) -> Range1d:
    """The shared axis: the load phase with what came before, from process start to the end."""
    end = float(tables["heap"].to_arrow(["time_ns"])["time_ns"].to_numpy()[-1]) / S
    return Range1d(0, end, bounds=(0, end), min_interval=2e-6)


def heap_figure(tables: Tables, x_range: Any, limit_bytes: int | None) -> Any:
    """Heap live between trigger and goal, memory held, and the marking phases as shades."""
    curves = extract.heap_curves(tables)
    top = float(max(c.y.max() for c in (curves.live, curves.goal, curves.memory) if c.y.size)) * 1.06
    show_limit = limit_bytes is not None and limit_bytes < 3 * top
    if show_limit and limit_bytes is not None:
        top = max(top, limit_bytes * 1.06)
    fig = time_figure(x_range, height=330, y_range=Range1d(0, top / MIB), y_axis_label="MiB")
    cycles = extract.columns(tables["cycles"], "cycle", "start_ns", "mark_start_ns", "mark_ns", "end_ns")
    shade = fig.quad(
        left=seconds(cycles["start_ns"]), right=seconds(cycles["end_ns"]), bottom=0, top=top / MIB,
        fill_color=style.STATES["fractional"][0], fill_alpha=0.16, line_color=None,
    )  # fmt: skip
    lines: dict[str, tuple[extract.Curve, str, float, Any]] = {
        "heap live": (curves.live, style.ACCENT, 1.6, "solid"),
        "heap goal": (curves.goal, style.GOAL, 1.6, "solid"),
        "trigger": (curves.trigger, style.TRIGGER, 1.3, [5, 3]),
        "memory held by the runtime": (curves.memory, style.MEMORY, 1.4, "solid"),
    }
    nursery = extract.nursery_curve(tables)
    if nursery is not None:
        lines["heap live (old generation)"] = lines.pop("heap live")
        lines["nursery"] = (nursery, style.NURSERY, 1.0, "solid")
    entries = []
    for name, (curve, colour, width, dash) in lines.items():
        source = ColumnDataSource({"x": seconds(curve.x), "y": curve.y / MIB})
        line = fig.line("x", "y", source=source, color=colour, line_width=width, line_dash=dash)
        entries.append((name, [line]))
        if name.startswith("heap live"):
            fig.add_tools(
                hover(line, [("at", "@x{0.000000} s"), ("heap live", f"@y{_MIB_HOVER}")], mode="vline")
            )
    if show_limit and limit_bytes is not None:
        span = fig.line(
            [0, x_range.end], [limit_bytes / MIB] * 2, color=style.LIMIT, line_dash="dotted", line_width=2
        )
        entries.append(("GOMEMLIMIT", [span]))
    add_legend(fig, [*entries, ("GC cycle", [shade])])
    return fig


def overview_strip(tables: Tables, x_range: Any) -> Any:
    """The whole run, small, with a frame to drag over it."""
    live = extract.heap_curves(tables).live
    fig = new_figure(
        height=84, x_range=Range1d(0, x_range.end), y_axis_type=None, background_fill_color="#f8fafc"
    )
    fig.line(seconds(live.x), live.y / MIB, color=style.ACCENT_SOFT, line_width=1)
    fig.ygrid.grid_line_color = None
    fig.xaxis.axis_label = "time since process start (s): drag the frame, or its edges"
    tool = RangeTool(x_range=x_range)
    tool.overlay.fill_color = style.ACCENT
    tool.overlay.fill_alpha = 0.12
    tool.overlay.line_color = style.ACCENT
    fig.add_tools(tool)
    return fig


def pause_figure(tables: Tables, x_range: Any) -> Any:
    """Each stop of the world by its duration, on a logarithmic axis."""
    read = tables["pauses"].to_arrow(["kind", "start_ns", "stopping_ns", "duration_ns"])
    durations = read["duration_ns"].to_numpy()
    low, high = log_range(durations)
    fig = time_figure(
        x_range, height=170, y_axis_type="log", y_range=Range1d(low, high), y_axis_label="pause"
    )
    time_on_log_axis(fig.yaxis[0], low, high)
    kinds = np.asarray(read["kind"].to_pylist(), dtype=object)
    entries = []
    for kind, (colour, words) in style.PAUSES.items():
        rows = kinds == kind
        if not rows.any():
            continue
        source = ColumnDataSource(
            {
                "x": seconds(read["start_ns"].to_numpy()[rows]),
                "y": durations[rows],
                "low": np.full(int(rows.sum()), low),
                "us": durations[rows] / 1e3,
                "stopping": read["stopping_ns"].to_numpy()[rows] / 1e3,
            }
        )
        stems = fig.segment("x", "low", "x", "y", source=source, color=colour, line_alpha=0.35)
        dots = fig.scatter("x", "y", source=source, color=colour, size=5, alpha=0.9)
        tips = [
            ("pause", "@us{0,0.0} µs"),
            ("of it stopping", "@stopping{0,0.0} µs"),
            ("at", "@x{0.000000} s"),
        ]
        fig.add_tools(hover(dots, tips))
        entries.append((words, [stems, dots]))
    if entries:
        add_legend(fig, entries)
    return fig


def time_on_log_axis(axis: Any, low: float, high: float) -> None:
    """Label a logarithmic axis of ns: decades, and 2 and 5 between them where there is room."""
    decades = range(round(math.log10(low)), round(math.log10(high)) + 1)
    steps = (1, 2, 5) if len(decades) <= 3 else (1,)
    axis.ticker = FixedTicker(ticks=[step * 10.0**decade for decade in decades for step in steps])
    axis.formatter = CustomJSTickFormatter(code=NS_TICKS)


def log_range(values: Any) -> tuple[float, float]:
    """Whole decades around positive values."""
    positive = values[values > 0]
    if not positive.size:
        return 1e3, 1e6
    low, high = math.floor(math.log10(positive.min())), math.ceil(math.log10(positive.max() * 1.05))
    return 10.0**low, 10.0 ** max(high, low + 1)


def p_timeline(tables: Tables, x_range: Any) -> tuple[Any, extract.Intervals]:
    """One row per P: what it did, interval by interval."""
    intervals = extract.p_intervals(tables)
    procs = extract.p_count(tables)
    height = 74 + max(60, min(34 * procs, 620))
    fig = time_figure(x_range, height=height, y_range=Range1d(procs - 0.4, -0.6), y_axis_label="P")
    fig.yaxis.ticker = FixedTicker(ticks=list(range(0, procs, max(1, procs // 16))))
    fig.ygrid.grid_line_color = None
    states = np.asarray(intervals.state, dtype=object)
    entries = []
    for state, (colour, words) in style.STATES.items():
        rows = states == state
        if not rows.any():
            continue
        start, end = intervals.start_ns[rows], intervals.end_ns[rows]
        tall = 0.36 if state in style.COLLECTOR else 0.3
        source = ColumnDataSource(
            {
                "left": seconds(start),
                "right": seconds(end),
                "top": intervals.p[rows] - tall,
                "bottom": intervals.p[rows] + tall,
                "us": (end - start) / 1e3,
            }
        )
        # A border keeps an interval visible that is narrower than a pixel.
        line = colour if state in style.COLLECTOR else None
        quads = fig.quad(
            "left", "right", "top", "bottom", source=source, fill_color=colour, line_color=line, line_width=1
        )
        fig.add_tools(hover(quads, [(words, "@us{0,0.0} µs"), ("from", "@left{0.000000} s")]))
        entries.append((words, [quads]))
    add_legend(fig, entries)
    return fig, intervals


def cpu_figure(tables: Tables, x_range: Any) -> Any:
    """Where P time went, window by window, stacked to 100 %."""
    start, end, shares = extract.cpu_split(tables)
    fig = time_figure(x_range, height=230, y_range=Range1d(0, 1), y_axis_label="P time")
    fig.yaxis.formatter = NumeralTickFormatter(format="0%")
    below = np.zeros(len(start))
    entries = []
    for state, (colour, words) in style.STATES.items():
        share = shares[state]
        if not share.any():
            continue
        source = ColumnDataSource(
            {
                "left": seconds(start),
                "right": seconds(end),
                "bottom": below,
                "top": below + share,
                "share": share,
            }
        )
        quads = fig.quad(
            "left",
            "right",
            "top",
            "bottom",
            source=source,
            fill_color=colour,
            line_color="white",
            line_width=0.5,
        )
        fig.add_tools(hover(quads, [(words, "@share{0.00%}"), ("from", "@left{0.00} s")]))
        entries.append((words, [quads]))
        below = below + share
    add_legend(fig, entries)
    return fig


def latency_time_figure(tables: Tables, x_range: Any) -> Any | None:
    """p50, p99 and p99.9 of each window; None where no request was completed."""
    fractions = tuple(fraction for _, fraction in style.QUANTILE_LINES.values())
    start, end, quantiles = extract.latency_over_time(tables, fractions)
    if not start.size:
        return None
    low, high = log_range(np.concatenate(quantiles))
    fig = time_figure(
        x_range, height=200, y_axis_type="log", y_range=Range1d(low, high), y_axis_label="latency"
    )
    time_on_log_axis(fig.yaxis[0], low, high)
    entries = []
    for (name, (colour, _)), values in zip(style.QUANTILE_LINES.items(), quantiles, strict=True):
        source = ColumnDataSource(
            {
                "x": np.column_stack([seconds(start), seconds(end)]).ravel(),
                "y": np.repeat(values, 2),
                "us": np.repeat(values, 2) / 1e3,
            }
        )
        line = fig.line("x", "y", source=source, color=colour, line_width=1.8)
        fig.add_tools(hover(line, [(_quantile_words(name), "@us{0,0.0} µs")]))
        entries.append((_quantile_words(name), [line]))
    add_legend(fig, entries)
    return fig


def _quantile_words(name: str) -> str:
    return "p99.9" if name == "p999" else name


def tricolor_figure(tables: Tables, x_range: Any) -> Any | None:
    """White, grey and black bytes over each cycle, stacked; None where not recorded."""
    if "tricolor" not in tables:
        return None
    read = tables["tricolor"].to_arrow(["cycle", "time_ns", "black_bytes", "grey_bytes", "white_bytes"])
    if read.num_rows == 0:
        return None
    read = extract.decimate(read, 60_000)
    fig = time_figure(x_range, height=230, y_axis_label="MiB")
    cycle, time = read["cycle"].to_numpy(), seconds(read["time_ns"].to_numpy())
    # Between cycles there is nothing to see: a gap of NaN keeps the areas apart.
    breaks = np.flatnonzero(np.diff(cycle)) + 1
    below = np.zeros(len(time))
    entries = []
    top = 0.0
    for colour, (fill, words) in style.COLOURS.items():
        above = below + read[f"{colour}_bytes"].to_numpy() / MIB
        top = max(top, float(above.max()))
        source = ColumnDataSource(
            {
                "x": np.insert(time, breaks, np.nan),
                "y1": np.insert(below, breaks, np.nan),
                "y2": np.insert(above, breaks, np.nan),
            }
        )
        entries.append((words, [fig.varea("x", "y1", "y2", source=source, fill_color=fill)]))
        below = above
    fig.y_range = Range1d(0, top * 1.05)
    add_legend(fig, entries)
    return fig


# ---- latency ----------------------------------------------------------------------------------------------------

NINES = {0.0: "0 %", 0.30103: "50 %", 1.0: "90 %", 2.0: "99 %", 3.0: "99.9 %", 4.0: "99.99 %", 5.0: "99.999 %", 6.0: "99.9999 %"}  # fmt: skip


def nines_axis(fig: Any) -> None:
    """Label an axis of nines by percentages."""
    fig.xaxis.ticker = FixedTicker(ticks=list(NINES))
    fig.xaxis.major_label_overrides = NINES
    fig.xaxis.axis_label = "share of requests that are as fast or faster"
    fig.xgrid.grid_line_color = style.GRID


def latency_figure(counts: Mapping[str, Any]) -> Any | None:
    """Latency by percentile, the far tail stretched; a line per request class, and all of them."""
    curves = {name: extract.percentile_curve(c) for name, c in counts.items()}
    if len(curves) > 1:
        curves = {"all requests": extract.percentile_curve(sum(counts.values())), **curves}
    if not any(len(x) for x, _ in curves.values()):
        return None
    low, high = log_range(np.concatenate([y for _, y in curves.values()]))
    right = max(float(x[-1]) for x, _ in curves.values() if len(x)) * 1.02
    fig = new_figure(
        height=360,
        x_range=Range1d(0, right),
        y_range=Range1d(low, high),
        y_axis_type="log",
        y_axis_label="latency",
    )
    time_on_log_axis(fig.yaxis[0], low, high)
    nines_axis(fig)
    colours = [style.ACCENT, "#c2185b", "#0f766e", "#d97706", "#8b6fc0", "#475569"]
    entries = []
    for (name, (x, y)), colour in zip(curves.items(), colours * len(curves), strict=False):
        source = ColumnDataSource({"x": x, "y": y, "us": y / 1e3, "percent": 100 * (1 - 10.0**-x)})
        line = fig.line("x", "y", source=source, color=colour, line_width=2)
        fig.add_tools(
            hover(line, [("percentile", "@percent{0.0000}"), ("latency", "@us{0,0.0} µs")], mode="vline")
        )
        entries.append((name, [line]))
    for nines in (0.30103, 2.0, 3.0):
        fig.add_layout(Span(location=nines, dimension="height", line_color="#cbd5e1", line_dash="dotted"))
    add_legend(fig, entries)
    return fig


def cause_figure(causes: extract.TailCauses) -> Any:
    """Per band of latency, the main causes of its requests."""
    labels = [f"{band}  ({n:,})" for band, n in zip(causes.bands, causes.counts, strict=True)]
    fig = new_figure(
        height=90 + 44 * len(labels),
        y_range=list(reversed(labels)),
        x_range=Range1d(0, 1),
        min_border_left=170,
    )
    fig.xaxis.formatter = NumeralTickFormatter(format="0%")
    fig.xaxis.axis_label = "share of the band's sampled requests"
    fig.ygrid.grid_line_color = None
    left = np.zeros(len(labels))
    entries = []
    for cause, (colour, words) in style.CAUSES.items():
        share = np.array(causes.shares[cause])
        if not share.any():
            continue
        source = ColumnDataSource({"y": labels, "left": left, "right": left + share, "share": share})
        bars = fig.hbar(
            y="y",
            left="left",
            right="right",
            height=0.62,
            source=source,
            fill_color=colour,
            line_color="white",
        )
        fig.add_tools(hover(bars, [(words, "@share{0.0%}")]))
        entries.append((words, [bars]))
        left = left + share
    add_legend(fig, entries)
    return fig
