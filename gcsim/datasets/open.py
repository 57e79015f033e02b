"""`gcsim.load`: whatever a directory of gcsim holds."""

from __future__ import annotations

from pathlib import Path

from gcsim.datasets.reader import Result
from gcsim.datasets.reader import load as load_run
from gcsim.datasets.sweep import SweepResult, is_sweep, load_sweep


def load(path: str | Path) -> Result | SweepResult:
    """Open a run, a directory of replications, or a sweep.

    Names and sizes of all files are checked at once; contents only by `verify`.

    Raises:
        DatasetError: missing, truncated, altered, of a newer version, or no dataset of gcsim.
    """
    directory = Path(path)
    return load_sweep(directory) if is_sweep(directory) else load_run(directory)
