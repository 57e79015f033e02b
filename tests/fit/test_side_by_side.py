"""validate --live: a small program run for real where there is a Go toolchain, and what is refused anywhere."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gcsim.cli.main import cli
from gcsim.errors import RunError
from gcsim.fit.golive import find_go, go_release
from gcsim.fit.measured import METRICS
from gcsim.fit.records import read_records

SPEC = """\
version: 1
name: small
runtime: {{go: "{go}", gomaxprocs: 1}}
machine: {{cores: {cores}}}
run: {{duration: 400ms}}
retained:
  - name: things
    entries: 2000
    objects:
      - {{size: 32B, pointer_words: 2, shape: slice}}
      - {{count: 7, size: 64B, pointer_words: 2}}
requests:
  - workers: 1
    steps:
      - cpu: 5us
      - allocate: {{count: 8, size: 1KiB}}
"""

PNG = b"\x89PNG\r\n\x1a\n"
Gcsim = Callable[..., Result]


@pytest.fixture
def gcsim(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Gcsim:
    monkeypatch.chdir(tmp_path)
    runner = CliRunner()
    return lambda *arguments: runner.invoke(cli, [str(a) for a in arguments], prog_name="gcsim")


@pytest.fixture
def release() -> str:
    try:
        find_go()
    except RunError:
        pytest.skip("no Go toolchain")
    return ".".join(go_release().split(".")[:2])


def write_spec(release: str, **changed: str) -> Path:
    path = Path("small.yaml")
    text = SPEC.format(go=release, cores=len(os.sched_getaffinity(0)))
    for old, new in changed.items():
        text = text.replace(old, new)
    path.write_text(text)
    return path


def test_a_spec_is_run_for_real_and_leaves_record_curves_and_picture(gcsim: Gcsim, release: str) -> None:
    pytest.importorskip("matplotlib")
    done = gcsim("validate", write_spec(release), "--live", "--repeats", 2, "--seeds", 1, "--output", "json")
    assert done.exit_code == 0, done.stderr
    result = json.loads(done.stdout)
    (case,) = result["cases"]
    assert list(result["cases"][case]) == [metric.name for metric in METRICS]
    assert result["cases"][case]["num_gc"]["measured"] > 0
    assert "note: the Go program keeps" in done.stderr
    directory = Path("live") / case
    assert (directory / "comparison.png").read_bytes().startswith(PNG)
    curves = json.loads((directory / "curves.json").read_text())
    for name in ("real_heap", "simulated_heap"):
        assert curves[name]["time_s"]
        assert curves[name]["time_s"][0] >= 0, "times count from the beginning of the load"
        assert curves[name]["time_s"] == sorted(curves[name]["time_s"])
    assert len(curves["real_latency"]) == 2

    (record,) = read_records([directory])
    assert len(record.repeats) == 2
    again = gcsim("validate", directory, "--seeds", 1, "--output", "json")
    measured = {name: found["measured"] for name, found in result["cases"][case].items()}
    assert {n: f["measured"] for n, f in json.loads(again.stdout)["cases"][case].items()} == measured


def test_everything_the_go_program_cannot_do_is_named_before_anything_runs(
    gcsim: Gcsim, release: str
) -> None:
    path = write_spec(
        release, **{"duration: 400ms": "duration: 400ms, warm_up: 1ms", "cpu: 5us": "syscall: 5us"}
    )
    done = gcsim("validate", path, "--live")
    assert done.exit_code == 2
    assert "$.run.warm_up" in done.stderr
    assert "$.requests[0].steps[0]" in done.stderr
    assert not Path("live").exists()


def test_live_takes_a_spec_and_only_live_does(gcsim: Gcsim) -> None:
    Path("small.yaml").write_text("{}")
    Path("a__b.json").write_text("{}")
    assert "add --live" in gcsim("validate", "small.yaml").stderr
    assert "takes one spec" in gcsim("validate", "a__b.json", "--live").stderr


def test_without_a_toolchain_the_error_says_how_to_get_one(gcsim: Gcsim) -> None:
    done = gcsim("validate", write_spec("1.27"), "--live", "--go", "no-such-go")
    assert done.exit_code == 1
    assert "no-such-go" in done.stderr
