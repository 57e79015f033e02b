"""A lesson as one HTML file that needs nothing else: the heap of both sides over time, and the numbers."""

from __future__ import annotations

from collections.abc import Callable
from html import escape

from gcsim.datasets.metrics import Metric
from gcsim.lessons.compare import NUMBERS, Line, Outcome, changed_lines
from gcsim.units import format_bytes, format_ns

_WIDTH, _HEIGHT, _LEFT, _BOTTOM = 460, 240, 70, 24
_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60em;margin:2em auto;padding:0 1em;color:#222}"
    "table{border-collapse:collapse}td,th{padding:.2em .8em;text-align:right;border-bottom:1px solid #ddd}"
    "td:first-child,th:first-child{text-align:left}figure{display:inline-block;margin:0}"
    ".live{stroke:#1f6fb2}.goal{stroke:#c9571a;stroke-dasharray:4 3}polyline{fill:none;stroke-width:1.3}"
    "pre{background:#f4f4f4;padding:.6em .8em;overflow-x:auto;font-size:13px}"
    "text{font-size:11px;fill:#555}.axis{stroke:#999}"
)


def html(outcome: Outcome, format_value: Callable[[Metric, float | None], str]) -> str:
    """The page.

    Args:
        format_value: a number in readable units.
    """
    lesson = outcome.lesson
    points = [p for line in outcome.lines.values() for p in (*line.live, *line.goal)]
    end_ns = max((time for time, _ in points), default=1) or 1
    top_bytes = max((size for _, size in points), default=1) or 1
    figures = "".join(
        f"<figure><figcaption>{side}</figcaption>{_chart(line, end_ns, top_bytes, side)}</figure>"
        for side, line in outcome.lines.items()
    )
    rows = "".join(
        f"<tr><td title='{escape(NUMBERS[name].description, quote=True)}'>{name}</td>"
        f"<td>{format_value(NUMBERS[name], outcome.before[name])}</td>"
        f"<td>{format_value(NUMBERS[name], outcome.after[name])}</td></tr>"
        for name in lesson.numbers
    )
    claims = "".join(
        f"<li>{escape(str(claim))}: {'seen' if seen else 'NOT seen'}</li>"
        for claim, seen in outcome.verdicts()
    )
    changes = escape("\n".join(changed_lines(lesson)))
    precise = f"<p><b>Precisely:</b> {escape(lesson.precise)}</p>" if lesson.precise else ""
    return (
        f"<!doctype html><html lang='en'><meta charset='utf-8'><title>{escape(lesson.title)}</title>"
        f"<style>{_STYLE}</style><h1>{escape(lesson.title)}</h1><p>{escape(lesson.change)}</p>"
        f"<pre>{changes}</pre>"
        f"{figures}<p>Solid: heap live. Dashed: heap goal. Both sides on the same axes.</p>"
        f"<table><tr><th>number<th>before<th>after</tr>{rows}</table>"
        f"<p><b>Why:</b> {escape(lesson.why)}</p>{precise}<ul>{claims}</ul></html>\n"
    )


def _chart(line: Line, end_ns: int, top_bytes: int, side: str) -> str:
    right, base = _WIDTH - 8, _HEIGHT - _BOTTOM

    def polyline(points: tuple[tuple[int, int], ...], kind: str) -> str:
        placed = " ".join(
            f"{_LEFT + time / end_ns * (right - _LEFT):.1f},{base - size / top_bytes * (base - 8):.1f}"
            for time, size in points
        )
        return f"<polyline class='{kind}' points='{placed}'/>"

    return (
        f"<svg role='img' aria-label='heap over time, {side}' width='{_WIDTH}' height='{_HEIGHT}'>"
        f"<line class='axis' x1='{_LEFT}' y1='{base}' x2='{right}' y2='{base}'/>"
        f"<line class='axis' x1='{_LEFT}' y1='8' x2='{_LEFT}' y2='{base}'/>"
        f"<text x='{_LEFT - 6}' y='14' text-anchor='end'>{format_bytes(top_bytes)}</text>"
        f"<text x='{_LEFT - 6}' y='{base}' text-anchor='end'>0</text>"
        f"<text x='{right}' y='{_HEIGHT - 6}' text-anchor='end'>{format_ns(end_ns)}</text>"
        f"{polyline(line.goal, 'goal')}{polyline(line.live, 'live')}</svg>"
    )
