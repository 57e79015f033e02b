"""Thresholds: conditions on metrics that a run has to meet, such as ``<10ms``, ``<= 512MiB`` or ``>= 1000``.

Whether a metric of that name exists is for the reader of the results to say; here is the syntax alone.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass

from gcsim.units import parse_bytes, parse_duration_ns

_HOLDS: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}
_CONDITION = re.compile(r"\s*(<=|>=|==|!=|<|>)\s*([^\s<>=!].*?)\s*")
_PLAIN = re.compile(r"[+-]?[0-9]{1,30}(?:\.[0-9]{1,30})?(?:[eE][+-]?[0-9]{1,2})?")


@dataclass(frozen=True)
class Threshold:
    """A condition on one metric, in the metric's own unit.

    Attributes:
        text: as written.
        relation: one of < <= > >= == !=.
        bound: the right-hand side in ns, bytes, a fraction of 1 (for %) or as it is.
        unit: ``ns``, ``bytes``, ``frac`` or empty: the ending that the metric's name should have.
    """

    text: str
    relation: str
    bound: float
    unit: str

    def holds(self, measured: float) -> bool:
        """Whether a measured value meets the condition; a NaN meets none but ``!=``."""
        return _HOLDS[self.relation](measured, self.bound)


def parse_threshold(text: str) -> Threshold:
    """``"<10ms"`` -> a threshold of 10,000,000 ns.

    Raises:
        ValueError: no relation or no number, with a remedy in the message.
    """
    match = _CONDITION.fullmatch(text)
    if match is None:
        raise ValueError(
            f"{text[:40]!r} is no condition; write a relation and a bound such as <10ms, <= 512MiB, >= 1000"
        )
    relation, bound = match[1], match[2]
    if _PLAIN.fullmatch(bound):
        return Threshold(text, relation, float(bound), "")
    if bound.endswith("%") and _PLAIN.fullmatch(bound[:-1].rstrip()):
        return Threshold(text, relation, float(bound[:-1]) / 100, "frac")
    for unit, parse in (("ns", parse_duration_ns), ("bytes", parse_bytes)):
        try:
            value = parse(bound)
        except ValueError:
            continue
        if isinstance(value, int):
            return Threshold(text, relation, float(value), unit)
    raise ValueError(
        f"{bound[:40]!r} is no number, time, size or percentage; write for example 10ms, 512MiB, 1000 or 5%"
    )
