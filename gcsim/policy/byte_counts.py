"""The text of GOGC and GOMEMLIMIT, as each release reads it."""

from __future__ import annotations

import re
from typing import Final

from gcsim.policy.conversions import INT64_MAX, INT64_MIN
from gcsim.policy.releases import ReleaseRules

GOGC_OFF_PERCENT: Final = -1
# derived: runtime/mgcpacer.go readGOGC: also what any text that is no number means.
DEFAULT_GOGC_PERCENT: Final = 100
NO_MEMORY_LIMIT_BYTES: Final = INT64_MAX

_INT32_MAX: Final = (1 << 31) - 1
_INT32_MIN: Final = -(1 << 31)
_UNIT_BYTES: Final = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_INTEGER: Final = re.compile(r"([+-]?)([0-9]*)")


def _parse_int64(text: str, rules: ReleaseRules) -> int | None:
    """A decimal int64, or None.

    Source: runtime/string.go atoi64 (go1.19 .. go1.25); internal/strconv ParseInt with base 10 (go1.26, go1.27).
    """
    matched = _INTEGER.fullmatch(text)
    if matched is None:
        return None
    sign, digits = matched.groups()
    if sign == "+" and not rules.strconv_settings:
        return None
    if not digits:
        # The old reader took a lone "-" for 0: its loop over the digits found nothing to refuse.
        return 0 if sign == "-" and not rules.strconv_settings else None
    digits = digits.lstrip("0") or "0"
    if len(digits) > len(str(INT64_MAX)):
        return None
    value = int(digits) if sign != "-" else -int(digits)
    return value if INT64_MIN <= value <= INT64_MAX else None


def parse_byte_count(text: str, rules: ReleaseRules) -> int | None:
    """Bytes of a text such as "512MiB", "1000" or "7B"; None where Go does not understand it.

    Source: runtime/string.go parseByteCount (go1.19 .. go1.27). Simplified: no.
    """
    digits, unit_bytes = text, 1
    if text[-1:] == "B":
        digits = text[:-1]
        if digits[-1:] == "i":
            unit = digits[-2:-1]
            if unit not in _UNIT_BYTES:
                return None
            digits, unit_bytes = digits[:-2], _UNIT_BYTES[unit]
    if unit_bytes == 1 and not digits[-1:].isdecimal():
        return None
    count = _parse_int64(digits, rules)
    if count is None or count < 0 or count * unit_bytes > INT64_MAX:
        return None
    return count * unit_bytes


def parse_gogc(text: str, rules: ReleaseRules) -> int:
    """GOGC in percent; `GOGC_OFF_PERCENT` for "off" and every negative number, 100 for what is no number.

    Source: runtime/mgcpacer.go readGOGC, setGCPercent (go1.19 .. go1.27). Simplified: no.
    """
    if text == "off":
        return GOGC_OFF_PERCENT
    value = _parse_int64(text, rules)
    if value is None or not _INT32_MIN <= value <= _INT32_MAX:
        return DEFAULT_GOGC_PERCENT
    return max(value, GOGC_OFF_PERCENT)


def parse_gomemlimit(text: str, rules: ReleaseRules) -> int:
    """GOMEMLIMIT in bytes; `NO_MEMORY_LIMIT_BYTES` for "off" and the empty text.

    Raises:
        ValueError: where the real program would die at start.
    Source: runtime/mgcpacer.go readGOMEMLIMIT (go1.19 .. go1.27). Simplified: no.
    """
    if text in {"", "off"}:
        return NO_MEMORY_LIMIT_BYTES
    limit_bytes = parse_byte_count(text, rules)
    if limit_bytes is None:
        raise ValueError(
            f"malformed GOMEMLIMIT {text!r} for Go {rules.release}; write it like 512MiB, or off"
        )
    return limit_bytes
