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


def test_published_api_is_not_broken(tmp_path: Path) -> None:
    """`published.binpb` is what clients may have been made from; a release writes it anew with

    buf build --exclude-source-info -o tests/api/published.binpb
    """
    assert BUF is not None, "pip install buf-bin"

    def breaking(root: Path) -> subprocess.CompletedProcess[str]:
        command = [BUF, "breaking", "--against", str(Path(__file__).parent / "published.binpb")]
        return subprocess.run(command, cwd=root, capture_output=True, text=True)

    done = breaking(ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    # And it would be noticed.
    shutil.copytree(ROOT / "proto", tmp_path / "proto")
    shutil.copy(ROOT / "buf.yaml", tmp_path)
    file = tmp_path / "proto/gcsim/api/v1/run.proto"
    file.write_text(file.read_text().replace("string spec_digest = 3;", "string digest = 3;"))
    done = breaking(tmp_path)
    assert done.returncode != 0
    assert "spec_digest" in done.stdout


def test_generated_code_is_up_to_date(tmp_path: Path) -> None:
    """`python -m gcsim.api.generate` brings it up to date."""
    generate(tmp_path)
    made = {p.name: p.read_text() for p in (tmp_path / "gcsim/api/v1").iterdir()}
    there = {p.name: p.read_text() for p in (ROOT / "gcsim/api/v1").glob("*pb2*")}
    assert made == there
