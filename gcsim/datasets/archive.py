"""A dataset as one stream of bytes: an uncompressed tar of its files, the same bytes for the same dataset.

The archive is never stored.  Its layout follows from the manifest (a header of 512 bytes, the file, padding to 512), so
any part of it can be read from any offset.  Each file is compared with its SHA-256 before a byte of it is given out.
"""

from __future__ import annotations

import hashlib
import io
import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from gcsim.datasets.manifest import MANIFEST_NAME, FileEntry, Manifest
from gcsim.errors import DatasetError

CHUNK_BYTES = 1 << 20
_BLOCK = tarfile.BLOCKSIZE


@dataclass(frozen=True)
class _Member:
    name: str
    path: Path
    entry: FileEntry
    start: int
    """Offset of its header in the archive."""

    @property
    def data_start(self) -> int:
        return self.start + _BLOCK

    @property
    def end(self) -> int:
        return self.data_start + -(-self.entry.size_bytes // _BLOCK) * _BLOCK

    def header(self) -> bytes:
        info = tarfile.TarInfo(self.name)
        info.size = self.entry.size_bytes
        info.mode = 0o644
        return info.tobuf(tarfile.USTAR_FORMAT)


class Archive:
    """The archive of a dataset directory.

    Raises:
        DatasetError: no dataset, or (from `read`) a file is missing, truncated or altered.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.manifest = Manifest.read(directory)
        members: list[_Member] = []
        position = 0
        for name, path, entry in _files(directory, self.manifest, PurePosixPath()):
            members.append(_Member(name, path, entry, position))
            position = members[-1].end
        self._members = tuple(members)
        self._verified: set[str] = set()  # membership only
        self.size_bytes = position + 2 * _BLOCK
        """Whole size, with the two empty blocks that end a tar."""

    def read(self, offset: int, size: int = CHUNK_BYTES) -> bytes:
        """Up to `size` bytes from `offset`; empty at the end."""
        parts: list[bytes] = []
        end = min(offset + size, self.size_bytes)
        for member in self._members:
            if member.end <= offset or member.start >= end:
                continue
            parts.append(self._part(member, max(offset, member.start), min(end, member.end)))
        tail = end - max(offset, self._members[-1].end)
        if tail > 0:
            parts.append(bytes(tail))
        return b"".join(parts)

    def chunks(self, offset: int = 0) -> Iterator[bytes]:
        while chunk := self.read(offset):
            yield chunk
            offset += len(chunk)

    def sha256(self) -> str:
        """Of the whole archive; reads everything."""
        digest = hashlib.sha256()
        for chunk in self.chunks():
            digest.update(chunk)
        return digest.hexdigest()

    def _part(self, member: _Member, start: int, end: int) -> bytes:
        parts: list[bytes] = []
        if start < member.data_start:
            parts.append(member.header()[start - member.start : end - member.start])
        if end > member.data_start:
            self._verify(member)
            at = max(start, member.data_start) - member.data_start
            want = min(end - member.data_start, member.entry.size_bytes) - at
            data = b""
            if want > 0:
                with member.path.open("rb") as file:
                    file.seek(at)
                    data = file.read(want)
                if len(data) != want:
                    raise DatasetError(f"{member.path}: truncated while it was read")
            parts.append(data)
            parts.append(bytes(end - member.data_start - at - len(data)))
        return b"".join(parts)

    def _verify(self, member: _Member) -> None:
        if member.name in self._verified:
            return
        try:
            found = FileEntry.of(member.path)
        except OSError as error:
            raise DatasetError(f"{member.path}: cannot be read ({error})") from error
        if (found.size_bytes, found.sha256) != (member.entry.size_bytes, member.entry.sha256):
            raise DatasetError(f"{member.path}: not what the manifest says; truncated or altered")
        self._verified.add(member.name)


def unpack(archive: Path | bytes, target: Path) -> None:
    """Unpack an archive, a file or its content, to a new directory, which appears when it is whole and every file has been checked.

    Raises:
        DatasetError: no archive of a dataset, damaged, or the directory is there.
    """
    if target.exists():
        raise DatasetError(f"{target} is already there; choose another directory or remove it")
    target.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".partial", dir=target.parent))
    try:
        content = io.BytesIO(archive) if isinstance(archive, bytes) else None
        with tarfile.open(None if content else archive, "r:", fileobj=content) as tar:
            for info in tar:
                # The "data" filter refuses links, devices and paths that lead outside.
                tar.extract(info, staging, filter="data")
        _check(staging)
        staging.chmod(0o755)
        staging.rename(target)
    except (tarfile.TarError, OSError) as error:
        shown = "archive" if isinstance(archive, bytes) else archive
        raise DatasetError(f"{shown}: cannot be unpacked to {target} ({error})") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _check(directory: Path) -> None:
    manifest = Manifest.read(directory)
    manifest.check_files(directory, deep=True)
    for run in manifest.runs:
        _check(directory / run)


def _files(
    directory: Path, manifest: Manifest, prefix: PurePosixPath
) -> Iterator[tuple[str, Path, FileEntry]]:
    """Name, path and entry of every file, those of single runs first and each manifest after its own files."""
    for run in manifest.runs:
        yield from _files(directory / run, Manifest.read(directory / run), prefix / run)
    for name, entry in sorted(manifest.files.items()):
        yield str(prefix / name), directory / name, entry
    yield str(prefix / MANIFEST_NAME), directory / MANIFEST_NAME, FileEntry.of(directory / MANIFEST_NAME)
