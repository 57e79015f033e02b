"""What a run and a sweep can be, what they are made of, and what can go wrong with them."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Self

from gcsim.datasets.run import identify
from gcsim.datasets.schema import Knob
from gcsim.datasets.stopping import StopRule
from gcsim.datasets.thresholds import check_thresholds
from gcsim.errors import GcsimError
from gcsim.spec.digest import run_digest
from gcsim.spec.models import Spec
from gcsim.spec.profile import MachineProfile, load_profile
from gcsim.version import ENGINE_VERSION

if TYPE_CHECKING:
    from gcsim.sweep.plan import SweepPlan


class RunState(StrEnum):
    """QUEUED -> RUNNING -> SUCCEEDED, FAILED or CANCELLED; back to QUEUED when a worker is lost."""

    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    CANCELLING = "CANCELLING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"

    @property
    def is_final(self) -> bool:
        return self in FINAL


class SweepState(StrEnum):
    """RUNNING -> SUCCEEDED or PARTIAL; RUNNING -> CANCELLING -> CANCELLED."""

    RUNNING = "RUNNING"
    CANCELLING = "CANCELLING"
    SUCCEEDED = "SUCCEEDED"  # every run did
    PARTIAL = "PARTIAL"  # every run has ended, some without a result
    CANCELLED = "CANCELLED"

    @property
    def is_final(self) -> bool:
        return self not in OPEN


OPEN = (SweepState.RUNNING, SweepState.CANCELLING)
FINAL = (RunState.SUCCEEDED, RunState.FAILED, RunState.CANCELLED)
ACTIVE = (RunState.RUNNING, RunState.CANCELLING)


class Reason(StrEnum):
    """Why a run FAILED."""

    SIMULATION_FAILED = "SIMULATION_FAILED"  # RunError: it could not finish
    INTERNAL_ERROR = "INTERNAL_ERROR"  # InvariantError or anything unforeseen: our bug
    WORKER_LOST = "WORKER_LOST"  # its worker died each time
    OUT_OF_MEMORY = "OUT_OF_MEMORY"  # the worker's memory limit
    RUN_TIMEOUT = "RUN_TIMEOUT"  # max_run_duration
    STORAGE_FULL = "STORAGE_FULL"  # no space for the result
    RESULT_DIFFERS = "RESULT_DIFFERS"  # computed again with skip_cache, and it is not the same
    PLAN_OUTDATED = "PLAN_OUTDATED"  # its sweep was planned by another version, for which it is another run


class StoreError(GcsimError):
    """The store, or what a caller asked of it.  Each reason is a subclass."""


class StoreRefusedError(StoreError):
    """The data directory cannot be used: another coordinator has it, or the file is damaged, foreign or newer."""


class StoreFullError(StoreError):
    """No space left for the store itself; nothing was stored."""


class QueueFullError(StoreError):
    """As many runs wait as are allowed."""


class NotFoundError(StoreError):
    """There is no such run, sweep or dataset."""


class RunExistsError(StoreError):
    """Another run has this id."""


class SweepExistsError(StoreError):
    """Another sweep has this id."""


class RequestReusedError(StoreError):
    """The request id was used before, for something else."""


class RunActiveError(StoreError):
    """A run that is not finished cannot be deleted."""


class SweepActiveError(StoreError):
    """A sweep that is not finished cannot be deleted."""


class RunOfSweepError(StoreError):
    """A run that is part of a sweep cannot be deleted without it."""


class EtagMismatchError(StoreError):
    """The run or sweep has changed since the caller looked."""


@dataclass(frozen=True, kw_only=True)
class NewRun:
    """A run to submit.

    Attributes:
        id: name of the run; must be new.
        spec_json: the resolved spec as JSON, from which the worker makes the spec again.
        digest: hash of what decides the result, 64 hex digits (`gcsim.spec.digest.run_digest`).
        dataset_id: ``r-`` and the digest's first 16 digits; where the result goes.
        request_id, request_digest: the same pair again gives the first run; another digest is an error.
        skip_cache: compute even if the result is there.
        max_duration_s: wall-clock seconds an attempt may take; None = the supervisor's limit.
        sweep_id, point, replication: which run of which sweep it is.
        profile_yaml: content of the machine profile, if it came inline.
    """

    id: str
    name: str
    spec_json: str
    digest: str
    dataset_id: str
    request_id: str | None = None
    request_digest: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    skip_cache: bool = False
    max_duration_s: int | None = None
    sweep_id: str | None = None
    point: str | None = None
    replication: int | None = None
    profile_yaml: str | None = None

    @staticmethod
    def random_id() -> str:
        """An id for a run whose caller names none."""
        return f"run-{secrets.token_hex(10)}"

    @classmethod
    def of(
        cls,
        spec: Spec,
        *,
        id: str | None = None,  # noqa: A002 - a run's id
        profile: MachineProfile | None = None,
        **fields: Any,
    ) -> Self:
        """The run of a spec, everything checked that only the whole can tell: thresholds, machine profile.

        Args:
            profile: instead of the one that the spec names; its text has to come as `profile_yaml` too.

        Raises:
            SpecError: a threshold names no metric, or there is no such profile.
        """
        check_thresholds(spec)
        if profile is None:
            profile = load_profile(spec.machine.profile, spec.runtime.go)
        return cls(
            id=id if id is not None else cls.random_id(),
            name=spec.name,
            spec_json=json.dumps(spec.model_dump(mode="json"), separators=(",", ":"), allow_nan=False),
            digest=run_digest(spec, profile.content, ENGINE_VERSION),
            dataset_id=identify(spec, profile).run_id,
            **fields,
        )


@dataclass(frozen=True, kw_only=True)
class StoredRun:
    """A run as the store has it.  Times are Unix ns of the wall clock, for people; leases never use them.

    Attributes:
        attempt: number of executions begun, the fencing token of the latest; 0 before the first.
        revision: grows with every change of the row, from 1.
        cached_result: SUCCEEDED without a worker, because the dataset was there.
        summary: flat metric -> number; empty unless SUCCEEDED.
    """

    id: str
    seq: int
    name: str
    spec_json: str
    digest: str
    dataset_id: str
    state: RunState
    reason: str
    message: str
    attempt: int
    losses: int
    interruptions: int
    revision: int
    labels: dict[str, str]
    skip_cache: bool
    cached_result: bool
    max_duration_s: int | None
    sweep_id: str | None
    point: str | None
    replication: int | None
    profile_sha256: str | None
    summary: dict[str, Any]
    create_time_ns: int
    start_time_ns: int | None
    end_time_ns: int | None

    @property
    def etag(self) -> str:
        return f'"{self.revision}"'


@dataclass(frozen=True, kw_only=True)
class NewSweep:
    """A sweep to submit.  `request_id`, `request_digest`, `labels` and what follows as of `NewRun`."""

    id: str
    plan: SweepPlan
    request_id: str | None = None
    request_digest: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    skip_cache: bool = False
    max_duration_s: int | None = None
    profile_yaml: str | None = None


@dataclass(frozen=True, kw_only=True)
class StoredSweep:
    """A sweep as the store has it.  Times as of `StoredRun`.

    Attributes:
        plan_id: `SweepPlan.sweep_id`.
        columns: knob's column -> full path of its field, in order.
        until: when a point has enough replications; None: after all of them.
        fed: runs that have been queued; without `until` the first so many of the plan.
        skipped: runs that will not be begun, because their points have enough replications.
        revision: grows with every change of the row and of the state of a run, from 1.
        counts: its runs by state; those that have not been queued are in none.
    """

    id: str
    seq: int
    name: str
    plan_id: str
    spec_json: str
    layout: str
    columns: dict[str, str]
    seed: int
    points: int
    replications: int
    until: StopRule | None
    state: SweepState
    fed: int
    skipped: int
    revision: int
    labels: dict[str, str]
    skip_cache: bool
    max_duration_s: int | None
    profile_sha256: str | None
    engine_version: str
    create_time_ns: int
    end_time_ns: int | None
    counts: Mapping[RunState, int] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """All its runs."""
        return self.points * self.replications

    @property
    def pending(self) -> int:
        """Runs that have not been queued, and may be."""
        return self.total - self.fed - self.skipped

    @property
    def etag(self) -> str:
        return f'"{self.revision}"'


@dataclass(frozen=True, kw_only=True)
class StoredPoint:
    """A setting of a sweep as it was planned; `number` from 0, `run_ids` by replication.

    Where replications are stopped early, the first `fed` have been queued, and `settled` says that no more will be.
    """

    number: int
    point_id: str
    label: str
    overrides: tuple[str, ...]
    knobs: dict[str, Knob]
    run_ids: tuple[str, ...]
    fed: int
    settled: bool


@dataclass(frozen=True, kw_only=True)
class SweepMember:
    """A planned run of a sweep, and the run itself once it has been queued; `skipped`: it will not be."""

    number: int
    point: StoredPoint
    replication: int
    skipped: bool
    run_id: str | None
    state: RunState | None
    reason: str = ""
    message: str = ""


@dataclass(frozen=True, kw_only=True)
class StoredDataset:
    """A published dataset.  Size and SHA-256 are those of its archive (`gcsim.datasets.archive`)."""

    id: str
    name: str
    size_bytes: int
    sha256: str
    schema_version: str
    engine_version: str
    create_time_ns: int


@dataclass(frozen=True)
class RunProgress:
    """How far the present attempt is.

    Simulated times in ns; `eta_s` is wall-clock seconds to go, if known; `partial` has some metrics so far.
    """

    attempt: int
    sim_time_ns: int
    end_ns: int
    cycles: int
    eta_s: float | None = None
    partial: Mapping[str, int | float | None] = field(default_factory=dict)
