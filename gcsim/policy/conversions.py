"""Go's 64-bit integers and conversions on amd64, for the corners where Python's unbounded ones would differ.

Integers wrap modulo 2^64, float to integer truncates toward zero, and out of range the conversion gives what the
processor gives. These corners are reachable: GOGC=off alone makes products wrap.

Source: Go specification (integer overflow, conversions); compiler output of go1.19 .. go1.27 on amd64, where the
specification leaves the result to the implementation.
"""

from __future__ import annotations

import math
from typing import Final

TWO_63: Final = 1 << 63
TWO_64: Final = 1 << 64
INT64_MAX: Final = TWO_63 - 1
INT64_MIN: Final = -TWO_63
UINT64_MAX: Final = TWO_64 - 1

_TWO_63_FLOAT: Final = float(TWO_63)
_TWO_64_FLOAT: Final = float(TWO_64)


def wrap_int64(value: int) -> int:
    """The int64 that `value` becomes modulo 2^64."""
    if INT64_MIN <= value <= INT64_MAX:
        return value
    return ((value + TWO_63) & UINT64_MAX) - TWO_63


def wrap_uint64(value: int) -> int:
    """The uint64 that `value` becomes modulo 2^64."""
    return value & UINT64_MAX


def float_to_int64(value: float) -> int:
    """`int64(value)`: toward zero; -2^63 for NaN and for everything out of range."""
    if -_TWO_63_FLOAT <= value < _TWO_63_FLOAT:
        return int(value)
    return INT64_MIN


def float_to_uint64(value: float) -> int:
    """`uint64(value)`: toward zero; a negative in the int64 range wraps; 2^63 for NaN and everything else."""
    if 0.0 <= value < _TWO_64_FLOAT:
        return int(value)
    if -_TWO_63_FLOAT <= value < 0.0:
        return int(value) & UINT64_MAX
    return TWO_63


def divide(numerator: float, denominator: float) -> float:
    """IEEE division: by zero it gives an infinity or NaN, where Python raises."""
    if denominator != 0.0:
        return numerator / denominator
    if numerator == 0.0 or math.isnan(numerator):
        return math.nan
    return math.copysign(math.inf, numerator) * math.copysign(1.0, denominator)
