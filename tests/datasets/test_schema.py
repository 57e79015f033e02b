"""The schema: records and columns agree, everything is described, and version 1.0 stays what it is."""

import json
from pathlib import Path

import pytest

from gcsim.datasets.schema import HISTORY, SCHEMA_VERSION, TABLES, arrow_schema
from gcsim.runtime import records

GOLDEN = Path(__file__).parent / "golden"

ROWS = {
    "cycles": records.CycleRecord,
    "pauses": records.PauseRecord,
    "minors": records.MinorRecord,
    "heap": records.HeapSample,
    "throughput": records.ThroughputWindow,
    "requests": records.RequestSample,
    "assists": records.AssistRecord,
    "tricolor": records.TricolorSample,
    "p_states": records.PStateInterval,
    "sites": records.SiteRecord,
    "events": records.EventRecord,
}


@pytest.mark.parametrize("table", ROWS)
def test_columns_are_the_records_fields_in_their_order(table: str) -> None:
    assert tuple(c.name for c in TABLES[table].columns) == ROWS[table]._fields


@pytest.mark.parametrize("table", TABLES)
def test_every_column_says_unit_and_meaning_and_has_a_plain_type(table: str) -> None:
    for field in arrow_schema(table):
        assert field.metadata[b"unit"]
        assert field.metadata[b"description"]
        assert str(field.type) in {"int64", "double", "bool", "string"}
        if field.name.endswith(("_ns", "_bytes")):
            assert str(field.type) == "int64"
        if field.name.endswith("_frac"):
            assert str(field.type) == "double"


def test_the_history_ends_with_the_present_version() -> None:
    assert HISTORY[-1][0] == SCHEMA_VERSION


def test_the_schema_is_the_recorded_one() -> None:
    """A change here needs a new version with a line in HISTORY and a new golden file; old files stay."""
    now = {
        table: {
            field.name: f"{field.type}{' null' if field.nullable else ''}" for field in arrow_schema(table)
        }
        for table in TABLES
    }
    assert now == json.loads((GOLDEN / f"schema-{SCHEMA_VERSION}.json").read_text())
