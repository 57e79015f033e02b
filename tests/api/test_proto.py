"""The .proto files: linted, formatted, and the generated code is what they make."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gcsim.api.generate import generate

ROOT = Path(__file__).parents[2]
BUF = shutil.which("buf", path=str(Path(sys.executable).parent)) or shutil.which("buf")


@pytest.mark.parametrize("command", [["lint"], ["format", "--diff", "--exit-code"]], ids=" ".join)
def test_buf_has_nothing_to_say(command: list[str]) -> None:
    assert BUF is not None, "pip install buf-bin"
    done = subprocess.run([BUF, *command], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_generated_code_is_up_to_date(tmp_path: Path) -> None:
    """`python -m gcsim.api.generate` brings it up to date."""
    generate(tmp_path)
    made = {p.name: p.read_text() for p in (tmp_path / "gcsim/api/v1").iterdir()}
    there = {p.name: p.read_text() for p in (ROOT / "gcsim/api/v1").glob("*pb2*")}
    assert made == there
