"""Sweeps in the store: a row per sweep and per point, written together; runs enter the queue from there, in order.

A sweep may be larger than the queue, and must not hold others up.  So its points are stored as they were planned, and
its runs become rows of `runs` a few at a time (`feed`); `fed` says how many have, and changes in the transaction that
inserts them, so that a kill at any moment neither loses a run nor doubles one.

Where replications are stopped early (`gcsim.datasets.stopping`), a point is fed look by look: what comes next follows
from the rows of its runs, so a kill changes nothing in it, and it is what a local sweep decides from its directory.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from gcsim.datasets.stopping import StopRule
from gcsim.errors import GcsimError, RunError
from gcsim.failpoints import failpoint
from gcsim.spec.check import is_profile_path
from gcsim.spec.load import spec_from_dict
from gcsim.spec.profile import parse_profile
from gcsim.sweep.plan import point_spec
from gcsim.sweep.rows import change_run, insert_run
from gcsim.sweep.states import (
    ACTIVE,
    FINAL,
    OPEN,
    EtagMismatchError,
    NewRun,
    NewSweep,
    NotFoundError,
    QueueFullError,
    Reason,
    RequestReusedError,
    RunState,
    StoredPoint,
    StoredSweep,
    SweepActiveError,
    SweepExistsError,
    SweepMember,
    SweepState,
)
from gcsim.version import ENGINE_VERSION

if TYPE_CHECKING:
    from gcsim.sweep.store import Store

BATCH = 100
"""Runs that enter the queue in one transaction at the most; so long a submit may have to wait."""

_COLUMNS = tuple(field.name for field in fields(StoredSweep) if field.name != "counts")
_SELECT = f"SELECT {', '.join(_COLUMNS)} FROM sweeps"
_OPEN_SQL = ", ".join(f"'{state}'" for state in OPEN)
_ACTIVE_SQL = ", ".join(f"'{state}'" for state in ACTIVE)
_FINAL_SQL = ", ".join(f"'{state}'" for state in FINAL)


class Sweeps:
    """The sweeps of a store, as `store.sweeps`.  Methods as `Store`'s: one transaction each, any thread.

    Args:
        limit: sweeps that may be unfinished at a time; None = any number.
    """

    def __init__(self, store: Store, *, limit: int | None = None) -> None:
        self._store = store
        self.limit = limit

    def submit(self, new: NewSweep) -> tuple[StoredSweep, bool]:
        """Store a sweep and its points; on disk when this returns.

        Returns:
            The sweep, and whether it is new: with a `request_id` seen before and the same digest it is the first one.
        Raises:
            RequestReusedError, SweepExistsError, QueueFullError, StoreFullError: nothing has been stored.
        """
        plan = new.plan
        sha256 = None if new.profile_yaml is None else self._store.keep_profile(new.profile_yaml)
        with self._store.writing() as db:
            first = _by_request(db, new.request_id, new.request_digest)
            if first is not None:
                return first, False
            if db.execute("SELECT 1 FROM sweeps WHERE id = ?", (new.id,)).fetchone():
                raise SweepExistsError(f"there is a sweep {new.id!r} already")
            if self._store.free_places(db) < 1:
                raise QueueFullError(f"{self._store.queue_limit} runs are waiting, which is the limit")
            (unfinished,) = db.execute(f"SELECT COUNT(*) FROM sweeps WHERE state IN ({_OPEN_SQL})").fetchone()
            if self.limit is not None and unfinished >= self.limit:
                raise QueueFullError(f"{unfinished} sweeps are not finished, which is the limit")
            values: dict[str, Any] = {
                "id": new.id, "name": plan.spec.name, "plan_id": plan.sweep_id,
                "spec_json": json.dumps(plan.spec.model_dump(mode="json"), separators=(",", ":"), allow_nan=False),
                "layout": plan.layout, "columns": json.dumps(plan.columns), "seed": plan.seed,
                "points": len(plan.points), "replications": plan.replications, "request_id": new.request_id,
                "request_digest": new.request_digest, "state": SweepState.RUNNING,
                "labels": json.dumps(dict(new.labels), sort_keys=True), "skip_cache": int(new.skip_cache),
                "max_duration_s": new.max_duration_s, "profile_sha256": sha256, "engine_version": ENGINE_VERSION,
                "until": None if plan.until is None else json.dumps(plan.until.to_dict()),
                "create_time_ns": time.time_ns(),
            }  # fmt: skip
            names = ", ".join(values)
            db.execute(
                f"INSERT INTO sweeps ({names}) VALUES ({', '.join(f':{name}' for name in values)})", values
            )
            db.executemany(
                "INSERT INTO sweep_points (sweep_id, number, point_id, label, overrides, knobs, run_ids) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
                    (
                        new.id, number, point.point_id, point.label, json.dumps(point.overrides),
                        json.dumps(dict(point.knobs)), json.dumps(point.run_ids),
                    )
                    for number, point in enumerate(plan.points)
                ),
            )  # fmt: skip
            sweep = _get(db, new.id)
            failpoint("sweep.before_commit")
        failpoint("sweep.after_commit")
        return sweep, True

    def get(self, sweep_id: str) -> StoredSweep:
        """Raises NotFoundError."""
        with self._store.reading() as db:
            return _get(db, sweep_id)

    def by_request(self, request_id: str, request_digest: str) -> StoredSweep | None:
        """The sweep that was submitted with a request id, if any.  Raises RequestReusedError."""
        with self._store.reading() as db:
            return _by_request(db, request_id, request_digest)

    def page(
        self,
        *,
        states: Sequence[SweepState] = (),
        labels: Mapping[str, str] | None = None,
        name: str | None = None,
        after_seq: int | None = None,
        newest_first: bool = False,
        limit: int = 1000,
    ) -> list[StoredSweep]:
        """Sweeps in the order of submission, filtered; `after_seq` continues where a page ended."""
        where, values = ["1"], list[Any]()
        if states:
            where.append(f"state IN ({', '.join('?' * len(states))})")
            values += states
        if name is not None:
            where.append("name = ?")
            values.append(name)
        for key, value in (labels or {}).items():
            where.append("EXISTS (SELECT 1 FROM json_each(sweeps.labels) WHERE key = ? AND value = ?)")
            values += [key, value]
        if after_seq is not None:
            where.append("seq < ?" if newest_first else "seq > ?")
            values.append(after_seq)
        order = "DESC" if newest_first else "ASC"
        sql = f"{_SELECT} WHERE {' AND '.join(where)} ORDER BY seq {order} LIMIT ?"
        with self._store.reading() as db:
            return [_sweep(db, row) for row in db.execute(sql, (*values, limit)).fetchall()]

    def states(self) -> dict[SweepState, int]:
        """How many sweeps are in each state."""
        with self._store.reading() as db:
            found = dict(
                tuple(row) for row in db.execute("SELECT state, COUNT(*) FROM sweeps GROUP BY state")
            )
        return {state: found.get(state, 0) for state in SweepState}

    def open(self) -> dict[str, int]:
        """Sweeps that are not finished, id -> revision, oldest first."""
        sql = f"SELECT id, revision FROM sweeps WHERE state IN ({_OPEN_SQL}) ORDER BY seq"
        with self._store.reading() as db:
            return {row["id"]: row["revision"] for row in db.execute(sql)}

    def members(self, sweep_id: str, *, first: int = 0, limit: int = 1000) -> list[SweepMember]:
        """Planned runs in order from the number `first`, with the runs themselves as far as they have been queued.

        Raises:
            NotFoundError: there is no such sweep.
        """
        with self._store.reading() as db:
            replications = _get(db, sweep_id).replications
            last = first + limit
            points = _points(db, sweep_id, first // replications, (last - 1) // replications + 1)
            if not points:
                return []
            marks = ", ".join("?" * len(points))
            rows = db.execute(
                f"SELECT id, point, replication, state, reason, message FROM runs WHERE sweep_id = ? AND point IN ({marks})",
                (sweep_id, *(point.point_id for point in points)),
            )
            runs = {(row["point"], row["replication"]): row for row in rows}
        members = []
        for point in points:
            for replication in range(replications):
                number = point.number * replications + replication
                if not first <= number < last:
                    continue
                row = runs.get((point.point_id, replication))
                members.append(
                    SweepMember(
                        number=number,
                        point=point,
                        replication=replication,
                        skipped=point.settled and replication >= point.fed,
                        run_id=None if row is None else row["id"],
                        state=None if row is None else RunState(row["state"]),
                        reason="" if row is None else row["reason"],
                        message="" if row is None else row["message"],
                    )
                )
        return members

    def cancel(self, sweep_id: str) -> tuple[StoredSweep, list[str]]:
        """Cancel all its runs that are not finished; no change if it is finished.

        Returns:
            The sweep, and its runs that this has changed; those in workers are for the supervisor to see to.
        """
        changed: list[str] = []
        with self._store.writing() as db:
            sweep = _get(db, sweep_id)
            if sweep.state is SweepState.RUNNING:
                for before, after in (
                    (RunState.QUEUED, RunState.CANCELLED),
                    (RunState.RUNNING, RunState.CANCELLING),
                ):
                    ended = time.time_ns() if after.is_final else None
                    rows = db.execute(
                        "SELECT id FROM runs WHERE sweep_id = ? AND state = ?", (sweep_id, before)
                    ).fetchall()
                    for row in rows:
                        change_run(db, row["id"], state=after, end_time_ns=ended)
                    changed += [row["id"] for row in rows]
                _change(db, sweep_id, state=SweepState.CANCELLING)
                _settle(db, sweep_id)
            return _get(db, sweep_id), changed

    def delete(self, sweep_id: str, *, etag: str | None = None) -> None:
        """Forget a finished sweep with its runs, and their datasets if no other run has them.

        Raises:
            NotFoundError, SweepActiveError, EtagMismatchError.
        """
        with self._store.writing() as db:
            sweep = _get(db, sweep_id)
            if etag is not None and etag != sweep.etag:
                raise EtagMismatchError(
                    f"the sweep {sweep_id!r} has changed: its etag is {sweep.etag}, not {etag}"
                )
            if not sweep.state.is_final:
                raise SweepActiveError(f"the sweep {sweep_id!r} is {sweep.state}; cancel it first")
            datasets = [
                row[0]
                for row in db.execute("SELECT DISTINCT dataset_id FROM runs WHERE sweep_id = ?", (sweep_id,))
            ]
            db.execute("DELETE FROM runs WHERE sweep_id = ?", (sweep_id,))
            db.execute("DELETE FROM sweeps WHERE id = ?", (sweep_id,))  # its points go along
            orphaned = self._store.forget_orphans(db, datasets)
        self._store.remove_datasets(orphaned)

    def check(self) -> list[str]:
        """What does not fit together in the rows of sweeps; for `gcsim db check`."""
        found = []
        with self._store.reading() as db:
            for row in db.execute(f"{_SELECT} ORDER BY seq").fetchall():
                sweep = _sweep(db, row)
                (points,) = db.execute(
                    "SELECT COUNT(*) FROM sweep_points WHERE sweep_id = ?", (sweep.id,)
                ).fetchone()
                if points != sweep.points:
                    found.append(f"sweep {sweep.id}: {points} of {sweep.points} points")
                if sum(sweep.counts.values()) != sweep.fed:
                    found.append(f"sweep {sweep.id}: {sum(sweep.counts.values())} of {sweep.fed} queued runs")
                if sweep.state.is_final and any(
                    count for state, count in sweep.counts.items() if not state.is_final
                ):
                    found.append(f"sweep {sweep.id}: {sweep.state}, but not all its runs have ended")
            lost = (
                "SELECT id FROM runs WHERE sweep_id IS NOT NULL AND sweep_id NOT IN (SELECT id FROM sweeps)"
            )
            found += [f"run {row['id']}: its sweep is gone" for row in db.execute(lost)]
        return found

    # ---- feeding the queue ---------------------------------------------------------------------------------

    def feed(self, sweep_id: str, *, window: int) -> int:
        """Queue the next runs of a sweep until `window` of them wait, as far as the queue has places; end it when all have ended.

        Runs whose result is there are SUCCEEDED at once.  One that can no longer be made as it was planned is FAILED,
        and says so.

        Returns:
            How many runs this has queued or ended; 0: nothing to do for now.
        """
        sweep = self.get(sweep_id)
        if sweep.state is not SweepState.RUNNING or not sweep.pending:
            self._settle(sweep)
            return 0
        if sweep.counts[RunState.QUEUED] > window // 2:
            return 0  # several at a time: each time costs a flush to disk
        wanted = min(BATCH, window - sweep.counts[RunState.QUEUED], sweep.pending)
        with self._store.reading() as db:
            following = _following(db, sweep, wanted)
        # What takes long, making specs and looking at files, comes before the lock.
        prepared = list(self._prepare(sweep, following.runs))
        with self._store.writing() as db:
            now = _get(db, sweep_id)
            if (now.fed, now.skipped, now.state) != (sweep.fed, sweep.skipped, SweepState.RUNNING):
                return 0  # cancelled meanwhile
            places = self._store.free_places(db)
            fed: Counter[int] = Counter()
            for (point, _), (new, sha256, cached, failed) in zip(following.runs, prepared, strict=True):
                if cached is None and failed is None:
                    if places < 1:
                        break
                    places -= 1
                insert_run(db, new, profile_sha256=sha256, cached=cached, failed=failed)
                fed[point.number] += 1
            if fed or following.settled:
                skipped = sum(sweep.replications - point.fed for point in following.settled)
                _change(db, sweep_id, fed=sweep.fed + fed.total(), skipped=sweep.skipped + skipped)
            if sweep.until is not None:
                db.executemany(
                    "UPDATE sweep_points SET fed = fed + ?, settled = fed + ? = ? WHERE sweep_id = ? AND number = ?",
                    ((n, n, sweep.replications, sweep_id, number) for number, n in fed.items()),
                )
                db.executemany(
                    "UPDATE sweep_points SET settled = 1 WHERE sweep_id = ? AND number = ?",
                    ((sweep_id, point.number) for point in following.settled),
                )
            _settle(db, sweep_id)
            failpoint("feed.before_commit")
        failpoint("feed.after_commit")
        return fed.total() + len(following.settled)

    def _settle(self, sweep: StoredSweep) -> None:
        if not sweep.state.is_final and not _waits(sweep):
            with self._store.writing() as db:
                _settle(db, sweep.id)

    def _prepare(
        self, sweep: StoredSweep, runs: Iterable[tuple[StoredPoint, int]]
    ) -> Iterable[tuple[NewRun, str | None, dict[str, Any] | None, tuple[str, str] | None]]:
        """Runs to insert: the run, hash of its inline profile, summary if its result is there, error if it cannot be."""
        profile = broken = None
        if sweep.profile_sha256 is not None:
            try:
                text = self._store.profile_path(sweep.profile_sha256).read_text(encoding="utf-8")
                profile = parse_profile(text)
            except (OSError, GcsimError) as error:
                broken = f"its machine profile cannot be read: {error}"
        base = json.loads(sweep.spec_json)
        for point, replication in runs:
            planned = point.run_ids[replication]
            fields: dict[str, Any] = {
                "labels": sweep.labels, "skip_cache": sweep.skip_cache, "max_duration_s": sweep.max_duration_s,
                "sweep_id": sweep.id, "point": point.point_id, "replication": replication,
            }  # fmt: skip
            try:
                if broken is not None:
                    raise RunError(broken)
                spec = point_spec(
                    spec_from_dict(base), point.overrides, seed=sweep.seed, replication=replication
                )
                own = is_profile_path(spec.machine.profile)
                new = NewRun.of(spec, profile=profile if own else None, **fields)
                if new.dataset_id != planned:
                    raise RunError(
                        f"gcsim {sweep.engine_version} planned it, and for {ENGINE_VERSION} it is another run; "
                        "submit the sweep again"
                    )
            except GcsimError as error:
                yield _unmakable(sweep, planned, fields), None, None, (Reason.PLAN_OUTDATED, str(error))
                continue
            cached = None if new.skip_cache else self._store.usable_dataset(new.dataset_id)
            yield new, sweep.profile_sha256 if own else None, cached, None


@dataclass(frozen=True)
class _Following:
    """What a sweep does next: runs to queue, point and replication, and points that have enough."""

    runs: list[tuple[StoredPoint, int]]
    settled: list[StoredPoint]


def _following(db: sqlite3.Connection, sweep: StoredSweep, wanted: int) -> _Following:
    if sweep.until is None:
        first, end = sweep.fed, sweep.fed + wanted
        points = _points(db, sweep.id, first // sweep.replications, (end - 1) // sweep.replications + 1)
        runs = [(point, replication) for point in points for replication in range(sweep.replications)]
        skip = first % sweep.replications
        return _Following(runs[skip : skip + wanted], [])
    following = _Following([], [])
    # Points that have begun come first, so that few are under way at a time.
    for began in ("fed > 0", "fed = 0"):
        if len(following.runs) >= wanted:
            break
        rows = db.execute(
            f"SELECT * FROM sweep_points WHERE sweep_id = ? AND settled = 0 AND {began} ORDER BY number LIMIT ?",
            (sweep.id, -1 if began == "fed > 0" else wanted),
        )
        for point in map(_point, rows):
            number = _feed_to(db, sweep, sweep.until, point)
            if number is None:
                following.settled.append(point)
            else:
                following.runs.extend((point, replication) for replication in range(point.fed, number))
    del following.runs[wanted:]
    return following


def _feed_to(db: sqlite3.Connection, sweep: StoredSweep, until: StopRule, point: StoredPoint) -> int | None:
    """How many replications of a point may have been queued by now; None: it has enough of them."""
    following = next(look for look in until.looks if look > point.fed)
    if point.fed not in until.looks:
        return following
    rows = db.execute(
        "SELECT state, summary FROM runs WHERE sweep_id = ? AND point = ? ORDER BY replication",
        (sweep.id, point.point_id),
    ).fetchall()
    if not all(RunState(row["state"]).is_final for row in rows):
        return point.fed
    # With a failed run the point is not what it should be, and more of the same does not mend it.
    failed = any(row["state"] != RunState.SUCCEEDED for row in rows)
    return None if failed or until.is_met([json.loads(row["summary"]) for row in rows]) else following


def _unmakable(sweep: StoredSweep, planned: str, fields: dict[str, Any]) -> NewRun:
    """The row of a run that cannot be made any more: it has the spec of the sweep, and no digest of its own."""
    return NewRun(
        id=NewRun.random_id(),
        name=sweep.name,
        spec_json=sweep.spec_json,
        digest="",
        dataset_id=planned,
        **fields,
    )


def _waits(sweep: StoredSweep) -> bool:
    """Whether a run of it has not ended, or is still to be queued."""
    ended = sum(sweep.counts[state] for state in FINAL)
    return ended < (sweep.fed if sweep.state is SweepState.CANCELLING else sweep.total - sweep.skipped)


def _settle(db: sqlite3.Connection, sweep_id: str) -> None:
    """Give a sweep its final state if all has ended."""
    sweep = _get(db, sweep_id)
    if sweep.state.is_final or _waits(sweep):
        return
    if sweep.state is SweepState.CANCELLING:
        state = SweepState.CANCELLED
    else:
        done = sweep.counts[RunState.SUCCEEDED] == sweep.total - sweep.skipped
        state = SweepState.SUCCEEDED if done else SweepState.PARTIAL
    _change(db, sweep_id, state=state, end_time_ns=time.time_ns())


def _get(db: sqlite3.Connection, sweep_id: str) -> StoredSweep:
    row = db.execute(f"{_SELECT} WHERE id = ?", (sweep_id,)).fetchone()
    if row is None:
        raise NotFoundError(f"there is no sweep {sweep_id!r}")
    return _sweep(db, row)


def _sweep(db: sqlite3.Connection, row: sqlite3.Row) -> StoredSweep:
    values = dict(row)
    for name in ("labels", "columns"):
        values[name] = json.loads(values[name])
    values["skip_cache"] = bool(values["skip_cache"])
    if values["until"] is not None:
        values["until"] = StopRule.from_dict(json.loads(values["until"]))
    values["state"] = SweepState(values["state"])
    found = dict(
        tuple(count)
        for count in db.execute(
            "SELECT state, COUNT(*) FROM runs WHERE sweep_id = ? GROUP BY state", (values["id"],)
        )
    )
    return StoredSweep(**values, counts={state: found.get(state, 0) for state in RunState})


def _by_request(db: sqlite3.Connection, request_id: str | None, digest: str) -> StoredSweep | None:
    row = db.execute("SELECT id, request_digest FROM sweeps WHERE request_id = ?", (request_id,)).fetchone()
    if row is None:
        return None
    if row["request_digest"] != digest:
        raise RequestReusedError(f"request id {request_id!r} was used before, for a different request")
    return _get(db, row["id"])


def _points(db: sqlite3.Connection, sweep_id: str, first: int, end: int) -> list[StoredPoint]:
    rows = db.execute(
        "SELECT * FROM sweep_points WHERE sweep_id = ? AND number >= ? AND number < ? ORDER BY number",
        (sweep_id, first, end),
    )
    return list(map(_point, rows))


def _point(row: sqlite3.Row) -> StoredPoint:
    return StoredPoint(
        number=row["number"],
        point_id=row["point_id"],
        label=row["label"],
        overrides=tuple(json.loads(row["overrides"])),
        knobs=json.loads(row["knobs"]),
        run_ids=tuple(json.loads(row["run_ids"])),
        fed=row["fed"],
        settled=bool(row["settled"]),
    )


def _change(db: sqlite3.Connection, sweep_id: str, **columns: Any) -> None:
    assignments = ", ".join(f"{name} = :{name}" for name in columns)
    db.execute(
        f"UPDATE sweeps SET {assignments}, revision = revision + 1 WHERE id = :id",
        {**columns, "id": sweep_id},
    )
