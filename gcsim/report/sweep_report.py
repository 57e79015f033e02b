"""The page of a sweep: sliders over its knobs that switch the plots, the Pareto chart, and a row per point."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from bokeh.layouts import column, row
from bokeh.models import (
    BasicTicker,
    ColorBar,
    ColumnDataSource,
    CustomJS,
    CustomJSTickFormatter,
    HoverTool,
    LinearColorMapper,
    NumeralTickFormatter,
    Range1d,
    Slider,
    TapTool,
)

from gcsim.datasets.metrics import METRIC_BY_NAME
from gcsim.datasets.pareto import pareto_front
from gcsim.datasets.sweep import SweepPoint, SweepResult
from gcsim.errors import DatasetError
from gcsim.report import figures, page, style, words
from gcsim.report import sweep_extract as extract
from gcsim.report.recommended import recommendation
from gcsim.sweep.plan import format_knob
from gcsim.units import MIB, format_bytes, format_ns

# Light to dark, readable in print and by the colour-blind.
_HEAT = [
    "#fde725",
    "#b5de2b",
    "#6ece58",
    "#35b779",
    "#1f9e89",
    "#26828e",
    "#31688e",
    "#3e4989",
    "#482878",
    "#440154",
]
OBJECTIVES = ("memory_peak_bytes", "latency_ns_p99", "gc_cpu_frac")
_COLUMNS = {
    "memory_peak_bytes": "peak memory",
    "latency_ns_p99": "p99",
    "latency_ns_p999": "p99.9",
    "gc_cpu_frac": "GC CPU",
    "throughput_rps": "requests/s",
    "num_gc": "collections",
    "stw_pause_ns_max": "longest pause",
}

_SELECT = """
const values = sliders.map(s => s.value);
let best = 0, least = Infinity;
ranks.forEach((rank, i) => {
    const d = rank.reduce((sum, r, j) => sum + ((r - values[j]) / Math.max(1, sizes[j] - 1)) ** 2, 0);
    if (d < least - 1e-12) { least = d; best = i; }
});
const c = curves[best];
heap.data = {x: c.heap_s, y: c.heap_mib};
goal.data = {x: c.goal_s, y: c.goal_mib};
latency.data = {x: c.nines, y: c.latency_ns};

let left = 0;
for (const part of parts) {
    const source = cpu[part], share = c.cpu[part];
    source.data = {...source.data, left: [left, source.data.left[1]], right: [left + share, source.data.right[1]],
                   share: [share, source.data.share[1]]};
    left += share;
}
chosen.data = {x: [pareto.data.x[best]], y: [pareto.data.y[best]]};
const exact = least < 1e-9;
document.getElementById("chosen").textContent = (exact ? "" : "nearest point: ") + labels[best];
document.querySelectorAll("tr[data-point]").forEach(tr => tr.classList.toggle("chosen", tr.dataset.point === String(best)));
cards[best].forEach(([id, value, note]) => {
    document.getElementById("card-" + id + "-value").textContent = value;
    document.getElementById("card-" + id + "-note").textContent = note;
});
"""

_SCRIPT = """
(function () {
  const ranks = JSON.parse(document.getElementById("ranks").textContent);
  function choose(i) {
    ranks[i].forEach((rank, j) => { Bokeh.documents[0].get_model_by_name("knob-" + j).value = rank; });
  }
  window.gcsimChoose = choose;
  document.querySelectorAll("tr[data-point]").forEach(tr => tr.addEventListener("click", () => choose(+tr.dataset.point)));
  document.querySelectorAll("th").forEach((th, k) => {
    if (!th.closest("#points")) return;
    th.dataset.sort = "";
    th.addEventListener("click", () => {
      const body = th.closest("table").tBodies[0], column = th.cellIndex, down = th.dataset.sort !== "down";
      const key = tr => { const v = tr.cells[column].querySelector("[data-v]"); return v ? +v.dataset.v : Infinity; };
      [...body.rows].sort((a, b) => down ? key(a) - key(b) : key(b) - key(a)).forEach(tr => body.append(tr));
      th.dataset.sort = down ? "down" : "up";
    });
  });
})();
"""


def sweep_page(sweep: SweepResult) -> str:
    """The report of a sweep as HTML.

    Raises:
        DatasetError: no run is done yet.
    """
    points = extract.done_points(sweep)
    if not points:
        raise DatasetError(f"{sweep.path}: no run of this sweep has succeeded, so there is nothing to draw")
    first = extract.baseline(sweep, points)
    knobs = extract.knob_values(sweep, points)
    places = {name: {value: place for place, value in enumerate(values)} for name, values in knobs.items()}
    ranks = [[places[name][point.knobs[name]] for name in knobs] for point in points]
    front = pareto_front([[_mean(point, name) for name in OBJECTIVES] for point in points])
    panel, pareto, shown = _panel(sweep, points, knobs, ranks, first, front)
    runs, failed = len(sweep.runs), len(sweep.failures)
    pending = sum(point.pending for point in sweep.points)
    state = (
        f"{runs} runs"
        + (f", {failed} failed" if failed else "")
        + (f", {pending} pending" if pending else "")
    )
    assert points[first].summary is not None
    best = recommendation(sweep.path, {point.point_id: i for i, point in enumerate(points)})
    sections = [
        *([] if best is None else [best]),
        page.Section(
            "What if",
            f'Showing <b id="chosen">{page.escape(points[first].label)}</b>. Move a slider, click a point of the chart below or a '
            "row of the table: plots and the numbers above follow. Grey: "
            + (
                "the spec's own setting."
                if _is_own(sweep, points, first)
                else f"{page.escape(points[first].label)}, as the spec's own setting is not among the points."
            ),
            [page.Figure(panel, "", shown)],
        ),
        page.Section(
            "Trade-offs",
            "Memory against tail latency, coloured by the CPU that goes to the collector: left, low and light is better. Ringed in red: the "
            "Pareto front, settings that no other one beats in all three. Bars are 95 % intervals. Click a point to see it above.",
            [page.Figure(pareto)],
        ),
        page.Section(
            "All points",
            "Means over replications of the load phase, ± half the 95 % interval. Marked in red: the Pareto front. A click on a heading sorts.",
            body=f'<div id="points">{_points_table(sweep, points, front)}</div>',
        ),
        page.Section(
            "Where this comes from",
            words.HONEST,
            body=f"<p><code>{sweep.sweep_id}</code>: {len(sweep.points)} points, {_replications(sweep)} replications "
            f"each, {state}; seed {sweep.description.seed}, gcsim {sweep.description.engine_version}. Every point has the same seeds, so that "
            f"differences are those of the settings.</p>{words.spec_details(sweep.spec)}",
        ),
    ]
    chips = [f"{name}: {len(values)} values" for name, values in knobs.items()]
    return page.render(
        page.Page(
            title=f"{sweep.description.name}: {len(sweep.points)} settings",
            description=sweep.spec["description"],
            chips=[*chips, state],
            cards=words.cards(points[first].summary or {}),
            sections=sections,
            footer=f"gcsim {sweep.description.engine_version} · this file is complete: it opens offline and fetches nothing",
            data={"ranks": ranks},
            script=_SCRIPT,
        )
    )


def _replications(sweep: SweepResult) -> str:
    """How many runs points have: one number, or from fewest to most."""
    counts = {len(point.run_ids) for point in sweep.description.points}
    return f"{min(counts)}" if len(counts) == 1 else f"{min(counts)} to {max(counts)}"


def _mean(point: SweepPoint, metric: str) -> float | None:
    assert point.summary is not None
    return point.summary[metric]


def _is_own(sweep: SweepResult, points: Sequence[SweepPoint], first: int) -> bool:
    return first != 0 or extract.baseline(sweep, [*points[1:], *points[:1]]) == len(points) - 1


def _card_rows(point: SweepPoint) -> list[list[str]]:
    assert point.summary is not None
    return [
        ["".join(c if c.isalnum() else "-" for c in what.lower()), value, note]
        for value, what, note in words.cards(point.summary)
    ]


def _panel(
    sweep: SweepResult,
    points: Sequence[SweepPoint],
    knobs: dict[str, list[Any]],
    ranks: list[list[int]],
    first: int,
    front: list[bool],
) -> tuple[Any, Any, str]:
    """The what-if panel, the Pareto chart that follows it, and a caption that says what is shown."""
    curves, window_s, whole = extract.curves(points)
    sliders = [
        Slider(
            start=0,
            end=len(values) - 1,
            step=1,
            value=ranks[first][j],
            title=name,
            name=f"knob-{j}",
            bar_color=style.ACCENT_SOFT,
            width=250,
            margin=(6, 26, 10, 8),
            format=CustomJSTickFormatter(
                args={"names": [format_knob(name, v) for v in values]}, code="return names[Math.round(tick)];"
            ),
        )
        for j, (name, values) in enumerate(knobs.items())
    ]
    heap, goal, heap_fig = _heap(curves, first, window_s)
    latency, latency_fig = _latency(curves, first)
    cpu, cpu_fig = _cpu(curves, first)
    pareto, chosen, pareto_fig = _pareto(sweep, points, front, first)
    select = CustomJS(
        args={
            "sliders": sliders,
            "ranks": ranks,
            "sizes": [len(values) for values in knobs.values()],
            "curves": [vars(c) for c in curves],
            "labels": [point.label for point in points],
            "cards": [_card_rows(point) for point in points],
            "heap": heap,
            "goal": goal,
            "latency": latency,
            "cpu": cpu,
            "parts": list(cpu),
            "pareto": pareto,
            "chosen": chosen,
        },
        code=_SELECT,
    )
    for slider in sliders:
        slider.js_on_change("value", select)
    tap = CustomJS(
        args={"source": pareto},
        code="const i = source.selected.indices[0]; if (i !== undefined) { source.selected.indices = []; window.gcsimChoose(i); }",
    )
    pareto.selected.js_on_change("indices", tap)
    figures_row = [latency_fig] if latency_fig is not None else []
    stretch = f"the first {window_s:.3g} s of" if not whole else "all of"
    caption = (
        f"Heap live (blue) and goal (green) over {stretch} the load phase, first replication; latency and CPU over all replications. "
        "Axes stay put, so that settings can be compared by eye."
    )
    panel = column(
        row(*sliders, sizing_mode="stretch_width"),
        heap_fig,
        cpu_fig,
        *figures_row,
        sizing_mode="stretch_width",
    )
    return panel, pareto_fig, caption


def _heap(curves: Sequence[extract.PointCurves], first: int, window_s: float) -> tuple[Any, Any, Any]:
    top = max(max([*c.heap_mib, *c.goal_mib], default=1.0) for c in curves)
    live_top = max(max(c.heap_mib, default=1.0) for c in curves)
    fig = figures.new_figure(
        height=270,
        x_range=Range1d(0, window_s),
        y_range=Range1d(0, min(top, 3 * live_top) * 1.06),
        y_axis_label="heap, MiB",
    )
    fig.xaxis.axis_label = "seconds of load"
    own = curves[first]
    grey = fig.line(own.heap_s, own.heap_mib, color="#c3cedb", line_width=1.4)
    goal = ColumnDataSource({"x": own.goal_s, "y": own.goal_mib})
    heap = ColumnDataSource({"x": own.heap_s, "y": own.heap_mib}, name="what-if-heap")
    goal_line = fig.line("x", "y", source=goal, color=style.GOAL, line_width=1.5)
    line = fig.line("x", "y", source=heap, color=style.ACCENT, line_width=1.7)
    figures.add_legend(
        fig, [("heap live", [line]), ("heap goal", [goal_line]), ("heap live, reference", [grey])]
    )
    return heap, goal, fig


def _latency(curves: Sequence[extract.PointCurves], first: int) -> tuple[Any, Any | None]:
    own = curves[first]
    source = ColumnDataSource({"x": own.nines, "y": own.latency_ns})
    every = np.array([y for c in curves for y in c.latency_ns])
    if not every.size:
        return source, None
    low, high = figures.log_range(every)
    right = max(c.nines[-1] for c in curves if c.nines) * 1.02
    fig = figures.new_figure(
        height=290,
        x_range=Range1d(0, right),
        y_range=Range1d(low, high),
        y_axis_type="log",
        y_axis_label="latency",
    )
    figures.time_on_log_axis(fig.yaxis[0], low, high)
    figures.nines_axis(fig)
    grey = fig.line(own.nines, own.latency_ns, color="#c3cedb", line_width=1.8)
    line = fig.line("x", "y", source=source, color=style.ACCENT, line_width=2.2)
    figures.add_legend(fig, [("latency", [line]), ("reference", [grey])])
    return source, fig


def _cpu(curves: Sequence[extract.PointCurves], first: int) -> tuple[dict[str, Any], Any]:
    rows = ["this setting", "reference"]
    fig = figures.new_figure(height=132, y_range=list(reversed(rows)), x_range=Range1d(0, 1))
    fig.xaxis.formatter = NumeralTickFormatter(format="0%")
    fig.ygrid.grid_line_color = None
    sources, entries, left = {}, [], 0.0
    for part in extract.CPU_PARTS:
        colour, said = style.STATES[part]
        said = "background workers" if part == "dedicated" else said
        share = curves[first].cpu[part]
        source = ColumnDataSource(
            {"y": rows, "left": [left] * 2, "right": [left + share] * 2, "share": [share] * 2}
        )
        left += share
        bars = fig.hbar(
            y="y",
            left="left",
            right="right",
            height=0.7,
            source=source,
            fill_color=colour,
            line_color="white",
        )
        fig.add_tools(figures.hover(bars, [(said, "@share{0.00%}")]))
        sources[part] = source
        if any(c.cpu[part] > 0 for c in curves):
            entries.append((said, [bars]))
    figures.add_legend(fig, entries)
    return sources, fig


def _pareto(
    sweep: SweepResult, points: Sequence[SweepPoint], front: list[bool], first: int
) -> tuple[Any, Any, Any]:
    """Memory against p99 (or against the longest pause, where nothing is requested), coloured by GC CPU."""
    memory = [_mean(point, "memory_peak_bytes") for point in points]
    name = (
        "latency_ns_p99"
        if any(_mean(p, "latency_ns_p99") is not None for p in points)
        else "stw_pause_ns_max"
    )
    y = [_mean(point, name) for point in points]
    cpu = [_mean(point, "gc_cpu_frac") for point in points]
    known = np.array([v for v in y if v is not None] or [1e3, 1e6])
    low, high = _around(known, log=True)
    x_low, x_high = _around(np.array([v for v in memory if v is not None] or [1.0]) / MIB, log=False)
    shares = [v for v in cpu if v is not None] or [0.0]
    mapper = LinearColorMapper(palette=_HEAT, low=min(shares), high=max(max(shares), min(shares) + 1e-6))

    def interval(metric: str, end: str, scale: float) -> list[float]:
        mean = [_mean(point, metric) for point in points]
        limits = [(point.summary or {})[f"{metric}_ci95_{end}"] for point in points]
        return [
            float("nan") if m is None else max((m if v is None else v) / scale, 1e-9)
            for m, v in zip(mean, limits, strict=True)
        ]

    data: dict[str, list[Any]] = {
        "x": [float("nan") if v is None else v / MIB for v in memory],
        "y": [float("nan") if v is None else v for v in y],
        "cpu": [float("nan") if v is None else v for v in cpu],
        "label": [point.label for point in points],
        "memory": ["–" if v is None else format_bytes(v) for v in memory],
        "time": ["–" if v is None else format_ns(v) for v in y],
        "x0": interval("memory_peak_bytes", "low", MIB),
        "x1": interval("memory_peak_bytes", "high", MIB),
        "y0": interval(name, "low", 1.0),
        "y1": interval(name, "high", 1.0),
        "ring": [style.FRONT if one else "white" for one in front],
        "ring_width": [2.6 if one else 1.0 for one in front],
    }
    source = ColumnDataSource(data)
    words_y = "latency p99" if name == "latency_ns_p99" else "longest pause"
    fig = figures.new_figure(
        height=430,
        x_range=Range1d(x_low, x_high),
        y_range=Range1d(low, high),
        y_axis_type="log",
        y_axis_label=words_y,
        x_axis_label="peak memory, MiB",
    )
    figures.time_on_log_axis(fig.yaxis[0], low, high)
    fig.xgrid.grid_line_color = style.GRID
    fig.segment("x0", "y", "x1", "y", source=source, color="#b6c2d1", line_width=1.2)
    fig.segment("x", "y0", "x", "y1", source=source, color="#b6c2d1", line_width=1.2)
    chosen = ColumnDataSource({"x": [data["x"][first]], "y": [data["y"][first]]}, name="what-if-chosen")
    fig.scatter("x", "y", source=chosen, size=27, fill_color=None, line_color=style.ACCENT, line_width=2.5)
    dots = fig.scatter(
        "x",
        "y",
        source=source,
        size=14,
        fill_color={"field": "cpu", "transform": mapper},
        line_color="ring",
        line_width="ring_width",
        nonselection_alpha=1.0,
    )
    tips = [("", "@label"), ("memory", "@memory"), (words_y, "@time"), ("GC CPU", "@cpu{0.00%}")]
    tap = TapTool(renderers=[dots])
    fig.add_tools(HoverTool(renderers=[dots], tooltips=tips), tap)
    bar = ColorBar(
        color_mapper=mapper,
        ticker=BasicTicker(desired_num_ticks=5),
        formatter=NumeralTickFormatter(format="0.0%"),
        title="GC CPU",
        width=12,
        title_text_color=style.MUTED,
        title_text_font_style="normal",
        major_label_text_color=style.MUTED,
        bar_line_color=None,
        padding=8,
    )
    fig.add_layout(bar, "right")
    return source, chosen, fig


def _around(values: Any, *, log: bool) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    if log:
        return low / 1.35, high * 1.35
    margin = 0.08 * max(high - low, 0.1 * high, math.ulp(1.0))
    return max(0.0, low - margin), high + margin


def _points_table(sweep: SweepResult, points: Sequence[SweepPoint], front: list[bool]) -> str:
    head = [(name, True) for name in (*sweep.knobs, *_COLUMNS.values())]
    rows, attributes = [], []
    order = {point.point_id: i for i, point in enumerate(points)}
    for point in sweep.points:
        cells = [
            f'<span data-v="{value if isinstance(value, int | float) else 1e300}">{page.escape(format_knob(name, value))}</span>'
            for name, value in point.knobs.items()
        ]
        summary = point.summary
        if summary is None:
            said = point.failures[0] if point.failures else None
            text = "pending" if said is None else f"{said.error}: {said.message}"
            cells += [page.escape(text), *[""] * (len(_COLUMNS) - 1)]
            attributes.append("class=failed")
        else:
            for name in _COLUMNS:
                value, low = summary[name], summary[f"{name}_ci95_low"]
                spread = f" ±{100 * (value - low) / value:.1f} %" if value and low is not None else ""
                text = words.value_text(METRIC_BY_NAME[name], value)
                cells.append(
                    f'<span data-v="{1e300 if value is None else value}">{text}</span><small>{spread}</small>'
                )
            number = order[point.point_id]
            attributes.append(f'data-point="{number}" class="{"front" if front[number] else ""}"')
        rows.append(cells)
    return page.table(head, rows, attributes=attributes)
