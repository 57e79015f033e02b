"""Stack or heap: the compiler's verdict, site by site."""

from __future__ import annotations

from pathlib import Path

import pytest

from gcsim.policy.escape import Construct, Flow, Site, decide
from tests.policy.vector_files import Records, files_of, rules_of


@pytest.mark.parametrize("path", files_of("escape"), ids=lambda path: path.name)
def test_escape(path: Path) -> None:
    wrong = []
    for record in Records(path, has_meta=False):
        site = Site(
            construct=Construct(record["construct"]),
            size_bytes=record["size"],
            constant_size=record.get("constant_size", True),
            flows=tuple(Flow(flow) for flow in record["flows"]),
        )
        decision = decide(site, rules_of(record["go"]))
        assert decision.reason
        if decision.escapes is not record["heap"]:
            wrong.append((record["case"], site, decision))
    assert wrong == []
