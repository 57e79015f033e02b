"""What runs in a worker of a Dask cluster: one simulation, its dataset handed back as bytes.

The worker needs gcsim of the client's own version, and no file system in common with it: spec and machine profile come
with the task, the dataset goes back as an archive.
"""

from __future__ import annotations

import os
import platform
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

from gcsim.failpoints import failpoint
from gcsim.sweep.worker import attempt
from gcsim.version import ENGINE_VERSION

DECIDES_BYTES = ("numpy", "pyarrow")
"""Libraries that write the files: with other versions the figures are the same, but maybe not every byte."""


def versions() -> dict[str, str]:
    """Versions that matter, of this process."""
    return {
        "gcsim": ENGINE_VERSION, "python": platform.python_version(), **{name: version(name) for name in DECIDES_BYTES},
    }  # fmt: skip


def simulate(task: dict[str, Any]) -> dict[str, Any]:
    """Do one run.

    Args:
        task: ``engine_version`` of the client, ``name``, ``dataset_id``, ``spec`` and ``profile`` as plain data.
    Returns:
        ``pid``, and either ``archive`` (bytes), or ``reason`` and ``message``, or ``versions`` if this worker's gcsim is
        another one than the client's.
    """
    if task["engine_version"] != ENGINE_VERSION:
        return {"pid": os.getpid(), "versions": versions()}
    made: dict[str, Any] = {}

    def work() -> None:
        from gcsim.datasets.archive import Archive
        from gcsim.datasets.run import run_spec
        from gcsim.spec.load import spec_from_dict
        from gcsim.spec.profile import MachineProfile

        failpoint("worker.before_run", task["name"])
        with tempfile.TemporaryDirectory(prefix="gcsim-") as scratch:
            directory = Path(scratch) / task["dataset_id"]
            profile = MachineProfile.model_validate(task["profile"])
            run_spec(spec_from_dict(task["spec"]), directory, profile=profile)
            made["archive"] = b"".join(Archive(directory).chunks())
        failpoint("worker.after_run", task["name"])

    reason, message = attempt(work)
    return {"pid": os.getpid()} | ({"reason": reason, "message": message} if reason else made)
