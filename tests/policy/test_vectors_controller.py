"""The pacer, call by call, against what the real controller did: the whole state, bit for bit, after every call."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gcsim.policy.pacer import MarkWorkerMode, Pacer, TriggerKind, make_pacer
from gcsim.policy.releases import ReleaseRules
from tests.policy.pacer_state import ATTRIBUTES, canonical, distinct_pacers, state_of
from tests.policy.vector_files import Records, files_of, number


def call(pacer: Pacer, op: str, args: dict[str, Any]) -> Any:
    """Do one recorded operation; returns what the call returns, None where it is no call or returns nothing."""
    match op:
        case "poke":
            for name, value in args.items():
                setattr(pacer, ATTRIBUTES[name], number(value))
        case "add":
            for name, value in args.items():
                setattr(pacer, ATTRIBUTES[name], getattr(pacer, ATTRIBUTES[name]) + value)
        case "set_gc_percent":
            return pacer.set_gc_percent(args["gc_percent"])
        case "set_memory_limit":
            return pacer.set_memory_limit(args["memory_limit"])
        case "commit":
            pacer.commit(args["sweep_done"])
        case "start_cycle":
            pacer.start_cycle(
                args["mark_start_time"],
                args["procs"],
                TriggerKind(args["trigger_kind"]),
                stop_the_world=args.get("gcstoptheworld", 0),
            )
        case "revise":
            pacer.revise()
        case "end_cycle":
            pacer.end_cycle(args["now"], args["procs"])
        case "reset_live":
            pacer.reset_live(args["bytes_marked"])
        case "mark_worker_stop":
            pacer.mark_worker_stop(MarkWorkerMode(args["mode"]), args["duration"])
        case "add_idle_mark_worker":
            return pacer.add_idle_mark_worker()
        case "need_idle_mark_worker":
            return pacer.need_idle_mark_worker()
        case "remove_idle_mark_worker":
            pacer.remove_idle_mark_worker()
        case "set_max_idle_mark_workers":
            pacer.set_max_idle_mark_workers(args["max"])
        case _:
            raise AssertionError(f"unknown operation {op}")
    return None


def replay(rules: ReleaseRules, record: dict[str, Any]) -> None:
    first, *ops = record["ops"]
    assert first["op"] == "new"
    pacer = make_pacer(
        rules, gogc_percent=first["args"]["gc_percent"], memory_limit_bytes=first["args"]["memory_limit"]
    )
    want = canonical(first["set"])
    assert canonical(state_of(pacer)) == want, f"{record['case']} new"
    for index, op in enumerate(ops, start=1):
        where = f"{record['case']} op {index} {op['op']}"
        returned = call(pacer, op["op"], op.get("args", {}))
        assert repr(returned) == repr(op.get("ret")), where  # True is not 1 here
        want |= canonical(op["set"])
        assert canonical(state_of(pacer)) == want, where


@pytest.mark.parametrize("path", files_of("controller"), ids=lambda path: path.name)
def test_controller(path: Path) -> None:
    records = Records(path)
    pacers = distinct_pacers(records.rules)
    for record in records:
        for rules in pacers:
            replay(rules, record)
