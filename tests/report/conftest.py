"""A short run with everything recorded, and a small sweep, of the real engine; made once."""

from pathlib import Path

import pytest

from gcsim.datasets.reader import Result
from gcsim.datasets.run import run_spec
from gcsim.datasets.sweep import SweepResult
from gcsim.spec.load import load_spec
from gcsim.spec.models import Spec
from gcsim.spec.overrides import apply_overrides
from gcsim.sweep.axes import parse_axes
from gcsim.sweep.execute import run_sweep
from gcsim.sweep.executor import InlineExecutor
from gcsim.sweep.plan import plan_sweep

CACHE_SERVICE = Path(__file__).parents[2] / "workloads/cache-service.yaml"


def cache_service(*overrides: str) -> Spec:
    return apply_overrides(
        load_spec(CACHE_SERVICE), ["duration=300ms", "retained.cache.entries=4000", *overrides]
    )


@pytest.fixture(scope="session")
def full_run(tmp_path_factory: pytest.TempPathFactory) -> Result:
    everything = ("record.p_states=true", "record.tricolor=true", "record.requests_sample=0.2")
    return run_spec(cache_service(*everything), tmp_path_factory.mktemp("report") / "run")


@pytest.fixture(scope="session")
def plain_run(tmp_path_factory: pytest.TempPathFactory) -> Result:
    return run_spec(cache_service(), tmp_path_factory.mktemp("report") / "run")


@pytest.fixture(scope="session")
def small_sweep(tmp_path_factory: pytest.TempPathFactory) -> SweepResult:
    plan = plan_sweep(cache_service(), parse_axes(["gogc=50,100,400", "gomaxprocs=1,2"]), replications=2)
    return run_sweep(plan, tmp_path_factory.mktemp("report") / "sweep", executor=InlineExecutor)
