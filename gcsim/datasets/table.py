"""Lazy tables of datasets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from gcsim.datasets.parts import joined
from gcsim.datasets.schema import Knob
from gcsim.errors import DatasetError

if TYPE_CHECKING:
    import pandas as pd

THREADS_FROM_ROWS = 10_000
"""Reading fewer rows, threads cost more than they bring; a sweep reads many small files."""

Constants = tuple[tuple[pa.Field, Knob], ...]
"""Columns that have one value throughout a file, put behind run_id; a column that the file has itself is left alone."""


class Table:
    """One table of one run or, put together in order, of several.  Nothing is read before it is asked for."""

    def __init__(self, name: str, paths: Sequence[Path], constants: Sequence[Constants] = ()) -> None:
        self.name = name
        self.paths = paths
        self._constants = constants
        """Per path, in a sweep: its point and knobs."""

    @property
    def schema(self) -> pa.Schema:
        """Arrow schema, with unit and description in each field's metadata."""
        with _parquet_errors(self.paths[0]):
            schema = pq.read_schema(self.paths[0])
        return with_constants(schema.empty_table(), self._constants[0]).schema if self._constants else schema

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
        if len(self.paths) == 1:
            return next(self.parts(columns))
        # File metadata (seed, run_id) differs from run to run; the columns must not.
        return pa.concat_tables(joined(self.parts(columns)))

    def parts(self, columns: list[str] | None = None) -> Iterator[pa.Table]:
        """The rows file by file, in order: a file is a run."""
        for number, path in enumerate(self.paths):
            constants = self._constants[number] if self._constants else ()
            with _parquet_errors(path), pq.ParquetFile(path) as file:
                own = file.schema_arrow.names
                wanted = None if columns is None else [name for name in columns if name in own]
                if columns is not None and not wanted:
                    wanted = own[:1]  # constants need to know how many rows there are
                threads = file.metadata.num_rows >= THREADS_FROM_ROWS
                part = with_constants(file.read(columns=wanted, use_threads=threads), constants)
            if columns is not None:
                missing = [name for name in columns if name not in part.column_names]
                if missing:
                    known = ", ".join(self.schema.names)
                    raise DatasetError(
                        f"table {self.name} has no column {', '.join(missing)}; it has {known}"
                    )
                part = part.select(columns)
            yield part

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


def with_constants(table: pa.Table, constants: Constants) -> pa.Table:
    """A table with constant columns put behind run_id."""
    place = 1
    for field, value in constants:
        if field.name not in table.column_names:
            column = pa.repeat(pa.scalar(value, type=field.type), table.num_rows)
            table = table.add_column(place, field, column)
            place += 1
    return table


class _parquet_errors:  # noqa: N801 - used like a function
    """Turns what pyarrow raises on a damaged file into a DatasetError that names it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, exc_type: object, exc: BaseException | None, trace: object) -> None:
        if isinstance(exc, (OSError, pa.ArrowException)):
            raise DatasetError(f"{self._path}: no readable Parquet file ({exc})") from exc
