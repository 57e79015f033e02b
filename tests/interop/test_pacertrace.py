"""gcpacertrace lines of either era, wherever they stand."""

from pathlib import Path

from gcsim.interop.gctrace import parse as parse_gctrace
from gcsim.interop.pacertrace import PacerEnd, PacerStart, PacerSweep, parse

DATA = Path(__file__).parent / "data"


def test_every_line_of_a_real_log_is_found_and_of_its_kind() -> None:
    text = (DATA / "gctrace-and-pacertrace.txt").read_text()
    found = list(parse(text))
    assert len(found) == text.count("pacer: ") > 0
    assert sum(isinstance(line, PacerStart) for line in found) == text.count("assist ratio")
    assert sum(isinstance(line, PacerSweep) for line in found) == text.count("sweep done")
    assert sum(isinstance(line, PacerEnd) for line in found) == text.count("B work")
    assert len(list(parse_gctrace(text))) + len(found) == len(text.splitlines())


def test_end_of_a_cycle_has_exact_bytes_by_kind_of_work() -> None:
    (line,) = parse(
        "Jan 02 15:04:05 host app[7]: pacer: 28% CPU (25 exp.) for 2333424+67672+179306 B work (1417154 B exp.)"
        " in 27264368 B -> 28034416 B (∆goal 116070, cons/mark 0.1423066100696033) and the rest of a line"
    )
    assert isinstance(line, PacerEnd)
    assert (line.heap_scan_work_bytes, line.stack_scan_work_bytes, line.globals_scan_work_bytes) == (
        2333424,
        67672,
        179306,
    )
    assert (line.trigger_bytes, line.heap_end_bytes, line.cons_mark) == (
        27264368,
        28034416,
        0.1423066100696033,
    )
    assert not line.controller_reset


def test_first_releases_of_the_new_pacer_mark_a_reset() -> None:
    (line,) = parse(
        "pacer: 10% CPU (25 exp.) for 1+2+3 B work (4 B exp.) in 5 B -> 6 B (∆goal -7, cons/mark +8.5e-001)[controller reset]"
    )
    assert isinstance(line, PacerEnd)
    assert line.controller_reset
    assert line.cons_mark == 0.85


def test_end_of_a_cycle_before_go_1_18_counts_all_work_together() -> None:
    (line,) = parse(
        "pacer: H_m_prev=4194304 h_t=+8.750000e-001 H_T=7864320 h_a=+1.019531e+000 H_a=8470528 h_g=+1.000000e+000"
        " H_g=8388608 u_a=+3.150000e-001 u_g=+3.000000e-001 W_a=1234567 goalΔ=+1.250000e-001 actualΔ=+1.445313e-001"
        " u_a/u_g=+1.050000e+000"
    )
    assert isinstance(line, PacerEnd)
    assert (line.heap_marked_before_bytes, line.trigger_bytes, line.heap_end_bytes, line.heap_goal_bytes) == (
        4194304,
        7864320,
        8470528,
        8388608,
    )
    assert (line.heap_scan_work_bytes, line.utilization_frac) == (1234567, 0.315)
    assert line.stack_scan_work_bytes is None


def test_a_torn_line_is_passed_over() -> None:
    assert not list(parse("pacer: 28% CPU (25 exp.) for 2333424+676GET /index.html\npacer: assist ratio="))
