"""The manifest of a dataset: what it is, and size, SHA-256 and rows of each file.  Nothing of the wall clock."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from gcsim.datasets.schema import SCHEMA_VERSION, check_schema_version
from gcsim.errors import DatasetError

MANIFEST_NAME = "manifest.json"
SUMMARY_NAME = "summary.json"
FORMAT = "gcsim"
"""Marks a manifest as ours, since manifest.json is a common name."""


@dataclass(frozen=True, kw_only=True)
class RunIdentity:
    """What a run is: enough to compute it again, byte for byte."""

    run_id: str
    name: str
    seed: int
    engine_version: str
    spec_digest: str
    spec_json: str
    """The resolved spec as canonical JSON."""
    schema_version: str = SCHEMA_VERSION

    def file_metadata(self) -> dict[str, str]:
        """Key-value metadata of every Parquet file."""
        return {f"gcsim.{key}": str(value) for key, value in asdict(self).items()}


@dataclass(frozen=True, kw_only=True)
class FileEntry:
    """One file of a dataset; `rows` for tables only."""

    size_bytes: int
    sha256: str
    rows: int | None = None

    @classmethod
    def of(cls, path: Path, *, rows: int | None = None) -> Self:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        return cls(size_bytes=path.stat().st_size, sha256=digest, rows=rows)


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """A dataset's table of contents.

    `kind` is ``run`` (one simulation) or ``replications`` (a directory of runs with one combined summary, whose
    own runs are listed in `runs`).
    """

    kind: str
    identity: RunIdentity
    files: dict[str, FileEntry]
    runs: tuple[str, ...] = ()

    def to_json(self) -> str:
        identity = asdict(self.identity)
        spec = json.loads(identity.pop("spec_json"))
        files = {
            name: {k: v for k, v in asdict(entry).items() if v is not None}
            for name, entry in self.files.items()
        }
        body: dict[str, Any] = {"format": FORMAT, "kind": self.kind, **identity, "files": files}
        if self.runs:
            body["runs"] = list(self.runs)
        body["spec"] = spec
        return json.dumps(body, indent=2, ensure_ascii=False, allow_nan=False) + "\n"

    @classmethod
    def read(cls, directory: Path) -> Self:
        """Read and check the manifest of a dataset directory.

        Raises:
            DatasetError: there is none, it is not ours, not whole or of a newer version.
        """
        path = directory / MANIFEST_NAME
        if not directory.exists():
            raise DatasetError(f"{directory}: there is no such directory")
        if not path.is_file():
            raise DatasetError(f"{directory}: not a gcsim dataset, it has no {MANIFEST_NAME}")
        try:
            body = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as err:
            raise DatasetError(f"{path}: cannot be read ({err})") from err
        if not isinstance(body, dict) or body.get("format") != FORMAT:
            raise DatasetError(f"{path}: written by another program, not by gcsim")
        check_schema_version(str(body.get("schema_version")), where=str(path))
        try:
            return cls(
                kind=body["kind"],
                identity=RunIdentity(
                    run_id=body["run_id"],
                    name=body["name"],
                    seed=body["seed"],
                    engine_version=body["engine_version"],
                    spec_digest=body["spec_digest"],
                    spec_json=json.dumps(body["spec"], ensure_ascii=False),
                    schema_version=body["schema_version"],
                ),
                files={name: FileEntry(**entry) for name, entry in body["files"].items()},
                runs=tuple(body.get("runs", ())),
            )
        except (KeyError, TypeError, AttributeError) as err:
            raise DatasetError(f"{path}: damaged, a field is missing or wrong ({err})") from err

    def check_files(self, directory: Path, *, deep: bool = False) -> None:
        """Raise DatasetError unless every file is there with its size (and, if `deep`, its SHA-256)."""
        for name, entry in self.files.items():
            path = directory / name
            if not path.is_file():
                raise DatasetError(f"{directory}: {name} is missing")
            size = path.stat().st_size
            if size != entry.size_bytes:
                raise DatasetError(
                    f"{path}: {size} bytes instead of {entry.size_bytes}; truncated or altered"
                )
            if deep and FileEntry.of(path).sha256 != entry.sha256:
                raise DatasetError(f"{path}: its SHA-256 is not the manifest's; altered")
