"""Units: bytes and nanoseconds, from and to text.

Sizes use Go's own suffixes (powers of two: KiB, MiB, GiB, TiB); times use ns, us (or µs), ms, s, m, h.
"""

from __future__ import annotations

import re
from decimal import Decimal

KIB = 1 << 10
MIB = 1 << 20
GIB = 1 << 30
TIB = 1 << 40
US = 1_000
MS = 1_000_000
S = 1_000_000_000

_BYTES = {"": 1, "B": 1, "KIB": KIB, "MIB": MIB, "GIB": GIB, "TIB": TIB}
_TIMES = {"ns": 1, "us": US, "µs": US, "μs": US, "ms": MS, "s": S, "m": 60 * S, "h": 3600 * S}

# Digits and exponent are bounded so that a hostile "1e999999999s" cannot ask for a gigabyte of digits.
_NUMBER = r"[+-]?[0-9]{1,30}(?:\.[0-9]{1,30})?(?:[eE][+-]?[0-9]{1,2})?"
_QUANTITY = re.compile(rf"\s*({_NUMBER})\s*([A-Za-zµμ]*)\s*")

_POSITIVE = r"[+]?[0-9]{1,30}(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,2})?"
SIZE_PATTERN = rf"^\s*{_POSITIVE}\s*([bB]|[kKmMgGtT][iI][bB])?\s*$"
"""JSON Schema pattern of a size in text; what :func:`parse_bytes` takes."""
TIME_PATTERN = rf"^\s*{_POSITIVE}\s*(ns|us|µs|μs|ms|s|m|h)\s*$"
"""JSON Schema pattern of a time in text; what :func:`parse_duration_ns` takes."""


def _number(text: str, units: dict[str, int], *, fold: bool, what: str, examples: str) -> int:
    match = _QUANTITY.fullmatch(text)
    unit = (match[2].upper() if fold else match[2]) if match else None
    if match is None or unit not in units:
        raise ValueError(f"{text[:40]!r} is not a {what}; write {examples}")
    exact = Decimal(match[1]) * units[unit]  # Decimal: 0.1 s is 100,000,000 ns and not one less
    whole = int(exact.to_integral_value())
    if whole == 0 and exact != 0:
        raise ValueError(f"{text[:40]!r} is less than the smallest {what} there is; write 0 or {examples}")
    return whole


def parse_bytes(value: object) -> object:
    """``"512MiB"`` -> 536870912.  Anything that is no text passes through for the caller's own type check.

    Raises:
        ValueError: the text is no size, with a remedy in the message.
    """
    if not isinstance(value, str):
        return value
    return _number(value, _BYTES, fold=True, what="size", examples="a number of bytes or text such as 512MiB")


def parse_duration_ns(value: object) -> object:
    """``"10ms"`` -> 10_000_000 (ns).  A bare number in text is refused: a time needs its unit.

    Raises:
        ValueError: the text is no time, with a remedy in the message.
    """
    if not isinstance(value, str):
        return value
    return _number(
        value, _TIMES, fold=False, what="time", examples="text with a unit such as 10us, 10ms or 2s"
    )


def _three_digits(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 99.95 else f"{value:.3g}"


def format_bytes(value: float) -> str:
    """1536 -> ``1.5 KiB``."""
    for unit, size in (("TiB", TIB), ("GiB", GIB), ("MiB", MIB), ("KiB", KIB)):
        if abs(value) >= size:
            return f"{value / size:.1f} {unit}"
    return f"{value:.0f} B"


def format_ns(value: float) -> str:
    """1_500_000 -> ``1.5 ms``; three digits."""
    for unit, size in (("s", S), ("ms", MS), ("µs", US)):
        if abs(value) >= size * 0.9995:  # 999,999 ns reads 1 ms, not 1000 µs
            return f"{_three_digits(value / size)} {unit}"
    return f"{value:.0f} ns"
