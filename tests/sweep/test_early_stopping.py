"""Replications end when they are enough: the same ones, whoever runs them and in whichever order they finish."""

from pathlib import Path

import pytest

from gcsim.datasets.stopping import StopRule
from gcsim.datasets.sweep import RUNS_DIR, load_sweep
from gcsim.sweep.axes import parse_axes
from gcsim.sweep.execute import SweepProgress, run_sweep
from gcsim.sweep.executor import InlineExecutor, Outcome, Task
from gcsim.sweep.plan import SweepPlan, plan_sweep
from tests.sweep.test_execute import table_bytes
from tests.sweep.test_plan import make_spec

RULE = StopRule(least=2, most=7, widths={"throughput_rps": 0.02})


def plan(rule: StopRule | None = RULE) -> SweepPlan:
    spec = make_spec(
        # With this seed the points differ at any width from 1 to 5 %; with others the stalls of so short runs decide.
        run={"duration": "20ms", "seed": 1},
        requests=[
            {
                "name": "get",
                "workers": 2,
                "steps": [{"cpu": "100us"}, {"allocate": {"count": 4, "size": "4KiB"}}],
            }
        ],
    )
    return plan_sweep(spec, parse_axes(["gogc=25,400,off"]), until=rule)


class Backwards(InlineExecutor):
    """Takes many tasks, and does the last one first."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.capacity = 5

    def submit(self, task: Task) -> None:
        self._tasks.appendleft(task)


@pytest.fixture(scope="module")
def inline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("inline") / "sweep"
    run_sweep(plan(), directory, executor=InlineExecutor)
    return directory


def test_points_end_at_different_numbers_and_the_tables_say_why(inline: Path) -> None:
    sweep = load_sweep(inline)
    counts = [len(point.runs) for point in sweep.points]
    assert set(counts) <= set(RULE.looks)
    assert len(set(counts)) > 1
    assert len(list((inline / RUNS_DIR).iterdir())) == sum(counts) == sweep.tables["runs"].num_rows
    for point, count in zip(sweep.points, counts, strict=True):
        assert point.pending == 0
        summaries = [run.summary for run in point.runs]
        assert RULE.is_met(summaries) or count == RULE.most
        earlier = [look for look in RULE.looks if look < count]
        assert not any(RULE.is_met(summaries[:look]) for look in earlier)
        assert sweep.is_narrow(point) == RULE.is_met(summaries)


def test_the_points_table_has_a_column_for_it_only_where_it_was_asked(inline: Path, tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    rows = pq.read_table(inline / "points.parquet").to_pylist()
    sweep = load_sweep(inline)
    assert [row["ci_reached"] for row in rows] == [sweep.is_narrow(point) for point in sweep.points]
    plain = plan_sweep(plan().spec, parse_axes(["gogc=25"]), replications=1)
    run_sweep(plain, tmp_path / "plain", executor=InlineExecutor)
    assert "ci_reached" not in pq.read_table(tmp_path / "plain" / "points.parquet").column_names
    assert "until" not in (tmp_path / "plain" / "sweep.json").read_text()


def test_the_order_in_which_runs_finish_changes_nothing(inline: Path, tmp_path: Path) -> None:
    run_sweep(plan(), tmp_path / "backwards", executor=Backwards)
    assert table_bytes(tmp_path / "backwards") == table_bytes(inline)
    run_sweep(plan(), tmp_path / "workers", jobs=2)
    assert table_bytes(tmp_path / "workers") == table_bytes(inline)


def test_resumed_it_decides_the_same(inline: Path, tmp_path: Path) -> None:
    class Tiring(InlineExecutor):
        done = 0

        def next(self, timeout_s: float) -> Outcome | None:
            type(self).done += 1
            if self.done == 6:
                raise KeyboardInterrupt
            return super().next(timeout_s)

    with pytest.raises(KeyboardInterrupt):
        run_sweep(plan(), tmp_path / "sweep", executor=Tiring)
    seen: list[SweepProgress] = []
    run_sweep(plan(), tmp_path / "sweep", executor=InlineExecutor, resume=True, progress=seen.append)
    assert seen[0].done == seen[-1].reused == 5
    assert seen[-1].done == seen[-1].total
    assert table_bytes(tmp_path / "sweep") == table_bytes(inline)


def test_a_point_with_a_failed_run_is_not_run_on(tmp_path: Path) -> None:
    class Failing(InlineExecutor):
        def next(self, timeout_s: float) -> Outcome | None:
            if self._tasks[0].spec.run.seed != plan().spec.run.seed:  # the first replication has it
                return Outcome(run_id=self._tasks.popleft().run_id, error="SIMULATION_FAILED", message="no")
            return super().next(timeout_s)

    sweep = run_sweep(plan(), tmp_path / "sweep", executor=Failing)
    assert [(len(p.runs), len(p.failures), p.pending) for p in sweep.points] == [(1, 1, 0)] * 3
    assert [sweep.is_narrow(point) for point in sweep.points] == [None] * 3


def test_another_rule_is_another_sweep() -> None:
    other = StopRule(least=2, most=7, widths={"throughput_rps": 0.01})
    assert (
        len(
            {
                plan().sweep_id,
                plan(other).sweep_id,
                plan_sweep(plan().spec, parse_axes(["gogc=25"]), replications=7).sweep_id,
            }
        )
        == 3
    )
