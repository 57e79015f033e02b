"""Assist debts and the ways of credit."""

from __future__ import annotations

from gcsim.policy.assist import CreditFlush, assist_debt, credit_for_work, flush_credit, steal_credit
from gcsim.policy.constants import KIB


def test_a_small_debt_is_rounded_up_to_64_kib_of_work() -> None:
    assert assist_debt(1000, 2.0, 0.5) == (64 * KIB, 32 * KIB)


def test_a_large_debt_is_paid_exactly() -> None:
    assert assist_debt(100 * KIB, 2.0, 0.5) == (200 * KIB, 100 * KIB)


def test_assist_steals_background_credit_before_scanning() -> None:
    work, debt = assist_debt(1000, 2.0, 0.5)
    assert steal_credit(work, debt, 100 * KIB, 0.5) == (work, debt)
    assert steal_credit(work, debt, 10 * KIB, 0.5) == (10 * KIB, 5 * KIB + 1)
    assert steal_credit(work, debt, 0, 0.5) == (0, 0)
    assert steal_credit(work, debt, -7, 0.5) == (0, 0)


def test_work_done_gives_at_least_a_byte_of_credit() -> None:
    assert credit_for_work(10, 0.001) == 1
    assert credit_for_work(2000, 0.5) == 1001


def test_background_work_goes_to_those_who_wait_first() -> None:
    assert flush_credit(2000, [], 2.0, 0.5) == CreditFlush(0, 0, 2000)
    # 2000 of work are 1000 bytes: 300 and 400 are paid, 300 left.
    assert flush_credit(2000, [300, 400], 2.0, 0.5) == CreditFlush(2, 0, 600)
    assert flush_credit(2000, [300, 400, 900], 2.0, 0.5) == CreditFlush(2, 300, 0)
    assert flush_credit(2000, [1000, 5], 2.0, 0.5) == CreditFlush(1, 0, 0)
    assert flush_credit(2000, [1001], 2.0, 0.5) == CreditFlush(0, 1000, 0)
