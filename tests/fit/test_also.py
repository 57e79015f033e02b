"""Programs that allocate anew what a collection took: from a second log, and from a profile's pools."""

from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from gcsim.cli.main import cli
from gcsim.fit.forecast import Task, own_settings, run_task
from gcsim.fit.infer import fit
from gcsim.fit.logs import Log, read_log
from gcsim.fit.service import Service
from gcsim.units import MIB, S

DATA = Path(__file__).parent / "data" / "logs"
JSON_100, JSON_200, JSON_400 = (DATA / f"json__gogc{g}.json.gz" for g in (100, 200, 400))

POOLED = Service(
    name="pooled", go="1.27", gomaxprocs=2, cores=2, gogc=100, gomemlimit_bytes="off", load="closed",
    request_bytes=30_000.0, request_cpu_ns=200_000.0, live_bytes=20.0 * MIB, refill_bytes=5.0 * MIB,
    cycle_alloc_bytes=20.0 * MIB,
)  # fmt: skip


def test_requests_bear_the_refilling_of_their_cycles() -> None:
    """A quarter of 30,000 B is refilling: with cycles half as often it is an eighth of what is left, 25,714 B."""
    assert POOLED.with_cycle_alloc(20.0 * MIB).request_bytes == pytest.approx(30_000)
    rarer = POOLED.with_cycle_alloc(40.0 * MIB)
    assert rarer.request_bytes == pytest.approx(22_500 / (1 - 1 / 8))
    assert rarer.request_cpu_ns < POOLED.request_cpu_ns
    assert rarer.with_cycle_alloc(20.0 * MIB).request_bytes == pytest.approx(30_000)
    assert replace(POOLED, refill_bytes=0.0).with_cycle_alloc(40.0 * MIB).request_bytes == 30_000


def test_a_forecast_allocates_less_where_it_collects_less() -> None:
    own = own_settings(POOLED)

    def rate(gogc: int) -> float:
        settings = replace(own, gogc=gogc)
        return run_task(Task(POOLED, settings, window_ns=1.0 * S, start_up=False, seed=1)).alloc_per_s

    often, rarely = rate(50), rate(400)
    assert often > 1.2 * rarely


def test_a_second_log_shows_what_collections_cost_in_allocation() -> None:
    """The benchmark says itself how many bytes it allocates per operation: at GOGC=400 3.75 MB, at 100 4.65, at 50 6.8.

    Per collection that is some 5.5 MB; machine time, by which logs measure, makes 7.4 of it.
    """
    fitted = fit(read_log(JSON_100), also=[read_log(JSON_400)])
    assert fitted.refill is not None
    assert 3.4 * MIB < fitted.service.refill_bytes < 11.4 * MIB
    assert fitted.refill.low < 5.5 * MIB < fitted.refill.high


def test_logs_too_alike_show_nothing_and_say_so() -> None:
    fitted = fit(read_log(JSON_100), also=[read_log(JSON_200)])
    assert fitted.service.refill_bytes == 0
    assert any("do not show that the program allocates more" in note for note in fitted.notes)


def test_the_same_log_twice_shows_nothing() -> None:
    log: Log = read_log(JSON_100)
    assert fit(log, also=[log]).service.refill_bytes == 0


def test_the_command_line_takes_other_logs(tmp_path: Path) -> None:
    done = CliRunner().invoke(cli, ["fit", str(JSON_100), "--also", str(JSON_400)])
    assert done.exit_code == 0, done.output
    assert "allocated anew per" in done.output
    bad = tmp_path / "bad.log"
    bad.write_text("nothing")
    done = CliRunner().invoke(cli, ["fit", str(JSON_100), "--also", str(bad)])
    assert done.exit_code == 2
    assert "bad.log" in done.output
