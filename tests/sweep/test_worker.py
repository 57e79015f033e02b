"""What a worker tells while it simulates."""

import json
from pathlib import Path
from typing import Any

import pytest

from gcsim.datasets.reader import load
from gcsim.sweep import worker
from tests.sweep.runs import quick


class Listener:
    """Stands in for the channel to the supervisor."""

    def __init__(self) -> None:
        self.progress: list[dict[str, Any]] = []

    def send(self, kind: str, **fields: Any) -> None:
        assert kind == "progress"
        self.progress.append(fields)


def test_figures_of_finished_replications_are_told_while_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "PROGRESS_S", 0.0)
    spec = quick()
    spec = spec.model_copy(update={"run": spec.run.model_copy(update={"replications": 3})})
    listener = Listener()
    job = {
        "spec_json": json.dumps(spec.model_dump(mode="json")),
        "profile_path": None,
        "out_dir": str(tmp_path / "out"),
    }
    worker._simulate(job, listener)  # type: ignore[arg-type]
    first, last = listener.progress[0], listener.progress[-1]
    assert first["partial"] == {}
    assert last["sim_time_ns"] <= last["end_ns"]
    finished = [run.summary for run in load(tmp_path / "out").runs[:2]]
    for metric in ("num_gc", "requests", "memory_peak_bytes"):
        assert last["partial"][metric] == pytest.approx(sum(float(s[metric] or 0) for s in finished) / 2)


def test_means_are_of_what_every_replication_has() -> None:
    assert worker._means([]) == {}
    assert worker._means([{"a": 1, "b": None}, {"a": 2, "b": 3}]) == {"a": 1.5}
