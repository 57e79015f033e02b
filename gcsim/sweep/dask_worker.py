"""What runs in a worker of a Dask cluster: one simulation, its dataset handed back as bytes.

The worker needs gcsim of the client's own version, and no file system in common with it: spec and machine profile come
with the task, the dataset goes back as an archive.

A simulation that takes too long fails, as a local one does.  One that is stuck, so that it does not even notice, is ended
with its process: a thread cannot be, and would keep its place in the cluster for ever.
"""

from __future__ import annotations

import contextlib
import logging
import os
import platform
import tempfile
import threading
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

from gcsim.failpoints import failpoint
from gcsim.sweep.states import Reason
from gcsim.sweep.worker import attempt
from gcsim.version import ENGINE_VERSION

log = logging.getLogger("gcsim.dask")

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
        task: ``engine_version`` of the client, ``name``, ``dataset_id``, ``spec`` and ``profile`` as plain data, ``max_run_s``,
            the longest that an attempt may take, and ``stuck_s``, after which it is stuck if it goes on beyond that.
    Returns:
        ``pid``, and either ``archive`` (bytes), or ``reason`` and ``message``, or ``versions`` if this worker's gcsim is
        another one than the client's.
    """
    if task["engine_version"] != ENGINE_VERSION:
        return {"pid": os.getpid(), "versions": versions()}
    made: dict[str, Any] = {}
    limit_s = task["max_run_s"]
    ends_s = time.monotonic() + limit_s

    def on_time(_: object) -> None:
        if time.monotonic() > ends_s:
            raise _TooLongError(f"took longer than {limit_s:g} s")

    def work() -> None:
        from gcsim.datasets.archive import Archive
        from gcsim.datasets.run import run_spec
        from gcsim.spec.load import spec_from_dict
        from gcsim.spec.profile import MachineProfile

        failpoint("worker.before_run", task["name"])
        with tempfile.TemporaryDirectory(prefix="gcsim-") as scratch:
            directory = Path(scratch) / task["dataset_id"]
            profile = MachineProfile.model_validate(task["profile"])
            run_spec(spec_from_dict(task["spec"]), directory, profile=profile, progress=on_time)
            made["archive"] = b"".join(Archive(directory).chunks())
        failpoint("worker.after_run", task["name"])

    with _ending_process(limit_s + task["stuck_s"]):
        try:
            reason, message = attempt(work)
        except _TooLongError as error:
            reason, message = Reason.RUN_TIMEOUT, str(error)
    return {"pid": os.getpid()} | ({"reason": reason, "message": message} if reason else made)


class _TooLongError(BaseException):
    """Not an Exception: nothing in between is to take it for a failure of the simulation."""


@contextlib.contextmanager
def _ending_process(after_s: float) -> Iterator[None]:
    """End this process unless the block is left in time."""

    def end() -> None:
        log.critical("a simulation is stuck; this worker ends with it")
        os._exit(1)

    timer = threading.Timer(after_s, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
