"""Which settings no other one beats."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def pareto_front(rows: Sequence[Sequence[float | None]]) -> list[bool]:
    """Which rows no other row beats: at most as large in every column and smaller in one.  None counts as infinite."""
    values = np.array([[np.inf if v is None else float(v) for v in row] for row in rows], dtype=np.float64)
    front = []
    for row in values:
        beaten = np.all(values <= row, axis=1) & np.any(values < row, axis=1)
        front.append(bool(np.isfinite(row).all() and not beaten.any()))
    return front
