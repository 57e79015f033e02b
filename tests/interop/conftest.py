"""A short run of the real engine with every optional table, shared by the tests of formats."""

import pytest

from gcsim.datasets.reader import Result
from gcsim.datasets.run import run_replications, run_spec
from gcsim.spec.load import spec_from_dict
from gcsim.spec.models import Spec

# One step of every kind that allocates, start-up and warm-up, closed loops with and without blocking, an open loop.
EVERYTHING = {
    "version": 1,
    "name": "every-kind",
    "run": {"duration": "300ms", "warm_up": "100ms", "seed": 7},
    "record": {"p_states": True, "tricolor": True, "window": "50ms"},
    "globals": {"objects": [{"size": "64KiB"}]},
    "retained": [
        {"name": "cache", "entries": 2000, "objects": [{"count": 8, "size": "64B", "pointer_words": 2}, {"size": "1KiB"}]},
        {"name": "index", "entries": 10, "objects": [{"size": "1KiB"}]},
        {"name": "late", "entries": 2, "built": "load_start", "objects": [{"size": "1MiB"}]},
    ],
    "requests": [
        {
            "name": "read",
            "workers": 2,
            "steps": [
                {"cpu": "10us"},
                {"allocate": {"count": 20, "size": "1KiB"}},
                {"allocate": {"count": 0.5, "size": "2KiB"}},
                {"allocate": {"count": 2, "size_distribution": {"kind": "exponential", "mean": 3000}, "pointer_words": 1}},
                {"replace": {"set": "cache", "count": 0.3}},
            ],
        },
        {
            "name": "write",
            "workers": 1,
            "steps": [
                {"pool_get": {"pool": "buffers", "size": "32KiB"}},
                {"allocate": {"count": 3, "size": "4KiB", "pointer_words": 8}},
                {"block": "100us"},
                {"allocate": {"count": 1, "size": "512B", "lifetime": {"kind": "exponential", "mean": 5000000}}},
                {"leak": {"size": "256B"}},
                {"pool_put": "buffers"},
            ],
        },
        {
            "name": "rare",
            "rate_per_s": 500,
            "steps": [{"publish": {"set": "index", "count": 1}}, {"pool_get": {"pool": "kept", "size": "8KiB"}}],
        },
    ],
    "phases": [{"duration": "70ms", "garbage_scale": 0.5}, {"duration": "70ms", "garbage_scale": 1.5, "entries": {"index": 30}}],
}  # fmt: skip


@pytest.fixture(scope="session")
def everything() -> Spec:
    return spec_from_dict(EVERYTHING)


@pytest.fixture(scope="session")
def real_run(everything: Spec, tmp_path_factory: pytest.TempPathFactory) -> Result:
    return run_spec(everything, tmp_path_factory.mktemp("real") / "run")


@pytest.fixture(scope="session")
def replications(tmp_path_factory: pytest.TempPathFactory) -> Result:
    spec = spec_from_dict(
        {
            "version": 1,
            "name": "small-3_runs",
            "runtime": {"gogc": "off", "gomemlimit": "64MiB"},
            "run": {"duration": "50ms", "seed": 3, "replications": 2},
            "requests": [
                {"workers": 2, "steps": [{"cpu": "10us"}, {"allocate": {"count": 3, "size": "1KiB"}}]}
            ],
        }
    )
    return run_replications(spec, tmp_path_factory.mktemp("replications") / "runs")
