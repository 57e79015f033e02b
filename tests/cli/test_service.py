"""The commands that talk to a server, and those that look after a data directory."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gcsim.cli.main import cli
from tests.service.conftest import Start, start  # noqa: F401 - a fixture
from tests.sweep.runs import QUICK
from tests.sweep.test_execute import table_bytes


def gcsim(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(a) for a in arguments], prog_name="gcsim")


def test_a_run_from_submit_to_prune(start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    monkeypatch.chdir(tmp_path)
    spec = tmp_path / "quick.yaml"
    spec.write_text(QUICK.format(name="quick", seed=7))
    server = start()
    monkeypatch.setenv("GCSIM_SERVER", server.target)

    done = gcsim("submit", spec, "--wait", "--output", "json", "--label", "team=x", "--run-id", "one")
    assert done.exit_code == 0, done.output
    summary = json.loads(done.stdout)
    assert summary["seed"] == 7
    assert (tmp_path / "runs" / summary["run_id"] / "manifest.json").is_file()
    assert "one  SUCCEEDED" in done.stderr

    second = gcsim("submit", spec, "--set", "gogc=200")
    assert second.exit_code == 0, second.output
    watched = gcsim("watch", second.stdout.strip())
    assert watched.exit_code == 0, watched.output
    assert "SUCCEEDED" in watched.stdout.splitlines()[-1]

    (tmp_path / "strict.yaml").write_text(spec.read_text() + "thresholds: {num_gc: '< 0', requests: '> 0'}\n")
    strict = gcsim("submit", "strict.yaml", "--wait", "--run-id", "strict")
    assert strict.exit_code == 99
    assert "threshold num_gc < 0: FAILED, measured" in strict.stderr
    assert "threshold requests > 0: met" in strict.stderr
    again = gcsim("watch", "strict")
    assert again.exit_code == 99
    assert "threshold num_gc < 0: FAILED" in again.stderr
    assert gcsim("delete", "strict").exit_code == 0

    assert gcsim("list").stdout.splitlines()[0] == "one  SUCCEEDED"
    listed = json.loads(gcsim("list", "--filter", "labels.team = x", "--output", "json").stdout)
    assert [run["name"] for run in listed] == ["runs/one"]
    got = json.loads(gcsim("get", "one").stdout)
    assert got["state"] == "SUCCEEDED"
    assert got["summary"]["num_gc"] == summary["num_gc"]
    assert gcsim("cancel", "one").stdout == "one  SUCCEEDED\n"
    assert gcsim("download", "one", "--out", "copy").exit_code == 0
    assert gcsim("download", "one", "--out", "copy").exit_code == 1, "it is there already"
    assert gcsim("delete", "one").stdout == "one  deleted\n"
    missing = gcsim("get", "one")
    assert (missing.exit_code, missing.stderr) == (1, "Error: there is no run 'one' (NOT_FOUND)\n")
    bad = gcsim("submit", spec, "--set", "run.duration=-1s")
    assert bad.exit_code == 2

    data = tmp_path / "data"
    assert "in use by process" in gcsim("prune", "--data-dir", data, "--max-bytes", "0").stderr
    assert server.terminate() == 0
    unreachable = gcsim("list", "--server", server.target)
    assert unreachable.exit_code == 3
    assert "gcsim serve" in unreachable.stderr

    assert gcsim("db", "check", "--data-dir", data).stdout == "1 SUCCEEDED\n"
    (data / "store.sqlite").write_bytes(b"x" * 200)
    refused = gcsim("db", "check", "--data-dir", data)
    assert refused.exit_code == 1
    assert "gcsim db rebuild" in refused.stderr
    assert gcsim("db", "rebuild", "--data-dir", data).stdout.endswith("1 runs\n")
    (run_id,) = [
        line.split()[0] for line in gcsim("prune", "--data-dir", data, "--max-bytes", "0").stdout.splitlines()
    ]
    assert run_id.startswith("r-")
    assert gcsim("prune", "--data-dir", data).exit_code == 2
    assert gcsim("prune", "--data-dir", data, "--older-than", "soon").exit_code == 2


def test_a_sweep_on_a_server_from_submit_to_prune(
    start: Start,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    spec = tmp_path / "quick.yaml"
    spec.write_text(QUICK.format(name="quick", seed=7))
    server = start("--workers", "2")
    sweep = ["sweep", spec, "-P", "gogc=50,off", "--replications", 2, "--output", "csv"]
    there = gcsim(*sweep, "--server", server.target, "--label", "team=x", "--out", "there")
    assert there.exit_code == 0, there.output
    here = gcsim(*sweep, "--out", "here", "--jobs", 1)
    assert there.stdout == here.stdout
    assert table_bytes(tmp_path / "there") == table_bytes(tmp_path / "here")
    assert "4 of 4 runs done" in there.stderr
    name = next(line for line in there.stderr.splitlines() if line.startswith("sweeps/"))

    monkeypatch.setenv("GCSIM_SERVER", server.target)
    assert gcsim("list", "--sweeps").stdout == f"{name}  SUCCEEDED  4 of 4 runs succeeded\n"
    listed = json.loads(gcsim("list", "--sweeps", "--filter", "labels.team = x", "--output", "json").stdout)
    assert listed[0]["counts"] == {
        "total": 4, "pending": 0, "queued": 0, "running": 0, "cancelling": 0, "succeeded": 4, "failed": 0, "cancelled": 0,
        "skipped": 0,
    }  # fmt: skip
    assert len(gcsim("list", "--filter", f"sweep = {name.partition('/')[2]}").stdout.splitlines()) == 4
    got = json.loads(gcsim("get", name).stdout)
    assert (got["state"], got["layout"], got["spec"]["name"]) == ("SUCCEEDED", "GRID", "quick")
    assert gcsim("cancel", name).stdout == f"{name}  SUCCEEDED  4 of 4 runs succeeded\n"

    detached = gcsim(*sweep, "--set", "run.seed=8", "--server", server.target, "--detach").stdout.strip()
    assert gcsim("watch", detached).stdout.splitlines()[-1].endswith("4 of 4 runs succeeded")
    assert gcsim("download", detached).exit_code == 0
    assert (
        tmp_path / "sweeps" / json.loads(gcsim("get", detached).stdout)["plan_id"] / "sweep.json"
    ).is_file()
    again = gcsim(*sweep, "--server", server.target, "--out", "there", "--resume")
    assert "4 were there already" in again.stderr
    assert name in again.stderr.splitlines(), "it goes on with the sweep that the directory is made of"
    assert len(gcsim("list", "--sweeps").stdout.splitlines()) == 2
    other = gcsim(*sweep, "-P", "gomaxprocs=1,2", "--server", server.target, "--out", "there", "--resume")
    assert other.exit_code == 2
    assert "is not this one" in other.stderr
    shutil.copytree("there", "forgotten")
    origin = json.loads(Path("there/server.json").read_text())
    assert origin == {"sweep": name, "server": server.target}
    Path("forgotten/server.json").write_text(json.dumps(origin | {"sweep": "sweeps/gone"}))
    forgotten = gcsim(*sweep, "--server", server.target, "--out", "forgotten", "--resume")
    assert forgotten.exit_code == 2
    assert "which this server does not know (any more); remove forgotten/server.json" in " ".join(
        forgotten.stderr.split()
    )
    assert len(gcsim("list", "--sweeps").stdout.splitlines()) == 2
    assert gcsim(*sweep, "--server", server.target, "--out", "there").exit_code == 2
    assert gcsim("delete", detached).stdout == f"{detached}  deleted\n"
    early = [
        "sweep",
        spec,
        "-P",
        "gogc=50,off",
        "--replications",
        "2..7",
        "--until-ci",
        "throughput_rps<5%",
    ]
    there = gcsim(*early, "--server", server.target, "--out", "early-there")
    here = gcsim(*early, "--out", "early-here", "--jobs", 1)
    assert there.stdout == here.stdout
    assert table_bytes(tmp_path / "early-there") == table_bytes(tmp_path / "early-here")
    assert " not needed" in gcsim("list", "--sweeps", "--newest-first").stdout.splitlines()[0]
    for arguments in (["--server", server.target, "--jobs", 2], ["--detach"], ["--label", "a=b"]):
        assert gcsim(*sweep, *arguments).exit_code == 2
    assert gcsim(*sweep, "--server", server.target, "-P", "gogcc=1").exit_code == 2

    assert server.terminate() == 0
    assert gcsim(*sweep, "--server", server.target, "--out", "other").exit_code == 3
    checked = gcsim("db", "check", "--data-dir", tmp_path / "data").stdout
    assert re.fullmatch(r"[0-9]+ SUCCEEDED\nsweeps: 2 SUCCEEDED\n", checked)
    pruned = gcsim("prune", "--data-dir", tmp_path / "data", "--max-bytes", "0").stdout
    assert f"{name}  deleted" in pruned


def test_service_is_not_loaded_by_other_commands_and_grpc_not_by_workers() -> None:
    code = (
        "import sys, gcsim.sweep.worker, gcsim.cli.run, gcsim.datasets.run, gcsim.runtime;"
        "sys.exit(any(name.split('.')[0] in ('grpc', 'google') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
