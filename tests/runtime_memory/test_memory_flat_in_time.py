"""The memory promise: a recorded run needs no more memory for being long."""

import subprocess
import sys
from pathlib import Path

# Every table fills: collections with pauses and assists about once a second, latencies of requests that block.
SPEC = """\
version: 1
name: long
runtime: {go: "1.27", gomaxprocs: 1}
machine: {cores: 1}
run: {settle: 0ns}
record: {requests_sample: 0.1, tricolor: true}
retained:
  - name: cache
    entries: 20000
    objects:
      - {size: 1KiB, pointer_words: 16}
requests:
  - name: background
    workers: 1
    steps:
      - cpu: {distribution: {kind: exponential, mean: 20ms}}
      - allocate: {count: 20, size: 32KiB}
      - replace: {set: cache, count: 10}
  - name: front
    rate_per_s: 5
    steps:
      - cpu: 1ms
      - block: 2ms
      - allocate: {count: 10, size: 1KiB}
"""

RUN = """
import sys
import gcsim
from gcsim.bench.memory import peak_memory_bytes
result = gcsim.run(sys.argv[1], set=["duration=" + sys.argv[2]], out=sys.argv[3])
print(result.summary["num_gc"], result.summary["assists"], peak_memory_bytes())
"""


def peak_bytes(seconds: int, folder: Path) -> int:
    """Peak memory of a fresh process that records a run of so many simulated seconds."""
    spec = folder / "long.yaml"
    spec.write_text(SPEC)
    arguments = [sys.executable, "-c", RUN, str(spec), f"{seconds}s", str(folder / f"run-{seconds}")]
    done = subprocess.run(arguments, capture_output=True, text=True, check=True)
    collections, assists, peak = (int(float(figure)) for figure in done.stdout.split())
    assert collections > seconds / 2
    assert assists > seconds / 2
    return peak


def test_a_thousand_simulated_seconds_peak_within_20_mib_of_ten(tmp_path: Path) -> None:
    short, long = peak_bytes(10, tmp_path), peak_bytes(1_000, tmp_path)
    assert long - short < 20 << 20
    assert long < 400 << 20
