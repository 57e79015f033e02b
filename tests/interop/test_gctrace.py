"""The runtime's own lines, both ways."""

from dataclasses import fields
from pathlib import Path

import pytest

from gcsim.interop.gctrace import GctraceLine, Interval, format_line, format_ns_as_ms, itoa_div, parse
from gcsim.runtime.records import CycleRecord
from gcsim.units import MIB, MS, US
from tests.datasets.fake_engine import cycle_record

DATA = Path(__file__).parent / "data"
REAL = (DATA / "gctrace.txt").read_text().splitlines()


def record_of(line: GctraceLine, *, at: str = "low") -> CycleRecord:
    """A cycle whose values lie within what a line says: at the low end of each interval, or just below the high end."""

    def value(interval: Interval | None) -> int:
        return 0 if interval is None else interval.low if at == "low" else interval.high - 1

    return cycle_record(line.cycle, value(line.start_ns), "load")._replace(
        trigger_reason="forced" if line.forced else "heap",
        sweep_term_ns=value(line.sweep_term_ns),
        mark_ns=value(line.mark_ns),
        mark_term_ns=value(line.mark_term_ns),
        assist_cpu_ns=value(line.assist_cpu_ns),
        dedicated_cpu_ns=value(line.background_cpu_ns),
        fractional_cpu_ns=0,
        idle_cpu_ns=value(line.idle_cpu_ns),
        heap_start_bytes=value(line.heap_start_bytes),
        heap_end_bytes=value(line.heap_end_bytes),
        heap_marked_bytes=value(line.heap_marked_bytes),
        heap_goal_bytes=value(line.heap_goal_bytes),
        stacks_bytes=value(line.stacks_bytes),
        globals_bytes=value(line.globals_bytes),
        gomaxprocs=line.gomaxprocs,
        # The middle of the percent, since 0.29 * 100 is less than 29 in floating point.
        gc_cpu_frac_cumulative=(line.gc_percent + 0.5) / 100,
    )


def without_pause_cpu(text: str) -> str:
    """A line without the two CPU times of the pauses: they are products of wall times not known exactly."""
    head, cpu, tail = text.partition(" ms clock, ")
    middle = tail.split(" ms cpu, ")
    return head + cpu + "+".join(middle[0].split("+")[1:-1]) + middle[1]


@pytest.mark.parametrize("at", ["low", "high"])
@pytest.mark.parametrize("text", REAL)
def test_a_real_line_comes_back_from_any_values_within_its_intervals(text: str, at: str) -> None:
    (line,) = parse(text)
    assert without_pause_cpu(format_line(record_of(line, at=at), cores=2)) == without_pause_cpu(text)


def test_the_real_lines_cover_every_style_of_number() -> None:
    numbers = {
        number
        for text in REAL
        for number in text.split(": ")[1].split(" ms cpu")[0].replace("/", "+").split("+")
    }
    styles = {"".join("9" if c.isdigit() else c for c in number.split(" ")[0]) for number in numbers}
    assert {"9", "9.9", "9.99", "9.999", "99"} <= styles


@pytest.mark.parametrize(
    ("ns", "text"),
    [
        (0, "0"),
        (999, "0"),
        (1_000, "0.001"),
        (99_999, "0.099"),
        (100_000, "0.10"),
        (999_999, "0.99"),
        (1_000_000, "1.0"),
        (9_999_999, "9.9"),
        (10 * MS, "10"),
        (12_999_999, "12"),
        (1_234 * MS, "1234"),
    ],
)
def test_times_are_cut_off_to_two_digits_below_ten_milliseconds(ns: int, text: str) -> None:
    assert format_ns_as_ms(ns) == text


def test_itoa_div_keeps_a_digit_before_the_point() -> None:
    assert [itoa_div(7, 3), itoa_div(1234, 3), itoa_div(0, 3), itoa_div(5, 0)] == [
        "0.007",
        "1.234",
        "0.000",
        "5",
    ]


def test_pause_cpu_is_wall_time_by_the_cpus_that_there_are() -> None:
    cycle = cycle_record(3, 5 * MS, "load")._replace(
        gomaxprocs=64, sweep_term_ns=100 * US, mark_term_ns=200 * US
    )
    assert " ms clock, 0.80+" in format_line(cycle, cores=8)
    assert "+1.6 ms cpu" in format_line(cycle, cores=8)
    assert " ms clock, 6.4+" in format_line(cycle, cores=128)


def test_lines_are_found_behind_prefixes_and_between_other_output() -> None:
    line = REAL[0]
    text = f"Mar  3 12:00:01 host app[17]: {line}\nrequest done\nE0301 {line} (forced)\nlegacy gc notes 1.5\n"
    first, second = parse(text)
    assert (first.forced, second.forced) == (False, True)
    assert [first] == list(parse([line]))


def test_interleaved_pacer_trace_is_passed_over() -> None:
    text = (DATA / "gctrace-and-pacertrace.txt").read_text()
    cycles = [line.cycle for line in parse(text)]
    assert cycles == list(range(1, text.count("\ngc ") + text.startswith("gc ") + 1))


def test_lines_of_older_releases_have_no_stacks_and_globals() -> None:
    # Made up, in the shape of Go 1.6 to 1.17.
    (old,) = parse(
        "gc 7 @0.231s 4%: 0.022+1.3+0.004 ms clock, 0.18+0.15/2.3/0.9+0.034 ms cpu, 5->6->2 MB, 6 MB goal, 8 P"
    )
    assert (old.stacks_bytes, old.globals_bytes, old.gomaxprocs) == (None, None, 8)


def test_a_leak_check_and_glued_units_are_understood() -> None:
    text = (
        "gc 9 @1.500s 12% (checking for goroutine leaks): 0.010+10+0.020 ms clock, 0.020+0/9.0/0+0.040 ms cpu,"
        " 40->41->20 MB, 42 MB goal, 0MB stacks, 1MB globals, 2 P (forced)"
    )
    (line,) = parse(text)
    assert line.leak_check
    assert line.forced
    assert line.gc_percent == 12
    assert line.start_ns == Interval(1_500 * MS, 1_501 * MS)
    assert line.mark_ns == Interval(10 * MS, 11 * MS)
    assert line.assist_cpu_ns == Interval(0, US)
    assert line.background_cpu_ns == Interval(9 * MS, 9_100 * US)
    assert line.heap_goal_bytes == Interval(42 * MIB, 43 * MIB)
    assert line.globals_bytes == Interval(MIB, 2 * MIB)


def test_every_field_of_a_parsed_line_is_filled() -> None:
    (line,) = parse(REAL[0])
    assert all(getattr(line, field.name) is not None for field in fields(line))
