"""Report pages: complete, deterministic, and alive in a real browser without any request."""

import re
from pathlib import Path

import pytest

from gcsim.datasets.metrics import METRICS
from gcsim.datasets.reader import Result
from gcsim.datasets.run import run_replications
from gcsim.datasets.sweep import SweepResult
from gcsim.errors import DatasetError
from gcsim.report.png import draw
from gcsim.report.run_report import run_page, write_text
from gcsim.report.sweep_report import sweep_page
from gcsim.sweep.execute import run_sweep
from gcsim.sweep.executor import InlineExecutor
from gcsim.sweep.plan import plan_sweep
from tests.report.browser import needs_chromium, visit
from tests.report.conftest import cache_service


@pytest.fixture(scope="session")
def run_html(full_run: Result) -> str:
    return run_page(full_run)


@pytest.fixture(scope="session")
def sweep_html(small_sweep: SweepResult) -> str:
    return sweep_page(small_sweep)


def test_a_run_page_has_every_metric_and_says_what_it_is(run_html: str) -> None:
    assert all(f">{metric.name}<" in run_html for metric in METRICS)
    assert "simulated, not measured" in run_html
    assert re.search(r"<code>r-[0-9a-f]{16}</code>", run_html)


def test_the_same_dataset_gives_the_same_page(
    run_html: str, sweep_html: str, full_run: Result, small_sweep: SweepResult
) -> None:
    assert run_page(full_run) == run_html
    assert sweep_page(small_sweep) == sweep_html


def test_what_is_not_recorded_is_said_and_how_to_record_it(plain_run: Result) -> None:
    html = run_page(plain_run)
    assert "record.p_states=true" in html
    assert "record.requests_sample" in html
    assert "Tri-colour" not in html


def test_thresholds_and_hostile_names_are_shown_as_text(tmp_path: Path) -> None:
    spec = cache_service("thresholds.num_gc='> 1000'", "description='</script><b>&'")
    spec = spec.model_copy(update={"run": spec.run.model_copy(update={"replications": 2})})
    html = run_page(run_replications(spec, tmp_path / "two"))
    assert "failed-text>failed" in html
    assert "&lt;/script&gt;&lt;b&gt;&amp;" in html
    assert "95 % confidence" in html


@needs_chromium
def test_a_run_page_is_alive_and_requests_nothing(run_html: str, full_run: Result, tmp_path: Path) -> None:
    page = tmp_path / "run.html"
    write_text(page, run_html)
    cycle = full_run.tables["cycles"].to_arrow().to_pylist()[2]
    seen = visit(
        page,
        [
            '[...Bokeh.documents[0]._all_models.values()].filter(m => m.type === "Figure").length',
            """(() => {
                const spinner = [...Bokeh.documents[0]._all_models.values()].find(m => m.type === "Spinner");
                spinner.value = 3;
            })()""",
            """(() => {
                const tool = [...Bokeh.documents[0]._all_models.values()].find(m => m.type === "RangeTool");
                return [tool.x_range.start, tool.x_range.end];
            })()""",
        ],
    )
    assert [url for url in seen.requests if not url.startswith(("file:", "data:", "blob:"))] == []
    assert seen.requests[0] == page.as_uri()
    assert seen.complaints == []
    figures, _, (start, end) = seen.answers
    assert figures == 9
    length_s = (cycle["end_ns"] - cycle["start_ns"]) / 1e9
    assert start == pytest.approx(cycle["start_ns"] / 1e9 - 0.15 * length_s)
    assert end == pytest.approx(cycle["end_ns"] / 1e9 + 0.15 * length_s)


_STATE = """(() => {
    const doc = Bokeh.documents[0], x = doc.get_model_by_name("what-if-chosen").data;
    const heap = doc.get_model_by_name("what-if-heap").data;
    return {label: document.getElementById("chosen").textContent, x: x.x[0], y: x.y[0], peak: Math.max(...heap.y),
            card: document.getElementById("card-peak-memory-value").textContent,
            row: document.querySelector("tr.chosen")?.dataset.point ?? null};
})()"""


@needs_chromium
def test_sliders_rows_and_points_move_the_plots(
    sweep_html: str, small_sweep: SweepResult, tmp_path: Path
) -> None:
    page = tmp_path / "sweep.html"
    write_text(page, sweep_html)
    seen = visit(
        page,
        [
            _STATE,
            "Bokeh.documents[0].get_model_by_name('knob-0').value = 2",
            _STATE,
            "document.querySelector('tr[data-point=\"0\"]').click()",
            _STATE,
            "[...document.querySelectorAll('#points tbody tr')].map(tr => tr.dataset.point).join()",
            "document.querySelectorAll('#points th')[2].click()",
            "[...document.querySelectorAll('#points tbody tr')].map(tr => tr.dataset.point).join()",
        ],
    )
    assert [url for url in seen.requests if not url.startswith(("file:", "data:", "blob:"))] == []
    assert seen.complaints == []
    own, _, slid, _, clicked, order, _, by_memory = seen.answers
    assert own["label"] == "gogc=100 gomaxprocs=2"
    assert slid["label"] == "gogc=400 gomaxprocs=2"
    assert clicked["label"] == "gogc=50 gomaxprocs=1"
    assert [state["row"] for state in (slid, clicked)] == ["5", "0"]
    for state, number in ((own, 3), (slid, 5), (clicked, 0)):
        summary = small_sweep.points[number].summary
        assert summary is not None
        assert state["x"] == pytest.approx(float(summary["memory_peak_bytes"] or 0) / (1 << 20))
        assert state["y"] == pytest.approx(summary["latency_ns_p99"])
    assert slid["peak"] > own["peak"] > clicked["peak"]
    assert len({state["card"] for state in (own, slid, clicked)}) == 3
    memory = [(point.summary or {})["memory_peak_bytes"] for point in small_sweep.points]
    assert order == "0,1,2,3,4,5"
    assert by_memory == ",".join(map(str, sorted(range(6), key=lambda i: float(memory[i] or 0))))


@needs_chromium
def test_sliders_between_scattered_points_show_the_nearest(tmp_path: Path) -> None:
    """As an optimiser leaves them: no grid, and nearly every value once."""
    rows = [{"runtime.gogc": gogc, "runtime.gomemlimit": limit} for gogc, limit in _SCATTERED]
    plan = plan_sweep(cache_service("duration=100ms"), [], rows=rows)
    sweep = run_sweep(plan, tmp_path / "sweep", executor=InlineExecutor)
    page = tmp_path / "sweep.html"
    write_text(page, sweep_page(sweep))
    choose = "Bokeh.documents[0].get_model_by_name('knob-0').value = 2"
    seen = visit(page, [_STATE, choose, _STATE, "gcsimChoose(1)", _STATE])
    assert seen.complaints == []
    own, _, between, _, chosen = seen.answers
    assert own["label"] == "gogc=100 gomemlimit=off"
    assert between["label"].startswith("nearest point: gogc=")
    assert chosen["label"] == "gogc=57 gomemlimit=31MiB"


_SCATTERED = (("100", "off"), ("57", "31MiB"), ("233", "27MiB"), ("off", "40MiB"))


def test_slides_are_drawn_and_repeatable(full_run: Result, small_sweep: SweepResult, tmp_path: Path) -> None:
    for number, result in enumerate((full_run, small_sweep)):
        paths = [tmp_path / f"{number}-{again}.png" for again in range(2)]
        for path in paths:
            draw(result, path)
        assert paths[0].read_bytes().startswith(b"\x89PNG")
        assert paths[0].read_bytes() == paths[1].read_bytes()
    with pytest.raises(DatasetError, match="cannot be written"):
        draw(full_run, tmp_path / "nowhere" / "x.png")
