"""The time line: a valid trace in the Trace Event Format, and the numbers of the run."""

import json
from collections import defaultdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from gcsim.cli.main import cli
from gcsim.datasets.reader import Result
from gcsim.datasets.run import run_spec
from gcsim.errors import DatasetError
from gcsim.interop.trace_viewer import GC, PROCS, STATS, to_json, trace
from gcsim.spec.load import spec_from_dict


@pytest.fixture(scope="module")
def events(real_run: Result) -> list[dict[str, Any]]:
    whole = json.loads(to_json(real_run))
    assert whole["displayTimeUnit"] in {"ms", "ns"}
    return whole["traceEvents"]


def spans(events: list[dict[str, Any]], pid: int) -> dict[int, list[tuple[int, int, str]]]:
    """(start, end, name) in ns of the complete events, by thread."""
    found = defaultdict(list)
    for e in events:
        if e["ph"] == "X" and e["pid"] == pid:
            start, duration = round(e["ts"] * 1000), round(e["dur"] * 1000)
            found[e["tid"]].append((start, start + duration, e["name"]))
    return found


def test_every_event_has_the_fields_that_its_kind_needs(events: list[dict[str, Any]]) -> None:
    needs = {
        "M": {"name", "args"},
        "X": {"name", "ts", "dur"},
        "C": {"name", "ts", "args"},
        "i": {"name", "ts", "s"},
        "b": {"name", "ts", "id", "cat"},
        "e": {"name", "ts", "id", "cat"},
    }
    assert {e["ph"] for e in events} == set(needs)
    for e in events:
        assert needs[e["ph"]] | {"pid", "tid"} <= set(e)
        assert isinstance(e.get("ts", 0.0), float) or e["ph"] == "M"
        assert e.get("dur", 0) >= 0
        if e["ph"] == "C":
            assert all(isinstance(value, int) for value in e["args"].values())


def test_metadata_comes_first_and_the_rest_in_order_of_time(events: list[dict[str, Any]]) -> None:
    kinds = [e["ph"] == "M" for e in events]
    assert kinds == sorted(kinds, reverse=True)
    times = [e["ts"] for e in events if e["ph"] != "M"]
    assert times == sorted(times)
    named = {(e["pid"], e["tid"]) for e in events if e["name"] == "thread_name"}
    assert {(e["pid"], e["tid"]) for e in events if e["ph"] == "X"} <= named


def test_spans_of_a_thread_nest(events: list[dict[str, Any]]) -> None:
    for pid in (PROCS, GC):
        for rows in spans(events, pid).values():
            open_ends: list[int] = []
            for start, end, name in rows:
                while open_ends and open_ends[-1] <= start:
                    open_ends.pop()
                assert not open_ends or end <= open_ends[-1], name
                open_ends.append(end)


def test_the_ps_time_is_that_of_the_table(events: list[dict[str, Any]], real_run: Result) -> None:
    states = real_run.tables["p_states"].to_pandas()
    states["ns"] = states.end_ns - states.start_ns
    for p, rows in spans(events, PROCS).items():
        mine = states[states.p == p]
        total = defaultdict(int)
        for start, end, name in rows:
            total[name] += end - start
        assert total["running"] == mine[mine.state == "mutator"].ns.sum()
        assert total["STW"] == mine[mine.state == "stw"].ns.sum()
        assert sum(total.values()) == mine[mine.state != "idle"].ns.sum()
        # Put together across the ends of windows: no interval is followed by one of the same kind without a gap.
        assert all(a[1] < b[0] or a[2] != b[2] for a, b in pairwise(rows))


def test_cycles_pauses_assists_and_counters_are_all_there(
    events: list[dict[str, Any]], real_run: Result
) -> None:
    rows = {name: real_run.tables[name].num_rows for name in ("cycles", "pauses", "assists", "heap")}
    gc = [name for thread in spans(events, GC).values() for _, _, name in thread]
    assert rows["cycles"] > 3
    assert sum(name.startswith("GC ") for name in gc) == rows["cycles"]
    assert sum(name.startswith("STW (") for name in gc) == rows["pauses"]
    begun = {e["id"]: e["ts"] for e in events if e["ph"] == "b"}
    ended = {e["id"]: e["ts"] for e in events if e["ph"] == "e"}
    assert len(begun) == rows["assists"] > 0
    assert begun.keys() == ended.keys()
    assert all(begun[i] <= ended[i] for i in begun)
    heap = [e for e in events if e["ph"] == "C" and e["name"] == "Heap"]
    assert len(heap) == rows["heap"] + 2 * rows["cycles"]
    assert all(set(e["args"]) == {"Allocated", "NextGC"} and e["pid"] == STATS for e in heap)


def test_the_command_writes_the_same_bytes_to_a_file_and_to_stdout(real_run: Result, tmp_path: Path) -> None:
    out = tmp_path / "trace.json"
    done = CliRunner().invoke(cli, ["trace", str(real_run.path), "-o", str(out)])
    assert done.exit_code == 0, done.stderr
    assert out.read_bytes() == to_json(real_run)
    assert CliRunner().invoke(cli, ["trace", str(real_run.path)]).stdout_bytes == out.read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == ["trace.json"]


def test_a_run_without_states_of_ps_says_how_to_record_them(tmp_path: Path) -> None:
    spec = spec_from_dict(
        {
            "version": 1,
            "name": "bare",
            "run": {"duration": "1ms"},
            "requests": [{"workers": 1, "steps": [{"cpu": "10us"}]}],
        }
    )
    result = run_spec(spec, tmp_path / "run")
    with pytest.raises(DatasetError, match=r"--set record\.p_states=true"):
        trace(result)


def test_replications_are_asked_for_one_by_one(replications: Result) -> None:
    with pytest.raises(DatasetError, match="2 replications; name one of them"):
        trace(replications)


def test_a_file_that_cannot_be_written_is_an_error_and_leaves_nothing(
    real_run: Result, tmp_path: Path
) -> None:
    out = tmp_path / "missing" / "trace.json"
    done = CliRunner().invoke(cli, ["trace", str(real_run.path), "-o", str(out)])
    assert done.exit_code == 1
    assert "cannot be written" in done.stderr
    assert not list(tmp_path.iterdir())
