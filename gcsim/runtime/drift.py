"""How fast allocation goes wanders: caches, memory and the machine's other tenants are not the same at all times."""

from __future__ import annotations

import math

import numpy as np

from gcsim.runtime.randomness import SingleArray, normals
from gcsim.spec.profile import MachineProfile

# assumed: steps of the path, as a share of the time in which it is forgotten; shorter ones cost and show nothing
_STEP_FRAC = 0.4


class Drift:
    """A logarithm that wanders around 0 and forgets where it was (an Ornstein-Uhlenbeck process in steps)."""

    def __init__(self, profile: MachineProfile, rng: np.random.Generator) -> None:
        self._sigma = profile["alloc_drift_sigma"]
        self._lasts_ns = profile["alloc_drift_ns"]
        self._rng = rng
        self._now = 0.0

    def path(self, n: int, each_ns: float) -> SingleArray | None:
        """Its values for the next `n` requests of about so many ns each; None where there is none."""
        if not self._sigma or not self._lasts_ns:
            return None
        per = max(1, int(self._lasts_ns * _STEP_FRAC / each_ns))  # requests to a step
        keeps = math.exp(-min(n, per) * each_ns / self._lasts_ns)
        spread = self._sigma * math.sqrt(1.0 - keeps * keeps)
        path = []
        for new in normals(self._rng, -(-n // per)).tolist():
            self._now = keeps * self._now + spread * new
            path.append(self._now)
        return np.repeat(np.asarray(path, dtype=np.float32), per)[:n]
