"""Mark assists: what a goroutine in debt has to scan, and how credit flows to it.

A goroutine's assist credit is counted in bytes it may still allocate; work and credit are converted by the pacer's two
ratios, `assist_work_per_byte` and `assist_bytes_per_work`. The functions are called for every assist and return plain
tuples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gcsim.policy.constants import OVER_ASSIST_WORK_BYTES
from gcsim.policy.conversions import float_to_int64


def assist_debt(
    debt_bytes: int, assist_work_per_byte: float, assist_bytes_per_work: float
) -> tuple[int, int]:
    """Scan work an assist has to do, and the debt in bytes that it pays off.

    At least 64 KiB of work, which prepays for allocations to come; the debt paid is larger than the real one then.

    Args:
        debt_bytes: how far the goroutine's credit is below zero, > 0.
        assist_work_per_byte: scan work per byte allocated.
        assist_bytes_per_work: the inverse.

    Source: runtime/mgcmark.go gcAssistAlloc (go1.19 .. go1.27). Simplified: no.
    """
    scan_work = float_to_int64(assist_work_per_byte * float(debt_bytes))
    if scan_work < OVER_ASSIST_WORK_BYTES:
        scan_work = OVER_ASSIST_WORK_BYTES
        debt_bytes = float_to_int64(assist_bytes_per_work * float(scan_work))
    return scan_work, debt_bytes


def steal_credit(
    scan_work_bytes: int, debt_bytes: int, bg_scan_credit_bytes: int, assist_bytes_per_work: float
) -> tuple[int, int]:
    """Scan work taken from the background credit, and the goroutine's credit in bytes for it.

    Args:
        scan_work_bytes: work the assist has to do, from `assist_debt`.
        debt_bytes: the debt that all of that work pays off.
        bg_scan_credit_bytes: background credit; nothing is taken at or below 0.
        assist_bytes_per_work: bytes allocated per scan work.

    Source: runtime/mgcmark.go gcAssistAlloc (go1.19 .. go1.27). Simplified: no.
    """
    if bg_scan_credit_bytes <= 0:
        return 0, 0
    if bg_scan_credit_bytes < scan_work_bytes:
        return bg_scan_credit_bytes, credit_for_work(bg_scan_credit_bytes, assist_bytes_per_work)
    return scan_work_bytes, debt_bytes


def credit_for_work(scan_work_bytes: int, assist_bytes_per_work: float) -> int:
    """Credit in bytes for work done by the assist itself; one more, so that it is never nothing.

    Source: runtime/mgcmark.go gcAssistAlloc1 (go1.19 .. go1.27). Simplified: no.
    """
    return 1 + float_to_int64(assist_bytes_per_work * float(scan_work_bytes))


@dataclass(frozen=True, slots=True)
class CreditFlush:
    """What a batch of background work does for those waiting on the assist queue.

    Attributes:
        satisfied: how many from the head of the queue are out of debt and wake up.
        partial_bytes: paid to the one after them, who then goes to the back of the queue; 0 if nobody.
        bg_scan_credit_bytes: scan work left over for the background credit.
    """

    satisfied: int
    partial_bytes: int
    bg_scan_credit_bytes: int


def flush_credit(
    scan_work_bytes: int,
    waiting_debt_bytes: Sequence[int],
    assist_work_per_byte: float,
    assist_bytes_per_work: float,
) -> CreditFlush:
    """Share the background's scan work out: first to those who wait, the rest to everybody.

    Args:
        scan_work_bytes: work done since the last flush.
        waiting_debt_bytes: debt of each waiting goroutine, head of the queue first, all > 0.
        assist_work_per_byte: scan work per byte allocated.
        assist_bytes_per_work: the inverse.

    Source: runtime/mgcmark.go gcFlushBgCredit (go1.19 .. go1.27). Simplified: no.
    """
    if not waiting_debt_bytes:
        return CreditFlush(0, 0, scan_work_bytes)
    left_bytes = float_to_int64(float(scan_work_bytes) * assist_bytes_per_work)
    satisfied = 0
    for debt_bytes in waiting_debt_bytes:
        if left_bytes <= 0:
            break
        if left_bytes < debt_bytes:
            return CreditFlush(satisfied, left_bytes, 0)
        left_bytes -= debt_bytes
        satisfied += 1
    background = float_to_int64(float(left_bytes) * assist_work_per_byte) if left_bytes > 0 else 0
    return CreditFlush(satisfied, 0, background)
