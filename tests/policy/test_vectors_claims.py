"""Every recorded file has a test that claims it, and every claim has a test."""

from __future__ import annotations

import re
from pathlib import Path

from tests.policy import vector_files


def test_every_file_is_claimed() -> None:
    assert [path for path in vector_files.all_files() if path.parent == vector_files.folders()[0]]
    assert [str(path) for path in vector_files.all_files() if vector_files.kind_of(path) is None] == []


def test_every_claimed_kind_is_replayed_by_a_test_and_has_a_file() -> None:
    replaying = {
        kind
        for module in Path(__file__).parent.glob("test_vectors_*.py")
        for kind in re.findall(r'files_of\("(\w+)"\)', module.read_text())
    }
    assert replaying == set(vector_files.CLAIMS.values())
    assert [kind for kind in replaying if not vector_files.files_of(kind)] == []
