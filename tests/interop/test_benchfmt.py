"""Go's benchmark format, read back by a small parser made from the format's description."""

import re
from typing import Any

import pytest
from click.testing import CliRunner

from gcsim.cli.main import cli
from gcsim.datasets.reader import Result
from gcsim.errors import DatasetError
from gcsim.interop.benchfmt import UNITS, benchmark_line, benchmark_name, lines


def parse(text: str) -> tuple[dict[str, dict[str, str]], list[dict[str, Any]]]:
    """Units and benchmarks of a file; each benchmark with the configuration in force where it stands.

    Source: Go proposal 14313: a configuration key begins with a lower-case letter and has neither upper-case letters
    nor blanks; a benchmark line is a name that begins with Benchmark and an upper-case letter or digit, iterations,
    and pairs of value and unit.
    """
    units: dict[str, dict[str, str]] = {}
    config: dict[str, str] = {}
    benchmarks = []
    for line in text.splitlines():
        if match := re.fullmatch(r"Unit (\S+)((?: [a-z]+=\S+)+)", line):
            units[match[1]] = dict(pair.split("=") for pair in match[2].split())
        elif match := re.fullmatch(r"([a-z][^A-Z\s:]*):[ \t]*(.*)", line):
            config[match[1]] = match[2]
        elif line.startswith("Benchmark"):
            name, iterations, *pairs = line.split()
            assert re.match(r"Benchmark($|[^a-z])", name)
            base, _, procs = name.rpartition("-")
            values = dict(zip(pairs[1::2], map(float, pairs[::2]), strict=True))
            assert len(pairs) == 2 * len(values), "a unit twice"
            benchmarks.append(
                {"name": base, "procs": int(procs), "n": int(iterations), "config": dict(config), **values}
            )
        else:
            raise AssertionError(f"no line of the format: {line!r}")
    return units, benchmarks


def test_the_values_are_those_of_the_summary_per_request(real_run: Result) -> None:
    units, (bench,) = parse("\n".join(lines([real_run])))
    summary = real_run.summary
    n = bench["n"]
    assert n == summary["requests"]
    assert bench["name"] == "BenchmarkEveryKind/gogc=100/gomaxprocs=2"
    assert bench["procs"] == 2
    assert bench["ns/op"] * n == pytest.approx(summary["duration_s"] * 1e9, rel=1e-5)
    assert bench["B/op"] * n == pytest.approx(summary["alloc_bytes"], rel=1e-5)
    assert bench["allocs/op"] * n == pytest.approx(summary["alloc_objects"], rel=1e-5)
    assert bench["GC/op"] * n == pytest.approx(summary["num_gc"], rel=1e-5)
    for unit, metric in {
        "p99-ns": "latency_ns_p99",
        "STW-p50-ns": "stw_pause_ns_p50",
        "peak-memory-bytes": "memory_peak_bytes",
    }.items():
        assert bench[unit] == summary[metric]
    assert units["p99-ns"] == {"better": "lower"}
    assert units["req/s"] == {"better": "higher"}


def test_configuration_says_what_made_the_numbers_and_claims_no_machine(real_run: Result) -> None:
    _, (bench,) = parse("\n".join(lines([real_run])))
    assert bench["config"]["go-release"] == "1.27"
    assert bench["config"]["cores"] == "2"
    assert not {"goos", "goarch", "pkg", "cpu"} & bench["config"].keys()


def test_each_replication_is_a_sample_and_shared_configuration_stands_once(replications: Result) -> None:
    text = list(lines([replications]))
    _, benchmarks = parse("\n".join(text))
    assert len(benchmarks) == 2
    assert len({b["name"] for b in benchmarks}) == 1
    assert benchmarks[0] != benchmarks[1]
    assert sum(line.startswith("go-release:") for line in text) == 1


def test_what_there_was_none_of_is_left_out(replications: Result) -> None:
    """GOGC off and far from the limit: no collection, no pause."""
    _, (bench, _) = parse("\n".join(lines([replications])))
    assert bench["GC/op"] == 0
    assert "STW-p50-ns" not in bench
    assert "heap-goal-bytes" not in bench


def test_settings_are_sub_names_and_the_name_has_no_dash() -> None:
    row = {"name": "small-3_runs", "gogc_percent": None, "memory_limit_bytes": 1 << 26, "gomaxprocs": 8}
    assert benchmark_name(row) == "BenchmarkSmall3Runs/gogc=off/gomemlimit=67108864/gomaxprocs=8-8"


def test_numbers_have_no_exponent(real_run: Result) -> None:
    row = dict.fromkeys((unit.metric for unit in UNITS), 1e-7) | {
        "name": "x", "gogc_percent": 100, "memory_limit_bytes": None, "gomaxprocs": 1, "requests": 3, "throughput_rps": 1.5e9 + 0.5,
    }  # fmt: skip
    line = benchmark_line(row, where="x")
    assert not re.search(r"\de[+-]?\d", line)
    assert "0.000000033333" in line
    assert "1500000000 req/s" in line


def test_a_run_without_requests_is_an_error_and_prints_nothing(real_run: Result) -> None:
    with pytest.raises(DatasetError, match=r"here: no request was completed.*run\.duration"):
        benchmark_line({"requests": 0}, where="here")


def test_the_command_takes_several_runs(real_run: Result, replications: Result) -> None:
    done = CliRunner().invoke(cli, ["benchfmt", str(real_run.path), str(replications.path)])
    assert done.exit_code == 0, done.stderr
    assert len(parse(done.stdout)[1]) == 3
