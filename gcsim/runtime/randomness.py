"""Named random streams: adding a draw in one place does not shift another."""

from __future__ import annotations

import zlib

import numpy as np
import numpy.typing as npt

from gcsim.spec.models import Distribution

FloatArray = npt.NDArray[np.float64]


def stream(seed: int, name: str) -> np.random.Generator:
    """The generator of one component, by the run's seed and the component's name."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, zlib.crc32(name.encode())])))


def sample(distribution: Distribution, rng: np.random.Generator, n: int) -> FloatArray:
    """`n` draws, in the unit of the field that holds the distribution."""
    d = distribution
    match d.kind:
        case "constant":
            return np.full(n, float(d.mean or 0.0))
        case "uniform":
            return rng.uniform(d.low or 0.0, d.high or 0.0, n)
        case "exponential":
            return rng.exponential(d.mean or 0.0, n)
        case "lognormal":
            cv = d.cv or 0.0
            sigma2 = np.log1p(cv * cv)
            return rng.lognormal(np.log(d.mean or 1.0) - sigma2 / 2, np.sqrt(sigma2), n)
        case "pareto":
            alpha = d.alpha or 2.0
            return (rng.pareto(alpha, n) + 1.0) * ((d.mean or 0.0) * (alpha - 1.0) / alpha)
        case "choice":
            weights = np.asarray(d.weights) / np.sum(d.weights) if d.weights else None
            return np.asarray(rng.choice(np.asarray(d.values), n, p=weights), dtype=np.float64)


def mean_of(distribution: Distribution) -> float:
    """Expected value."""
    d = distribution
    if d.kind == "uniform":
        return ((d.low or 0.0) + (d.high or 0.0)) / 2
    if d.kind == "choice":
        return float(np.average(np.asarray(d.values), weights=np.asarray(d.weights) if d.weights else None))
    return float(d.mean or 0.0)
