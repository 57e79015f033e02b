"""The text of GOMEMLIMIT, conversions between 64-bit numbers, and the runtime's constants."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import pytest

from gcsim.policy import constants
from gcsim.policy.byte_counts import parse_byte_count
from gcsim.policy.conversions import float_to_int64, float_to_uint64, wrap_int64
from gcsim.policy.releases import ReleaseRules, release_rules
from tests.policy.vector_files import REPLAYED, Records, bits, files_of, number


@pytest.mark.parametrize("path", files_of("byte_counts"), ids=lambda path: path.name)
def test_byte_counts(path: Path) -> None:
    records = Records(path)
    for record in records:
        for rules in records.rules:
            got = parse_byte_count(record["text"], rules)
            assert (got is not None) is record["ok"], (record["text"], rules.release)
            assert (got or 0) == record["bytes"], (record["text"], rules.release)


@pytest.mark.parametrize("path", files_of("conversions"), ids=lambda path: path.name)
def test_conversions(path: Path) -> None:
    for record in Records(path):
        if "float" in record:
            value = number(record["float"])
            assert float_to_int64(value) == record["int64"], record
            assert float_to_uint64(value) == record["uint64"], record
        else:
            value = record["uint"]
            assert bits(float(value)) == bits(record["as_uint64_to_float"]), record
            assert wrap_int64(value) == record["as_int64"], record
            assert bits(float(wrap_int64(value))) == bits(record["as_int64_to_float"]), record


CONSTANTS: Final[dict[str, int | float]] = {
    "assist_time_slack": constants.ASSIST_TIME_SLACK_NS,
    "background_utilization": constants.BACKGROUND_UTILIZATION_FRAC,
    "credit_slack": constants.CREDIT_SLACK_BYTES,
    "default_heap_minimum": constants.DEFAULT_HEAP_MINIMUM_BYTES,
    "drain_check_threshold": constants.DRAIN_CHECK_THRESHOLD_BYTES,
    "force_gc_period_ns": constants.FORCE_GC_PERIOD_NS,
    "goal_utilization": constants.GOAL_UTILIZATION_FRAC,
    "limiter_capacity_per_proc_ns": constants.LIMITER_CAPACITY_PER_PROC_CPU_NS,
    "limiter_update_period_ns": constants.LIMITER_UPDATE_PERIOD_NS,
    "max_oblet_bytes": constants.MAX_OBLET_BYTES,
    "max_small_size": constants.MAX_SMALL_BYTES,
    "max_stack_scan_slack": constants.MAX_STACK_SCAN_SLACK_BYTES,
    "max_trigger_ratio_num": constants.MAX_TRIGGER_RATIO_NUM,
    "min_trigger_ratio_num": constants.MIN_TRIGGER_RATIO_NUM,
    "over_assist_work": constants.OVER_ASSIST_WORK_BYTES,
    "page_size": constants.PAGE_BYTES,
    "phys_page_size": constants.PHYS_PAGE_BYTES,
    "ptr_size": constants.PTR_BYTES,
    "root_block_bytes": constants.ROOT_BLOCK_BYTES,
    "scavenge_percent": constants.SCAVENGE_PERCENT,
    "scavenge_reduce_extra_percent": constants.SCAVENGE_REDUCE_EXTRA_PERCENT,
    "scavenge_retain_extra_percent": constants.SCAVENGE_RETAIN_EXTRA_PERCENT,
    "sweep_min_heap_distance": constants.SWEEP_MIN_HEAP_DISTANCE_BYTES,
    "tiny_size": constants.TINY_BYTES,
    "trigger_ratio_den": constants.TRIGGER_RATIO_DEN,
}


def constants_of(rules: ReleaseRules) -> dict[str, Any]:
    """The constants of a release under their recorded names: only those it has."""
    of_release: dict[str, int | float] = {}
    if rules.memory_limit_headroom_percent:
        of_release["memory_limit_min_heap_goal_headroom"] = constants.MEMORY_LIMIT_MIN_HEADROOM_BYTES
        of_release["memory_limit_heap_goal_headroom_percent"] = rules.memory_limit_headroom_percent
    else:
        of_release["memory_limit_heap_goal_headroom"] = constants.MEMORY_LIMIT_MIN_HEADROOM_BYTES
    if rules.malloc_headers:
        of_release["malloc_header_size"] = constants.MALLOC_HEADER_BYTES
        of_release["min_size_for_malloc_header"] = constants.MIN_SIZE_FOR_MALLOC_HEADER_BYTES
    return CONSTANTS | of_release


@pytest.mark.parametrize("path", files_of("constants"), ids=lambda path: path.name)
def test_constants(path: Path) -> None:
    by_release = json.loads(path.read_text())
    assert by_release
    for release, recorded in by_release.items():
        rules = release_rules(".".join(release.split(".")[:2]))
        assert constants_of(rules) == recorded, release
    REPLAYED[path] = len(by_release)
