"""The command line: where output goes, exit codes, and that every command says what it does."""

import csv
import io
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from gcsim.cli.main import COMMANDS, cli
from gcsim.datasets.metrics import METRICS
from gcsim.errors import InvariantError, RunError
from gcsim.interop.gctrace import parse
from tests.datasets import fake_engine

SPEC = """\
version: 1
name: steady
description: a service that changes nothing
run: {duration: 1s, seed: 7}
requests:
  - workers: 2
    steps:
      - cpu: 10us
"""

Gcsim = Callable[..., Result]


@pytest.fixture
def gcsim(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Gcsim:
    """Runs the command line in an empty directory with a spec file, on the stand-in engine."""
    monkeypatch.setattr("gcsim.runtime.simulate", fake_engine.simulate, raising=False)
    monkeypatch.chdir(tmp_path)
    Path("steady.yaml").write_text(SPEC)
    runner = CliRunner()
    return lambda *arguments: runner.invoke(cli, [str(a) for a in arguments], prog_name="gcsim")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_parameter_has_help(name: str) -> None:
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    assert command.name == name
    assert command.help
    assert all(p.help for p in command.params if isinstance(p, click.Option))
    for argument in (p for p in command.params if isinstance(p, click.Argument)):
        assert argument.human_readable_name.removesuffix("...") in command.help or argument.nargs == -1


def test_help_lists_every_command_and_the_exit_codes(gcsim: Gcsim) -> None:
    out = gcsim("--help").stdout
    assert all(f"  {name}" in out for name in COMMANDS)
    assert "99 a threshold" in " ".join(out.split())


def test_run_prints_the_summary_and_leaves_a_run_directory(gcsim: Gcsim) -> None:
    done = gcsim("run", "steady.yaml")
    assert done.exit_code == 0, done.stderr
    assert "heap_goal_bytes_mean" in done.stdout
    assert "100.0 MiB" in done.stdout
    assert all(
        f"\n{section} " in done.stdout for section in ("collections", "heap", "CPU", "latency", "pauses")
    )
    (directory,) = Path("runs").iterdir()
    assert directory.name.startswith("r-")
    assert done.stderr == f"run directory: {directory}\n"


def test_json_is_one_flat_object_and_nothing_else_on_stdout(gcsim: Gcsim) -> None:
    done = gcsim("run", "steady.yaml", "--output", "json", "--out", "here", "--seed", 3)
    summary = json.loads(done.stdout)
    assert summary["seed"] == 3
    assert [name for name in summary if name in {m.name for m in METRICS}] == [m.name for m in METRICS]
    assert summary == json.loads(Path("here/summary.json").read_text())


def test_csv_has_a_line_per_metric(gcsim: Gcsim) -> None:
    rows = list(csv.DictReader(io.StringIO(gcsim("run", "steady.yaml", "--output", "csv").stdout)))
    assert [row["metric"] for row in rows] == [m.name for m in METRICS]
    assert {row["metric"]: row["value"] for row in rows}["num_gc"] == "10"


@pytest.mark.parametrize("form", ["table", "json", "csv"])
def test_replications_give_intervals_in_every_form(gcsim: Gcsim, form: str) -> None:
    done = gcsim("run", "steady.yaml", "--replications", 3, "--output", form, "--out", "three")
    assert done.exit_code == 0, done.stderr
    marks = {
        "table": "95 % confidence",
        "json": '"num_gc_ci95_low": 10.0',
        "csv": ",stddev,ci95_low,ci95_high\n",
    }
    assert marks[form] in done.stdout
    assert len([p for p in Path("three").iterdir() if p.is_dir()]) == 3


def test_set_changes_the_spec_by_short_name_and_by_path(gcsim: Gcsim) -> None:
    done = gcsim("run", "steady.yaml", "--set", "gogc=off", "--set", "run.duration=500ms", "--out", "here")
    assert done.exit_code == 0, done.stderr
    spec = json.loads(Path("here/manifest.json").read_text())["spec"]
    assert spec["runtime"]["gogc"] == "off"
    assert json.loads(Path("here/summary.json").read_text())["duration_s"] == 0.5


@pytest.mark.parametrize(
    ("thresholds", "code", "words"),
    [
        (
            "{stw_pause_ns_max: <1ms, num_gc: '>= 10'}",
            0,
            "threshold stw_pause_ns_max <1ms: met, measured 100 µs",
        ),
        ("{stw_pause_ns_max: <1us}", 99, "threshold stw_pause_ns_max <1us: FAILED, measured 100 µs"),
        ("{mmu_100ms: '> 95%'}", 99, "FAILED, measured 89"),
        ("{stw_pause_max: <1ms}", 2, "did you mean stw_pause_ns_max?"),
        ("{stw_pause_ns_max: <1MiB}", 2, "$.thresholds.stw_pause_ns_max: '<1MiB' does not fit"),
    ],
)
def test_thresholds_decide_the_exit_code(gcsim: Gcsim, thresholds: str, code: int, words: str) -> None:
    Path("strict.yaml").write_text(f"{SPEC}thresholds: {thresholds}\n")
    done = gcsim("run", "strict.yaml", "--output", "json")
    assert done.exit_code == code, done.stderr
    assert words in done.stderr
    if code != 2:
        assert json.loads(done.stdout)["thresholds_met"] is (code == 0)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "none.yaml"], "does not exist"),
        (["run", "steady.yaml", "--set", "gogcc=5"], "gogc"),
        (["run", "steady.yaml", "--set", "gogc=-5"], "$.runtime.gogc"),
        (["run", "steady.yaml", "--replications", "0"], "--replications"),
        (["run", "steady.yaml", "--out", "."], "no run of gcsim"),
        (["run", "steady.yaml", "--set", "profile=cray"], "cray"),
        (["gctrace", "nowhere"], "does not exist"),
        (["gctrace", "."], "not a gcsim dataset"),
        (["fly"], "fly"),
    ],
)
def test_wrong_input_is_exit_code_2_with_words_on_stderr(
    gcsim: Gcsim, arguments: list[str], words: str
) -> None:
    done = gcsim(*arguments)
    assert done.exit_code == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (RunError("out of simulated memory"), 1, "Error: out of simulated memory"),
        (InvariantError("bytes do not add up", "steady", 7, 5), 1, "a bug in gcsim"),
        (KeyboardInterrupt(), 130, "nothing half-written"),
    ],
)
def test_a_run_that_does_not_finish_says_so_and_leaves_nothing(
    gcsim: Gcsim, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, words: str
) -> None:
    def fails(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr("gcsim.runtime.simulate", fails)
    done = gcsim("run", "steady.yaml")
    assert done.exit_code == code
    assert words in done.stderr
    assert list(Path("runs").iterdir()) == []


def test_ctrl_c_ends_a_real_process_cleanly(tmp_path: Path) -> None:
    """SIGINT in the middle of a simulation: exit code 130, no traceback, no file left."""
    (tmp_path / "steady.yaml").write_text(SPEC)
    program = textwrap.dedent("""
        import time
        import gcsim.runtime
        from gcsim.cli.main import main

        def endless(spec, *, seed, profile, recorder, progress):
            print("running", flush=True)
            while True:
                time.sleep(0.01)

        gcsim.runtime.simulate = endless
        main()
    """)
    process = subprocess.Popen(
        [sys.executable, "-c", program, "run", "steady.yaml"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "running\n"
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "Traceback" not in stderr
    assert list((tmp_path / "runs").iterdir()) == []


def test_gctrace_prints_lines_that_parse(gcsim: Gcsim) -> None:
    assert gcsim("run", "steady.yaml", "--out", "here").exit_code == 0
    out = gcsim("gctrace", "here").stdout
    assert [line.cycle for line in parse(out)] == list(range(1, 13))
    assert out.count("\n") == 12
    assert out.splitlines()[2].startswith(
        "gc 3 @0.200s 7%: 0.050+20+0.10 ms clock, 0.10+0/20/0+0.20 ms cpu, 90->99->50 MB"
    )


def test_names_lists_knobs_and_metrics(gcsim: Gcsim) -> None:
    out = gcsim("names").stdout
    assert "runtime.gogc" in out
    assert all(m.name in out for m in METRICS)
    assert {m["name"] for m in json.loads(gcsim("names", "--output", "json").stdout)["metrics"]} == {
        m.name for m in METRICS
    }


def test_version_names_the_releases(gcsim: Gcsim) -> None:
    assert "1.25-greenteagc" in gcsim("version").stdout
    assert "1.27" in json.loads(gcsim("version", "--output", "json").stdout)["go_releases"]


def test_the_bar_moves_only_on_a_terminal(gcsim: Gcsim, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[object] = []

    def simulate(spec: Any, *, progress: Any, **kwargs: Any) -> None:
        seen.append(progress)
        fake_engine.simulate(spec, progress=progress, **kwargs)

    monkeypatch.setattr("gcsim.runtime.simulate", simulate)
    assert "\x1b" not in gcsim("run", "steady.yaml").output
    assert seen == [None]


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="no pseudo-terminals on this system")
@pytest.mark.parametrize("no_color", [False, True])
def test_on_a_terminal_the_bar_shows_time_and_cycles(tmp_path: Path, no_color: bool) -> None:
    (tmp_path / "steady.yaml").write_text(SPEC)
    program = textwrap.dedent("""
        import time
        import gcsim.runtime
        from gcsim.cli.main import main
        from tests.datasets import fake_engine

        def slow(spec, *, progress, **kwargs):
            def update(at):
                progress(at)
                time.sleep(0.05)
            fake_engine.simulate(spec, progress=update, **kwargs)

        gcsim.runtime.simulate = slow
        main()
    """)
    primary, secondary = os.openpty()
    environment = os.environ | {
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "TERM": "xterm",
        "COLUMNS": "110",
    }
    environment.pop("NO_COLOR", None)
    if no_color:
        environment["NO_COLOR"] = "1"
    arguments = [sys.executable, "-c", program, "run", "steady.yaml", "--output", "json"]
    process = subprocess.Popen(
        arguments, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=secondary
    )
    os.close(secondary)
    shown = b""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            part = os.read(primary, 65536)
        except OSError:  # Linux reports the end of a pseudo-terminal so
            break
        if not part:
            break
        shown += part
    os.close(primary)
    assert process.stdout is not None
    stdout = process.stdout.read()
    process.stdout.close()
    assert process.wait(timeout=20) == 0
    assert json.loads(stdout)["num_gc"] == 10
    text = shown.decode()
    assert "of 1.2 s simulated" in text
    assert "GC cycles" in text
    assert ("\x1b[3" in text) is not no_color  # colours
