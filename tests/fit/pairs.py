"""Fit on one recorded log, predict the others of the same program, and print how far off it was.

    python -m tests.fit.pairs FOLDER... [--from PATTERN] [--program NAME] [--seeds N]

FOLDERs hold record files (`gcsim.fit.logs`).  Two records make a pair where program, release and GOMAXPROCS agree; micro
programs, which calibrate machine profiles, are left out.  Real figures are medians over a record's repeats, predicted
ones the means over seeds that `gcsim whatif --against` prints.
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import os
import re
import statistics
from pathlib import Path

from gcsim.fit.infer import fit
from gcsim.fit.logs import read_log
from gcsim.fit.whatif import Comparison, compare

METRICS = {
    "cycles_per_s": "cycles/s",
    "heap_end_bytes": "heap at end",
    "heap_goal_bytes": "goal",
    "gc_cpu_per_s": "GC CPU",
}
TARGETS = {"cycles_per_s": 0.07, "heap_end_bytes": 0.05, "heap_goal_bytes": 0.04, "gc_cpu_per_s": 0.09}


def _job(job: tuple[Path, list[Path], int]) -> tuple[str, list[Comparison]]:
    source, targets, seeds = job
    fitted = fit(read_log(source))
    return fitted.log.name, compare(fitted, [read_log(path) for path in targets], seeds=seeds, jobs=1)


def _cell(one: Comparison, metric: str) -> str:
    predicted, error = one.predicted[metric], one.errors[metric]
    if predicted is None or error is None:
        return f"{'-':>22}"
    scale = 1 << 20 if metric.endswith("bytes") else 1
    return f"{predicted.value / scale:7.4g} /{getattr(one.real, metric) / scale:7.4g}{100 * error:+5.0f} %"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument(
        "--from", dest="sources", default="gogc(50|100|400)$", help="records to fit on (a pattern)"
    )
    parser.add_argument("--program", default="", help="only programs with this in their name")
    parser.add_argument("--seeds", type=int, default=3)
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
        (path, [other for _, other in members if other != path], args.seeds)
        for members in groups.values()
        for name, path in members
        if len(members) > 1 and re.search(args.sources, name)
    ]
    found: list[Comparison] = []
    print(f"{'fitted on':48} {'predicted':20}", *(f"{title:>22}" for title in METRICS.values()))
    with multiprocessing.get_context("spawn").Pool(args.jobs) as pool:
        for source, comparisons in pool.imap(_job, jobs, chunksize=1):
            for one in comparisons:
                setting = re.sub(r"^.*?_+(gogc)", r"\1", one.name)
                print(f"{source:48} {setting:20}", *(_cell(one, m) for m in METRICS), flush=True)
            found += comparisons
    print()
    for metric, title in METRICS.items():
        errors = sorted(abs(e) for one in found if (e := one.errors[metric]) is not None)
        if errors:
            over = sum(e > 0.2 for e in errors)
            print(
                f"{title:12} median {100 * statistics.median(errors):5.1f} % (target {100 * TARGETS[metric]:.0f})"
                f"  mean {100 * math.fsum(errors) / len(errors):5.1f} %  worst {100 * errors[-1]:5.1f} %"
                f"  over 20 %: {over} of {len(errors)}"
            )


if __name__ == "__main__":
    main()
