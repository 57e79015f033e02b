"""Streaming writer of one run: a Parquet file per table, published as a whole or not at all.

Rows are buffered up to a bounded number of cells and written as a row group, so memory does not grow with simulated
time.  Everything is written to a hidden directory beside the target, flushed to disk, described by the manifest and
renamed at the end: whoever sees the directory sees a complete dataset.  A failing write fails the run.

The bytes depend on spec, seed and version only: no wall clock, no host, no path goes into a file.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from gcsim.datasets.columns import column, repeated
from gcsim.datasets.dictionary import write_dictionary
from gcsim.datasets.manifest import MANIFEST_NAME, SUMMARY_NAME, FileEntry, Manifest, RunIdentity
from gcsim.datasets.schema import TABLES, Knob, arrow_schema
from gcsim.errors import DatasetError
from gcsim.failpoints import failpoint
from gcsim.runtime.buckets import bucket_bounds
from gcsim.runtime.records import (
    AssistRecord,
    CycleRecord,
    EventRecord,
    GCIntervals,
    HeapSample,
    Int64Array,
    LatencyBuckets,
    MinorRecord,
    PauseRecord,
    Phase,
    PhaseChange,
    PStateInterval,
    RequestSample,
    SchedLatencyBuckets,
    SiteRecord,
    ThroughputWindow,
    TricolorSample,
)

CELLS_PER_ROW_GROUP = 1 << 13
"""Buffered cells per table.

Measured with all tables filled: 1,000 simulated seconds peak 9 MiB above 10 at this size, 19 MiB at four times it,
most of it Arrow's own buffers; smaller row groups gain nothing.
"""

ALWAYS = tuple(t.name for t in TABLES.values() if not t.optional)


class _TableWriter:
    """One table: constant leading columns (run_id, knobs), buffered rows or batches of rows, one Parquet file."""

    def __init__(self, path: Path, schema: pa.Schema, constants: Sequence[Knob]) -> None:
        self._schema = schema
        self._constants = tuple(constants)
        self._fields = list(schema)[len(self._constants) :]
        self._rows_max = max(1, CELLS_PER_ROW_GROUP // len(self._fields))
        self._rows: list[tuple[Any, ...]] = []
        self._batches: list[tuple[int, tuple[Any, ...], tuple[Int64Array, ...]]] = []
        self._batched_rows = 0
        self._writer = pq.ParquetWriter(path, schema, compression="zstd")
        self.rows_written = 0

    def row(self, row: tuple[Any, ...]) -> None:
        self._rows.append(row)
        if len(self._rows) >= self._rows_max:
            self.flush()

    def batch(self, same: tuple[Any, ...], columns: tuple[Int64Array, ...]) -> None:
        """Rows that share their first cells; the other cells come as columns of equal length."""
        count = len(columns[0])
        self._batches.append((count, same, columns))
        self._batched_rows += count
        if self._batched_rows >= self._rows_max:
            self.flush()

    def flush(self) -> None:
        if self._rows:
            rows, self._rows = self._rows, []
            columns = zip(zip(*rows, strict=True), self._fields, strict=True)
            self._write(len(rows), [column(cells, field.type) for cells, field in columns])
        if self._batches:
            batches, self._batches = self._batches, []
            count, self._batched_rows = self._batched_rows, 0
            counts, same, parts = zip(*batches, strict=True)
            n = len(same[0])
            columns = zip(zip(*same, strict=True), self._fields[:n], strict=True)
            arrays = [repeated(cells, counts, field.type) for cells, field in columns]
            columns = zip(zip(*parts, strict=True), self._fields[n:], strict=True)
            arrays += [column(np.concatenate(cells), field.type) for cells, field in columns]
            self._write(count, arrays)

    def _write(self, count: int, columns: list[pa.Array]) -> None:
        arrays = [
            pa.repeat(column([value], field.type)[0], count)
            for value, field in zip(self._constants, self._schema, strict=False)
        ]
        arrays += columns
        self._writer.write_table(pa.Table.from_arrays(arrays, schema=self._schema), row_group_size=count)
        self.rows_written += count

    def close(self) -> None:
        try:
            self.flush()
        finally:
            self._writer.close()


class RunWriter:
    """Writes the tables of one run; a `Recorder`, and a context manager that publishes nothing on an exception.

    Args:
        target: directory to publish; must not exist or be empty, unless it is a dataset and `replace` is set.
        identity: what the run is (spec, seed, versions).
        tables: optional tables to write besides those that are always there.
        knobs: swept knobs, further columns of every table.
    Raises:
        DatasetError: the target is taken, or writing fails (at any later call too).
    """

    def __init__(
        self,
        target: Path,
        identity: RunIdentity,
        *,
        tables: Sequence[str] = (),
        knobs: Mapping[str, Knob] | None = None,
        replace: bool = False,
    ) -> None:
        self.target = target
        self.identity = identity
        self._replace = replace
        self._writers: dict[str, _TableWriter] = {}
        self._phase: Phase = "start_up"
        refuse_taken(target, replace=replace)
        with _disk_errors(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            self._dir = Path(
                tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".partial", dir=target.parent)
            )
        try:
            metadata = identity.file_metadata()
            for name in (*ALWAYS, *tables):
                schema = arrow_schema(name, knobs=knobs)
                leading = schema.names[1 : len(schema) - len(TABLES[name].columns)]
                constants = [identity.run_id, *((knobs or {})[knob] for knob in leading)]
                with _disk_errors(self._dir):
                    path = self._dir / f"{name}.parquet"
                    self._writers[name] = _TableWriter(path, schema.with_metadata(metadata), constants)
        except BaseException:
            self.abort()
            raise

    # ---- Recorder ------------------------------------------------------------------------------------------

    def phase(self, rec: PhaseChange) -> None:
        """A phase change is kept as an event of the phase that begins; the end belongs to the last one."""
        if rec.phase != "end":
            self._phase = rec.phase
        self.event(EventRecord(self._phase, rec.time_ns, "phase", rec.phase, None))

    def cycle(self, rec: CycleRecord) -> None:
        self._row("cycles", rec)

    def pause(self, rec: PauseRecord) -> None:
        self._row("pauses", rec)

    def gc_intervals(self, rec: GCIntervals) -> None:
        """No table: p_states has them, where asked for."""

    def minor(self, rec: MinorRecord) -> None:
        self._row("minors", rec)

    def heap(self, rec: HeapSample) -> None:
        self._row("heap", rec)

    def throughput(self, rec: ThroughputWindow) -> None:
        self._row("throughput", rec)

    def latency(self, rec: LatencyBuckets) -> None:
        lead = (rec.phase, rec.request_class, rec.start_ns, rec.end_ns)
        self._buckets("latency_hist", lead, rec.indexes, rec.counts)

    def sched_latency(self, rec: SchedLatencyBuckets) -> None:
        self._buckets("sched_latency_hist", (rec.phase, rec.start_ns, rec.end_ns), rec.indexes, rec.counts)

    def request(self, rec: RequestSample) -> None:
        self._row("requests", rec)

    def assist(self, rec: AssistRecord) -> None:
        self._row("assists", rec)

    def tricolor(self, rec: TricolorSample) -> None:
        self._row("tricolor", rec)

    def p_state(self, rec: PStateInterval) -> None:
        self._row("p_states", rec)

    def site(self, rec: SiteRecord) -> None:
        self._row("sites", rec)

    def event(self, rec: EventRecord) -> None:
        self._row("events", rec)

    def _row(self, table: str, row: tuple[Any, ...]) -> None:
        try:
            self._writers[table].row(row)
        except (OSError, pa.ArrowException) as err:
            raise DatasetError(f"{self.target}: writing table {table} failed: {err}") from err
        except KeyError:
            raise DatasetError(f"{self.target}: a row for table {table}, which was not asked for") from None

    def _buckets(self, table: str, same: tuple[Any, ...], indexes: Int64Array, counts: Int64Array) -> None:
        lower, upper = bucket_bounds(indexes)
        with _disk_errors(self.target):
            self._writers[table].batch(same, (indexes, lower, upper, counts))

    # ---- publishing ----------------------------------------------------------------------------------------

    def finish(self, summary: Mapping[str, Any], run_row: Mapping[str, Any]) -> None:
        """Write the run's own row, the summary, dictionary and manifest, and publish the directory.

        Args:
            summary: the flat JSON summary.
            run_row: values of the `runs` table by column.
        Raises:
            DatasetError: something cannot be written; nothing is published then.
        """
        self._row("runs", tuple(run_row[c.name] for c in TABLES["runs"].columns))
        with _disk_errors(self.target):
            for writer in self._writers.values():
                writer.close()
            rows = {f"{name}.parquet": w.rows_written for name, w in self._writers.items()}
            self._writers = {}
            (self._dir / SUMMARY_NAME).write_text(json.dumps(summary, indent=2, allow_nan=False) + "\n")
            write_dictionary(self._dir, [name.removesuffix(".parquet") for name in rows])
            files = {p.name: FileEntry.of(p, rows=rows.get(p.name)) for p in sorted(self._dir.iterdir())}
            publish(
                self._dir,
                self.target,
                Manifest(kind="run", identity=self.identity, files=files),
                replace=self._replace,
            )

    def abort(self) -> None:
        """Throw away what was written; nothing is left behind."""
        for writer in self._writers.values():
            with contextlib.suppress(OSError, pa.ArrowException):
                writer.close()
        self._writers = {}
        shutil.rmtree(self._dir, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        # After a successful finish the directory is gone by renaming, and this only cleans up after failures.
        self.abort()


def refuse_taken(target: Path, *, replace: bool) -> None:
    """Raise DatasetError if `target` exists, unless it is empty, or a dataset of ours that may be replaced."""
    if not target.exists() and not target.is_symlink():
        return
    if target.is_dir() and not any(target.iterdir()):
        return
    try:
        Manifest.read(target)
    except DatasetError:
        raise DatasetError(
            f"{target} is something that is no run of gcsim; choose another directory or remove it"
        ) from None
    if not replace:
        raise DatasetError(f"{target} is a run that is already there; choose another directory or remove it")


def publish(source: Path, target: Path, manifest: Manifest, *, replace: bool = False) -> None:
    """Add the manifest to the files of `source`, flush all to disk and rename the directory to `target`."""
    failpoint("publish.after_tables")
    (source / MANIFEST_NAME).write_text(manifest.to_json(), encoding="utf-8")
    for path in [*source.iterdir(), source]:
        if path.is_file() or path == source:
            _fsync(path)
    failpoint("publish.after_manifest")
    old: Path | None = None
    if target.exists():
        refuse_taken(target, replace=replace)
        if any(target.iterdir()):
            old = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".old", dir=target.parent))
            target.rename(old)
        else:
            target.rmdir()
    source.rename(target)
    failpoint("publish.after_rename")
    # mkdtemp makes directories private; a published dataset has the ordinary rights of a new directory.
    umask = os.umask(0)
    os.umask(umask)
    target.chmod(0o777 & ~umask)
    _fsync(target.parent)
    if old is not None:
        shutil.rmtree(old, ignore_errors=True)


def _fsync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


@contextlib.contextmanager
def _disk_errors(where: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, pa.ArrowException) as err:
        raise DatasetError(f"{where}: {err}") from err
