"""Dumps and profiles beside a log: what they replace, and that the fitted spec has it."""

from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from gcsim.cli.main import cli
from gcsim.fit.infer import Fit, fit
from gcsim.fit.known import by_size, known
from gcsim.fit.logs import read_log
from gcsim.fit.specfile import rows
from gcsim.interop.pprof_reader import Frame, HeapProfile, HeapSample, read_heap
from gcsim.interop.runtime_metrics import Histogram, RuntimeMetrics, read
from gcsim.spec.load import load_spec

DATA = Path(__file__).parent / "data" / "service"
LOG = DATA / "gogc100-gctrace.log"
METRICS = DATA / "gogc100-runtime-metrics.json.gz"
ALLOCS = DATA / "gogc100-allocs.pb.gz"


@pytest.fixture(scope="module")
def with_both() -> Fit:
    return fit(read_log(LOG), metrics=read(METRICS), allocs=read_heap(ALLOCS))


def test_metrics_replace_what_the_log_leaves_open(with_both: Fit) -> None:
    metrics = read(METRICS)
    service = with_both.service
    assert service.stacks_bytes == metrics.get("/gc/scan/stack:bytes")
    assert service.globals_bytes == metrics.get("/gc/scan/globals:bytes")
    assert service.goroutines == metrics.get("/sched/goroutines:goroutines")
    # 20,000 headers of 64 B and their payloads are little of a heap that is mostly buffers.
    assert 0.01 <= service.scannable_frac < 0.12
    assert not any("assumed" in note for note in with_both.notes)


def test_sites_of_the_profile_become_sites_of_the_spec(with_both: Fit, tmp_path: Path) -> None:
    """A request's objects come in the program's own proportion: 1 answer, 4 parts, 32 nodes."""
    done = CliRunner().invoke(
        cli,
        ["fit", str(LOG), "--metrics", str(METRICS), "--allocs", str(ALLOCS), "-o", str(tmp_path / "s.yaml")],
    )
    assert done.exit_code == 0, done.output
    spec = load_spec(tmp_path / "s.yaml")
    sizes = {site.name: site.size for site in spec.sites}
    assert {k: sizes[k] for k in ("main-answer", "main-encode", "main-parse")} == {
        "main-answer": 10240, "main-encode": 1024, "main-parse": 64,
    }  # fmt: skip
    counts = {s.site: s.count for s in spec.requests[0].steps if s.kind == "allocate" and s.site}
    assert counts["main-encode"] / counts["main-answer"] == pytest.approx(4, rel=0.15)
    assert counts["main-parse"] / counts["main-answer"] == pytest.approx(32, rel=0.25)
    total = sum(o.size * o.per_byte for o in with_both.service.objects)
    assert total == pytest.approx(1.0, rel=0.02)


def test_a_histogram_of_sizes_becomes_a_few_groups() -> None:
    histogram = Histogram((1.0, 17.0, 65.0, 1025.0, 10241.0, float("inf")), (100, 50, 10, 2, 1))
    found = by_size(histogram, total_bytes=100 * 16 + 50 * 64 + 10 * 1024 + 2 * 10240 + 100_000)
    assert [o.size for o in found] == [32, 1024, 10240, 100_000]
    assert sum(o.size * o.per_byte for o in found) == pytest.approx(1.0)
    assert [o.pointer_words for o in found] == [4, 0, 0, 0]


def test_pools_are_found_under_their_get() -> None:
    def sample(function: str, size: float) -> HeapSample:
        stack = (Frame(function), Frame("main.handle", "handle.go", 7))
        return HeapSample(
            stack=stack,
            alloc_objects=size / 64,
            alloc_bytes=size,
            inuse_objects=0,
            inuse_bytes=0,
            object_bytes=64,
        )

    found = known(
        allocs=HeapProfile(
            name="p", samples=(sample("main.f", 3e6), sample("sync.(*Pool).Get", 1e6)), rate_bytes=1
        )
    )
    assert found.refill_share == 0.25
    assert any("sync.Pool.Get" in note for note in found.notes)


def test_two_settings_that_differ_are_said_to() -> None:
    log = read_log(LOG)
    log = replace(log, settings=replace(log.settings, gogc=150))
    metrics = RuntimeMetrics(name="m", values={"/gc/gogc:percent": 100.0})
    found = fit(log, metrics=metrics)
    assert found.service.gogc == 150
    assert any("gogc is 150 in the log and 100 in the metrics" in note for note in found.notes)


@pytest.mark.slow
def test_a_known_cpu_share_is_the_load_of_an_open_loop() -> None:
    """4,000 requests a second of some 105 us are 21 % of two Ps; while marking it looks like more."""
    log = read_log(Path(__file__).parent / "data" / "logs" / "open-loop__go1.27.3_p2_gogc100.json.gz")
    metrics = RuntimeMetrics(
        name="m", values={"/cpu/classes/total:cpu-seconds": 16.0, "/cpu/classes/user:cpu-seconds": 3.4}
    )
    service = fit(log, metrics=metrics, requests_per_s=4000).service
    assert service.load == "open"
    assert service.request_cpu_ns == pytest.approx(106_000, rel=0.01)
    assert service.rate_per_s == pytest.approx(4000, rel=0.1)


def test_bad_files_are_named_together(tmp_path: Path) -> None:
    empty = tmp_path / "empty.txt"
    empty.write_text("nothing\n")
    done = CliRunner().invoke(
        cli, ["whatif", str(LOG), "--metrics", str(empty), "--allocs", str(tmp_path / "none")]
    )
    assert done.exit_code == 2
    assert "2 problems" in done.output
    assert "empty.txt" in done.output
    assert "none" in done.output


def test_facts_are_rows_of_the_table(with_both: Fit) -> None:
    found = {row.name: row for row in rows(with_both)}
    assert found["of it scannable"].source == "/gc/scan/heap over /gc/heap/live"
    assert found["site main-answer"].source.startswith("main.answer main.go:")
    assert {
        "goroutines",
        "mean object allocated",
        "memory besides the heap",
        "pauses of the collector",
    } <= set(found)
