"""A sweep as one Parquet file per table, for analysts: sorted by run_id, knobs as real columns, a data dictionary."""

from __future__ import annotations

import json
import shutil
import tempfile
from dataclasses import asdict
from pathlib import Path

import pyarrow as pa

from gcsim.datasets.dictionary import DICTIONARY_NAME, README_NAME, dictionary_json, dictionary_markdown
from gcsim.datasets.manifest import FileEntry
from gcsim.datasets.parts import write_parts
from gcsim.datasets.schema import SCHEMA_VERSION
from gcsim.datasets.sweep import (
    ERROR_COLUMN,
    ROWS_PER_GROUP,
    SWEEP_COLUMNS,
    SweepResult,
    points_parts,
    points_schema,
)
from gcsim.errors import DatasetError

EXPORT_NAME = "export.json"


def export_sweep(sweep: SweepResult, out: Path) -> list[Path]:
    """Write `<table>.parquet` for every table, `points.parquet`, the data dictionary and `export.json` into a new directory.

    Memory is bounded by some runs' tables and one row group, however many runs there are.

    Returns:
        The files.
    Raises:
        DatasetError: the directory is taken, a run is damaged, or writing failed; nothing is left behind then.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise DatasetError(f"{out} is there already and not empty; choose another directory or remove it")
    out.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=f".{out.name}.", suffix=".partial", dir=out.parent))
    try:
        metadata = {
            "gcsim.sweep_id": sweep.sweep_id,
            "gcsim.schema_version": SCHEMA_VERSION,
            "gcsim.engine_version": sweep.description.engine_version,
            "gcsim.seed": str(sweep.description.seed),
            "gcsim.spec_json": json.dumps(sweep.spec, sort_keys=True, ensure_ascii=False),
        }
        tables = {
            name: (table.schema, table.parts(), ROWS_PER_GROUP if name == "runs" else None)
            for name, table in sweep.tables_by_run_id().items()
        }
        tables["points"] = points_schema(sweep), points_parts(sweep), ROWS_PER_GROUP
        rows = {
            name: write_parts(
                part / f"{name}.parquet", schema, parts, metadata=metadata, rows_per_group=per_group
            )
            for name, (schema, parts, per_group) in tables.items()
        }
        _dictionary(sweep, part)
        files = {p.name: asdict(FileEntry.of(p, rows=rows.get(p.stem))) for p in sorted(part.iterdir())}
        body = {"sweep_id": sweep.sweep_id, "schema_version": SCHEMA_VERSION, "files": files}
        (part / EXPORT_NAME).write_text(json.dumps(body, indent=1) + "\n", encoding="utf-8")
        part.chmod(0o755)
        if out.exists():
            out.rmdir()
        part.rename(out)
    except (OSError, pa.ArrowException) as err:
        raise DatasetError(f"{out}: cannot be written ({err})") from err
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return sorted(out.iterdir())


def _dictionary(sweep: SweepResult, directory: Path) -> None:
    """The data dictionary of the tables with the sweep's own columns in front."""
    names = list(sweep.tables)
    own = [*SWEEP_COLUMNS, *sweep.knobs.values()]
    body = json.loads(dictionary_json(names))
    body["sweep_columns"] = [asdict(column) for column in own]
    body["tables"]["runs"]["columns"].append(asdict(ERROR_COLUMN))
    (directory / DICTIONARY_NAME).write_text(
        json.dumps(body, indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    lines = [
        f"# Sweep {sweep.sweep_id}: {sweep.description.name}",
        "",
        f"{len(sweep.points)} points, {len(sweep.runs)} runs, {len(sweep.failures)} failed. One file per table, sorted by run_id.",
        "Every table has these columns behind run_id, unless it has one of that name itself:",
        "",
        "| column | type | unit | what |",
        "| --- | --- | --- | --- |",
        *(f"| {c.name} | {c.type} | {c.unit} | {c.description} |" for c in own),
        "",
        "`points.parquet` has a row per point: means over replications, `_stddev` and the 95 % interval of every metric.",
        "",
    ]
    text = dictionary_markdown(names).replace("# A simulated run of a Go program", "# The tables", 1)
    (directory / README_NAME).write_text("\n".join(lines) + text, encoding="utf-8")
