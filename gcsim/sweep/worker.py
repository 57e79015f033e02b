"""The process that simulates: ``python -m gcsim.sweep.worker``, started by the supervisor and never by hand.

It reads one JSON object per line from stdin (jobs) and writes one per line to what was stdout (messages); whatever
else prints goes to stderr.  When stdin ends, the supervisor is gone, and so is the worker, at once.  It never imports
grpc, and knows nothing of the store: a job says what to simulate and to which directory.

Messages: ``ready``; ``heartbeat``, from a thread of its own; ``progress`` with simulated time, end, cycles and
figures so far;
``done``; ``failed`` with reason and message.
"""

from __future__ import annotations

import errno
import json
import os
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any

from gcsim.errors import GcsimError, InvariantError, RunError
from gcsim.failpoints import failpoint
from gcsim.sweep.states import Reason

PROGRESS_S = 0.2
"""Least time between two progress messages."""


class _Channel:
    """Writes whole lines, from two threads."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file
        self._lock = threading.Lock()

    def send(self, kind: str, **fields: Any) -> None:
        line = json.dumps({"kind": kind, **fields}) + "\n"
        with self._lock:
            self._file.write(line)
            self._file.flush()


def main() -> None:
    """Serve jobs until stdin ends.  Settings come as one JSON argument: ``heartbeat_s``, ``memory_bytes``."""
    settings = json.loads(sys.argv[1])
    # Ctrl-C on a terminal goes to every process there; the supervisor says when to end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    channel = _Channel(os.fdopen(os.dup(1), "w", encoding="utf-8"))
    os.dup2(2, 1)
    jobs = _Jobs()  # first of all, so that the end of stdin is noticed while loading
    # The engine and pyarrow, before the limit and before the first job.
    import gcsim.datasets.run
    import gcsim.runtime  # noqa: F401 - for the time that it takes

    if settings["memory_bytes"] is not None:
        resource.setrlimit(resource.RLIMIT_AS, (settings["memory_bytes"],) * 2)
    if settings.get("file_bytes") is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (settings["file_bytes"],) * 2)
    _beat(channel, settings["heartbeat_s"])
    channel.send("ready")
    while True:
        job = jobs.next()
        if not _serve(job, channel):
            return


def _serve(job: dict[str, Any], channel: _Channel) -> bool:
    """Do one job; whether this process is fit for another."""

    def simulate() -> None:
        failpoint("worker.before_run", job["name"])
        _simulate(job, channel)
        failpoint("worker.after_run", job["name"])

    reason, message = attempt(simulate)
    if reason:
        channel.send("failed", reason=reason, message=message)
    else:
        channel.send("done")
    return reason != Reason.OUT_OF_MEMORY


def attempt(simulate: Callable[[], None]) -> tuple[str, str]:
    """Simulate, and say what went wrong: reason and message, both empty if nothing did."""
    try:
        simulate()
    except MemoryError:
        message = "the worker's memory limit was reached; simulate less, or record less"
        return Reason.OUT_OF_MEMORY, message
    except InvariantError as error:
        return Reason.INTERNAL_ERROR, str(error)
    except RunError as error:
        return Reason.SIMULATION_FAILED, str(error)
    except (GcsimError, OSError) as error:
        if is_disk_full(error):
            return Reason.STORAGE_FULL, "no space left for the result"
        return Reason.SIMULATION_FAILED, str(error)
    except Exception as error:
        return Reason.INTERNAL_ERROR, f"{type(error).__name__}: {error}"
    return "", ""


def _simulate(job: dict[str, Any], channel: _Channel) -> None:
    from gcsim.datasets.run import run_replications, run_spec
    from gcsim.datasets.summary import SummaryAccumulator
    from gcsim.spec.load import spec_from_dict

    data = json.loads(job["spec_json"])
    if job["profile_path"] is not None:
        data["machine"]["profile"] = job["profile_path"]
    spec = spec_from_dict(data)
    out = Path(job["out_dir"])
    accumulator = SummaryAccumulator()
    done: list[dict[str, Any]] = []

    def fresh(number: int) -> SummaryAccumulator:
        nonlocal accumulator
        if number:
            done.append(accumulator.partial())
        accumulator = SummaryAccumulator()
        return accumulator

    if spec.run.replications == 1:
        report = _reporter(channel, 1, lambda: accumulator.partial())
        run_spec(spec, out, progress=lambda at: report(0, at), accumulator=accumulator)
    else:
        # Of the replications that are done: figures of the one that is going on would jump about.
        report = _reporter(channel, spec.run.replications, lambda: _means(done))
        run_replications(spec, out, progress=report, accumulator=fresh)


def _means(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Means of what every one of them has a figure of."""
    common = [name for name in rows[0] if all(row.get(name) is not None for row in rows)] if rows else []
    return {name: sum(row[name] for row in rows) / len(rows) for name in common}


def _reporter(
    channel: _Channel, replications: int, partial: Callable[[], dict[str, Any]]
) -> Callable[[int, Any], None]:
    """Progress over all replications, as one stretch of simulated time."""
    cycles = [0] * replications
    last_s = -PROGRESS_S

    def report(number: int, at: Any) -> None:
        nonlocal last_s
        cycles[number] = at.cycles
        now_s = time.monotonic()
        if now_s - last_s < PROGRESS_S:
            return
        last_s = now_s
        channel.send(
            "progress",
            sim_time_ns=number * at.end_ns + at.sim_time_ns,
            end_ns=at.end_ns * replications,
            cycles=sum(cycles),
            partial=partial(),
        )

    return report


def is_disk_full(error: BaseException | None) -> bool:
    """Whether an error, or what caused it, says that there is no space (disk, quota, largest file)."""
    while error is not None:
        if isinstance(error, OSError):
            full = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
            if error.errno in full or any(os.strerror(code) in str(error) for code in full):
                return True
        error = error.__cause__
    return False


class _Jobs:
    """Jobs from stdin.  A thread reads, so that the end of stdin ends the process in the middle of a simulation too."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._arrived = threading.Condition()
        threading.Thread(target=self._read, name="jobs", daemon=True).start()

    def _read(self) -> None:
        for line in sys.stdin:
            with self._arrived:
                self._lines.append(line)
                self._arrived.notify()
        os._exit(0)

    def next(self) -> dict[str, Any]:
        with self._arrived:
            while not self._lines:
                self._arrived.wait()
            job: dict[str, Any] = json.loads(self._lines.pop(0))
        return job


def _beat(channel: _Channel, every_s: float) -> None:
    def run() -> None:
        while True:
            time.sleep(every_s)
            channel.send("heartbeat")

    threading.Thread(target=run, name="heartbeat", daemon=True).start()


if __name__ == "__main__":
    main()
