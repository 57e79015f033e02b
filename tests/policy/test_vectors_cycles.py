"""The pacer over whole cycles of an idealised program, against what the real controller did, bit for bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gcsim.policy.pacer import Pacer, TriggerKind, make_pacer
from tests.policy.cycle_driver import IdealProgram, Step, derived
from tests.policy.pacer_state import canonical, distinct_pacers, state_of
from tests.policy.vector_files import Records, files_of


def check(pacer: Pacer, recorded: dict[str, Any], where: str) -> None:
    """Compare what is recorded of the state."""
    state = state_of(pacer)
    assert canonical({name: state[name] for name in recorded}) == canonical(recorded), where


def check_step(pacer: Pacer, step: Step, columns: dict[str, list[Any]], row: int, where: str) -> None:
    """Compare one of the steps that are recorded."""
    recorded = {name: column[row] for name, column in columns.items() if name != "i"}
    did = {name: recorded.pop(name) for name in ("utilization", "elapsed_ns", "bytes_allocated")}
    assert canonical(vars(step)) == canonical(did), where
    check(pacer, recorded, where)


def replay_cycle(program: IdealProgram, record: dict[str, Any]) -> None:
    where = f"{record['scenario']} cycle {record['cycle']}"
    inputs, pacer = record["in"], program.pacer
    program.prepare(inputs)
    check(pacer, record["before"], f"{where} before")

    recorded_start = dict(record["start"])
    added = program.start(inputs, TriggerKind(recorded_start.pop("trigger_kind")))
    assert added == recorded_start.pop("heap_scan_added"), where
    check(pacer, recorded_start, f"{where} start")

    next_marked, phase = program.work(inputs, first=record["cycle"] == 1)
    assert phase.work | {"next_heap_marked": next_marked} == record["work"], where

    columns = record["steps"]
    rows = {index: row for row, index in enumerate(columns["i"])}
    while any(phase.work.values()):
        index = phase.steps
        step = program.step(inputs, phase)
        if index in rows:
            check_step(pacer, step, columns, rows.pop(index), f"{where} step {index}")
    assert not rows, where
    assert phase.steps == record["steps_total"], where

    figures = derived(pacer, phase, inputs["n_cores"])
    program.end(inputs, phase)
    check(pacer, record["end_cycle"], f"{where} end_cycle")
    bytes_marked = next_marked + program.allocated_during_mark
    ended = {
        "elapsed_ns": phase.elapsed_ns,
        "assist_time": phase.assist_time_cpu_ns,
        "bytes_marked": bytes_marked,
        "allocated_during_mark": phase.allocated_bytes,
    }
    if "idle_mark_time" in record["end"]:
        ended["idle_mark_time"] = pacer.idle_mark_time_cpu_ns
    assert ended == record["end"], where
    program.roll_over(inputs, bytes_marked)
    check(pacer, record["after"], f"{where} after")
    assert canonical(figures) == canonical(record["derived"]), where


@pytest.mark.parametrize("path", files_of("cycles"), ids=lambda path: path.name)
def test_cycles(path: Path) -> None:
    records = Records(path)
    programs: list[IdealProgram] = []
    scenarios = 0
    for record in records:
        if record["kind"] == "scenario":
            scenarios += 1
            programs = []
            for rules in distinct_pacers(records.rules):
                pacer = make_pacer(
                    rules, gogc_percent=record["gc_percent"], memory_limit_bytes=record["memory_limit"]
                )
                check(pacer, record["after_new"], f"{record['scenario']} new")
                programs.append(IdealProgram(record, pacer))
        else:
            assert record["kind"] == "cycle"
            assert [program.scenario["scenario"] for program in programs[:1]] == [record["scenario"]]
            for program in programs:
                replay_cycle(program, record)
    assert scenarios == records.meta.get("scenarios", scenarios)
