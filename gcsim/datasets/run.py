"""From a spec to a dataset: simulate, write, summarise, publish."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gcsim.datasets.manifest import SUMMARY_NAME, FileEntry, Manifest, RunIdentity
from gcsim.datasets.reader import Result, load
from gcsim.datasets.recorders import Tee
from gcsim.datasets.schema import SCHEMA_VERSION, Knob
from gcsim.datasets.summary import Metrics, SummaryAccumulator, combine
from gcsim.datasets.thresholds import check_thresholds
from gcsim.datasets.writer import RunWriter, publish, refuse_taken
from gcsim.spec.digest import canonical_json, run_id, spec_digest
from gcsim.spec.load import load_spec
from gcsim.spec.models import Spec
from gcsim.spec.overrides import apply_overrides
from gcsim.spec.profile import MachineProfile, load_profile
from gcsim.version import ENGINE_VERSION

if TYPE_CHECKING:
    from gcsim.runtime import Progress

DEFAULT_ROOT = Path("runs")
"""Where runs go that are given no directory."""


def run(
    spec: Spec | str | Path,
    *,
    set: Sequence[str] = (),  # noqa: A002 - the word of the command line
    seed: int | None = None,
    replications: int | None = None,
    out: str | Path | None = None,
    progress: Callable[[int, Progress], None] | None = None,
) -> Result:
    """Simulate a spec (or spec file) and return the dataset.

    Args:
        set: overrides as on the command line, such as ``"gogc=200"``.
        seed: instead of the spec's.
        replications: instead of the spec's; more than one gives a directory of runs with a combined summary.
        out: directory to make; default ``runs/<run_id>``, which is replaced if this very run is there already.
        progress: called now and then with the replication's number (from 0) and the engine's progress.
    Raises:
        SpecError: the spec, an override or a threshold's metric is wrong.
        RunError: the simulation could not finish.
        DatasetError: the directory is taken, or writing failed.
    """
    resolved = spec if isinstance(spec, Spec) else load_spec(Path(spec))
    if set:
        resolved = apply_overrides(resolved, list(set))
    changed = {"seed": seed, "replications": replications}
    resolved = _with_run(resolved, **{key: value for key, value in changed.items() if value is not None})
    check_thresholds(resolved)
    profile = load_profile(resolved.machine.profile, resolved.runtime.go)
    target = (
        Path(out) if out is not None else DEFAULT_ROOT / run_id(resolved, profile.content, ENGINE_VERSION)
    )
    refuse_taken(target, replace=out is None)
    if resolved.run.replications == 1:
        return run_spec(
            resolved, target, progress=(lambda p: progress(0, p)) if progress else None, replace=out is None
        )
    return run_replications(resolved, target, progress=progress, replace=out is None)


def run_spec(
    spec: Spec,
    out_dir: Path,
    *,
    seed: int | None = None,
    progress: Callable[[Progress], None] | None = None,
    knobs: Mapping[str, Knob] | None = None,
    replace: bool = False,
    accumulator: SummaryAccumulator | None = None,
    profile: MachineProfile | None = None,
) -> Result:
    """Simulate one run of a spec into `out_dir`; its number of replications is left out of account.

    Args:
        seed: instead of the spec's.
        knobs: swept knobs, written as columns of every table.
        replace: a run that is there already is replaced, once this one is complete.
        accumulator: a fresh one, for who wants to look at its `partial` figures while the run goes on.
        profile: what the spec's profile is, where its file is on another machine.
    Raises:
        RunError, InvariantError: the simulation could not finish; nothing is left behind.
        DatasetError: the directory is taken, or writing failed.
    """
    # Here, not above: reading datasets needs no engine.
    from gcsim.runtime import gomaxprocs_of, simulate

    spec = _with_run(spec, replications=1, **({} if seed is None else {"seed": seed}))
    if profile is None:
        profile = load_profile(spec.machine.profile, spec.runtime.go)
    identity = identify(spec, profile)
    if accumulator is None:
        accumulator = SummaryAccumulator()
    with RunWriter(out_dir, identity, tables=_optional_tables(spec), knobs=knobs, replace=replace) as writer:
        simulate(
            spec, seed=spec.run.seed, profile=profile, recorder=Tee(writer, accumulator), progress=progress
        )
        metrics = accumulator.metrics()
        writer.finish(
            _summary(identity, metrics),
            _run_row(spec, profile, identity, metrics, gomaxprocs=gomaxprocs_of(spec)),
        )
    return load(out_dir)


def run_replications(
    spec: Spec,
    out_dir: Path,
    *,
    progress: Callable[[int, Progress], None] | None = None,
    replace: bool = False,
    accumulator: Callable[[int], SummaryAccumulator] = lambda _: SummaryAccumulator(),
) -> Result:
    """Simulate all replications of a spec into `out_dir`: a run directory each, and a combined summary.

    They differ in the seed alone; the first has the spec's.  The directory appears when all are done.

    Args:
        accumulator: makes a fresh one for each, for who wants to look at figures while runs go on.
    """
    refuse_taken(out_dir, replace=replace)
    out_dir.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f".{out_dir.name}.", suffix=".partial", dir=out_dir.parent))
    try:
        results = []
        for number in range(spec.run.replications):
            one = _with_run(spec, replications=1, seed=replication_seed(spec.run.seed, number))
            profile = load_profile(one.machine.profile, one.runtime.go)
            results.append(
                run_spec(
                    one,
                    staging / run_id(one, profile.content, ENGINE_VERSION),
                    progress=(lambda p, number=number: progress(number, p)) if progress else None,  # type: ignore[misc]
                    accumulator=accumulator(number),
                )
            )
        identity = identify(spec, profile)
        summary = _summary(identity, combine(result.summary for result in results))
        path = staging / SUMMARY_NAME
        path.write_text(json.dumps(summary, indent=2, allow_nan=False) + "\n", encoding="utf-8")
        manifest = Manifest(
            kind="replications",
            identity=identity,
            files={SUMMARY_NAME: FileEntry.of(path)},
            runs=tuple(result.path.name for result in results),
        )
        publish(staging, out_dir, manifest, replace=replace)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return load(out_dir)


def replication_seed(seed: int, number: int) -> int:
    """Seed of a replication: the spec's for number 0, then 63 bits of a hash, so that no two specs share a row of seeds."""
    if number == 0:
        return seed
    return int.from_bytes(hashlib.sha256(f"{seed}/{number}".encode()).digest()[:8], "big") >> 1


def identify(spec: Spec, profile: MachineProfile) -> RunIdentity:
    """Identity of the run of a resolved spec on a profile."""
    return RunIdentity(
        run_id=run_id(spec, profile.content, ENGINE_VERSION),
        name=spec.name,
        seed=spec.run.seed,
        engine_version=ENGINE_VERSION,
        spec_digest=spec_digest(spec),
        spec_json=canonical_json(spec),
    )


def _with_run(spec: Spec, **changes: int) -> Spec:
    """The spec with other values in its `run` section, validated like any spec."""
    if not changes:
        return spec
    return apply_overrides(spec, [f"run.{field}={value}" for field, value in changes.items()])


def _optional_tables(spec: Spec) -> list[str]:
    record = spec.record
    asked = {
        "requests": record.requests_sample > 0,
        "assists": record.assists,
        "minors": spec.runtime.collector == "generational",
        "tricolor": record.tricolor,
        "p_states": record.p_states,
    }
    return [table for table, wanted in asked.items() if wanted]


def _summary(identity: RunIdentity, metrics: Metrics) -> dict[str, Any]:
    return {
        "run_id": identity.run_id,
        "name": identity.name,
        "seed": identity.seed,
        "engine_version": identity.engine_version,
        **metrics,
    }


def _run_row(
    spec: Spec, profile: MachineProfile, identity: RunIdentity, metrics: Metrics, *, gomaxprocs: int
) -> dict[str, Any]:
    return {
        "name": spec.name,
        "status": "succeeded",
        "go_release": spec.runtime.go,
        "profile": profile.name,
        "engine_version": identity.engine_version,
        "schema_version": SCHEMA_VERSION,
        "spec_digest": identity.spec_digest,
        "seed": spec.run.seed,
        "gomaxprocs": gomaxprocs,
        "gogc_percent": spec.runtime.gogc,
        "memory_limit_bytes": spec.runtime.gomemlimit,
        "cores": spec.machine.cores,
        "collector": spec.runtime.collector,
        **metrics,
    }
