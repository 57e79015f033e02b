"""Lessons: every claim is seen in two simulations, and what is shown is what was run."""

import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from gcsim.cli.escape import decided_rows
from gcsim.cli.main import cli
from gcsim.cli.output import format_value
from gcsim.datasets.run import run_spec
from gcsim.lessons.catalog import LESSONS, Claim
from gcsim.lessons.compare import (
    NUMBERS,
    Outcome,
    Side,
    changed_lines,
    numbers_of,
    run_lesson,
    spec_of,
)
from gcsim.lessons.picture import html
from gcsim.lessons.systems import SYSTEMS, by_system
from gcsim.spec.load import load_spec
from gcsim.spec.overrides import apply_overrides

ROOT = Path(__file__).parents[2]
SPECS = ROOT / "gcsim" / "lessons" / "specs"


@pytest.fixture(scope="module")
def outcomes() -> dict[str, Outcome]:
    """Those that have been run already, by name."""
    return {}


def outcome_of(name: str, outcomes: dict[str, Outcome]) -> Outcome:
    if name not in outcomes:
        outcomes[name] = run_lesson(LESSONS[name])
    return outcomes[name]


@pytest.mark.parametrize("name", LESSONS)
def test_what_a_lesson_claims_is_seen(name: str, outcomes: dict[str, Outcome]) -> None:
    outcome = outcome_of(name, outcomes)
    lesson = outcome.lesson
    assert lesson.claims
    assert [
        (str(claim), outcome.before[claim.number], outcome.after[claim.number])
        for claim, seen in outcome.verdicts()
        if not seen
    ] == []
    assert all(n in NUMBERS and outcome.before[n] is not None for n in lesson.numbers)


def test_get_without_put_allocates_a_buffer_for_every_request(outcomes: dict[str, Outcome]) -> None:
    per_request = outcome_of("pool", outcomes).before["bytes_per_request"]
    assert per_request == pytest.approx(16 * 1024 + 4 * 64, rel=0.01)


def test_a_leak_makes_each_cycle_mark_more_and_a_bounded_cache_does_not(outcomes: dict[str, Outcome]) -> None:
    outcome = outcome_of("globals", outcomes)
    assert outcome.before["marked_growth"] > 1.5
    assert outcome.after["marked_growth"] == pytest.approx(1, abs=0.1)


def test_a_cycle_has_two_pauses_and_both_are_short_beside_marking(outcomes: dict[str, Outcome]) -> None:
    outcome = outcome_of("pauses", outcomes)
    for side in (outcome.before, outcome.after):
        assert side["pauses_per_gc"] == 2
        assert side["stw_pause_ns_p50"] < 0.2 * side["mark_ns_mean"]


def test_scope_changes_what_is_marked_and_not_what_is_allocated(outcomes: dict[str, Outcome]) -> None:
    outcome = outcome_of("scope", outcomes)
    assert outcome.before["bytes_per_request"] == pytest.approx(outcome.after["bytes_per_request"], rel=0.01)


def test_rounding_to_size_classes_is_exact(outcomes: dict[str, Outcome]) -> None:
    outcome = outcome_of("size-classes", outcomes)
    assert outcome.before["bytes_per_request"] == pytest.approx(64 * 48 + 8 * 1152 + 40960, rel=0.002)
    assert outcome.after["bytes_per_request"] == pytest.approx(64 * 32 + 8 * 1024 + 32768, rel=0.002)


def test_the_releases_of_the_lesson_on_escape_decide_as_it_says() -> None:
    places = {
        go: [row["place"] for row in decided_rows(spec_of(LESSONS["escape"], "before").sites, go)]
        for go in ("1.24", "1.25")
    }
    assert places == {"1.24": ["heap", "heap", "heap"], "1.25": ["stack <= 32 B", "stack <= 32 B", "heap"]}


def test_in_every_cycle_black_grows_white_shrinks_and_nothing_is_lost(tmp_path: Path) -> None:
    result = run_spec(spec_of(LESSONS["tricolor"], "after"), tmp_path / "run")
    rows = result.tables["tricolor"].to_arrow().to_pylist()
    cycles = {row["cycle"]: [r for r in rows if r["cycle"] == row["cycle"]] for row in rows}
    assert len(cycles) > 5
    for samples in cycles.values():
        white, black = ([row[f"{colour}_bytes"] for row in samples] for colour in ("white", "black"))
        assert black == sorted(black)
        assert white == sorted(white, reverse=True)
        grey = [row["grey_bytes"] for row in samples]
        born = [sum(colours) for colours in zip(white, grey, black, strict=True)]
        assert all(after >= before - 3 for before, after in pairwise(born)), "each is rounded down"
    assert any(row["grey_bytes"] for row in rows)


@pytest.mark.parametrize("release", ["1.23", "1.27"])
def test_hints_and_deletes_teach_the_same_in_both_designs_of_maps(release: str, tmp_path: Path) -> None:
    """Bucket maps as much as Swiss ones; the specs are those of the lessons but for the release."""
    for name in ("map-hint", "map-delete"):
        sides: dict[Side, Any] = {}
        for side in ("before", "after"):
            spec = apply_overrides(spec_of(LESSONS[name], side), [f"runtime.go={release}"])
            sides[side] = numbers_of(run_spec(spec, tmp_path / f"{name}-{side}"))
        number = LESSONS[name].claims[0]
        assert number.holds(sides["before"][number.number], sides["after"][number.number]), name


def test_every_system_has_a_lesson_and_every_lesson_is_listed_once() -> None:
    listed = [name for names in by_system().values() for name in names]
    assert sorted(listed) == sorted(LESSONS)
    assert all(SYSTEMS.values())


def test_what_tells_the_workloads_apart_is_shown() -> None:
    assert changed_lines(LESSONS["nil-early"]) == ["+ - drop: buffer"]
    assert changed_lines(LESSONS["gogc"]) == [
        '- runtime: {go: "1.27", gomaxprocs: 2, gogc: 100, gomemlimit: off}',
        '+ runtime: {go: "1.27", gomaxprocs: 2, gogc: 400, gomemlimit: off}',
    ]
    assert all(changed_lines(lesson) for lesson in LESSONS.values())


def test_the_workloads_are_shown_as_they_are_run() -> None:
    shown = {path.name: path.read_text() for path in (ROOT / "workloads" / "lessons").glob("*.yaml")}
    assert shown == {path.name: path.read_text() for path in SPECS.glob("*.yaml")}
    assert set(shown) == {f"{name}-{side}.yaml" for name in LESSONS for side in ("before", "after")}


@pytest.mark.parametrize("name", LESSONS)
def test_both_sides_have_their_names(name: str) -> None:
    assert spec_of(LESSONS[name], "before").name == f"{name}-before"
    assert spec_of(LESSONS[name], "after").name == f"{name}-after"


def test_a_claim_can_fail() -> None:
    half = Claim(number="num_gc", relation="<=", factor=0.5)
    twice = Claim(number="num_gc", relation=">=", factor=2)
    assert (half.holds(10, 5), half.holds(10, 6), half.holds(None, 1)) == (True, False, False)
    assert (twice.holds(10, 20), twice.holds(10, 19), twice.holds(10, None)) == (True, False, False)


def test_the_command_lists_all_lessons() -> None:
    done = CliRunner().invoke(cli, ["learn"])
    assert done.exit_code == 0
    assert all(re.search(rf"^{name} ", done.stdout, re.M) for name in LESSONS)


def test_the_command_prints_both_sides_and_writes_a_picture(tmp_path: Path) -> None:
    page = tmp_path / "pool.html"
    done = CliRunner().invoke(cli, ["learn", "pool", "--html", str(page)])
    assert done.exit_code == 0, done.stdout + done.stderr
    assert re.search(r"bytes_per_request +16\.\d KiB +\d+ B", done.stdout)
    assert "NOT SEEN" not in done.stdout
    text = page.read_text()
    assert text.count("<svg") == 2
    assert not re.search(r"(?:src|href)=|https?://", text), "it needs nothing from elsewhere"


def test_a_claim_that_is_not_seen_is_said_and_is_a_failure(
    monkeypatch: pytest.MonkeyPatch, outcomes: dict[str, Outcome]
) -> None:
    real = outcome_of("pool", outcomes)
    swapped = Outcome(lesson=real.lesson, before=real.after, after=real.before, lines=real.lines)
    monkeypatch.setattr("gcsim.cli.learn.run_lesson", lambda lesson: swapped)
    done = CliRunner().invoke(cli, ["learn", "pool"])
    assert done.exit_code == 1
    assert "NOT SEEN  num_gc" in done.stdout
    assert "NOT seen" in html(swapped, format_value)


def test_an_unknown_lesson_says_which_there_are() -> None:
    done = CliRunner().invoke(cli, ["learn", "pol"])
    assert done.exit_code == 2
    assert "'pool'" in done.stderr


WORKLOADS = ROOT / "workloads" / "collectors"


def both_collectors(workload: str, tmp_path: Path) -> tuple[dict[str, float], dict[str, float]]:
    """Summaries of a workload under Go's collector and under the one with generations."""
    spec = load_spec(WORKLOADS / f"{workload}.yaml")
    sets = ("run.duration=700ms", "run.warm_up=200ms")
    found = [
        run_spec(apply_overrides(spec, [*sets, f"collector={collector}"]), tmp_path / collector).summary
        for collector in ("concurrent", "generational")
    ]
    return found[0], found[1]


def test_generations_pay_where_the_young_die(tmp_path: Path) -> None:
    go, generations = both_collectors("generations-low-survival", tmp_path)
    assert generations["promoted_bytes"] < 0.01 * generations["alloc_bytes"]
    assert generations["gc_cpu_frac"] < 0.25 * go["gc_cpu_frac"]
    assert generations["throughput_rps"] > 1.05 * go["throughput_rps"]


def test_generations_lose_where_what_is_new_survives(tmp_path: Path) -> None:
    go, generations = both_collectors("generations-high-survival", tmp_path)
    assert generations["promoted_bytes"] > 0.5 * generations["alloc_bytes"]
    assert generations["gc_cpu_frac"] > 1.15 * go["gc_cpu_frac"]
    assert generations["throughput_rps"] < 0.98 * go["throughput_rps"]
    assert generations["stw_pause_ns_p50"] > 10 * go["stw_pause_ns_p50"]


def test_the_same_program_makes_the_same_garbage_under_both_collectors(outcomes: dict[str, Outcome]) -> None:
    """What is compared is the collector: bytes per request are equal, and Go promotes nothing."""
    for lesson in ("generational", "stop-the-world"):
        outcome = outcome_of(lesson, outcomes)
        assert outcome.before["bytes_per_request"] == pytest.approx(
            outcome.after["bytes_per_request"], rel=0.01
        )
        assert outcome.before["promoted_bytes"] == outcome.before["num_minor_gc"] == 0


def test_without_the_program_marking_takes_no_assists(outcomes: dict[str, Outcome]) -> None:
    outcome = outcome_of("stop-the-world", outcomes)
    assert outcome.before["mark_assist_cpu_ns"] == 0 < outcome.after["mark_assist_cpu_ns"]
    assert outcome.before["stw_pause_ns_p50"] == pytest.approx(outcome.before["mark_ns_mean"], rel=0.2)
