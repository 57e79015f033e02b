"""Places where a test can make the program die, wait or run out of something, named in the environment.

``GCSIM_FAILPOINT=NAME[@DETAIL]:ACTION[:TOKEN]``, several separated by commas.  A place is reached by name and, where it
has one, a detail such as the run's name.  With a TOKEN, a file, the failpoint fires once: who removes the file, fires.

Actions: ``kill`` (SIGKILL to this process), ``enospc`` (the disk is full), ``hog`` (takes memory until there is none),
``hang`` (waits for ever), ``stop`` (SIGSTOP to this process), ``deaf`` (ignores SIGTERM, then hangs).  Without the
variable a failpoint costs one look-up.
"""

from __future__ import annotations

import errno
import os
import signal
import threading

VARIABLE = "GCSIM_FAILPOINT"

NAMES = (
    "submit.before_commit",
    "submit.after_commit",
    "sweep.before_commit",
    "sweep.after_commit",
    "feed.before_commit",
    "feed.after_commit",
    "worker.before_run",
    "worker.after_run",
    "publish.after_tables",
    "publish.after_manifest",
    "publish.after_rename",
    "finish.before_rename",
    "finish.after_rename",
    "finish.before_commit",
    "finish.after_commit",
)
"""Every place, so that tests can go through all of them: accepting a run, accepting a sweep, queueing some of
its runs, simulating a run, the run's files
(tables written, manifest written, directory renamed) and the coordinator's own steps of publishing."""


def failpoint(name: str, detail: str = "") -> None:
    """Do what the environment says about this place; nothing, as a rule."""
    setting = os.environ.get(VARIABLE)
    if not setting:
        return
    if name not in NAMES:
        raise AssertionError(f"failpoint {name!r} is not in NAMES")
    for item in setting.split(","):
        place, _, rest = item.partition(":")
        action, _, token = rest.partition(":")
        if place not in (name, f"{name}@{detail}"):
            continue
        if token:
            try:
                os.unlink(token)
            except FileNotFoundError:
                continue
        _act(action)


def _act(action: str) -> None:
    if action == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif action == "stop":
        os.kill(os.getpid(), signal.SIGSTOP)
    elif action == "enospc":
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    elif action == "hog":
        hoard = []
        while True:
            hoard.append(bytearray(16 << 20))
    elif action in ("hang", "deaf"):
        if action == "deaf":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        threading.Event().wait()
    else:
        raise AssertionError(f"unknown failpoint action {action!r}")
