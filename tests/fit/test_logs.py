"""Reading logs as they are: prefixes, foreign lines, restarts, gaps, releases, records."""

import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gcsim.errors import SpecError
from gcsim.fit.infer import infer_gogc
from gcsim.fit.logs import processes_of, read_log, release_of

DATA = Path(__file__).parent / "data" / "logs"
RECORD = DATA / "cache-service__go1.27.3_p2_gogc100.json.gz"
LINES = json.loads(gzip.decompress(RECORD.read_bytes()))["repeats"][0]["gctrace"]

PREFIXES = (
    "",
    "Mar  3 10:11:12 web-1 app[812]: ",
    "2026-01-02T03:04:05.678Z stderr F ",
    '{"log":"',
    "\x1b[31m",
)
FOREIGN = (
    "", "panic: runtime error", "GET /gc 200 12 ms", "gc 7 @", "gc 12 @0.1s 3%: garbage", "pacer: sweep", "scvg: inuse: 3",
    "SCHED 0ms: gomaxprocs=2 idleprocs=0", "gc 999999999999999999999999 @1s 1%", "\u2603 MB goal",
)  # fmt: skip


@settings(derandomize=True, max_examples=40, deadline=None)
@given(data=st.data())
def test_prefixes_and_foreign_lines_change_nothing(data: st.DataObject) -> None:
    some = LINES[: data.draw(st.integers(3, 12))]
    text = ""
    for line in some:
        for foreign in data.draw(st.lists(st.sampled_from(FOREIGN), max_size=2)):
            text += foreign + "\n"
        text += (
            data.draw(st.sampled_from(PREFIXES))
            + line
            + data.draw(st.sampled_from(("\n", "\r\n", " \n", '\\n"}\n')))
        )
    (process,) = processes_of(text)
    (clean,) = processes_of("\n".join(some))
    assert process == clean
    assert len(clean.cycles) == len(some)


@settings(derandomize=True, max_examples=60, deadline=None)
@given(st.text(alphabet="gc pacer:@0123456789.s%+/->MBPKT()ms\n", max_size=300))
def test_any_text_is_read_without_a_crash(text: str) -> None:
    processes_of(text)
    processes_of(LINES[0][:70] + text + LINES[1])


def test_a_gap_is_no_interval_between_cycles() -> None:
    (process,) = processes_of("\n".join([*LINES[:3], *LINES[5:8]]))
    assert [c.follows for c in process.cycles] == [False, True, True, False, True, True]


def test_a_restart_begins_another_process() -> None:
    assert [len(p.cycles) for p in processes_of("\n".join(LINES[:5] + LINES[:4]))] == [5, 4]


def test_pacer_lines_go_with_the_cycle_after_them() -> None:
    log = read_log(DATA / "json__gogc100.json.gz")
    with_pacer = [c for c in log.cycles if c.pacer is not None]
    assert len(with_pacer) > 0.9 * len(log.cycles)
    for cycle in with_pacer:
        assert cycle.pacer is not None
        assert abs(cycle.pacer.heap_end_bytes - cycle.line.heap_end_bytes.middle) <= 1.5 * (1 << 20)


@pytest.mark.parametrize(
    ("shape", "has_roots"),
    [
        (
            "gc {n} @{t:.3f}s 1%: 0.026+0.39+0.10 ms clock, 0.21+0.88/0.52/0+0.84 ms cpu, 40->44->22 MB, 45 MB goal, 8 P",
            False,
        ),
        (
            "gc {n} @{t:.3f}s 1%: 0.026+39+0.10 ms clock, 0.21+0.88/52/0+0.84 ms cpu, 40->44->22 MB, 45 MB goal,"
            " 0 MB stacks, 1 MB globals, 8 P",
            True,
        ),
        (
            "gc {n} @{t:.3f}s 1% (checking for goroutine leaks): 0.026+39+0.10 ms clock, 0.21+0.88/52/0+0.84 ms cpu,"
            " 40->44->22 MB, 45 MB goal, 0 MB stacks, 1 MB globals, 8 P (forced)",
            True,
        ),
    ],
    ids=["1.6 to 1.17", "1.18 and later", "1.27"],
)
def test_lines_of_every_release_since_1_6(shape: str, has_roots: bool) -> None:
    (process,) = processes_of("\n".join(shape.format(n=n, t=n / 7) for n in range(1, 6)))
    assert len(process.cycles) == 5
    assert all((c.line.stacks_bytes is not None) == has_roots for c in process.cycles)
    assert process.cycles[-1].line.gomaxprocs == 8


def test_a_record_gives_settings_and_lines_and_nothing_else(tmp_path: Path) -> None:
    """A fit must come from what a user has: the description of the program is not looked at."""
    data = json.loads(gzip.decompress(RECORD.read_bytes()))
    data["workload"] = {"name": "something else", "workers": "nonsense"}
    path = tmp_path / RECORD.name
    path.write_bytes(gzip.compress(json.dumps(data).encode()))
    assert read_log(path) == read_log(RECORD)
    log = read_log(RECORD)
    assert (log.settings.go, log.settings.gogc, log.settings.gomemlimit_bytes) == ("1.27", 100, "off")
    assert len(log.processes) == 3
    assert log.processes[0].load_from == 4


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "has no gctrace line"),
        ("hello\n", "has no gctrace line"),
        ("\n".join(LINES[:2]), "has 2 gctrace lines of one process; a fit needs 3"),
        ('{"repeats": []}', "has no gctrace line"),
        (
            "\n".join(line[:70] for line in LINES[:5]),
            r"\(line 1\): 'gc .* begins like a gctrace line .* as 5 lines do",
        ),
        (
            "gc #1 @0.010s 3%: 0.005+0.1+0.02+0.3+0.1 ms clock, 4->4->1 MB, 4 MB goal, 2 P",
            "of Go 1.5 or before",
        ),
        ('{"repeats": 5}', r"\$.repeats: 5 is no list"),
        (
            '{"repeats": [{"gctrace": 5}, 3], "settings": {"gogc": "abc", "memlimit": "5 apples", "procs": 0}}',
            "5 problems",
        ),
        ('{"repeats": [{"gctrace": [], "elapsed_s": "soon"}]}', "'soon' is no time above 0"),
    ],
)
def test_a_trace_with_too_little_says_so(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "app.log"
    path.write_text(text)
    with pytest.raises(SpecError, match=words):
        read_log(path)


def test_cut_lines_are_counted_and_the_rest_is_read(tmp_path: Path) -> None:
    path = tmp_path / "app.log"
    path.write_text("\n".join([*LINES[:5], LINES[5][:80], "other", *LINES[6:9]]))
    log = read_log(path)
    assert log.damaged == (6,)
    assert [c.follows for c in log.cycles] == [False, True, True, True, True, False, True, True]


def test_a_log_redirected_by_powershell_is_read(tmp_path: Path) -> None:
    path = tmp_path / "app.log"
    path.write_bytes("\r\n".join(LINES[:6]).encode("utf-16"))
    assert len(read_log(path).cycles) == 6


def test_gogc_is_read_off_goal_and_marked_heap() -> None:
    for name, gogc in (("gogc100", 100), ("gogc200", 200), ("gogc50", 50)):
        assert infer_gogc(read_log(DATA / f"cache-service__go1.27.3_p2_{name}.json.gz").cycles) == gogc
    assert infer_gogc(read_log(DATA / "json__gogc200.json.gz").cycles) == 200


def test_releases_by_version() -> None:
    assert [release_of(v) for v in ("go1.27.3", "1.22", "1.17.8", "1.99", "devel", "1.25-greenteagc")] == [
        "1.27", "1.22", "1.19", "1.27", "1.27", "1.25-greenteagc",
    ]  # fmt: skip
