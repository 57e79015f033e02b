"""What the README shows works as it stands."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from gcsim.cli.main import cli

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def _blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


@pytest.fixture
def in_a_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "workloads").symlink_to(ROOT / "workloads")
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("in_a_copy")
def test_commands_run() -> None:
    lines = [
        line.split("#")[0]
        for block in _blocks("sh")
        for line in block.splitlines()
        if line.startswith("gcsim ")
    ]
    assert len(lines) >= 4
    made: set[str] = set()
    for line in lines:
        arguments = shlex.split(line)[1:]
        if arguments[0] == "run":
            arguments += ["--set", "run.duration=200ms"]
            made.add(" ".join(arguments))
        result = CliRunner().invoke(cli, arguments)
        # The starter comes before its validation in the README, so both find what they need.
        assert result.exit_code == 0, (line, result.output)
    assert len(made) == 2


@pytest.mark.usefixtures("in_a_copy")
def test_python_runs() -> None:
    (block,) = _blocks("python")
    exec(compile(block.replace('"gogc=200"', '"gogc=200", "run.duration=300ms"'), "README.md", "exec"), {})


def test_files_it_names_exist() -> None:
    named = re.findall(r"`((?:workloads|tests|gcsim|results)/[\w./-]+)`|\]\(([\w./]+)\)", README)
    assert named
    for path in (a or b for a, b in named):
        assert (ROOT / path).exists(), path
