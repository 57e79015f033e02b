"""A run of the stand-in engine."""

from pathlib import Path

import pytest

from gcsim.datasets.reader import Result
from gcsim.datasets.run import run_spec
from gcsim.spec.load import spec_from_dict
from gcsim.spec.models import Spec
from tests.datasets import fake_engine


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Simulations in this test are the stand-in's."""
    monkeypatch.setattr("gcsim.runtime.simulate", fake_engine.simulate, raising=False)


@pytest.fixture
def spec() -> Spec:
    return spec_from_dict(
        {
            "version": 1,
            "name": "steady",
            "run": {"duration": "2s", "warm_up": "500ms", "seed": 7},
            "requests": [{"workers": 2, "steps": [{"cpu": "10us"}]}],
        }
    )


@pytest.fixture
def result(engine: None, spec: Spec, tmp_path: Path) -> Result:
    return run_spec(spec, tmp_path / "run")
