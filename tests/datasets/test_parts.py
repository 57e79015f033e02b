"""Tables written part by part: the file is the same whatever parts the rows come in, and nothing written is kept."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gcsim.datasets.columns import table_of
from gcsim.datasets.parts import write_parts

SCHEMA = pa.schema([pa.field("n", pa.int64()), pa.field("word", pa.string(), nullable=True)])


def parts(rows: int, size: int) -> Iterator[pa.Table]:
    for first in range(0, rows, size):
        numbers = range(first, min(first + size, rows))
        part = table_of([{"n": n, "word": None if n % 3 else f"w{n}"} for n in numbers], SCHEMA)
        yield part.replace_schema_metadata({"seed": str(first)})


@pytest.mark.parametrize("size", [1, 7, 500, 5000])
def test_parts_of_any_size_give_the_same_file(tmp_path: Path, size: int) -> None:
    for name, each in (("a", size), ("b", 333)):
        rows = write_parts(
            tmp_path / name, SCHEMA, parts(1300, each), metadata={"k": "v"}, rows_per_group=400
        )
        assert rows == 1300
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    file = pq.ParquetFile(tmp_path / "a")
    groups = [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
    assert groups == [400] * 3 + [100]
    assert file.schema_arrow.metadata[b"k"] == b"v"
    assert file.read().column("n").to_pylist() == list(range(1300))


def test_no_rows_are_a_file_with_the_schema(tmp_path: Path) -> None:
    assert write_parts(tmp_path / "none", SCHEMA, iter(())) == 0
    assert pq.read_table(tmp_path / "none").schema.equals(SCHEMA)


def test_what_is_written_is_let_go(tmp_path: Path) -> None:
    before, most = pa.total_allocated_bytes(), 0

    def watched() -> Iterator[pa.Table]:
        nonlocal most
        for number in range(200):
            most = max(most, pa.total_allocated_bytes() - before)
            column = pa.concat_arrays([pa.repeat(number, 8192)])
            yield pa.table({"n": column, "word": pa.nulls(8192, pa.string())}, schema=SCHEMA)

    write_parts(tmp_path / "large", SCHEMA, watched(), rows_per_group=10_000)
    assert most < 200 * 8192 * 8 / 4, "a quarter of all"
