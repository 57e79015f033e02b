"""Reading datasets: `load(path)` gives a `Result` whose tables are read only when asked for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from gcsim.datasets.manifest import SUMMARY_NAME, Manifest
from gcsim.datasets.table import Table, Tables
from gcsim.errors import DatasetError

__all__ = ["Result", "Table", "Tables", "load"]


class Result:
    """A dataset: one run, or the replications of one spec (then the tables hold all of them, told by run_id)."""

    def __init__(
        self, path: Path, manifest: Manifest, summary: dict[str, Any], runs: tuple[Result, ...] = ()
    ) -> None:
        self.path = path
        self.manifest = manifest
        self.summary = summary
        """Flat: metric -> number, null where there was nothing to count; with replications the mean, and
        `<metric>_stddev`, `<metric>_ci95_low`, `<metric>_ci95_high`."""
        self.runs = runs
        """The single runs, if these are replications."""
        self.tables = Tables(_tables(path, manifest, runs))

    @property
    def run_id(self) -> str:
        """Identity of the run: r- and 16 hex digits."""
        return self.manifest.identity.run_id

    @property
    def spec(self) -> dict[str, Any]:
        """The resolved spec as plain data."""
        spec: dict[str, Any] = json.loads(self.manifest.identity.spec_json)
        return spec

    def verify(self) -> None:
        """Read every file and compare its SHA-256 with the manifest's; DatasetError on the first that differs."""
        self.manifest.check_files(self.path, deep=True)
        for run in self.runs:
            run.verify()

    def __repr__(self) -> str:
        return f"Result({str(self.path)!r}, run_id={self.run_id!r})"


def load(path: str | Path) -> Result:
    """Open a run directory, or a directory of replications.

    Names and sizes of all files are checked at once; contents only by `Result.verify`.

    Raises:
        DatasetError: missing, truncated, altered, of a newer version, or no dataset of gcsim.
    """
    directory = Path(path)
    manifest = Manifest.read(directory)
    manifest.check_files(directory)
    try:
        summary = json.loads((directory / SUMMARY_NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError) as err:
        raise DatasetError(f"{directory / SUMMARY_NAME}: cannot be read ({err})") from err
    return Result(directory, manifest, summary, tuple(load(directory / run) for run in manifest.runs))


def _tables(path: Path, manifest: Manifest, runs: tuple[Result, ...]) -> dict[str, Table]:
    if runs:
        names = runs[0].tables
        return {name: Table(name, tuple(p for run in runs for p in run.tables[name].paths)) for name in names}
    files = [Path(name) for name in manifest.files]
    return {file.stem: Table(file.stem, (path / file,)) for file in files if file.suffix == ".parquet"}
