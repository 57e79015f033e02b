"""Names of runs: equal for equal input, different for any difference that a simulation could see."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from gcsim.spec.digest import canonical_json, run_id, spec_digest
from gcsim.spec.load import load_spec, parse_spec
from gcsim.spec.overrides import apply_overrides

TEXT = "name: a\nrequests: [{workers: 2, steps: [{cpu: 10us}]}]\n"
SPEC = parse_spec(TEXT)


def test_notation_and_order_do_not_matter() -> None:
    other = parse_spec(
        "requests: [{steps: [{ns: 10000, kind: cpu}], workers: 2}]\nname: a\nruntime: {gogc: 100}\n"
    )
    assert canonical_json(other) == canonical_json(SPEC)
    assert run_id(other, "p", "1") == run_id(SPEC, "p", "1")


@pytest.mark.parametrize(
    "override", ["seed=2", "gogc=off", "requests[0].steps[0].ns=10001", "name=b", "profile=x.yaml"]
)
def test_a_difference_in_the_spec_makes_another_run(override: str) -> None:
    assert run_id(apply_overrides(SPEC, [override]), "p", "1") != run_id(SPEC, "p", "1")


def test_profile_and_engine_make_another_run_and_do_not_run_together() -> None:
    ids = {run_id(SPEC, *rest) for rest in (("p", "1"), ("q", "1"), ("p", "2"), ("p1", ""), ("", "p1"))}
    assert len(ids) == 5


def test_run_id_is_stable() -> None:
    """Names stay what they are: stored runs are found by them.  Changes with the spec's fields only."""
    name = run_id(SPEC, "p", "1")
    assert re.fullmatch(r"r-[0-9a-f]{16}", name)
    assert re.fullmatch(r"[0-9a-f]{64}", spec_digest(SPEC))
    assert list(json.loads(canonical_json(SPEC))) == sorted(json.loads(canonical_json(SPEC)))


def test_older_specs_keep_their_names() -> None:
    """What came later and is not used does not enter: recorded before allocation sites were part of a spec."""
    with_step = parse_spec(TEXT.replace("[{cpu: 10us}]", "[{allocate: {size: 8}}]"))
    assert spec_digest(SPEC) == "e763c076cef74180a18aba5c7935aef1d47ab9922518af3f7b13effc462423c3"
    assert spec_digest(with_step) == "f8dfe3508c47cf4c84b9b50aa62586940084885ce24d24e8dec23c298170db49"
    other = apply_overrides(SPEC, ["collector=generational"])
    assert len({spec_digest(s) for s in (SPEC, other, apply_overrides(other, ["nursery=1MiB"]))}) == 3
    with_site = parse_spec(TEXT + "sites: [{name: a, construct: new, size: 8}]\n")
    assert spec_digest(with_site) != spec_digest(SPEC)


def test_names_of_files_do_not_enter_but_their_contents_do(tmp_path: Path) -> None:
    def recorded(folder: str, csv_name: str, times: str, profile: str) -> str:
        (tmp_path / folder).mkdir()
        (tmp_path / folder / csv_name).write_text(f"arrival_ns\n{times}\n")
        (tmp_path / folder / profile).write_text("{}")
        path = tmp_path / folder / "spec.yaml"
        steps = f"requests: [{{arrivals: recorded, arrivals_csv: {csv_name}, steps: [gc]}}]"
        path.write_text(f"name: a\nmachine: {{profile: {profile}}}\n{steps}\n")
        return run_id(load_spec(path), "p", "1")

    first = recorded("one", "a.csv", "1\n2", "p.yaml")
    assert recorded("two", "b.csv", "1\n2", "q.yaml") == first
    assert recorded("three", "a.csv", "1\n3", "p.yaml") != first
