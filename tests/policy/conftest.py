"""Shows in every run how many recorded numbers were replayed, file by file."""

from __future__ import annotations

import pytest

from tests.policy import vector_files


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """One line per file: records replayed, or why none."""
    if not vector_files.REPLAYED:
        return  # None of the replaying tests was selected.
    terminalreporter.write_sep("-", "recorded numbers replayed")
    for path in vector_files.all_files():
        if path in vector_files.REPLAYED:
            outcome = f"{vector_files.REPLAYED[path]:6} records"
        else:
            outcome = "not replayed"
        terminalreporter.write_line(f"{outcome:>17}  {path.parent.name}/{path.name}")
    terminalreporter.write_line(f"{sum(vector_files.REPLAYED.values()):6} records  in all")
