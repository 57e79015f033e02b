"""`gcsim run` says when a memory limit leaves no room, whatever the collector."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

import gcsim
from gcsim.cli.main import cli

SPEC: dict[str, Any] = {
    "version": 1,
    "name": "tight",
    "runtime": {"gomaxprocs": 2, "gogc": "off", "gomemlimit": "24MiB"},
    "run": {"duration": "100ms"},
    "retained": [
        {"name": "cache", "entries": 30_000, "objects": [{"count": 16, "size": 64, "pointer_words": 2}]}
    ],
    "requests": [{"workers": 2, "steps": [{"cpu": "20us"}, {"allocate": {"count": 16, "size": "1KiB"}}]}],
}


def run(tmp_path: Path, **runtime: Any) -> tuple[str, list[dict[str, Any]]]:
    """Notes on stderr, and events about the limit."""
    spec = SPEC | {"runtime": SPEC["runtime"] | runtime}
    (tmp_path / "spec.yaml").write_text(yaml.safe_dump(spec))
    done = CliRunner().invoke(cli, ["run", str(tmp_path / "spec.yaml"), "--out", str(tmp_path / "run")])
    assert done.exit_code == 0, done.stderr
    rows = gcsim.load(tmp_path / "run").tables["events"].to_arrow().to_pylist()
    return done.stderr, [row for row in rows if row["kind"] == "memory_limit"]


@pytest.mark.parametrize("collector", ["concurrent", "stop_the_world", "generational"])
def test_a_limit_below_the_live_heap_is_said_to_be_a_death_spiral(tmp_path: Path, collector: str) -> None:
    stderr, events = run(tmp_path, collector=collector)
    assert "Note: the memory limit leaves next to no room above a live heap of" in stderr
    assert "cycle follows cycle, a death spiral" in stderr
    assert [row["amount"] < 10 for row in events] == [True]


def test_there_is_no_note_where_there_is_room(tmp_path: Path) -> None:
    stderr, events = run(tmp_path, gomemlimit="256MiB", gogc=100)
    assert "Note" not in stderr
    assert not events


def test_a_low_gogc_is_not_the_limit(tmp_path: Path) -> None:
    stderr, _ = run(tmp_path, gomemlimit="256MiB", gogc=5)
    assert "Note" not in stderr
