"""Reading datasets: `load(path)` gives a `Result` whose tables are read only when asked for."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from gcsim.datasets.manifest import SUMMARY_NAME, Manifest
from gcsim.errors import DatasetError

if TYPE_CHECKING:
    import pandas as pd


class Table:
    """One table of one run or, put together in order, of several.  Nothing is read before it is asked for."""

    def __init__(self, name: str, paths: tuple[Path, ...]) -> None:
        self.name = name
        self.paths = paths

    @property
    def schema(self) -> pa.Schema:
        """Arrow schema, with unit and description in each field's metadata."""
        with _parquet_errors(self.paths[0]):
            return pq.read_schema(self.paths[0])

    @property
    def num_rows(self) -> int:
        """Rows, from the files' footers."""
        total = 0
        for path in self.paths:
            with _parquet_errors(path):
                total += pq.read_metadata(path).num_rows
        return total

    def to_arrow(self, columns: list[str] | None = None) -> pa.Table:
        """The rows as an Arrow table, or only some columns of it."""
        parts = []
        for path in self.paths:
            with _parquet_errors(path):
                parts.append(pq.read_table(path, columns=columns, partitioning=None))
        # File metadata (seed, run_id) differs from run to run; the columns must not.
        return (
            parts[0]
            if len(parts) == 1
            else pa.concat_tables([p.replace_schema_metadata(None) for p in parts])
        )

    def to_pandas(self) -> pd.DataFrame:
        """The rows as a pandas DataFrame."""
        frame: pd.DataFrame = self.to_arrow().to_pandas()
        return frame

    def __repr__(self) -> str:
        return f"Table({self.name!r}, {len(self.paths)} file{'s'[: len(self.paths) != 1]})"


class Tables(Mapping[str, Table]):
    """The tables of a result by name; a missing one says which there are."""

    def __init__(self, tables: Mapping[str, Table]) -> None:
        self._tables = dict(tables)

    def __getitem__(self, name: str) -> Table:
        try:
            return self._tables[name]
        except KeyError:
            raise DatasetError(
                f"there is no table {name!r} in this dataset; it has {', '.join(self._tables)}"
            ) from None

    def __contains__(self, name: object) -> bool:
        return name in self._tables

    def __iter__(self) -> Iterator[str]:
        return iter(self._tables)

    def __len__(self) -> int:
        return len(self._tables)


class Result:
    """A dataset: one run, or the replications of one spec (then the tables hold all of them, told by run_id)."""

    def __init__(
        self, path: Path, manifest: Manifest, summary: dict[str, Any], runs: tuple[Result, ...] = ()
    ) -> None:
        self.path = path
        self.manifest = manifest
        self.summary = summary
        """Flat: metric -> number, null where there was nothing to count; with replications the mean, and
        `<metric>_stddev`, `<metric>_ci95_low`, `<metric>_ci95_high`."""
        self.runs = runs
        """The single runs, if these are replications."""
        self.tables = Tables(_tables(path, manifest, runs))

    @property
    def run_id(self) -> str:
        """Identity of the run: r- and 16 hex digits."""
        return self.manifest.identity.run_id

    @property
    def spec(self) -> dict[str, Any]:
        """The resolved spec as plain data."""
        spec: dict[str, Any] = json.loads(self.manifest.identity.spec_json)
        return spec

    def verify(self) -> None:
        """Read every file and compare its SHA-256 with the manifest's; DatasetError on the first that differs."""
        self.manifest.check_files(self.path, deep=True)
        for run in self.runs:
            run.verify()

    def __repr__(self) -> str:
        return f"Result({str(self.path)!r}, run_id={self.run_id!r})"


def load(path: str | Path) -> Result:
    """Open a run directory, or a directory of replications.

    Names and sizes of all files are checked at once; contents only by `Result.verify`.

    Raises:
        DatasetError: missing, truncated, altered, of a newer version, or no dataset of gcsim.
    """
    directory = Path(path)
    manifest = Manifest.read(directory)
    manifest.check_files(directory)
    try:
        summary = json.loads((directory / SUMMARY_NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError) as err:
        raise DatasetError(f"{directory / SUMMARY_NAME}: cannot be read ({err})") from err
    return Result(directory, manifest, summary, tuple(load(directory / run) for run in manifest.runs))


def _tables(path: Path, manifest: Manifest, runs: tuple[Result, ...]) -> dict[str, Table]:
    if runs:
        names = runs[0].tables
        return {name: Table(name, tuple(p for run in runs for p in run.tables[name].paths)) for name in names}
    files = [Path(name) for name in manifest.files]
    return {file.stem: Table(file.stem, (path / file,)) for file in files if file.suffix == ".parquet"}


class _parquet_errors:  # noqa: N801 - used like a function
    """Turns what pyarrow raises on a damaged file into a DatasetError that names it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, exc_type: object, exc: BaseException | None, trace: object) -> None:
        if isinstance(exc, (OSError, pa.ArrowException)):
            raise DatasetError(f"{self._path}: no readable Parquet file ({exc})") from exc
