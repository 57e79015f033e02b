"""gcsim: a discrete-event simulator of the performance of Go's memory management.

    result = gcsim.run("workloads/cache-service.yaml", set=["gogc=200"])
    result.summary["num_gc"], result.tables["cycles"].to_pandas()
    result = gcsim.load("runs/r-0123456789abcdef")

The names below are imported when first used, so that ``import gcsim.spec`` does not load the engine.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from gcsim.version import __version__

if TYPE_CHECKING:
    from gcsim.datasets.open import load
    from gcsim.datasets.reader import Result
    from gcsim.datasets.run import run
    from gcsim.errors import DatasetError, GcsimError, InvariantError, RunError, SpecError
    from gcsim.spec.load import load_spec
    from gcsim.spec.models import Spec

__all__ = [
    "DatasetError",
    "GcsimError",
    "InvariantError",
    "Result",
    "RunError",
    "Spec",
    "SpecError",
    "__version__",
    "load",
    "load_spec",
    "run",
]

_HOME = {
    "Result": "gcsim.datasets.reader",
    "load": "gcsim.datasets.open",
    "run": "gcsim.datasets.run",
    "load_spec": "gcsim.spec.load",
    "Spec": "gcsim.spec.models",
} | dict.fromkeys(("DatasetError", "GcsimError", "InvariantError", "RunError", "SpecError"), "gcsim.errors")


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'gcsim' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
