"""Runs on disk: published as a whole, byte for byte the same, flat in memory, refused where something is in the way."""

import json
import tracemalloc
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gcsim.datasets import writer as writer_module
from gcsim.datasets.manifest import RunIdentity
from gcsim.datasets.reader import Result
from gcsim.datasets.run import run, run_spec
from gcsim.datasets.writer import RunWriter
from gcsim.errors import DatasetError, RunError
from gcsim.spec.models import Spec
from gcsim.spec.overrides import apply_overrides
from tests.datasets import fake_engine as fake


def files_of(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(directory.iterdir())}


def test_the_same_spec_and_seed_give_the_same_bytes(engine: None, spec: Spec, tmp_path: Path) -> None:
    first = run_spec(spec, tmp_path / "a" / "one")
    second = run_spec(spec, tmp_path / "b" / "two")
    other = run_spec(spec, tmp_path / "c", seed=8)
    assert files_of(first.path) == files_of(second.path)
    assert first.run_id == second.run_id != other.run_id


def test_every_table_begins_with_run_id_and_the_swept_knobs(engine: None, spec: Spec, tmp_path: Path) -> None:
    spec = apply_overrides(
        spec,
        [
            "record.tricolor=true",
            "record.p_states=true",
            "record.requests_sample=1.0",
            "collector=generational",
        ],
    )
    knobs = {"gogc": 200, "gomemlimit": None, "note": "a"}
    result = run_spec(spec, tmp_path / "run", knobs=knobs)
    assert set(result.tables) == set(writer_module.TABLES)
    for table in result.tables.values():
        frame = table.to_pandas()
        assert len(frame) > 0
        assert list(frame.columns[:4]) == ["run_id", *knobs]
        assert set(frame["run_id"]) == {result.run_id}
        assert set(frame["gogc"]) == {200}
        assert frame["gomemlimit"].isna().all()


def test_a_knob_that_is_a_column_already_is_not_doubled(engine: None, spec: Spec, tmp_path: Path) -> None:
    result = run_spec(spec, tmp_path / "run", knobs={"gomaxprocs": 2})
    assert result.tables["cycles"].schema.names.count("gomaxprocs") == 1
    assert result.tables["heap"].schema.names[:2] == ["run_id", "gomaxprocs"]
    assert result.tables["cycles"].to_pandas()["gomaxprocs"].eq(2).all()


def test_start_up_and_warm_up_rows_are_marked_not_dropped(result: Result) -> None:
    phases = result.tables["cycles"].to_pandas()["phase"].tolist()
    assert phases == ["start_up"] * 2 + ["warm_up"] * 5 + ["load"] * 15
    events = result.tables["events"].to_pandas()
    assert events.loc[events["kind"] == "phase", "detail"].tolist() == ["start_up", "warm_up", "load", "end"]


def test_files_carry_spec_seed_and_versions(result: Result) -> None:
    metadata = pq.read_schema(result.path / "cycles.parquet").metadata
    assert metadata[b"gcsim.run_id"].decode() == result.run_id
    assert metadata[b"gcsim.seed"] == b"7"
    assert json.loads(metadata[b"gcsim.spec_json"])["name"] == "steady"
    assert {b"gcsim.schema_version", b"gcsim.engine_version", b"gcsim.spec_digest"} <= set(metadata)


def test_the_manifest_has_nothing_of_the_wall_clock_or_the_place(result: Result) -> None:
    body = json.loads((result.path / "manifest.json").read_text())
    assert set(body) == {
        "format", "kind", "run_id", "name", "seed", "engine_version", "spec_digest", "schema_version", "files", "spec",
    }  # fmt: skip
    assert str(result.path) not in json.dumps(body)
    assert body["files"]["cycles.parquet"]["rows"] == 22


def test_a_simulation_that_fails_leaves_nothing(
    spec: Spec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(spec: Spec, *, recorder: Any, **_: Any) -> None:
        recorder.cycle(fake.cycle_record(1, 0, "load"))
        raise RunError("out of simulated memory")

    monkeypatch.setattr("gcsim.runtime.simulate", fails, raising=False)
    for replications in (1, 2):
        with pytest.raises(RunError, match="simulated memory"):
            run(spec, replications=replications, out=tmp_path / "out" / "run")
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("where", ["row group", "finish"])
def test_a_writer_that_fails_fails_the_run(
    engine: None, spec: Spec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    if where == "row group":
        monkeypatch.setattr(writer_module, "CELLS_PER_ROW_GROUP", 100)
        monkeypatch.setattr("pyarrow.parquet.ParquetWriter.write_table", full)
    else:
        monkeypatch.setattr(writer_module, "write_dictionary", full)
    with pytest.raises(DatasetError, match="No space left"):
        run_spec(spec, tmp_path / "out" / "run")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_row_for_a_table_that_was_not_asked_for_fails(spec: Spec, tmp_path: Path) -> None:
    identity = RunIdentity(
        run_id="r-0", name="n", seed=1, engine_version="0", spec_digest="d", spec_json="{}"
    )
    with RunWriter(tmp_path / "run", identity) as writer, pytest.raises(DatasetError, match="tricolor"):
        writer.tricolor(fake.TricolorSample(1, "load", 0, 1, 1, 1, 1, 1, 1))
    assert list(tmp_path.iterdir()) == []


def test_a_directory_in_the_way_is_refused_before_anything_runs(
    engine: None, spec: Spec, tmp_path: Path
) -> None:
    mine = tmp_path / "thesis"
    mine.mkdir()
    (mine / "chapter.tex").write_text("hours of work")
    (mine / "manifest.json").write_text('{"name": "thesis"}')  # a common name, and not our format
    for replace in (False, True):
        with pytest.raises(DatasetError, match="no run of gcsim"):
            run_spec(spec, mine, replace=replace)
    assert (mine / "chapter.tex").read_text() == "hours of work"
    run_spec(spec, tmp_path / "run")
    with pytest.raises(DatasetError, match="already there"):
        run(spec, out=tmp_path / "run")


def test_the_default_directory_is_named_by_the_run_and_replaced_by_the_same_run(
    engine: None, spec: Spec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    first = run(spec)
    bytes_before = files_of(first.path)
    second = run(spec)
    assert first.path == second.path == Path("runs") / first.run_id
    assert files_of(second.path) == bytes_before
    assert [p.name for p in Path("runs").iterdir()] == [first.run_id]


def test_row_groups_are_bounded_and_hold_every_row(
    engine: None, spec: Spec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_module, "CELLS_PER_ROW_GROUP", 100)
    result = run_spec(spec, tmp_path / "run")
    for name in ("pauses", "latency_hist"):
        metadata = pq.ParquetFile(result.path / f"{name}.parquet").metadata
        assert metadata.num_row_groups > 2
        assert metadata.num_rows == 44
    whole = run_spec(spec, tmp_path / "whole", seed=7)
    for name in result.tables:
        assert result.tables[name].to_arrow().equals(whole.tables[name].to_arrow())


def test_memory_does_not_grow_with_simulated_time(engine: None, spec: Spec, tmp_path: Path) -> None:
    """Rows are written as row groups, not kept: once the buffers are full, another 200 s add next to nothing."""
    pool = pa.default_memory_pool()

    def peak_bytes(seconds: int) -> int:
        long = apply_overrides(spec, [f"run.duration={seconds}s", "run.warm_up=0s"])
        tracemalloc.start()
        before_arrow = pool.bytes_allocated()
        run_spec(long, tmp_path / f"run{seconds}")
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak + pool.bytes_allocated() - before_arrow

    # 200 s more are 2,000 cycles with about 100 cells of 32 bytes each in all tables: 6 MiB if they were kept.
    assert peak_bytes(300) - peak_bytes(100) < 1 << 20
