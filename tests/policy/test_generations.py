"""Cohorts and cards, by hand."""

from __future__ import annotations

import pytest

from gcsim.policy.generations import CARD_BYTES, Cohort, Survival, dirty_cards, filled_cards


def test_who_is_of_age_is_promoted_and_the_others_grow_older() -> None:
    cohort = Cohort(promotion_age=3)
    assert cohort.collect(100) == Survival(copied_bytes=100, promoted_bytes=0)
    assert cohort.collect(150) == Survival(150, 0)
    assert (cohort.aged_bytes, cohort.old_bytes) == ([50, 100], 0)
    assert cohort.collect(160) == Survival(160, 100)
    assert (cohort.aged_bytes, cohort.old_bytes) == ([10, 50], 100)
    assert cohort.new_bytes(167) == 7


def test_of_age_one_everything_that_survives_is_old() -> None:
    cohort = Cohort(promotion_age=1)
    assert cohort.collect(100) == Survival(100, 100)
    assert cohort.collect(130) == Survival(30, 30)
    assert cohort.tracked_bytes == cohort.old_bytes == 130


def test_members_die_in_proportion_and_old_bytes_are_accounted_for() -> None:
    cohort = Cohort(promotion_age=2)
    cohort.collect(100)
    cohort.collect(300)
    assert (cohort.aged_bytes, cohort.old_bytes) == ([200], 100)
    assert cohort.die(0.25) == 25
    assert (cohort.aged_bytes, cohort.old_bytes) == ([150], 75)


def test_what_is_gone_without_a_word_was_the_oldest() -> None:
    cohort = Cohort(promotion_age=2)
    cohort.collect(100)
    cohort.collect(300)
    assert cohort.clamp(300) == 0
    assert cohort.clamp(150) == 100
    assert (cohort.aged_bytes, cohort.old_bytes) == ([150], 0)
    assert cohort.clamp(0) == 0
    assert cohort.tracked_bytes == 0


def test_random_stores_meet_dirty_cards_again_and_neighbours_share_one() -> None:
    area = 1000 * CARD_BYTES
    assert dirty_cards(area, 0) == 0
    assert dirty_cards(area, 10) == pytest.approx(10, rel=0.01)
    assert dirty_cards(area, 1000) == pytest.approx(632, rel=0.01)
    assert dirty_cards(area, 1e6) == pytest.approx(1000)
    assert filled_cards(8 * 64) == 1
    assert filled_cards(8 * 65) == 2
    assert filled_cards(0) == 0
