"""Fit on one recorded log, predict the others of the same program, and print how far off it was.

    python -m tests.fit.pairs FOLDER... [--from 100] [--program NAME]

FOLDERs hold record files (`gcsim.fit.logs`).  Two records make a pair where program, release and GOMAXPROCS agree; micro
programs, which calibrate machine profiles, are left out.  Real figures are medians over a record's repeats.
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import os
import re
import statistics
from dataclasses import dataclass
from pathlib import Path

from gcsim.fit.forecast import Settings, run_task, tasks
from gcsim.fit.infer import Fit, fit
from gcsim.fit.logs import Log, read_log
from gcsim.fit.window import Figures, from_start, of_logs, window_ns

METRICS = {
    "cycles_per_s": "cycles/s",
    "heap_end_bytes": "heap at end",
    "heap_goal_bytes": "goal",
    "gc_cpu_per_s": "GC CPU",
}
TARGETS = {"cycles_per_s": 0.07, "heap_end_bytes": 0.05, "heap_goal_bytes": 0.04, "gc_cpu_per_s": 0.09}


@dataclass(frozen=True)
class Pair:
    """One prediction: real and predicted figures and the relative errors."""

    source: str
    target: str
    real: Figures
    predicted: Figures

    def error(self, metric: str) -> float | None:
        """Relative error; an error of less than one cycle in their number counts as none."""
        real, predicted = getattr(self.real, metric), getattr(self.predicted, metric)
        if not real or predicted is None:
            return None
        if metric == "cycles_per_s":
            seconds = self.real.cycles / self.real.cycles_per_s
            if abs(predicted - real) * seconds < 1:
                return 0.0
        return predicted / real - 1


def program_of(log: Log) -> str:
    """Program, release and Ps: what records of one program share."""
    return re.sub(r"_gogc.*", "", log.name) if "_gogc" in log.name else log.name


def settings_of(log: Log, fitted: Fit) -> Settings:
    known = log.settings
    return Settings(
        gogc=known.gogc if known.gogc is not None else fitted.service.gogc,
        gomemlimit_bytes=known.gomemlimit_bytes or "off",
        gomaxprocs=known.gomaxprocs or fitted.service.gomaxprocs,
    )


def predict(fitted: Fit, target: Log, *, seeds: int = 1) -> Figures:
    """The first seed's figures of the target's window."""
    window = statistics.median(window_ns(p) for p in target.processes)
    work = tasks(
        fitted, settings_of(target, fitted), window_ns=window, start_up=from_start(target), seeds=seeds
    )
    return run_task(work[0]).figures


def pairs_of(source: Path, targets: list[Path]) -> list[Pair]:
    """Fit one record, predict the others."""
    fitted = fit(read_log(source))
    found = []
    for path in targets:
        target = read_log(path)
        found.append(Pair(fitted.log.name, target.name, of_logs(target), predict(fitted, target)))
    return found


def _job(job: tuple[Path, list[Path]]) -> list[Pair]:
    return pairs_of(*job)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument(
        "--from", dest="sources", default="gogc(50|100|400)$", help="records to fit on (a pattern)"
    )
    parser.add_argument("--program", default="", help="only programs with this in their name")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    args = parser.parse_args()
    groups: dict[str, list[tuple[str, Path]]] = {}
    for folder in args.folders:
        for path in sorted(folder.glob("*__*.json.gz")):
            name = path.name.removesuffix(".json.gz")
            program = re.sub(r"_+gogc.*", "", name)
            if not name.startswith("micro-") and args.program in program:
                groups.setdefault(program, []).append((name, path))
    jobs = [
        (path, [other for _, other in members if other != path])
        for members in groups.values()
        for name, path in members
        if len(members) > 1 and re.search(args.sources, name)
    ]
    with multiprocessing.get_context("spawn").Pool(args.jobs) as pool:
        found = [pair for pairs in pool.imap(_job, jobs, chunksize=1) for pair in pairs]
    print(f"{'fitted on':48} {'predicted':26}", *(f"{title:>22}" for title in METRICS.values()))
    for pair in found:
        cells = []
        for metric in METRICS:
            error = pair.error(metric)
            scale = 1 << 20 if metric.endswith("bytes") else 1
            real = getattr(pair.real, metric)
            guess = getattr(pair.predicted, metric)
            cells.append(
                f"{'-':>22}"
                if error is None
                else f"{guess / scale:7.4g} /{real / scale:7.4g}{100 * error:+5.0f} %"
            )
        setting = re.sub(r"^.*?_+(gogc)", r"\1", pair.target)
        print(f"{pair.source:48} {setting:26}", *cells)
    print()
    for metric, title in METRICS.items():
        errors = sorted(abs(e) for p in found if (e := p.error(metric)) is not None)
        if errors:
            over = sum(e > 0.2 for e in errors)
            mean = math.fsum(errors) / len(errors)
            print(
                f"{title:12} median {100 * statistics.median(errors):5.1f} % (target {100 * TARGETS[metric]:.0f})"
                f"  mean {100 * mean:5.1f} %  worst {100 * errors[-1]:5.1f} %  over 20 %: {over} of {len(errors)}"
            )


if __name__ == "__main__":
    main()
