"""The page of one run (or of replications: means and intervals of all, figures of the first)."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

from bokeh.layouts import column, row
from bokeh.models import Button, CustomJS, Div, Spinner

from gcsim.datasets.reader import Result
from gcsim.report import extract, figures, page, words
from gcsim.units import S


def run_page(result: Result) -> str:
    """The report of a run as HTML."""
    run = result.runs[0] if result.runs else result
    spec, tables = run.spec, run.tables
    limit = spec["runtime"]["gomemlimit"]
    x_range = figures.time_range(tables)
    heap = figures.heap_figure(tables, x_range, None if limit == "off" else limit)
    p_figure, intervals = figures.p_timeline(tables, x_range)
    over_time = [
        page.Figure(
            column(
                _navigator(tables, x_range),
                heap,
                figures.overview_strip(tables, x_range),
                sizing_mode="stretch_width",
            ),
            "Heap",
            f"{_heap_caption(spec)} Shaded: cycles. Drag to zoom in, Ctrl and the wheel to zoom, click a legend to hide a "
            "line. All figures of this section share their time axis.",
        ),
        page.Figure(
            figures.pause_figure(tables, x_range),
            "Pauses",
            f"Each stop of the world, stopping included. {_PAUSE_CAPTIONS[_collector(spec)]} The axis is logarithmic.",
        ),
        page.Figure(p_figure, "Ps", _p_caption(intervals)),
        page.Figure(
            figures.cpu_figure(tables, x_range),
            "CPU",
            f"Where the time of all Ps went, in windows of {figures_window(spec)}. Marking by idle workers costs nobody anything "
            "but counts as time of the collector, as in Go's own metrics.",
        ),
    ]
    tricolor = figures.tricolor_figure(tables, x_range)
    if tricolor is not None:
        over_time.append(
            page.Figure(
                tricolor,
                "Tri-colour",
                "Heap by colour while cycles run: white shrinks as marking reaches it. Zoom to one cycle.",
            )
        )
    latency_time = figures.latency_time_figure(tables, x_range)
    if latency_time is not None:
        over_time.insert(
            4,
            page.Figure(
                latency_time, "Latency over time", "Quantiles of the requests that ended in each window."
            ),
        )
    sections = [page.Section("Over time", "", over_time)]
    latency = _latency_figures(result, run)
    if latency:
        sections.append(page.Section("Latency", "Load phase only, after warm-up.", latency))
    sections.append(page.Section("Every number", body=words.metrics_table(result.summary)))
    thresholds = words.thresholds_table(spec, result.summary)
    if thresholds:
        sections.insert(0, page.Section("Thresholds of the spec", body=thresholds))
    several = len(result.runs)
    note = (
        f"Numbers are means of {several} replications with their 95 % intervals, figures show the first."
        if several
        else ""
    )
    sections.append(
        page.Section(
            "Where this comes from",
            f"{words.HONEST} {note}",
            body=f"<p><code>{result.run_id}</code>, seed {run.manifest.identity.seed}, gcsim "
            f"{run.manifest.identity.engine_version}. The same spec and seed give the same bytes.</p>{words.spec_details(spec)}",
        )
    )
    return page.render(
        page.Page(
            title=spec["name"],
            description=spec["description"],
            chips=[*words.settings(spec), *([f"{several} replications"] if several else [])],
            cards=words.cards(result.summary),
            sections=sections,
            footer=f"gcsim {run.manifest.identity.engine_version} · this file is complete: it opens offline and fetches nothing",
        )
    )


_PAUSE_CAPTIONS = {
    "concurrent": "Two per cycle.",
    "stop_the_world": "What-if: one per cycle, since nothing of the program runs while it marks.",
    "generational": "What-if: one per minor collection, and two per cycle of the old generation.",
}


def _collector(spec: dict[str, Any]) -> str:
    """Of a spec of any schema version."""
    name: str = spec["runtime"].get("collector", "concurrent")
    return name


def _heap_caption(spec: dict[str, Any]) -> str:
    if _collector(spec) == "generational":
        return (
            "What-if, Go has no generations: new objects fill the nursery, which a minor collection empties; what survives "
            "is promoted to the old generation, whose size is heap live. At the trigger a cycle of that one starts."
        )
    return (
        "Heap live climbs to the trigger, where a cycle starts; when marking ends it falls to what was marked, and the "
        "next goal is set."
    )


def figures_window(spec: dict[str, Any]) -> str:
    """The window of the tables over time, in words."""
    window: int = spec["record"]["window"]
    return f"{window / S:g} s"


def _p_caption(intervals: extract.Intervals) -> str:
    if not intervals.recorded:
        text = (
            "Pauses and mark assists by P; assists are drawn on the P they began on. This run did not record what the workers "
            "did: <code>--set record.p_states=true</code> does."
        )
    else:
        text = "What each P did. Zoom to one cycle to see workers, assists and the stops at both ends."
    return (
        text
        if intervals.whole
        else f"{text} The run is long: only a stretch around its longest cycle is drawn here."
    )


def _latency_figures(result: Result, run: Result) -> list[page.Figure]:
    fig = figures.latency_figure(extract.latency_counts(result.tables))
    if fig is None:
        return []
    found = [
        page.Figure(
            fig,
            "Distribution",
            "By percentile, the tail stretched: each step to the right is a ten times rarer request. Every request is counted, "
            "in buckets within 0.4 %.",
        )
    ]
    causes = extract.tail_causes(run.tables)
    if causes is None:
        text = "<code>--set record.requests_sample=0.1</code> records a sample of requests, from which this page shows what made the slow ones slow."
        return [*found, page.Figure(Div(text=""), "What makes the tail", f"Not recorded. {text}")]
    unsplit = (
        ""
        if any(causes.shares["assist"])
        else " No sampled request has time of its own in assists on record."
    )
    found.append(
        page.Figure(
            figures.cause_figure(causes),
            "What makes the tail",
            "Main cause of each sampled request, by band of latency. A pause, an assist or waiting is the cause if it accounts for "
            f"at least a quarter of the time above the median; associations, not proofs.{unsplit}",
        )
    )
    return found


def _navigator(tables: Any, x_range: Any) -> Any:
    """Buttons that zoom all figures to one cycle and back."""
    cycles = extract.cycle_windows(tables)
    count = len(cycles["cycle"])
    whole = Button(label="Whole run", width=110)
    whole.js_on_click(
        CustomJS(args={"range": x_range, "end": float(x_range.end)}, code="range.start = 0; range.end = end;")
    )
    if not count:
        return row(whole)
    first = int(cycles["cycle"][0])
    start, end = (figures.seconds(cycles[name]).tolist() for name in ("start_ns", "end_ns"))
    spinner = Spinner(low=first, high=first + count - 1, step=1, value=None, width=90, placeholder="cycle")
    spinner.js_on_change(
        "value",
        CustomJS(
            args={"range": x_range, "starts": start, "ends": end, "first": first},
            code="""
                const i = cb_obj.value - first;
                if (cb_obj.value === null || !(i in starts)) return;
                const margin = 0.15 * (ends[i] - starts[i]);
                range.start = Math.max(0, starts[i] - margin); range.end = ends[i] + margin;
            """,
        ),
    )
    longest = max(range(count), key=lambda i: end[i] - start[i]) + first
    buttons = []
    for label, code in (
        ("‹ cycle", f"s.value = Math.max({first}, (s.value ?? {first + 1}) - 1);"),
        ("cycle ›", f"s.value = Math.min({first + count - 1}, (s.value ?? {first - 1}) + 1);"),
        ("Longest cycle", f"s.value = {longest};"),
    ):
        button = Button(label=label, width=110)
        button.js_on_click(CustomJS(args={"s": spinner}, code=code))
        buttons.append(button)
    whole.js_on_click(CustomJS(args={"s": spinner}, code="s.value = null;"))
    return row(whole, buttons[0], spinner, buttons[1], buttons[2])


def write_text(path: Path, text: str) -> None:
    """Write a file as a whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".partial", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        umask = os.umask(0)
        os.umask(umask)
        Path(name).chmod(0o666 & ~umask)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
