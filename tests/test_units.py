"""Sizes and times, from and to text."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gcsim.units import SIZE_PATTERN, TIME_PATTERN, format_bytes, format_ns, parse_bytes, parse_duration_ns


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [
        ("0", 0),
        ("4096", 4096),
        ("32B", 32),
        ("1KiB", 1024),
        ("1.5MiB", 1_572_864),
        (" 512 mib ", 512 << 20),
        ("2GiB", 2 << 30),
        ("1TiB", 1 << 40),
        ("1e3KiB", 1_024_000),
        ("-1KiB", -1024),
    ],
)
def test_sizes(text: str, size_bytes: int) -> None:
    assert parse_bytes(text) == size_bytes


@pytest.mark.parametrize(
    ("text", "time_ns"),
    [
        ("0s", 0),
        ("250ns", 250),
        ("1us", 1_000),
        ("1.5µs", 1_500),
        ("1μs", 1_000),
        ("0.1s", 100_000_000),
        ("10ms", 10_000_000),
        ("2m", 120_000_000_000),
        ("1h", 3_600_000_000_000),
        ("1e-3s", 1_000_000),
    ],
)
def test_times(text: str, time_ns: int) -> None:
    assert parse_duration_ns(text) == time_ns


@pytest.mark.parametrize(
    "text", ["", "MiB", "1MB", "1K", "ten", "1 2KiB", "1e999999999KiB", "9" * 40, "nan", "inf", "0x10"]
)
def test_what_is_no_size_is_refused_with_a_remedy(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a size; write .*512MiB"):
        parse_bytes(text)


@pytest.mark.parametrize("text", ["", "10", "10 sec", "1S", "1MS", "1d", "ms", "1e999999999s", "nan", "1:30"])
def test_what_is_no_time_is_refused_with_a_remedy(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a time; write .*10ms"):
        parse_duration_ns(text)


@pytest.mark.parametrize("value", [5, 1.5, None, True, ["1KiB"]])
def test_what_is_no_text_passes_through(value: object) -> None:
    assert parse_bytes(value) is value
    assert parse_duration_ns(value) is value


def test_less_than_the_smallest_unit_is_not_quietly_nothing() -> None:
    with pytest.raises(ValueError, match="less than the smallest"):
        parse_duration_ns("0.1ns")
    with pytest.raises(ValueError, match="less than the smallest"):
        parse_bytes("0.1B")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1536, "1.5 KiB"),
        (5 << 20, "5.0 MiB"),
        (3 << 30, "3.0 GiB"),
        (2 << 40, "2.0 TiB"),
    ],
)
def test_format_bytes(value: float, text: str) -> None:
    assert format_bytes(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0 ns"),
        (999, "999 ns"),
        (1_500, "1.5 µs"),
        (999_999, "1 ms"),
        (1_234_567, "1.23 ms"),
        (123_456_789, "123 ms"),
        (999_999_999, "1 s"),
        (8_000_000_000, "8 s"),
        (1_234_000_000_000, "1234 s"),
        (-1_500, "-1.5 µs"),
    ],
)
def test_format_ns_has_three_digits_and_no_exponent(value: float, text: str) -> None:
    assert format_ns(value) == text


@given(st.integers(0, 10**9), st.sampled_from(["B", "KiB", "MiB", "GiB", "TiB", ""]))
def test_the_schema_takes_the_sizes_that_are_parsed(number: int, unit: str) -> None:
    text = f"{number}{unit}"
    assert isinstance(parse_bytes(text), int)
    assert re.search(SIZE_PATTERN, text)


@given(st.text("0123456789.eE+-nuµmsh ", max_size=8))
def test_the_schema_takes_the_times_that_are_parsed_and_no_others(text: str) -> None:
    try:
        parsed = parse_duration_ns(text)
    except ValueError as error:
        if "less than" not in str(error):
            assert not re.search(TIME_PATTERN, text)
    else:
        assert isinstance(parsed, int)
        assert bool(re.search(TIME_PATTERN, text)) is not text.strip().startswith("-")
