"""When a point of a sweep has enough replications: as soon as the interval of each named metric is narrow enough.

The decision looks at the first n replications in their order, for n in a fixed row of numbers, and at nothing else: not
at who ran them, when, or in which order they finished.  So it is the same with any number of workers, and can be made
again from the directory alone.

Looking more often would save runs, but a mean that is looked at after every replication is stopped preferably when its
interval happens to be narrow, and then covers the truth less often than it says.  With half as many again at each look
there are few of them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from gcsim.datasets.metrics import METRIC_BY_NAME, metric_remedy
from gcsim.datasets.summary import Number, combine
from gcsim.errors import Problem, SpecError

_RULE = re.compile(r"\s*([a-z][a-z0-9_]*)\s*<\s*([0-9]+(?:\.[0-9]+)?)\s*%\s*")


@dataclass(frozen=True, kw_only=True)
class StopRule:
    """Replications from `least` to `most`, until half the 95 % interval is below a share of the mean.

    Attributes:
        widths: metric -> largest half width of its interval, as a fraction of the mean's size.
    """

    least: int
    most: int
    widths: Mapping[str, float]

    @property
    def looks(self) -> tuple[int, ...]:
        """Numbers of replications after which is decided, the last one `most`."""
        numbers = [self.least]
        while numbers[-1] < self.most:
            numbers.append(min(self.most, numbers[-1] + -(-numbers[-1] // 2)))
        return tuple(numbers)

    def is_met(self, summaries: Sequence[Mapping[str, Number]]) -> bool:
        """Whether the intervals over these replications are narrow enough.

        A metric that a replication lacks is never narrow.  One that is 0 in all of them is.
        """
        found = combine(summaries)
        for metric, width in self.widths.items():
            mean, low = found[metric], found[f"{metric}_ci95_low"]
            if mean is None or low is None or (mean - low > 0 and mean - low >= width * abs(mean)):
                return False
        return True

    def to_dict(self) -> dict[str, Any]:
        """As `sweep.json` has it."""
        return {"least": self.least, "most": self.most, "widths": dict(self.widths)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        return cls(least=data["least"], most=data["most"], widths=dict(data["widths"]))


def parse_stop_rule(texts: Sequence[str], *, least: int, most: int) -> StopRule:
    """``["latency_ns_p99<2%"]`` -> a rule; every problem is reported.

    Raises:
        SpecError: no rule, no metric, fewer than two replications to begin with, or nothing between the two numbers.
    """
    widths: dict[str, float] = {}
    problems = []
    for text in texts:
        match = _RULE.fullmatch(text)
        if match is None or float(match[2]) == 0:
            message, remedy = "is no rule", "write METRIC<N% such as latency_ns_p99<2%"
        elif match[1] not in METRIC_BY_NAME:
            message, remedy = f"names {match[1]}, which is no metric", metric_remedy(match[1])
        else:
            widths[match[1]] = float(match[2]) / 100
            continue
        problems.append(Problem(path="$", value=repr(text), message=message, remedy=remedy))
    if not 2 <= least < most:
        problems.append(
            Problem(
                path="$.run.replications",
                value=f"{least}..{most}",
                message="is no range to stop in",
                remedy="write FIRST..LAST with at least two, such as 3..20",
            )
        )
    if problems:
        raise SpecError(problems, source="--until-ci")
    return StopRule(least=least, most=most, widths=widths)
