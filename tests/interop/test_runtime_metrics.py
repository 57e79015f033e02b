"""runtime/metrics as JSON and in Prometheus text form."""

import json
import math
from pathlib import Path

import pytest

from gcsim.errors import SpecError
from gcsim.interop.runtime_metrics import Histogram, prometheus_name, read

DATA = Path(__file__).parent.parent / "fit" / "data" / "service"
JSON = DATA / "gogc100-runtime-metrics.json.gz"
PROM = DATA / "gogc100-metrics.prom"


def test_both_forms_of_one_process_say_the_same() -> None:
    """They were read one after the other, so totals differ by what happened in between."""
    of_json, of_prom = read(JSON), read(PROM)
    assert set(of_json.values) == set(of_prom.values)
    for name in of_json.values:
        if name.endswith(("limit:bytes", "percent", "threads", "gc-cycles", "globals:bytes")):
            assert of_json.get(name) == of_prom.get(name), name
    assert of_prom.get("/gc/heap/allocs:bytes") == pytest.approx(
        of_json.get("/gc/heap/allocs:bytes"), rel=0.02
    )
    assert (of_json.go, of_json.gogc, of_json.gomemlimit_bytes) == ("go1.27.3", 100, "off")
    assert (of_prom.go, of_prom.gogc, of_prom.gomemlimit_bytes) == ("go1.27.3", 100, "off")
    assert set(of_json.histograms) >= {"/gc/heap/allocs-by-size:bytes", "/sched/latencies:seconds"}


@pytest.mark.parametrize(
    ("name", "prometheus"),
    [
        ("/gc/heap/allocs:bytes", "go_gc_heap_allocs_bytes_total"),
        ("/gc/heap/live:bytes", "go_gc_heap_live_bytes"),
        ("/cpu/classes/gc/mark/assist:cpu-seconds", "go_cpu_classes_gc_mark_assist_cpu_seconds_total"),
        ("/sched/gomaxprocs:threads", "go_sched_gomaxprocs_threads"),
        ("/gc/cycles/total:gc-cycles", "go_gc_cycles_total_gc_cycles_total"),
    ],
)
def test_names_of_the_prometheus_collector(name: str, prometheus: str) -> None:
    assert prometheus_name(name) == prometheus


def test_older_names_give_way_to_newer_ones(tmp_path: Path) -> None:
    path = tmp_path / "m.txt"
    path.write_text(
        'go_info{version="go1.21.4"} 1\ngo_memstats_mallocs_total 10\ngo_gc_heap_allocs_objects_total 9\n'
        "go_memstats_frees_total 4\ngo_goroutines 12 1700000000000\nprocess_cpu_seconds_total 3\n"
        'go_gc_duration_seconds{quantile="0.5"} 1e-4\ngo_gc_gogc_percent 1.8446744073709552e+19\n'
    )
    found = read(path)
    assert found.values == {
        "/gc/heap/allocs:objects": 9,
        "/gc/heap/frees:objects": 4,
        "/sched/goroutines:goroutines": 12,
        "/gc/gogc:percent": 1.8446744073709552e19,
    }
    assert (found.go, found.gogc) == ("go1.21.4", "off")


def test_quantiles_are_middles_of_buckets() -> None:
    histogram = Histogram((-math.inf, 0.0, 1.0, 3.0, math.inf), (0, 1, 2, 1))
    assert histogram.count == 4
    assert histogram.quantile(0.5) == 2.0
    assert histogram.quantile(0.2) == 0.5
    assert histogram.quantile(1.0) == 3.0
    assert Histogram((0.0, 1.0), (0,)).quantile(0.5) is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "has no metric of the Go runtime"),
        ("up 1\n", "has no metric of the Go runtime"),
        ("[1, 2]", "is a JSON list"),
        ('{"/gc/heap/live:bytes": \n 3,}', r"\(line 2\): is no JSON"),
        ('{"/gc/heap/live:bytes": "many", "/gc/gogc:percent": -1}', "2 problems"),
        ('{"/sched/latencies:seconds": {"buckets": [0], "counts": [1]}}', "n \\+ 1 rising numbers"),
        ("go_goroutines 3\ngo_goroutines 4\n", r"\(line 2\): go_goroutines is there already in line 1"),
        ("go_goroutines x\n", r"\(line 1\): go_goroutines x is no number"),
    ],
)
def test_what_is_wrong_is_named_with_place_and_remedy(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "dump"
    path.write_text(text)
    with pytest.raises(SpecError, match=words) as caught:
        read(path)
    assert str(path) in str(caught.value)


def test_a_json_dump_needs_known_names_only(tmp_path: Path) -> None:
    path = tmp_path / "dump.json"
    path.write_text(json.dumps({"/gc/heap/live:bytes": 5, "mine": "anything", "/new/in:go": [1]}))
    assert read(path).values == {"/gc/heap/live:bytes": 5}
