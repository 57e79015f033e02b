"""Writing one file: whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from gcsim.datasets.reader import Result
from gcsim.errors import DatasetError


def write_whole(path: Path, content: bytes) -> None:
    """Write `content` beside `path` and rename it there; whoever looks sees the old file or the new one.

    Raises:
        DatasetError: it cannot be written; nothing is left behind.
    """
    temporary: str | None = None
    try:
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".partial", dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        umask = os.umask(0)  # mkstemp makes files private
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)
        os.replace(temporary, path)
    except OSError as err:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
        raise DatasetError(f"{path}: cannot be written ({err}); choose another file") from err


def single_run(result: Result) -> Result:
    """The run itself.

    Raises:
        DatasetError: these are several replications, and a profile or a time line is of one.
    """
    if result.runs:
        names = ", ".join(run.path.name for run in result.runs)
        raise DatasetError(
            f"{result.path} holds {len(result.runs)} replications; name one of them: {result.path}/… ({names})"
        )
    return result
