"""Tables that come in parts, written without ever holding them as a whole."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

ROWS_PER_GROUP = 128 * 1024
PARTS_AT_ONCE = 256
"""Parts that are held one by one.  Each column of a part is some hundred bytes of Arrow's own, however few its rows."""


def joined(parts: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """The same rows in fewer parts, each of one chunk per column.  The columns have to be alike, file metadata not."""
    held: list[pa.Table] = []
    for part in parts:
        held.append(part.replace_schema_metadata(None))
        if len(held) == PARTS_AT_ONCE:
            yield pa.concat_tables(held).combine_chunks()
            held = []
    if held:
        yield pa.concat_tables(held).combine_chunks()


def write_parts(
    path: Path, schema: pa.Schema, parts: Iterable[pa.Table], *, metadata: Mapping[str, str] | None = None
) -> int:
    """Write parts as one Parquet file with row groups of `ROWS_PER_GROUP`, whatever parts the rows come in.

    Args:
        schema: to which each part is cast.
        metadata: of the file, instead of the schema's.
    Returns:
        Rows.
    """
    schema = schema.with_metadata(metadata) if metadata is not None else schema
    plain = schema.remove_metadata()
    held: list[pa.Table] = []
    waiting = written = 0
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for part in joined(part.replace_schema_metadata(None).cast(plain) for part in parts):
            held.append(part)
            waiting += part.num_rows
            while waiting >= ROWS_PER_GROUP:
                rows = pa.concat_tables(held)
                writer.write_table(
                    rows.slice(0, ROWS_PER_GROUP).combine_chunks(), row_group_size=ROWS_PER_GROUP
                )
                held = [rows.slice(ROWS_PER_GROUP)]
                waiting, written = waiting - ROWS_PER_GROUP, written + ROWS_PER_GROUP
        if waiting:
            writer.write_table(pa.concat_tables(held).combine_chunks(), row_group_size=ROWS_PER_GROUP)
    return written + waiting
