"""Reading: by every library that people use, and clear words for what is no dataset."""

import json
import shutil
from pathlib import Path

import duckdb
import polars as pl
import pyarrow.dataset
import pytest

import gcsim
from gcsim.datasets.reader import Result, load
from gcsim.datasets.schema import HISTORY
from gcsim.errors import DatasetError


def test_pandas_polars_duckdb_and_pyarrow_read_the_same(result: Result) -> None:
    path = str(result.path / "cycles.parquet")
    expected = result.tables["cycles"].to_pandas()
    assert expected["heap_start_bytes"].dtype == "int64"
    assert expected["cons_mark"].dtype == "float64"
    total = int(expected["heap_start_bytes"].sum())
    assert pl.read_parquet(path)["heap_start_bytes"].sum() == total
    assert pl.read_parquet(path).schema["mark_ns"] == pl.Int64
    with duckdb.connect() as db:
        rows = db.execute(
            f"select sum(heap_start_bytes), any_value(typeof(mark_ns)) from '{path}'"
        ).fetchone()
    assert rows == (total, "BIGINT")
    assert pyarrow.dataset.dataset(path).to_table(columns=["heap_start_bytes"]).num_rows == len(expected)


def test_tables_are_lazy_and_know_their_schema(result: Result) -> None:
    table = gcsim.load(result.path).tables["pauses"]
    field = table.schema.field("stopping_ns")
    assert field.metadata[b"unit"] == b"ns"
    assert field.metadata[b"counterpart"] == b"/sched/pauses/stopping/gc:seconds"
    assert table.num_rows == len(table.to_pandas()) == 44
    assert table.to_arrow(["kind"]).column_names == ["kind"]


def test_a_missing_table_names_those_there_are(result: Result) -> None:
    with pytest.raises(DatasetError, match=r"no table 'pause'.*pauses"):
        result.tables["pause"]


def test_data_dictionary_describes_every_column_of_every_table(result: Result) -> None:
    dictionary = json.loads((result.path / "data_dictionary.json").read_text())
    readme = (result.path / "README.md").read_text()
    assert set(dictionary["tables"]) == set(result.tables)
    for name, table in result.tables.items():
        described = {c["name"]: c for c in dictionary["tables"][name]["columns"]}
        assert set(described) == set(table.schema.names)
        assert all(c["unit"] and c["description"] for c in described.values())
        assert f"## {name}.parquet" in readme
    assert {m["name"] for m in dictionary["summary"]} <= set(result.summary)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda d: shutil.rmtree(d), "no such directory"),
        (lambda d: (d / "manifest.json").unlink(), "not a gcsim dataset"),
        (lambda d: (d / "manifest.json").write_text('{"format": "npm"}'), "another program"),
        (lambda d: (d / "manifest.json").write_text('{"format"'), "cannot be read"),
        (
            lambda d: (d / "manifest.json").write_text('{"format": "gcsim", "schema_version": "1.0"}'),
            "damaged",
        ),
        (lambda d: (d / "manifest.json").write_text('{"format": "gcsim", "schema_version": "2.0"}'), "newer"),
        (
            lambda d: (d / "manifest.json").write_text('{"format": "gcsim", "schema_version": "x"}'),
            "no version",
        ),
        (lambda d: (d / "pauses.parquet").unlink(), "pauses.parquet is missing"),
        (lambda d: (d / "pauses.parquet").write_bytes(b"PAR1"), "truncated or altered"),
    ],
)
def test_what_is_no_whole_dataset_is_refused_in_clear_words(result: Result, damage, words: str) -> None:  # type: ignore[no-untyped-def]
    damage(result.path)
    with pytest.raises(DatasetError, match=words):
        load(result.path)


def test_altered_bytes_of_the_same_size_are_found_by_verify(result: Result) -> None:
    result.verify()
    path = result.path / "pauses.parquet"
    body = bytearray(path.read_bytes())
    body[len(body) // 2] ^= 1
    path.write_bytes(body)
    with pytest.raises(DatasetError, match="SHA-256"):
        load(result.path).verify()


def test_a_file_that_is_no_parquet_names_itself(result: Result) -> None:
    opened = load(result.path)
    path = result.path / "pauses.parquet"
    path.write_bytes(b"x" * path.stat().st_size)
    with pytest.raises(DatasetError, match=r"pauses\.parquet: no readable Parquet"):
        opened.tables["pauses"].to_arrow()


@pytest.mark.parametrize(
    "directory", sorted((Path(__file__).parent / "golden").glob("run-*")), ids=lambda d: d.name
)
def test_datasets_of_every_version_are_still_read(directory: Path) -> None:
    old = load(directory)
    old.verify()
    assert f"run-{old.manifest.identity.schema_version}" == directory.name
    assert old.summary["num_gc"] == 3
    assert old.tables["cycles"].to_pandas()["heap_marked_bytes"].tolist() == [50 << 20] * 5
    assert all(table.num_rows > 0 for table in old.tables.values())


def test_there_is_a_dataset_of_every_version() -> None:
    kept = {d.name for d in (Path(__file__).parent / "golden").glob("run-*")}
    assert kept == {f"run-{version}" for version, _ in HISTORY}
