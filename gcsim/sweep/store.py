"""The durable record of runs: an SQLite file that one coordinator owns.

Every change is one transaction, on disk before the call returns (WAL, synchronous=FULL, BEGIN IMMEDIATE), unless the
store is told not to `flush`.  Reads have a connection of their own and do not wait for writers.  All methods may be
called from any thread; none is quick enough for an event loop.

What time it is matters for people only (`create_time_ns` and its like).  Leases are the supervisor's affair, in
monotonic time; here a lease is the state RUNNING and the attempt number, and a result of an old attempt is refused.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import math
import os
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, Self

from gcsim.datasets.archive import Archive
from gcsim.datasets.reader import load
from gcsim.errors import DatasetError
from gcsim.failpoints import failpoint
from gcsim.sweep.rows import SELECT, change_run, count_runs, get_run, insert_run, run_of
from gcsim.sweep.schema import connect, examine, migrate
from gcsim.sweep.states import (
    ACTIVE,
    FINAL,
    EtagMismatchError,
    NewRun,
    NotFoundError,
    QueueFullError,
    Reason,
    RequestReusedError,
    RunActiveError,
    RunExistsError,
    RunOfSweepError,
    RunState,
    StoredDataset,
    StoredRun,
    StoreFullError,
    StoreRefusedError,
)
from gcsim.sweep.sweeps import Sweeps

MAX_LOSSES = 3
"""Workers that a run may lose.  assumed: the third death is the run's own doing."""
MAX_INTERRUPTIONS = 10
"""Deaths of the whole server that a run may live through.  assumed: a run that takes the machine down must end too."""

_FINAL_SQL = ", ".join(f"'{state}'" for state in FINAL)
_ACTIVE_SQL = ", ".join(f"'{state}'" for state in ACTIVE)


def database_path(data_dir: Path) -> Path:
    return data_dir / "store.sqlite"


class Store:
    """Runs, sweeps (`sweeps`) and datasets of a data directory.  Make one with `Store.open`; close it, or use it as a context manager.

    Args:
        queue_limit: runs that may wait; None = any number.
        sweep_limit: sweeps that may be unfinished at a time; None = any number.
        max_pages: bound on the file's size in pages of 4 KiB.
        flush: whether each change is on disk before its call returns.  Without, a loss of power (not a kill) may undo
            the last changes, and saves a sweep that goes by its directory several flushes for each run.
    """

    def __init__(
        self,
        data_dir: Path,
        lock_fd: int,
        *,
        queue_limit: int | None = None,
        sweep_limit: int | None = None,
        max_pages: int | None = None,
        flush: bool = True,
    ) -> None:
        self.data_dir = data_dir
        self.queue_limit = queue_limit
        self.sweeps = Sweeps(self, limit=sweep_limit)
        self.datasets_dir = data_dir / "datasets"
        self.profiles_dir = data_dir / "profiles"
        self.staging_dir = data_dir / ".staging"
        self._lock_fd = lock_fd
        self._write_lock = threading.RLock()
        self._read_lock = threading.Lock()
        path = database_path(data_dir)
        self._db = connect(path)
        migrate(self._db)
        if not flush:
            self._db.execute("PRAGMA synchronous = NORMAL")
        if max_pages is not None:
            self._db.execute(f"PRAGMA max_page_count = {int(max_pages)}")
        self._reader = connect(path)
        self._reader.execute("PRAGMA query_only = ON")
        for directory in (self.datasets_dir, self.profiles_dir):
            directory.mkdir(exist_ok=True)
        shutil.rmtree(self.staging_dir, ignore_errors=True)
        self.staging_dir.mkdir(exist_ok=True)

    @classmethod
    def open(
        cls,
        data_dir: str | Path,
        *,
        queue_limit: int | None = None,
        sweep_limit: int | None = None,
        max_pages: int | None = None,
        flush: bool = True,
    ) -> Self:
        """Open the store of a data directory, or begin one.  Runs that were going on are queued again.

        Raises:
            StoreRefusedError: another process has it, or the file is damaged, foreign or of a newer version;
                nothing has been changed then.
        """
        directory = Path(data_dir)
        lock_fd = take_lock(directory)
        try:
            path = database_path(directory)
            if path.exists() and path.stat().st_size:
                examine(path)
            store = cls(
                directory,
                lock_fd,
                queue_limit=queue_limit,
                sweep_limit=sweep_limit,
                max_pages=max_pages,
                flush=flush,
            )
        except BaseException:
            os.close(lock_fd)
            raise
        store.recover()
        return store

    def close(self) -> None:
        with self._write_lock, self._read_lock:
            self._reader.close()
            self._db.close()
            if self._lock_fd >= 0:
                os.close(self._lock_fd)
                self._lock_fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    # ---- runs ----------------------------------------------------------------------------------------------

    def submit(self, new: NewRun) -> tuple[StoredRun, bool]:
        """Store a run; on disk when this returns.

        Returns:
            The run, and whether it is new: with a `request_id` seen before and the same digest it is the first one.
            If a dataset of this digest is there, the run is SUCCEEDED at once, unless `skip_cache`.
        Raises:
            RequestReusedError, RunExistsError, QueueFullError, StoreFullError: nothing has been stored.
        """
        cached = None if new.skip_cache else self.usable_dataset(new.dataset_id)
        sha256 = None if new.profile_yaml is None else self.keep_profile(new.profile_yaml)
        with self.writing() as db:
            if new.request_id is not None:
                row = db.execute(
                    "SELECT id, request_digest FROM runs WHERE request_id = ?", (new.request_id,)
                ).fetchone()
                if row is not None:
                    if row["request_digest"] != new.request_digest:
                        raise RequestReusedError(
                            f"request id {new.request_id!r} was used before, for a different request"
                        )
                    return get_run(db, row["id"]), False
            if db.execute("SELECT 1 FROM runs WHERE id = ?", (new.id,)).fetchone():
                raise RunExistsError(f"there is a run {new.id!r} already")
            if cached is None and self.free_places(db) < 1:
                raise QueueFullError(f"{self.queue_limit} runs are waiting, which is the limit")
            insert_run(db, new, profile_sha256=sha256, cached=cached)
            run = get_run(db, new.id)
            failpoint("submit.before_commit")
        failpoint("submit.after_commit")
        return run, True

    def get(self, run_id: str) -> StoredRun:
        """Raises NotFoundError."""
        with self.reading() as db:
            return get_run(db, run_id)

    def by_request(self, request_id: str) -> StoredRun | None:
        """The run that was submitted with a request id, if any."""
        with self.reading() as db:
            row = db.execute(f"{SELECT} WHERE request_id = ?", (request_id,)).fetchone()
        return None if row is None else run_of(row)

    def runs(
        self,
        *,
        states: Sequence[RunState] = (),
        labels: Mapping[str, str] | None = None,
        name: str | None = None,
        sweep_id: str | None = None,
        after_seq: int | None = None,
        newest_first: bool = False,
        limit: int = 1000,
    ) -> list[StoredRun]:
        """Runs in the order of submission, filtered; `after_seq` continues where a page ended."""
        where, values = ["1"], list[Any]()
        if states:
            where.append(f"state IN ({', '.join('?' * len(states))})")
            values += states
        for column, value in (("name", name), ("sweep_id", sweep_id)):
            if value is not None:
                where.append(f"{column} = ?")
                values.append(value)
        for key, value in (labels or {}).items():
            where.append("EXISTS (SELECT 1 FROM json_each(runs.labels) WHERE key = ? AND value = ?)")
            values += [key, value]
        if after_seq is not None:
            where.append("seq < ?" if newest_first else "seq > ?")
            values.append(after_seq)
        order = "DESC" if newest_first else "ASC"
        sql = f"{SELECT} WHERE {' AND '.join(where)} ORDER BY seq {order} LIMIT ?"
        with self.reading() as db:
            return [run_of(row) for row in db.execute(sql, (*values, limit))]

    def counts(self, *, sweep_id: str | None = None) -> dict[RunState, int]:
        """How many runs are in each state, of one sweep or of all."""
        sql, values = "SELECT state, COUNT(*) FROM runs", tuple[str, ...]()
        if sweep_id is not None:
            sql, values = f"{sql} WHERE sweep_id = ?", (sweep_id,)
        with self.reading() as db:
            found = {RunState(state): count for state, count in db.execute(f"{sql} GROUP BY state", values)}
        return {state: found.get(state, 0) for state in RunState}

    def delete(self, run_id: str, *, etag: str | None = None) -> None:
        """Forget a finished run, and its dataset if no other run has it.

        Raises:
            NotFoundError, RunActiveError, RunOfSweepError, EtagMismatchError.
        """
        with self.writing() as db:
            run = get_run(db, run_id)
            if etag is not None and etag != run.etag:
                raise EtagMismatchError(f"the run {run_id!r} has changed: its etag is {run.etag}, not {etag}")
            if not run.state.is_final:
                raise RunActiveError(f"the run {run_id!r} is {run.state}; cancel it first")
            if run.sweep_id is not None:
                raise RunOfSweepError(
                    f"the run {run_id!r} is part of the sweep {run.sweep_id!r}; delete that as a whole"
                )
            db.execute("DELETE FROM runs WHERE id = ?", (run_id,))
            orphaned = self.forget_orphans(db, [run.dataset_id])
        self.remove_datasets(orphaned)

    # ---- the life of a run ---------------------------------------------------------------------------------

    def lease(self) -> StoredRun | None:
        """Begin the next attempt of the oldest queued run whose result nobody is computing already; None = nothing."""
        with self.writing() as db:
            row = db.execute(
                f"SELECT id FROM runs WHERE state = 'QUEUED' AND digest NOT IN "
                f"(SELECT digest FROM runs WHERE state IN ({_ACTIVE_SQL})) ORDER BY seq LIMIT 1"
            ).fetchone()
            if row is None:
                return None
            change_run(
                db,
                row["id"],
                state=RunState.RUNNING,
                start_time_ns=time.time_ns(),
                attempt=get_run(db, row["id"]).attempt + 1,
            )
            return get_run(db, row["id"])

    def cancel(self, run_id: str) -> StoredRun:
        """Queued -> CANCELLED; running -> CANCELLING, for the supervisor to see to; finished: as it is."""
        with self.writing() as db:
            run = get_run(db, run_id)
            if run.state is RunState.QUEUED:
                change_run(db, run_id, state=RunState.CANCELLED, end_time_ns=time.time_ns())
            elif run.state is RunState.RUNNING:
                change_run(db, run_id, state=RunState.CANCELLING)
            return get_run(db, run_id)

    def fail(self, run_id: str, attempt: int, reason: str, message: str) -> StoredRun | None:
        """End an attempt without result: FAILED, or CANCELLED if that was asked.  None: the attempt is an old one."""
        with self.writing() as db:
            run = _current(db, run_id, attempt)
            if run is None:
                return None
            if run.state is RunState.CANCELLING:
                change_run(db, run_id, state=RunState.CANCELLED, end_time_ns=time.time_ns())
            else:
                change_run(
                    db,
                    run_id,
                    state=RunState.FAILED,
                    reason=reason,
                    message=message[:10_000],
                    end_time_ns=time.time_ns(),
                )
            return get_run(db, run_id)

    def release(self, run_id: str, attempt: int, *, worker_lost: bool) -> StoredRun | None:
        """Give an attempt up: queued again, CANCELLED if that was asked, or FAILED after the third lost worker."""
        with self.writing() as db:
            run = _current(db, run_id, attempt)
            if run is None:
                return None
            if run.state is RunState.CANCELLING:
                change_run(db, run_id, state=RunState.CANCELLED, end_time_ns=time.time_ns())
            elif worker_lost:
                change_run(db, run_id, losses=run.losses + 1, **_after_loss(run.losses + 1, MAX_LOSSES))
            else:
                change_run(db, run_id, state=RunState.QUEUED)
            return get_run(db, run_id)

    def publish(self, run_id: str, attempt: int, staged: Path | None) -> StoredRun | None:
        """Move a complete dataset into place and end its run SUCCEEDED.

        Args:
            staged: directory that a worker has finished and flushed; None = take the dataset that is there.
        Returns:
            The run; None if the attempt is an old one (then nothing has been published).
        Raises:
            DatasetError: the dataset is not whole.  OSError: the disk is full or broken.
        """
        target = self.dataset_path(self.get(run_id).dataset_id)
        # What takes long, reading everything for its hash, comes before the lock.
        result = load(staged or target)
        dataset = _describe(staged or target)
        with self._write_lock:  # so that cancel, delete and other attempts wait until it is decided
            run = self.get(run_id)
            if not _is_current(run, attempt):
                return None
            cached = staged is None
            if staged is not None:
                failpoint("finish.before_rename")
                there = self._verified(target)
                if there is not None and there.manifest != result.manifest:
                    message = "computed again, the same spec, seed and version gave other bytes"
                    return self.fail(run_id, attempt, Reason.RESULT_DIFFERS, message)
                if there is None:
                    shutil.rmtree(target, ignore_errors=True)
                    staged.rename(target)
                    failpoint("finish.after_rename")
                    _fsync(self.datasets_dir)
            with self.writing() as db:
                _put_dataset(db, dataset)
                if run.state is RunState.CANCELLING:  # it was asked first; the dataset stays for others
                    change_run(db, run_id, state=RunState.CANCELLED, end_time_ns=time.time_ns())
                else:
                    change_run(
                        db,
                        run_id,
                        state=RunState.SUCCEEDED,
                        summary=json.dumps(result.summary, allow_nan=False),
                        cached_result=int(cached),
                        end_time_ns=time.time_ns(),
                    )
                run = get_run(db, run_id)
                failpoint("finish.before_commit")
        failpoint("finish.after_commit")
        return run

    def recover(self) -> int:
        """Queue again what an earlier coordinator left going on.  Returns how many runs that were."""
        with self.writing() as db:
            rows = [run_of(row) for row in db.execute(f"{SELECT} WHERE state IN ({_ACTIVE_SQL})")]
            for run in rows:
                if run.state is RunState.CANCELLING:
                    change_run(db, run.id, state=RunState.CANCELLED, end_time_ns=time.time_ns())
                else:
                    count = run.interruptions + 1
                    change_run(db, run.id, interruptions=count, **_after_loss(count, MAX_INTERRUPTIONS))
        return len(rows)

    # ---- datasets ------------------------------------------------------------------------------------------

    def dataset_path(self, dataset_id: str) -> Path:
        return self.datasets_dir / dataset_id

    def dataset(self, dataset_id: str) -> StoredDataset:
        """Raises NotFoundError."""
        with self.reading() as db:
            row = db.execute("SELECT * FROM datasets WHERE id = ?", (dataset_id,)).fetchone()
        if row is None:
            raise NotFoundError(f"there is no dataset {dataset_id!r}")
        return StoredDataset(**dict(row))

    def datasets(self, *, after_id: str = "", limit: int = 1000) -> list[StoredDataset]:
        """In the order of their ids.  One whose files are missing or truncated is not offered."""
        sql = "SELECT * FROM datasets WHERE id > ? ORDER BY id LIMIT ?"
        with self.reading() as db:
            return [StoredDataset(**dict(row)) for row in db.execute(sql, (after_id, limit))]

    def usable_dataset(self, dataset_id: str) -> dict[str, Any] | None:
        """Summary of a published dataset whose files are all there with their sizes, else None."""
        try:
            self.dataset(dataset_id)
            return load(self.dataset_path(dataset_id)).summary
        except (NotFoundError, DatasetError):
            return None

    def profile_path(self, sha256: str) -> Path:
        """File of a machine profile that came inline."""
        return self.profiles_dir / f"{sha256}.yaml"

    def staging_path(self, run: StoredRun) -> Path:
        """Directory for the files of the present attempt of a run; new for each attempt."""
        return self.staging_dir / f"{run.id}.{run.attempt}"

    def stored_bytes(self) -> int:
        """Bytes of all datasets, by their rows."""
        with self.reading() as db:
            (total,) = db.execute("SELECT COALESCE(SUM(size_bytes), 0) FROM datasets").fetchone()
        return int(total)

    def prune(self, *, older_than_s: float | None = None, max_bytes: int | None = None) -> list[str]:
        """Delete what ended longer ago, then the oldest until the datasets fit: finished runs, and finished sweeps as a whole.

        Returns:
            Ids of the runs, and names ``sweeps/ID``, in the order in which they went.
        """
        sql = (
            f"SELECT end_time_ns, id, 0 AS is_sweep FROM runs WHERE state IN ({_FINAL_SQL}) AND sweep_id IS NULL "
            "UNION ALL SELECT end_time_ns, id, 1 FROM sweeps WHERE end_time_ns IS NOT NULL ORDER BY end_time_ns, id"
        )
        with self.reading() as db:
            done = [tuple(row) for row in db.execute(sql) if row["end_time_ns"] is not None]
        deleted: list[str] = []
        horizon = None if older_than_s is None else time.time_ns() - int(older_than_s * 1e9)
        for end_time_ns, name, is_sweep in done:
            is_old = horizon is not None and end_time_ns < horizon
            if is_old or (max_bytes is not None and self.stored_bytes() > max_bytes):
                (self.sweeps if is_sweep else self).delete(name)
                deleted.append(f"sweeps/{name}" if is_sweep else name)
        return deleted

    def adopt(self, directory: Path) -> StoredRun:
        """Make a finished run of a dataset directory that no row knows; for rebuilding.  Raises DatasetError."""
        result = load(directory)
        result.verify()
        now = time.time_ns()
        dataset = _describe(directory)
        identity = result.manifest.identity
        with self.writing() as db:
            _put_dataset(db, dataset)
            db.execute(
                "INSERT INTO runs (id, name, spec_json, digest, dataset_id, request_digest, state, labels, skip_cache,"
                " summary, create_time_ns, end_time_ns) VALUES (?, ?, ?, ?, ?, '', ?, '{}', 0, ?, ?, ?)",
                (
                    dataset.id, identity.name, identity.spec_json, dataset.id.removeprefix("r-"), dataset.id,
                    RunState.SUCCEEDED, json.dumps(result.summary), now, now,
                ),
            )  # fmt: skip
            return get_run(db, dataset.id)

    # ---- inside --------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction; all of it or, on an exception, nothing."""
        with self._write_lock:
            db = self._db
            try:
                db.execute("BEGIN IMMEDIATE")
                yield db
                db.execute("COMMIT")
            except BaseException as error:
                if db.in_transaction:
                    db.execute("ROLLBACK")
                if _is_full(error):
                    raise StoreFullError(
                        f"{database_path(self.data_dir)}: no space left ({error})"
                    ) from error
                raise

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        with self._read_lock:
            yield self._reader

    def _verified(self, directory: Path) -> Any:
        try:
            result = load(directory)
            result.verify()
        except DatasetError:
            return None
        return result

    def free_places(self, db: sqlite3.Connection) -> float:
        """Runs that the queue can still take."""
        return math.inf if self.queue_limit is None else self.queue_limit - count_runs(db, RunState.QUEUED)

    def forget_orphans(self, db: sqlite3.Connection, dataset_ids: Sequence[str]) -> list[str]:
        """Delete the rows of those datasets that no run has; they are for `remove_datasets` after the commit."""
        orphaned = [
            dataset_id
            for dataset_id in dataset_ids
            if not db.execute("SELECT 1 FROM runs WHERE dataset_id = ? LIMIT 1", (dataset_id,)).fetchone()
        ]
        db.executemany("DELETE FROM datasets WHERE id = ?", ((dataset_id,) for dataset_id in orphaned))
        return orphaned

    def remove_datasets(self, dataset_ids: Iterable[str]) -> None:
        """Delete the files of datasets: first out of sight, then away, so that nobody sees half a dataset.

        Under no lock: a dataset without a row is nobody's, and who finds it verifies it.
        """
        for dataset_id in dataset_ids:
            hidden = self.staging_dir / f"{dataset_id}.deleted.{time.monotonic_ns()}"
            with contextlib.suppress(FileNotFoundError):
                self.dataset_path(dataset_id).rename(hidden)
            shutil.rmtree(hidden, ignore_errors=True)

    def keep_profile(self, text: str) -> str:
        sha256 = hashlib.sha256(text.encode()).hexdigest()
        path = self.profile_path(sha256)
        if not path.exists():
            part = self.profiles_dir / f".{sha256}.{threading.get_ident()}"
            with part.open("w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            part.rename(path)
            _fsync(self.profiles_dir)
        return sha256


def take_lock(data_dir: Path) -> int:
    """Hold the data directory for this process; the descriptor to close at the end.  Raises StoreRefusedError."""
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        fd = os.open(data_dir / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise StoreRefusedError(f"{data_dir}: cannot be used as a data directory ({error})") from error
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        holder = os.pread(fd, 20, 0).decode(errors="replace").strip()
        os.close(fd)
        raise StoreRefusedError(
            f"{data_dir} is in use by process {holder or 'unknown'}; stop it, or choose another --data-dir"
        ) from error
    os.ftruncate(fd, 0)
    os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
    return fd


def rebuild(data_dir: Path, *, report: Callable[[str], None] = lambda _: None) -> int:
    """Make a new store of the datasets that are whole; an old file is kept beside it.  Returns the number of runs."""
    lock_fd = take_lock(data_dir)
    path = database_path(data_dir)
    for suffix in ("", "-wal", "-shm"):
        old = path.with_name(path.name + suffix)
        if old.exists():
            number = next(n for n in range(1, 10_000) if not old.with_name(f"{old.name}.old{n}").exists())
            old.rename(old.with_name(f"{old.name}.old{number}"))
            report(f"kept {old.name} as {old.name}.old{number}")
    count = 0
    with Store(data_dir, lock_fd) as store:
        for directory in sorted(store.datasets_dir.iterdir()):
            try:
                store.adopt(directory)
                count += 1
            except DatasetError as error:
                report(f"left out: {error}")
    return count


def _is_current(run: StoredRun, attempt: int) -> bool:
    return run.attempt == attempt and run.state in ACTIVE


def _current(db: sqlite3.Connection, run_id: str, attempt: int) -> StoredRun | None:
    try:
        run = get_run(db, run_id)
    except NotFoundError:
        return None
    return run if _is_current(run, attempt) else None


def _after_loss(count: int, limit: int) -> dict[str, Any]:
    if count < limit:
        return {"state": RunState.QUEUED}
    message = f"the process that ran it died {count} times"
    return {
        "state": RunState.FAILED,
        "reason": Reason.WORKER_LOST,
        "message": message,
        "end_time_ns": time.time_ns(),
    }


def _describe(directory: Path) -> StoredDataset:
    archive = Archive(directory)
    identity = archive.manifest.identity
    return StoredDataset(
        id=directory.name,
        name=identity.name,
        size_bytes=archive.size_bytes,
        sha256=archive.sha256(),
        schema_version=identity.schema_version,
        engine_version=identity.engine_version,
        create_time_ns=time.time_ns(),
    )


def _put_dataset(db: sqlite3.Connection, dataset: StoredDataset) -> None:
    names = [field.name for field in fields(StoredDataset)]
    db.execute(
        f"INSERT INTO datasets ({', '.join(names)}) VALUES ({', '.join('?' * len(names))}) "
        "ON CONFLICT (id) DO UPDATE SET size_bytes = excluded.size_bytes, sha256 = excluded.sha256",
        [getattr(dataset, name) for name in names],
    )


def _is_full(error: BaseException) -> bool:
    return isinstance(error, sqlite3.OperationalError) and error.sqlite_errorcode in (
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
    )


def _fsync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
