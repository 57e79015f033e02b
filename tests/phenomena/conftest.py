"""Simulations that several tests look at are run once."""

from collections.abc import Sequence

import pytest

import gcsim
from tests.phenomena.comparison import WORKLOADS, Run, Simulated


@pytest.fixture(scope="session")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Simulated:
    """Run a spec of workloads/phenomena with overrides, through files as a user would."""
    root = tmp_path_factory.mktemp("phenomena")
    done: dict[tuple[str, ...], Run] = {}

    def run(workload: str, overrides: Sequence[str]) -> Run:
        key = (workload, *overrides)
        if key not in done:
            done[key] = Run(
                gcsim.run(WORKLOADS / f"{workload}.yaml", set=overrides, out=root / str(len(done)))
            )
        return done[key]

    return run
