"""A disk that really is full: a server whose data directory is a small file system of its own."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from gcsim.client import RunFailedError, ServiceError
from tests.service.conftest import Start, until
from tests.sweep.runs import quick

pytestmark = pytest.mark.skipif(not Path("/proc/mounts").exists(), reason="mounts as Linux does")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """`tmp_path/data` with room for 3 MiB; skipped where nothing may be mounted."""
    directory = tmp_path / "data"
    directory.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(directory)], capture_output=True, text=True
    )
    if done.returncode:
        pytest.skip(f"cannot mount a tmpfs here: {done.stderr.strip()}")
    yield directory
    subprocess.run(["umount", "--lazy", str(directory)], check=True)


def fill(directory: Path, *, leave: int) -> Path:
    """A file that takes all space but so many bytes."""
    ballast = directory / "ballast"
    free = os.statvfs(directory).f_bavail * os.statvfs(directory).f_frsize
    with ballast.open("wb") as file:
        file.write(b"x" * max(0, free - leave))
    return ballast


def test_no_space_for_a_result_or_for_the_store_is_said_and_survived(small_disk: Path, start: Start) -> None:
    server = start()
    with server.client(retries=0) as client:
        first = client.submit(quick(seed=1)).wait()
        assert first.state == "SUCCEEDED"

        # A result does not fit (it needs some 240 KiB), what the store writes about it does.
        ballast = fill(small_disk, leave=160 << 10)
        run = client.submit(quick(seed=2))
        with pytest.raises(RunFailedError) as failed:
            run.result()
        assert failed.value.reason == "STORAGE_FULL"
        assert [dataset.name for dataset in client.datasets()] == [first.message.dataset]
        assert [path.name for path in (small_disk / "datasets").iterdir()] == [
            first.message.dataset.removeprefix("datasets/")
        ]
        until(lambda: not list((small_disk / ".staging").iterdir()))

        # Nothing fits any more: what would be stored is refused, and looking goes on.
        ballast.unlink()
        ballast = fill(small_disk, leave=0)
        known = {run.name for run in client.runs()}
        refusals = []
        for seed in range(3, 40):  # the log of the store may have a few pages left
            try:
                known.add(client.submit(quick(seed=seed)).message.name)
            except ServiceError as error:
                refusals.append((error.code, error.reason))
        assert set(refusals) == {("RESOURCE_EXHAUSTED", "STORAGE_FULL")}
        with pytest.raises(ServiceError) as refused:
            client.submit_sweep(quick(seed=50), ["gogc=50,100"], replications=20)
        assert refused.value.reason == "STORAGE_FULL"
        assert client.sweeps() == []
        assert {run.name for run in client.runs()} == known
        assert client.run(first.id).state == "SUCCEEDED"

        # Space again: what was accepted reaches a final state, and new work succeeds, a sweep too.
        ballast.unlink()
        for name in known:
            assert client.run(name).wait().state in ("SUCCEEDED", "FAILED")
        for run_id in known - {first.message.name}:
            client.delete(run_id)
        assert client.submit(quick(seed=2)).wait().state == "SUCCEEDED"
        sweep = client.submit_sweep(quick(seed=50), ["gogc=50,100"])
        assert sweep.wait().state == "SUCCEEDED"
    assert server.terminate() == 0
