"""Calibration: shipped profiles are what it makes of the micro records, and it knows what it does not know."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from functools import cache
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import yaml
from click.testing import CliRunner

from gcsim.cli.main import cli
from gcsim.errors import SpecError
from gcsim.fit.calibrate import Calibration, calibrate, priors, profile_yaml
from gcsim.fit.live import live_cases
from gcsim.fit.observations import Part, mixture_quantile, observations, stall_quantile
from gcsim.fit.records import Record, read_record, read_records, write_record
from gcsim.spec.profile import CONSTANTS, load_profile

MICRO = Path(__file__).parent / "data" / "micro"
SHIPPED = "epyc-genoa-kvm"


def files_of(release: str) -> list[Path]:
    return sorted(MICRO.glob(f"*__go{release}.*.json.gz"))


@cache
def calibrated(release: str) -> Calibration:
    return calibrate(read_records([*files_of(release)]), name=SHIPPED)


@pytest.mark.parametrize("release", ["1.22", "1.25", "1.27"])
def test_shipped_profile_is_what_calibrate_makes_of_the_micro_records(release: str) -> None:
    shipped = files("gcsim.spec") / "profiles" / f"{SHIPPED}-go{release}.yaml"
    assert profile_yaml(calibrated(release)) == shipped.read_text(), "run the command in data/micro/README.md"


def test_what_is_not_identified_keeps_value_and_origin_of_its_prior() -> None:
    known, _ = priors("1.22")
    result = calibrated("1.22")
    unidentified = [c for c in result.constants if not c.identified]
    assert {c.name for c in result.constants if c.identified} > {"mark_scan_object_ns", "alloc_small_scan_ns"}
    for c in unidentified:
        assert (c.value, c.origin, c.cases) == (known[c.name].value, known[c.name].origin, ())
    for c in result.constants:
        if c.identified:
            assert c.sigma < c.prior_sigma
            assert c.origin.startswith("measured: calibrate, micro-")


def test_fit_finds_the_constants_that_made_the_numbers() -> None:
    """Observations replaced by what known constants predict give these constants back."""
    records = read_records([*files_of("1.22")])
    truth = calibrated("1.22").profile
    moved = {"mark_list_object_ns": 60.0, "alloc_small_scan_ns": 40.0, "stw_stop_ns": 150_000.0}
    truth = truth.model_copy(
        update={
            "constants": truth.constants
            | {n: truth.constants[n].model_copy(update={"value": v}) for n, v in moved.items()}
        }
    )
    found = [replace(o, measured=o.predict(truth), sigma=0.01) for r in records for o in observations(r)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "gcsim.fit.calibrate.observations", lambda record: found if record is records[0] else []
        )
        result = calibrate(records, name="x")
    for name, value in moved.items():
        assert result.profile[name] == pytest.approx(value, rel=0.05), name


def test_priors_go_at_the_pace_of_the_machine() -> None:
    """All CPU times at 0.6 of the priors: what no observation determines follows; what is no CPU time stays."""
    records = read_records([*files_of("1.22")])
    known, _ = priors("1.22")
    fast = {
        n: p
        for n, p in known.items()
        if p.sigma > 0 and n.endswith(("_ns", "_ns_per_byte")) and n in CONSTANTS
    }
    truth = calibrated("1.22").profile
    truth = truth.model_copy(
        update={
            "constants": truth.constants
            | {n: truth.constants[n].model_copy(update={"value": 0.6 * p.value}) for n, p in fast.items()}
        }
    )
    found = [replace(o, measured=o.predict(truth)) for r in records for o in observations(r)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "gcsim.fit.calibrate.observations", lambda record: found if record is records[0] else []
        )
        result = calibrate(records, name="x")
    for c in result.constants:
        if c.name in fast:
            assert c.value == pytest.approx(0.6 * known[c.name].value, rel=0.05), c.name
            assert c.identified or "times 0.6" in c.origin
        elif not c.identified:
            assert c.value == known[c.name].value
            assert c.origin == known[c.name].origin


def test_other_records_are_refused_by_name_all_at_once() -> None:
    micro = read_record(files_of("1.22")[0])
    leak = replace(micro, case="leak__x", workload={**micro.workload, "name": "leak"})
    empty = replace(micro, case="micro-empty", repeats=())
    newer = replace(micro, case="micro-newer", settings={**micro.settings, "go": "1.27.3"})
    with pytest.raises(SpecError) as error:
        calibrate([micro, leak, empty, newer], name="x")
    text = str(error.value)
    assert "leak__x: is not a micro case" in text
    assert "micro-empty: has no repeats" in text
    assert "is of Go 1.22, others are of 1.27" in text


def test_command_refuses_and_writes_nothing(tmp_path: Path) -> None:
    leak = replace(read_record(files_of("1.22")[0]), case="leak__go1.22.10_p2_gogc100")
    leak = replace(leak, workload={**leak.workload, "name": "leak"})
    path, out = write_record(leak, tmp_path), tmp_path / "profile.yaml"
    result = CliRunner().invoke(cli, ["calibrate", str(path), "-o", str(out)])
    assert result.exit_code == 2
    assert "leak__go1.22.10_p2_gogc100: is not a micro case" in result.output
    assert not out.exists()


def test_command_prints_constants_and_observations_and_writes_a_profile(tmp_path: Path) -> None:
    spin = [str(p) for p in files_of("1.22") if "micro-spin" in p.name or "micro-scan" in p.name]
    out = tmp_path / "profile.yaml"
    result = CliRunner().invoke(
        cli, ["calibrate", *spin, "-o", str(out), "--name", "mine", "--output", "json"]
    )
    assert result.exit_code == 0, result.output
    body = json.loads(result.stdout)
    assert {"name", "value", "sigma", "identified", "cases", "origin"} <= set(body["constants"][0])
    assert {"case", "name", "measured", "fitted", "residual"} <= set(body["observations"][0])
    assert load_profile(str(out)).name == "mine"
    table = CliRunner().invoke(cli, ["calibrate", *spin])
    assert "alloc_small_scan_ns" in table.stdout
    assert "unidentified" in table.stdout
    assert "chi2" in table.stdout


def test_command_wants_records_or_live() -> None:
    assert CliRunner().invoke(cli, ["calibrate"]).exit_code == 2


def test_priors_cover_every_constant_of_every_measured_release() -> None:
    data = yaml.safe_load((files("gcsim.fit") / "priors.yaml").read_text())
    for release in data["releases"].values():
        assert set(release["constants"]) == set(CONSTANTS)


def test_mixture_quantile_of_one_log_normal_is_exact() -> None:
    parts = [Part(1.0, 100.0, 50.0, 0.3)]
    assert mixture_quantile(parts, 0.5) == pytest.approx(150.0, rel=1e-6)
    assert mixture_quantile(parts, 0.9) == pytest.approx(100.0 + 50.0 * math.exp(0.3 * 1.281552), rel=1e-6)


def test_record_written_is_the_record_read(tmp_path: Path) -> None:
    record: Record = read_record(files_of("1.22")[0])
    path = write_record(record, tmp_path)
    first = path.read_bytes()
    assert read_record(path) == record
    assert write_record(record, tmp_path).read_bytes() == first


def test_live_cases_are_the_recorded_ones() -> None:
    """Same programs, same workloads, but for the number of workers."""
    recorded = {}
    for path in files_of("1.27"):
        record = read_record(path)
        recorded[record.workload["name"], record.settings["procs"]] = record.workload
    for case in live_cases():
        workload = recorded[case.name, case.procs]
        assert {k: v for k, v in workload.items() if v} == {k: v for k, v in case.workload.items() if v}


@pytest.mark.parametrize("rest", [0.009, 0.005, 0.001])
def test_quantiles_of_stalls_are_those_of_drawn_ones(rest: float) -> None:
    """Ticks and the rest, drawn as the simulator draws them for requests that only spin."""
    profile = load_profile(SHIPPED, "1.27")
    request_ns, requests = 20_000.0, 2_000_000
    rng = np.random.default_rng(1)
    excess = np.zeros(requests)
    for stall in profile.stalls:
        if stall.all_cores_busy:
            continue
        k = rng.poisson(stall.rate_per_s * requests * request_ns / 1e9)
        mu = math.log(stall.mean_ns) - stall.sigma**2 / 2
        np.add.at(excess, rng.integers(0, requests, k), rng.lognormal(mu, stall.sigma, k))
    found = stall_quantile(profile, request_ns, rest)
    # As a share of requests: at the edge of the ticks' cliff the time says little.
    assert (excess > found).mean() == pytest.approx(rest, rel=0.03)
