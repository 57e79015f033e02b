"""Text of the settings, release profiles, and default GOMAXPROCS."""

from __future__ import annotations

import pytest

from gcsim.policy.byte_counts import NO_MEMORY_LIMIT_BYTES, parse_byte_count, parse_gogc, parse_gomemlimit
from gcsim.policy.releases import RELEASES, PacerEra, SpanLayout, release_rules


@pytest.mark.parametrize(
    ("text", "old", "new"),
    [
        ("off", -1, -1),
        ("50", 50, 50),
        ("+50", 100, 50),
        ("-3", -1, -1),
        ("0", 0, 0),
        ("", 100, 100),
        ("0x10", 100, 100),
        ("5 ", 100, 100),
        ("2147483648", 100, 100),
        ("99999999999999999999999", 100, 100),
        ("-", 0, 100),
        ("off ", 100, 100),
    ],
)
def test_gogc(text: str, old: int, new: int) -> None:
    assert parse_gogc(text, release_rules("1.25")) == old
    assert parse_gogc(text, release_rules("1.26")) == new


def test_gomemlimit() -> None:
    old, new = release_rules("1.25"), release_rules("1.26")
    assert parse_gomemlimit("off", new) == parse_gomemlimit("", old) == NO_MEMORY_LIMIT_BYTES
    assert parse_gomemlimit("1GiB", old) == parse_gomemlimit("+1GiB", new) == 1 << 30
    for rules, text in ((old, "+1GiB"), (new, "lots"), (new, "-1GiB"), (new, "1GB")):
        with pytest.raises(ValueError, match="malformed GOMEMLIMIT"):
            parse_gomemlimit(text, rules)


@pytest.mark.parametrize("text", ["-", "+", "B", "iB", "KiB", "-B", "٣", "٣B", "1\n", "1_000"])
def test_texts_that_are_no_byte_count(text: str) -> None:
    assert parse_byte_count(text, release_rules("1.19")) is None
    assert parse_byte_count(text, release_rules("1.27")) is None


def test_unknown_release_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"unknown Go release '1\.18'; known: 1\.19, 1\.20, .*1\.27"):
        release_rules("1.18")


def test_default_gomaxprocs_follows_the_quota_from_1_25_on() -> None:
    assert release_rules("1.24").default_gomaxprocs(cpus=64, quota_cpus=2.0) == 64
    new = release_rules("1.25")
    assert new.default_gomaxprocs(cpus=64, quota_cpus=None) == 64
    assert [new.default_gomaxprocs(cpus=64, quota_cpus=q) for q in (0.5, 2.0, 2.1, 100.0)] == [2, 2, 3, 64]
    assert new.default_gomaxprocs(cpus=1, quota_cpus=0.5) == 1


def test_profiles_are_named_by_themselves() -> None:
    assert all(name == rules.release for name, rules in RELEASES.items())
    assert set(RELEASES) >= {
        *(f"1.{minor}" for minor in range(19, 28)),
        "1.25-greenteagc",
    }


def test_what_changed_when() -> None:
    def first(**wanted: object) -> str:
        return next(
            name for name, rules in RELEASES.items() if all(getattr(rules, k) == v for k, v in wanted.items())
        )

    assert first(pacer_era=PacerEra.WINDOW) == "1.21"
    assert first(scavenge_limit_slip=False) == "1.22"
    assert first(span_layout=SpanLayout.HEAP_BITS) == "1.22"
    assert first(swiss_maps=True) == "1.24"
    assert first(checks_worker_needed_first=True) == "1.24"
    assert first(cgroup_gomaxprocs=True) == "1.25"
    assert first(green_tea=True) == "1.25-greenteagc"
    assert first(dense_scan_allowed=True) == first(mark_workers_at_restart=True) == "1.26"
    assert not RELEASES["1.26-nogreenteagc"].green_tea
    assert RELEASES["1.26-nogreenteagc"].mark_workers_at_restart
