"""From log to spec to prediction: against services whose truth is known, and against real programs."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from gcsim.cli.main import cli
from gcsim.datasets.summary import SummaryAccumulator
from gcsim.fit.forecast import own_settings, run_task, tasks
from gcsim.fit.infer import Fit, fit, infer_gogc
from gcsim.fit.logs import Log, ProcessLog, Settings, processes_of, read_log
from gcsim.fit.service import Service
from gcsim.fit.specfile import profile_text, rows, spec_text, write
from gcsim.fit.whatif import compare, grid, whatif
from gcsim.interop.gctrace import format_line
from gcsim.runtime import simulate
from gcsim.runtime.records import CycleRecord
from gcsim.spec.load import load_spec
from gcsim.spec.profile import load_profile
from gcsim.units import MIB, S

DATA = Path(__file__).parent / "data" / "logs"
CACHE_100 = DATA / "cache-service__go1.27.3_p2_gogc100.json.gz"

TRUTH = Service(
    name="truth",
    go="1.27",
    gomaxprocs=2,
    cores=2,
    gogc=100,
    gomemlimit_bytes="off",
    load="closed",
    request_bytes=30_000.0,
    request_cpu_ns=120_000.0,
    live_bytes=60.0 * MIB,
    stacks_bytes=3.0 * MIB,
    mark_factor=3.0,
    stop_factor=1.5,
)


class _Lines(SummaryAccumulator):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def cycle(self, rec: CycleRecord) -> None:
        self.lines.append(format_line(rec, cores=2))


def log_of(service: Service, duration_ns: int = 5 * S) -> Log:
    """What a service would print."""
    recorder = _Lines()
    simulate(service.spec(duration_ns=duration_ns), profile=service.profile("truth"), recorder=recorder)
    return Log(name="truth", processes=processes_of("\n".join(recorder.lines)))


@pytest.fixture(scope="module")
def of_truth() -> Fit:
    return fit(log_of(TRUTH))


@pytest.fixture(scope="module")
def of_cache() -> Fit:
    return fit(read_log(CACHE_100))


def test_a_simulated_service_is_found_again(of_truth: Fit) -> None:
    """Everything that shows in whole MiB and two digits comes back within a few percent."""
    found = of_truth.service
    assert (found.gogc, found.gomaxprocs, found.load) == (100, 2, "closed")
    assert found.live_bytes == pytest.approx(TRUTH.live_bytes, rel=0.02)
    assert found.request_bytes / found.request_cpu_ns == pytest.approx(0.25, rel=0.04)
    roots = found.stacks_bytes + found.globals_bytes
    assert roots == pytest.approx(TRUTH.stacks_bytes + TRUTH.globals_bytes, abs=1.0 * MIB)
    assert of_truth.simulated.mark_cpu_ns.value == pytest.approx(
        of_truth.observed.mark_cpu_ns.value, rel=0.03
    )


@pytest.mark.parametrize("gogc", [50, 300])
def test_other_settings_of_a_simulated_service_are_predicted(of_truth: Fit, gogc: int) -> None:
    target = log_of(replace(TRUTH, gogc=gogc), 15 * S)  # long enough for a cycle more or less to be noise
    target = replace(target, settings=Settings(gogc=gogc))
    (found,) = compare(of_truth, [target], seeds=1, jobs=1)
    for name in ("cycles_per_s", "heap_end_bytes", "heap_goal_bytes"):
        assert found.errors[name] == pytest.approx(0, abs=0.06), name
    assert found.errors["gc_cpu_per_s"] == pytest.approx(0, abs=0.12)


@pytest.mark.parametrize(
    ("source", "targets"),
    [
        ("cache-service__go1.27.3_p2_gogc100", ["cache-service__go1.27.3_p2_gogc50", "cache-service__go1.27.3_p2_gogc200"]),
        ("json__gogc100", ["json__gogc200"]),
    ],
)  # fmt: skip
def test_real_programs_are_predicted_from_one_log(source: str, targets: list[str]) -> None:
    """The worst that is tolerated; `python -m tests.fit.pairs` prints every error, most are a few percent."""
    fitted = fit(read_log(DATA / f"{source}.json.gz"))
    for one in compare(fitted, [read_log(DATA / f"{t}.json.gz") for t in targets], seeds=1, jobs=1):
        for name in ("cycles_per_s", "heap_end_bytes", "heap_goal_bytes", "gc_cpu_per_s"):
            error = one.errors[name]
            assert error is not None
            assert abs(error) < 0.15, (one.name, name)


def test_slack_on_the_ps_makes_an_open_loop() -> None:
    found = fit(read_log(DATA / "open-loop__go1.27.3_p2_gogc100.json.gz")).service
    assert found.load == "open"
    # 78 MB/s were allocated by 4,000 requests/s that used about a quarter of the CPU.
    assert found.rate_per_s * found.request_bytes == pytest.approx(78e6, rel=0.1)
    assert 0.1 < found.rate_per_s * found.request_cpu_ns / S / 2 < 0.5


def test_gcpacertrace_shows_the_scannable_share() -> None:
    fitted = fit(read_log(DATA / "json__gogc100.json.gz"))
    assert 0.05 < fitted.service.scannable_frac < 0.3
    assert not any("scannable" in note for note in fitted.notes)
    assert fitted.service.globals_bytes == 179306


def test_a_fit_is_a_function_of_its_log(of_cache: Fit) -> None:
    assert fit(read_log(CACHE_100)).service == of_cache.service


def test_what_is_written_is_a_spec_with_a_profile_of_its_own(of_cache: Fit, tmp_path: Path) -> None:
    spec_path, profile_path = write(of_cache, tmp_path / "service.yaml")
    spec = load_spec(spec_path)
    assert profile_path == tmp_path / "service.profile.yaml"
    profile = load_profile(spec.machine.profile, "1.27")
    written, expected = profile, of_cache.service.profile(of_cache.origin)
    assert written == expected
    assert spec.runtime.gogc == 100
    assert "gcsim fit, cache-service" in profile.constants["mark_scan_object_ns"].origin
    text = spec_path.read_text()
    assert all(row.name in text for row in rows(of_cache))
    assert not list(tmp_path.glob(".*"))
    assert spec_text(of_cache, "service.profile.yaml") == text
    assert profile_text(profile) == profile_path.read_text()


def test_verdicts_name_the_dangers(of_cache: Fit) -> None:
    base = own_settings(of_cache.service)
    settings = grid(base, gogc=[100, 200, "off"], gomemlimit=["off", 48 * MIB])
    assert settings[0] == base
    assert len(settings) == 6
    found = {row.settings.text: row for row in whatif(of_cache, settings, seeds=1, jobs=1)}
    unlimited = found["GOGC=off GOMEMLIMIT=off GOMAXPROCS=2"]
    assert unlimited.verdict == "dangerous"
    assert "no collection at all" in unlimited.reason
    below = found["GOGC=off GOMEMLIMIT=48MiB GOMAXPROCS=2"]
    assert below.verdict == "dangerous"
    assert "below the live heap" in below.reason
    wider = found["GOGC=200 GOMEMLIMIT=off GOMAXPROCS=2"]
    assert wider.verdict == "trade-off"
    cycles = {text: row.measures["cycles_per_s"] for text, row in found.items()}
    assert cycles["GOGC=200 GOMEMLIMIT=off GOMAXPROCS=2"].value < 7  # type: ignore[union-attr]
    assert found["GOGC=100 GOMEMLIMIT=off GOMAXPROCS=2"].verdict == "base"


def test_seeds_vary_what_the_log_leaves_open(of_cache: Fit) -> None:
    work = tasks(of_cache, own_settings(of_cache.service), window_ns=S, start_up=False, seeds=3)
    assert work[0].service == of_cache.service
    assert len({task.service.mark_factor for task in work}) == 3
    assert run_task(work[1]) == run_task(work[1])


@pytest.mark.slow
def test_goals_under_a_limit_are_no_gogc() -> None:
    """A limit sets goals that no GOGC explains: the user has to say what it was."""
    limited = replace(TRUTH, gogc="off", gomemlimit_bytes=90 * MIB, live_bytes=40.0 * MIB)
    log = log_of(limited, 2 * S)
    assert log.settings.gogc is None
    guess = infer_gogc(log.cycles)
    fitted = fit(log, override=Settings(gogc="off", gomemlimit_bytes=90 * MIB))
    assert fitted.service.gomemlimit_bytes == 90 * MIB
    assert guess is None or guess > 0


def test_the_command_line_fits_and_predicts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    runner = CliRunner()
    done = runner.invoke(cli, ["fit", str(CACHE_100), "-o", "s.yaml", "--output", "json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["parameters"]["GOGC"]["value"] == "100"
    assert load_spec("s.yaml").runtime.gogc == 100
    against = str(DATA / "cache-service__go1.27.3_p2_gogc200.json.gz")
    done = runner.invoke(
        cli, ["whatif", str(CACHE_100), "--against", against, "--seeds", "1", "--output", "json"]
    )
    assert done.exit_code == 0, done.output
    (case,) = json.loads(done.stdout)["cases"].values()
    assert case["settings"] == {"gogc": 200, "gomemlimit_bytes": "off", "gomaxprocs": 2}
    assert case["figures"]["heap_goal_bytes"]["error_rel"] == pytest.approx(0, abs=0.15)


def test_a_spec_that_cannot_be_written_says_where(tmp_path: Path) -> None:
    done = CliRunner().invoke(cli, ["fit", str(CACHE_100), "-o", str(tmp_path / "none" / "s.yaml")])
    assert done.exit_code == 2
    assert "cannot write" in done.output


def test_forced_cycles_are_said_to_be_left_out(of_truth: Fit) -> None:
    (process,) = of_truth.log.processes
    forced = tuple(replace(c, line=replace(c.line, forced=i % 4 == 0)) for i, c in enumerate(process.cycles))
    log = replace(of_truth.log, processes=(replace(process, cycles=forced),))
    assert any("were forced" in note for note in fit(log).notes)
    assert not any("were forced" in note for note in of_truth.notes)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--gogc", "fifty"], "no GOGC"),
        (["--gomemlimit", "512Mib iB"], "512Mib iB"),
        (["--gomaxprocs", "0"], "no number of Ps"),
        (["also.log"], "does not exist"),
    ],
)
def test_bad_lists_name_option_value_and_remedy(arguments: list[str], words: str) -> None:
    done = CliRunner().invoke(cli, ["whatif", str(CACHE_100), *arguments])
    assert done.exit_code == 2
    assert words in done.output


def test_a_known_request_rate_gives_requests_their_share() -> None:
    fitted = fit(
        read_log(DATA / "open-loop__go1.27.3_p2_gogc100.json.gz"), requests_per_s=1_000, latency_p50_ns=5e6
    )
    service = fitted.service
    assert service.rate_per_s == pytest.approx(1_000, rel=0.15)
    assert service.request_cpu_ns + service.block_ns == pytest.approx(5e6, rel=0.01)
    assert not any("latency" in note for note in fitted.notes)


def test_a_heap_that_changes_is_said_to(of_truth: Fit) -> None:
    small = log_of(TRUTH)
    large = log_of(replace(TRUTH, live_bytes=82 * MIB))
    (one,), (other,) = small.processes, large.processes
    cycles = (*one.cycles[6:30], *other.cycles[6:30])
    mixed = replace(small, processes=(replace(one, cycles=cycles),))
    assert any(note.startswith("live heap changes over the log") for note in fit(mixed).notes)
    assert not any("changes over the log" in note for note in of_truth.notes)


@pytest.mark.slow
def test_a_heap_that_goes_up_and_down_is_said_to(of_truth: Fit) -> None:
    small, large = (log_of(replace(TRUTH, live_bytes=n * MIB), 2 * S).processes[0].cycles for n in (60, 120))
    cycles = (*large[6:10], *small[6:9], *large[6:10], *small[6:9], *large[6:10])
    mixed = Log(name="steps", processes=(ProcessLog(cycles=cycles),))
    assert any(note.startswith("live heap varies") for note in fit(mixed).notes)
