"""The data dictionary written beside the tables, for people (README.md) and programs (data_dictionary.json).

pandas and DuckDB drop field metadata, so units and descriptions are here once more, from the same source.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path

from gcsim.datasets.metrics import METRICS
from gcsim.datasets.schema import RUN_ID, SCHEMA_VERSION, TABLES

README_NAME = "README.md"
DICTIONARY_NAME = "data_dictionary.json"


def dictionary_json(tables: Sequence[str]) -> str:
    """Every column of `tables` with type, unit, description, counterpart; and the summary's metrics."""
    body = {
        "schema_version": SCHEMA_VERSION,
        "tables": {
            name: {"rows": TABLES[name].rows, "columns": [asdict(c) for c in (RUN_ID, *TABLES[name].columns)]}
            for name in tables
        },
        "summary": [asdict(m) for m in METRICS],
    }
    return json.dumps(body, indent=2, ensure_ascii=False) + "\n"


def dictionary_markdown(tables: Sequence[str]) -> str:
    """The same as Markdown."""
    lines = [
        "# A simulated run of a Go program",
        "",
        "Written by gcsim; `gcsim.load(directory)` reads it, and so does everything that reads Parquet.",
        "Times are simulated, in nanoseconds since process start; `_cpu_ns` is time summed over Ps. Rows of start-up",
        "and warm-up are marked in `phase`; the summary covers `load`. `manifest.json` has the spec, seed and versions",
        f"that give these bytes again. Schema version {SCHEMA_VERSION}.",
        "",
    ]
    for name in tables:
        table = TABLES[name]
        lines += [f"## {name}.parquet", "", f"{table.rows[0].upper()}{table.rows[1:]}.", ""]
        lines += ["| column | type | unit | what | real counterpart |", "| --- | --- | --- | --- | --- |"]
        lines += [
            f"| {c.name} | {c.type}{', nullable' if c.nullable else ''} | {c.unit} | {c.description} | {c.counterpart} |"
            for c in (RUN_ID, *table.columns)
        ]
        lines.append("")
    lines += ["## summary.json", "", "One flat object; null where there was nothing to count.", ""]
    lines += ["| metric | unit | what | real counterpart |", "| --- | --- | --- | --- |"]
    lines += [f"| {m.name} | {m.unit} | {m.description} | {m.counterpart} |" for m in METRICS]
    return "\n".join(lines) + "\n"


def write_dictionary(directory: Path, tables: Sequence[str]) -> None:
    """Write both files into a dataset directory."""
    for name, text in _texts(tuple(tables)).items():
        (directory / name).write_text(text, encoding="utf-8")


@lru_cache(maxsize=8)
def _texts(tables: tuple[str, ...]) -> dict[str, str]:
    """File name -> content.  The same for every run of a sweep, and a sixth of the time that a tiny run takes."""
    return {README_NAME: dictionary_markdown(tables), DICTIONARY_NAME: dictionary_json(tables)}
