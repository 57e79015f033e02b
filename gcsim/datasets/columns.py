"""Columns of a table as Arrow arrays, without pandas.

`pyarrow.array` imports pandas to see whether it was given a Series, which costs every run 0.2 s and 43 MiB.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

_DTYPES: dict[str, npt.DTypeLike] = {"int64": np.int64, "double": np.float64, "bool": np.bool_}


def column(cells: Sequence[Any] | npt.NDArray[Any], kind: pa.DataType) -> pa.Array:
    """Cells of one column, None where there is no value.

    Args:
        cells: strings, or numbers that `kind` holds without loss.
        kind: int64, float64, bool or string.
    Raises:
        pyarrow.ArrowInvalid: a cell is of another type.
    """
    n = len(cells)
    validity = None
    if not isinstance(cells, np.ndarray):
        known = np.fromiter((cell is not None for cell in cells), np.bool_, n)
        if not known.all():
            validity = pa.py_buffer(np.packbits(known, bitorder="little"))
            nothing = "" if pa.types.is_string(kind) else False if pa.types.is_boolean(kind) else 0
            cells = [nothing if cell is None else cell for cell in cells]
    if pa.types.is_string(kind):
        return _strings(cells, validity)
    dtype = np.dtype(_DTYPES[str(kind)])
    values = np.asarray(cells)
    if n and not np.can_cast(values.dtype, dtype, "safe"):
        raise pa.ArrowInvalid(f"cells of type {values.dtype} do not fit into a column of {kind}")
    values = np.ascontiguousarray(values, dtype)
    if dtype == np.bool_:
        values = np.packbits(values, bitorder="little")
    return pa.Array.from_buffers(kind, n, [validity, pa.py_buffer(values)])


def table_of(rows: Sequence[Mapping[str, Any]], schema: pa.Schema) -> pa.Table:
    """Rows as a table; a cell that a row lacks is null."""
    arrays = [column([row.get(field.name) for row in rows], field.type) for field in schema]
    return pa.Table.from_arrays(arrays, schema=schema)


def _strings(cells: Iterable[Any], validity: pa.Buffer | None) -> pa.Array:
    texts = _encoded(cells)
    return _string_array([len(text) for text in texts], b"".join(texts), validity)


def _encoded(cells: Iterable[Any]) -> list[bytes]:
    try:
        return [cell.encode() for cell in cells]
    except AttributeError as err:
        raise pa.ArrowInvalid(f"a cell of a column of strings is none: {err}") from err


def _string_array(
    lengths: Sequence[int] | npt.NDArray[Any], data: bytes, validity: pa.Buffer | None
) -> pa.Array:
    n = len(lengths)
    offsets = np.zeros(n + 1, dtype=np.int32)
    np.cumsum(lengths, out=offsets[1:])
    return pa.Array.from_buffers(pa.string(), n, [validity, pa.py_buffer(offsets), pa.py_buffer(data)])


def repeated(cells: Sequence[Any], counts: Sequence[int], kind: pa.DataType) -> pa.Array:
    """A column in which each cell stands so many times, one after another; as `column`, but that no cell is None."""
    if not pa.types.is_string(kind):
        return column(np.repeat(np.asarray(cells), counts), kind)
    texts = _encoded(cells)
    lengths = np.repeat([len(text) for text in texts], counts)
    return _string_array(lengths, b"".join(text * n for text, n in zip(texts, counts, strict=True)), None)
