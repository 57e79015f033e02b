"""Any sequence of submits of runs and sweeps, cancels, kills, restarts and deletes, against a dict."""

import os
import shutil
import signal
import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from gcsim.sweep.axes import parse_axes
from gcsim.sweep.feeder import Feeder
from gcsim.sweep.plan import plan_sweep
from gcsim.sweep.states import (
    NewRun,
    NewSweep,
    NotFoundError,
    QueueFullError,
    RunActiveError,
    RunState,
    SweepActiveError,
    SweepState,
)
from gcsim.sweep.store import MAX_LOSSES, Store
from gcsim.sweep.supervisor import Supervisor
from tests.sweep.runs import quick

SEEDS = st.integers(0, 3)
QUEUE_LIMIT = 6


class Machine(RuleBasedStateMachine):
    """The coordinator and what should be true of it.

    `model` maps each acknowledged run to its seed, `sweeps` each acknowledged sweep to the number of its runs.
    """

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp())
        self.model: dict[str, int] = {}
        self.sweeps: dict[str, int] = {}
        self.cancelled: set[str] = set()
        self.finished: dict[str, RunState] = {}
        self.number = 0
        self.kills = 0
        self.begin()

    def begin(self) -> None:
        self.store = Store.open(self.directory, queue_limit=QUEUE_LIMIT)
        self.supervisor = Supervisor(self.store, workers=1, on_change=lambda _: self.feeder.wake())
        self.feeder = Feeder(self.store, window=4, on_fed=self.supervisor.wake, on_change=lambda _: None)
        self.supervisor.start()
        self.feeder.start()

    def end(self) -> None:
        self.feeder.stop()
        self.supervisor.stop()
        self.store.close()

    def teardown(self) -> None:
        self.supervisor.wake()
        assert self.supervisor.wait(self.model, timeout_s=60), "every run reaches a final state"
        self.end_sweeps()
        for run_id, seed in self.model.items():
            run = self.store.get(run_id)
            if run.state is RunState.CANCELLED:
                assert run_id in self.cancelled
            if run.state is RunState.FAILED:
                assert run.reason == "WORKER_LOST"
                assert run.losses == MAX_LOSSES <= self.kills
            if run.state is RunState.SUCCEEDED:
                assert run.summary["seed"] == seed
                assert self.store.usable_dataset(run.dataset_id) == run.summary
        wanted = {self.store.get(run_id).dataset_id for run_id in self.model}
        wanted |= {run.dataset_id for run in self.store.runs() if run.sweep_id is not None}
        assert {path.name for path in self.store.datasets_dir.iterdir()} <= wanted
        self.end()
        shutil.rmtree(self.directory)

    @rule(seed=SEEDS, skip_cache=st.booleans(), repeated=st.booleans())
    def submit(self, seed: int, skip_cache: bool, repeated: bool) -> None:
        self.number += 1
        request = f"request-{self.number}"
        try:
            ids = {
                self.store.submit(
                    NewRun.of(
                        quick(seed), request_id=request, request_digest=str(seed), skip_cache=skip_cache
                    )
                )[0].id
                for _ in range(1 + repeated)
            }
        except QueueFullError:
            return
        (run_id,) = ids
        self.model[run_id] = seed
        self.supervisor.wake()

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        run_id = data.draw(st.sampled_from(sorted(self.model)))
        self.supervisor.cancel(run_id)
        self.cancelled.add(run_id)

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        run_id = data.draw(st.sampled_from(sorted(self.model)))
        try:
            self.store.delete(run_id)
        except RunActiveError:
            return
        del self.model[run_id]
        self.finished.pop(run_id, None)
        with pytest.raises(NotFoundError):
            self.store.get(run_id)

    def end_sweeps(self) -> None:
        deadline = time.monotonic() + 60
        while self.store.sweeps.open():
            assert time.monotonic() < deadline, "every sweep reaches a final state"
            self.feeder.wake()
            time.sleep(0.02)
        assert self.store.sweeps.check() == []
        for sweep_id, total in self.sweeps.items():
            sweep = self.store.sweeps.get(sweep_id)
            assert sweep.total == total
            if sweep.state is SweepState.CANCELLED:
                assert sweep_id in self.cancelled
            elif sweep.state is SweepState.SUCCEEDED:
                assert sweep.counts[RunState.SUCCEEDED] == total
            else:
                assert sweep.state is SweepState.PARTIAL
                assert self.kills >= MAX_LOSSES

    @rule(seed=SEEDS, repeated=st.booleans())
    def submit_sweep(self, seed: int, repeated: bool) -> None:
        self.number += 1
        plan = plan_sweep(quick(seed), parse_axes(["gogc=50,100"]), replications=2)
        sweep_id = f"sweep-{self.number}"
        try:
            for _ in range(1 + repeated):
                self.store.sweeps.submit(NewSweep(id=sweep_id, plan=plan, request_id=sweep_id))
        except QueueFullError:
            assert sweep_id not in self.sweeps
            return
        self.sweeps[sweep_id] = 4
        self.feeder.wake()

    @precondition(lambda self: self.sweeps)
    @rule(data=st.data())
    def cancel_sweep(self, data: st.DataObject) -> None:
        sweep_id = data.draw(st.sampled_from(sorted(self.sweeps)))
        self.supervisor.cancel_sweep(sweep_id)
        self.cancelled.add(sweep_id)

    @precondition(lambda self: self.sweeps)
    @rule(data=st.data())
    def delete_sweep(self, data: st.DataObject) -> None:
        sweep_id = data.draw(st.sampled_from(sorted(self.sweeps)))
        try:
            self.store.sweeps.delete(sweep_id)
        except SweepActiveError:
            return
        del self.sweeps[sweep_id]
        assert self.store.runs(sweep_id=sweep_id) == []
        with pytest.raises(NotFoundError):
            self.store.sweeps.get(sweep_id)

    @rule()
    def restart(self) -> None:
        self.end()
        self.begin()

    @rule()
    def kill_workers(self) -> None:
        self.kills += 1
        lists = Path("/proc/self/task").glob("*/children")
        for pid in [int(pid) for path in lists for pid in path.read_text().split()]:
            os.kill(pid, signal.SIGKILL)

    @rule()
    def wait_a_little(self) -> None:
        time.sleep(0.1)

    @invariant()
    def what_was_acknowledged_is_there_and_final_is_final(self) -> None:
        rows = {run.id: run for run in self.store.runs() if run.sweep_id is None}
        assert {sweep.id for sweep in self.store.sweeps.page()} == self.sweeps.keys()
        assert rows.keys() == self.model.keys()
        for run_id, state in self.finished.items():
            assert rows[run_id].state is state
        self.finished |= {run.id: run.state for run in rows.values() if run.state.is_final}


@pytest.mark.slow
def test_any_sequence_of_events() -> None:
    run_state_machine_as_test(
        Machine, settings=settings(derandomize=True, max_examples=15, stateful_step_count=20, deadline=None)
    )


def test_a_few_sequences_of_events() -> None:
    run_state_machine_as_test(
        Machine, settings=settings(derandomize=True, max_examples=2, stateful_step_count=10, deadline=None)
    )
