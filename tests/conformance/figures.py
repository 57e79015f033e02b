"""The figures of every regime beside Go's bounds, as a table: ``python -m tests.conformance.figures``."""

from __future__ import annotations

from itertools import pairwise

from tests.conformance.ideal import run
from tests.conformance.test_regimes import REGIMES, SETTLED


def main() -> None:
    """Print one row per regime, over its cycles from the 25th on."""
    print(
        "| regime | cycles | utilisation | largest change of it | entry assists | goal ratio | trigger ratio |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for name, regime in REGIMES.items():
        cycles = run(name.replace("_", "-"), regime.program)
        settled = cycles[SETTLED - 1 :]
        utilizations = [c.utilization for c in settled]
        change = max((abs(b.utilization - a.utilization) for a, b in pairwise(settled)), default=0.0)
        goals = [c.goal_ratio for c in settled]
        triggers = [c.trigger_ratio for c in settled if c.goal_bytes > c.live_bytes]
        spread = f"{min(triggers):.3f} .. {max(triggers):.3f}" if triggers else "-"
        print(
            f"| {name} | {len(cycles)} | {min(utilizations):.4f} .. {max(utilizations):.4f} | {change:.4f} "
            f"| {max(c.entry for c in settled):.4f} | {min(goals):.3f} .. {max(goals):.3f} | {spread} |"
        )


if __name__ == "__main__":
    main()
