"""Tables that come in parts, written without ever holding them as a whole."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

ROWS_PER_GROUP = 128 * 1024
PARTS_AT_ONCE, ROWS_AT_ONCE = 256, 256
"""So many parts, or rows, are joined.  Each column of a part is some hundred bytes of Arrow's own, however few its rows."""


def joined(parts: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """The same rows in fewer parts, each of one chunk per column.  The columns have to be alike, file metadata not."""
    held: list[pa.Table] = []
    rows = 0
    for part in parts:
        held.append(part.replace_schema_metadata(None))
        rows += part.num_rows
        if len(held) == PARTS_AT_ONCE or rows >= ROWS_AT_ONCE:
            yield pa.concat_tables(held).combine_chunks()
            held, rows = [], 0
    if held:
        yield pa.concat_tables(held).combine_chunks()


def write_parts(
    path: Path,
    schema: pa.Schema,
    parts: Iterable[pa.Table],
    *,
    metadata: Mapping[str, str] | None = None,
    rows_per_group: int | None = None,
) -> int:
    """Write parts as one Parquet file with row groups of equal size, whatever parts the rows come in.

    Args:
        schema: to which each part is cast.
        metadata: of the file, instead of the schema's.
        rows_per_group: default `ROWS_PER_GROUP`.
    Returns:
        Rows.
    """
    schema = schema.with_metadata(metadata) if metadata is not None else schema
    size = rows_per_group or ROWS_PER_GROUP
    plain = schema.remove_metadata()
    held: list[pa.Table] = []
    waiting = written = 0
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for part in joined(part.replace_schema_metadata(None).cast(plain) for part in parts):
            held.append(part)
            waiting += part.num_rows
            while waiting >= size:
                rows = pa.concat_tables(held)
                writer.write_table(rows.slice(0, size).combine_chunks(), row_group_size=size)
                held = [rows.slice(size)]
                waiting, written = waiting - size, written + size
        if waiting:
            writer.write_table(pa.concat_tables(held).combine_chunks(), row_group_size=size)
    return written + waiting
