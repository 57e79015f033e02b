"""The HTML around the figures: one file, no request, no clock."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bokeh.embed import components
from bokeh.resources import Resources

# Nothing may be fetched from anywhere; Bokeh's callbacks are compiled from text, hence unsafe-eval.
_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; "
    "img-src data: blob:; font-src data:"
)

_CSS = """
:root { --ink: #1b2733; --muted: #64748b; --line: #e2e8f0; --accent: #2563eb; --paper: #ffffff; --ground: #f3f6fa; }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
main { max-width: 1240px; margin: 0 auto; padding: 32px 24px 64px; }
header h1 { margin: 0; font-size: 30px; letter-spacing: -0.02em; }
header p { margin: 4px 0 14px; color: var(--muted); max-width: 76ch; }
.chips span { display: inline-block; background: #e8eefb; color: #1e3a8a; border-radius: 999px; padding: 2px 12px;
  margin: 0 6px 8px 0; font-size: 13px; white-space: nowrap; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(165px, 1fr)); gap: 12px; margin: 14px 0 22px; }
.card { background: var(--paper); border: 1px solid var(--line); border-radius: 12px; padding: 12px 16px; }
.card b { display: block; font-size: 23px; font-weight: 650; letter-spacing: -0.01em; font-variant-numeric: tabular-nums; }
.card span { color: var(--muted); font-size: 13px; }
.card i { display: block; color: var(--muted); font-size: 12px; font-style: normal; }
.card i:empty { display: none; }
section { background: var(--paper); border: 1px solid var(--line); border-radius: 14px; padding: 18px 22px 16px; margin-bottom: 20px;
  box-shadow: 0 1px 2px rgba(15, 23, 42, 0.04); }
section h2 { margin: 0 0 2px; font-size: 19px; letter-spacing: -0.01em; }
section > p, figure figcaption { color: var(--muted); margin: 2px 0 10px; font-size: 13.5px; max-width: 120ch; }
figure { margin: 14px 0 0; }
figure h3 { margin: 0; font-size: 15px; }
table { border-collapse: collapse; width: 100%; font-size: 13.5px; }
th, td { text-align: left; padding: 4px 10px; border-bottom: 1px solid var(--line); vertical-align: top; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
th { color: var(--muted); font-weight: 600; }
small { color: var(--muted); }
td.name, code, pre { font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; font-size: 12.5px; }
tr.group th { color: var(--ink); padding-top: 14px; text-transform: capitalize; }
tr.failed td { color: #b91c1c; } tr.front td:first-child { box-shadow: inset 3px 0 0 #be123c; }
tr.chosen td { background: #eef4ff; } tbody tr[data-point] { cursor: pointer; }
th[data-sort] { cursor: pointer; } th[data-sort]:hover { color: var(--accent); }
.scroll { overflow-x: auto; }
pre { background: #f8fafc; border: 1px solid var(--line); border-radius: 8px; padding: 12px; overflow-x: auto; }
details summary { cursor: pointer; color: var(--accent); }
.failed-text { color: #b91c1c; } .met-text { color: #0f766e; }
footer { color: var(--muted); font-size: 13px; }
@media print { body { background: white; } section { break-inside: avoid; box-shadow: none; } }
"""


@dataclass(frozen=True)
class Figure:
    """Something Bokeh draws, with its heading and what the reader should know about it."""

    model: Any
    title: str = ""
    caption: str = ""


@dataclass(frozen=True)
class Section:
    """A box of the page: figures, or HTML of its own."""

    title: str
    text: str = ""
    figures: Sequence[Figure] = ()
    body: str = ""


@dataclass(frozen=True)
class Page:
    """Everything on a page, top to bottom."""

    title: str
    description: str
    chips: Sequence[str]
    cards: Sequence[tuple[str, str, str]]
    """Value, what it is, and a remark under it."""
    sections: Sequence[Section]
    footer: str
    data: Mapping[str, Any] = field(default_factory=dict)
    """What scripts of the page read: element id -> JSON."""
    script: str = ""


def escape(text: object) -> str:
    """Text as HTML."""
    return html.escape(str(text))


def render(page: Page) -> str:
    """The page as one HTML file."""
    models = {
        f"f{i}x{j}": fig.model
        for i, section in enumerate(page.sections)
        for j, fig in enumerate(section.figures)
    }
    script, divs = components(models) if models else ("", {})
    script, divs = _renumbered_models(script, divs)
    sections = "\n".join(_section(i, section, divs) for i, section in enumerate(page.sections))
    cards = "".join(
        f'<div class="card"><span>{escape(what)}</span><b{_id(what)}>{escape(value)}</b><i{_id(what, "note")}>{escape(note)}</i></div>'
        for value, what, note in page.cards
    )
    chips = "".join(f"<span>{escape(chip)}</span>" for chip in page.chips)
    data = "".join(
        f'<script type="application/json" id="{name}">{_json(value)}</script>'
        for name, value in page.data.items()
    )
    resources = Resources(mode="inline", components=["bokeh", "bokeh-widgets"])
    text = f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(page.title)} - gcsim</title>
<link rel="icon" href="data:,">
<style>{_CSS}</style>
{resources.render()}
</head>
<body>
<main>
<header><h1>{escape(page.title)}</h1><p>{escape(page.description)}</p><div class="chips">{chips}</div></header>
<div class="cards">{cards}</div>
{sections}
<footer>{page.footer}</footer>
</main>
{data}
{script}
<script>{page.script}</script>
</body>
</html>
"""
    return _renumbered(text)


def _id(what: str, part: str = "value") -> str:
    return f' id="card-{re.sub(r"[^a-z0-9]+", "-", what.lower())}-{part}"'


def _json(value: Any) -> str:
    # "</script>" inside data would end the element.
    return json.dumps(value, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")


def _section(number: int, section: Section, divs: Mapping[str, str]) -> str:
    parts = [f"<section><h2>{escape(section.title)}</h2>"]
    if section.text:
        parts.append(f"<p>{section.text}</p>")
    for j, fig in enumerate(section.figures):
        title = f"<h3>{escape(fig.title)}</h3>" if fig.title else ""
        caption = f"<figcaption>{fig.caption}</figcaption>" if fig.caption else ""
        parts.append(f"<figure>{title}{caption}{divs[f'f{number}x{j}']}</figure>")
    parts.append(f"{section.body}</section>")
    return "\n".join(parts)


def _renumbered(text: str) -> str:
    """Bokeh names its elements and models at random; the same page should have the same bytes."""
    numbers: dict[str, str] = {}

    def name(match: re.Match[str]) -> str:
        return numbers.setdefault(match[0], f"00000000-0000-4000-8000-{len(numbers):012d}")

    return re.sub(r"\b[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\b", name, text)


def _renumbered_models(script: str, divs: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    """Bokeh counts models through the whole process; count from the first one of this page instead."""
    numbers: dict[str, str] = {}

    def name(match: re.Match[str]) -> str:
        return numbers.setdefault(match[0], f'"p{1001 + len(numbers)}"')

    pattern = re.compile(r'"p[0-9]{4,9}"')
    script = pattern.sub(name, script)
    return script, {key: pattern.sub(name, div) for key, div in divs.items()}


def table(
    head: Sequence[tuple[str, bool]], rows: Sequence[Sequence[str]], *, attributes: Sequence[str] = ()
) -> str:
    """An HTML table of cells that are HTML already; a column is right-aligned where its flag is set."""
    cells = "".join(f"<th{' class=number' if right else ''}>{escape(name)}</th>" for name, right in head)
    body = []
    for number, row in enumerate(rows):
        tds = "".join(
            f"<td{' class=number' if right else ''}>{cell}</td>"
            for cell, (_, right) in zip(row, head, strict=True)
        )
        body.append(f"<tr {attributes[number] if attributes else ''}>{tds}</tr>")
    return f'<div class="scroll"><table><thead><tr>{cells}</tr></thead><tbody>{"".join(body)}</tbody></table></div>'
