"""Minimum mutator utilisation: the least share of P time left to the program over any window of a given length.

As ``go tool trace`` counts it by default (pauses, background workers, assists; idle workers left out; averaged over
Ps): at an instant the utilisation is 1 - g / GOMAXPROCS, with g the Ps at work for the collector, and 0 while the
world is stopped or being stopped.

The utilisation is a step function of time, so its integral is piecewise linear, and a window of length w is worst
where it begins or ends at a step.  Trying those places is exact; no sampling.  Only the steps of the last longest
window are kept, so memory does not grow with simulated time.

Source: internal/trace/gc.go (go1.27), MutatorUtilizationV2 with UtilSTW | UtilBackground | UtilAssist.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Int64Array = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]


class MinimumMutatorUtilization:
    """Fed with the collector's intervals in batches, each batch complete up to a time.

    Args:
        windows_ns: window lengths.
        start_ns: start of the time looked at; windows lie within start and end.
    """

    def __init__(self, windows_ns: Sequence[int], start_ns: int) -> None:
        self._windows_ns = tuple(windows_ns)
        self._start_ns = start_ns
        self._minimum = [1.0] * len(self._windows_ns)
        # Steps behind us: times (ns) and the integral of lost utilisation (ns) up to each; the last is complete.
        self._times: FloatArray = np.array([start_ns], dtype=np.float64)
        self._lost: FloatArray = np.zeros(1)
        # Intervals that reach beyond the last complete time: (start, end, share of the Ps).
        self._open: list[tuple[Int64Array, Int64Array, FloatArray]] = []

    def add(self, starts_ns: Int64Array, ends_ns: Int64Array, share_frac: float) -> None:
        """Intervals in which the collector has `share_frac` of the Ps: 1/GOMAXPROCS for one P, 1 for a pause."""
        if len(starts_ns):
            shares = np.full(len(starts_ns), share_frac)
            self._open.append((np.asarray(starts_ns, np.int64), np.asarray(ends_ns, np.int64), shares))

    def advance(self, until_ns: int) -> None:
        """All intervals that begin before `until_ns` have been added: take the windows that end by then."""
        begin_ns = int(self._times[-1])
        if until_ns <= begin_ns:
            return
        times, lost = self._steps(begin_ns, until_ns)
        self._times = np.concatenate([self._times, times[1:]])
        self._lost = np.concatenate([self._lost, self._lost[-1] + lost[1:]])
        first_ns = self._times[0]
        for i, window_ns in enumerate(self._windows_ns):
            # Windows that end at a step after `begin_ns`, and those that begin at any step and end by `until_ns`;
            # windows that end by begin_ns were taken before, and repeating some is harmless.
            ends = np.concatenate([times, self._times + window_ns])
            ends = ends[(ends - window_ns >= first_ns) & (ends <= until_ns)]
            if len(ends):
                lost_in = self._integral(ends) - self._integral(ends - window_ns)
                self._minimum[i] = min(self._minimum[i], 1.0 - float(lost_in.max()) / window_ns)
        keep = int(np.searchsorted(self._times, until_ns - max(self._windows_ns), side="right")) - 1
        if keep > 0:
            self._times, self._lost = self._times[keep:], self._lost[keep:] - self._lost[keep]

    def minimum(self) -> list[float | None]:
        """The minimum per window, in 0..1; None where the time looked at is shorter than the window."""
        length_ns = int(self._times[-1]) - self._start_ns
        return [
            max(0.0, least) if length_ns >= window_ns else None
            for least, window_ns in zip(self._minimum, self._windows_ns, strict=True)
        ]

    def _integral(self, at: FloatArray) -> FloatArray:
        return np.interp(at, self._times, self._lost)

    def _steps(self, begin_ns: int, until_ns: int) -> tuple[FloatArray, FloatArray]:
        """Step times in [begin, until] and the lost utilisation up to each; later intervals stay open."""
        if not self._open:
            return np.array([begin_ns, until_ns], np.float64), np.zeros(2)
        starts, ends, shares = (np.concatenate(parts) for parts in zip(*self._open, strict=True))
        later = ends > until_ns
        self._open = [(starts[later], ends[later], shares[later])] if later.any() else []
        starts = np.clip(starts, begin_ns, until_ns)
        ends = np.clip(ends, begin_ns, until_ns)
        times = np.concatenate([starts, ends, [begin_ns, until_ns]])
        deltas = np.concatenate([shares, -shares, [0.0, 0.0]])
        order = np.argsort(times, kind="stable")
        times, deltas = times[order], deltas[order]
        # Workers caught by a pause count once: utilisation never falls below 0.
        level = np.clip(np.cumsum(deltas), 0.0, 1.0)
        lost = np.concatenate([[0.0], np.cumsum(level[:-1] * np.diff(times))])
        return times.astype(np.float64), lost
