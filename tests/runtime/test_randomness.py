"""Noise from a table of the normal's quantiles."""

from __future__ import annotations

import numpy as np
import pytest

from gcsim.runtime.randomness import normals, stream


def test_normals_are_standard_and_independent() -> None:
    """Moments, tails and neighbours are within five standard errors of those of the distribution."""
    n = 1 << 18
    x = normals(stream(1, "noise"), n).astype(np.float64)
    for moment, expected, spread in ((1, 0.0, 1.0), (2, 1.0, 2.0**0.5), (3, 0.0, 15**0.5), (4, 3.0, 96**0.5)):
        assert (x**moment).mean() == pytest.approx(expected, abs=5 * spread / n**0.5)
    for quantile, share in ((1.0, 0.158655), (3.0, 0.00134990), (3.719, 1e-4)):
        for tail in (x > quantile, x < -quantile):
            assert tail.mean() == pytest.approx(share, abs=5 * (share / n) ** 0.5)
    for lag in (1, 2, 3, 4, 5):  # four come from one word
        assert abs(np.mean(x[:-lag] * x[lag:])) < 5 / n**0.5


@pytest.mark.parametrize("n", [1, 3, 4, 5, 511])
def test_as_many_normals_as_asked_for(n: int) -> None:
    rng = stream(1, "noise")
    first, second = normals(rng, n), normals(rng, n)
    assert first.shape == second.shape == (n,)
    assert first.dtype == np.float32
    assert not np.array_equal(first, second)
    assert np.array_equal(first, normals(stream(1, "noise"), n))
