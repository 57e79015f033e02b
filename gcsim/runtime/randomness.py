"""Named random streams: adding a draw in one place does not shift another."""

from __future__ import annotations

import zlib
from functools import cache
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from gcsim.spec.models import Distribution

FloatArray = npt.NDArray[np.float64]
SingleArray = npt.NDArray[np.float32]

_BITS = 16


def stream(seed: int, name: str) -> np.random.Generator:
    """The generator of one component, by the run's seed and the component's name."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, zlib.crc32(name.encode())])))


@cache
def _normal_quantiles() -> SingleArray:
    """The standard normal in 2^16 steps of equal probability, each by its middle; the halves mirror one another."""
    steps = 1 << _BITS
    inverse = NormalDist().inv_cdf
    upper = [inverse(0.5 + (k + 0.5) / steps) for k in range(steps // 2)]
    return np.asarray([-x for x in reversed(upper)] + upper, dtype=np.float32)


def normals(rng: np.random.Generator, n: int) -> SingleArray:
    """`n` draws of the standard normal in single precision, 16 random bits each.

    For noise of which a simulation needs one or two values per request: a look-up in a table, where numpy's ziggurat
    branches at random.  Within 4.4 sigma; the variance is short of 1 by 1e-4.
    """
    words = rng.bit_generator.random_raw(-(-n * _BITS // 64)).astype("<u8", copy=False)
    return _normal_quantiles().take(words.view("<u2")[:n])


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
