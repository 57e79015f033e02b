"""Memory of this process, now and at its peak."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

_STATUS = Path("/proc/self/status")


def peak_memory_bytes() -> int:
    """Largest resident set since the program began.

    Linux says it as VmHWM.  `ru_maxrss`, used elsewhere, would there also cover the parent's memory between fork and
    exec, so that a large parent hides a small child.
    """
    found = _status("VmHWM:")
    if found is not None:
        return found
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak << 10


def memory_bytes() -> int:
    """Resident set at present; where the system does not say, the largest so far."""
    found = _status("VmRSS:")
    return peak_memory_bytes() if found is None else found


def _status(name: str) -> int | None:
    """A size from Linux's status of this process, in bytes; None elsewhere."""
    if _STATUS.exists():
        for line in _STATUS.read_text().splitlines():
            if line.startswith(name):
                return int(line.split()[1]) << 10
    return None
