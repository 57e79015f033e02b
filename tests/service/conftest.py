"""A real server process on loopback, and ways to treat it badly."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gcsim.client import Client

PATIENCE_S = 60


class ServerProcess:
    """`gcsim serve` as a process of its own, over a data directory that outlives it."""

    def __init__(self, data_dir: Path, *arguments: str, failpoint: str = "", target: str = "") -> None:
        self.data_dir = data_dir
        listen = target or "127.0.0.1:0"
        self.popen = subprocess.Popen(
            [sys.executable, "-m", "gcsim", "serve", "--data-dir", data_dir, "--listen", listen, *arguments],
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "GCSIM_FAILPOINT": failpoint},
        )
        self.lines: list[str] = []
        self._listening = threading.Event()
        self.target = ""
        threading.Thread(target=self._read, daemon=True).start()
        assert self._listening.wait(PATIENCE_S)
        assert self.target, "".join(self.lines)

    def _read(self) -> None:
        assert self.popen.stderr is not None
        for line in self.popen.stderr:
            self.lines.append(line)
            if '"listening"' in line:
                self.target = json.loads(line)["address"]
                self._listening.set()
        self._listening.set()
        self.popen.stderr.close()

    @property
    def workers(self) -> list[int]:
        lists = Path(f"/proc/{self.popen.pid}/task").glob("*/children")
        return [int(pid) for path in lists for pid in path.read_text().split()]

    def client(self, **access: Any) -> Client:
        return Client(self.target, **access)

    def kill(self) -> None:
        self.popen.kill()
        self.popen.wait()

    def terminate(self) -> int:
        """SIGTERM, and the exit code."""
        self.popen.send_signal(signal.SIGTERM)
        return self.popen.wait(PATIENCE_S)


Start = Callable[..., ServerProcess]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts servers over `tmp_path/data`; those that still run at the end are killed."""
    servers: list[ServerProcess] = []

    def begin(*arguments: str, **fields: Any) -> ServerProcess:
        servers.append(ServerProcess(tmp_path / "data", *arguments, **fields))
        return servers[-1]

    yield begin
    for server in servers:
        server.kill()


def until(what: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + PATIENCE_S
    while not (found := what()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return found


def is_gone(pid: int) -> bool:
    try:
        return "Z" in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return True
