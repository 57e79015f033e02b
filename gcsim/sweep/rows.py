"""Rows of the table `runs`: reading, changing and inserting them within a transaction of the store."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from gcsim.sweep.states import NewRun, NotFoundError, RunState, StoredRun

SELECT = f"SELECT {', '.join(field.name for field in fields(StoredRun))} FROM runs"


def run_of(row: sqlite3.Row) -> StoredRun:
    values = dict(row)
    for name in ("labels", "summary"):
        values[name] = json.loads(values[name])
    for name in ("skip_cache", "cached_result"):
        values[name] = bool(values[name])
    values["state"] = RunState(values["state"])
    return StoredRun(**values)


def get_run(db: sqlite3.Connection, run_id: str) -> StoredRun:
    """Raises NotFoundError."""
    row = db.execute(f"{SELECT} WHERE id = ?", (run_id,)).fetchone()
    if row is None:
        raise NotFoundError(f"there is no run {run_id!r}")
    return run_of(row)


def change_run(db: sqlite3.Connection, run_id: str, **columns: Any) -> None:
    """Set columns of a run; its revision grows, and with its state that of its sweep."""
    assignments = ", ".join(f"{name} = :{name}" for name in columns)
    db.execute(
        f"UPDATE runs SET {assignments}, revision = revision + 1 WHERE id = :id", {**columns, "id": run_id}
    )
    if "state" in columns:
        db.execute(
            "UPDATE sweeps SET revision = revision + 1 WHERE id = (SELECT sweep_id FROM runs WHERE id = ?)",
            (run_id,),
        )


def count_runs(db: sqlite3.Connection, state: RunState) -> int:
    return int(db.execute("SELECT COUNT(*) FROM runs WHERE state = ?", (state,)).fetchone()[0])


def insert_run(
    db: sqlite3.Connection,
    new: NewRun,
    *,
    profile_sha256: str | None,
    cached: Mapping[str, Any] | None = None,
    failed: tuple[str, str] | None = None,
) -> None:
    """Add a run.

    Args:
        cached: summary of its dataset, if that is there; then it is SUCCEEDED at once.
        failed: reason and message; then it is FAILED at once.
    """
    now = time.time_ns()
    values: dict[str, Any] = {
        "id": new.id, "name": new.name, "spec_json": new.spec_json, "digest": new.digest,
        "dataset_id": new.dataset_id, "request_id": new.request_id, "request_digest": new.request_digest,
        "state": RunState.QUEUED, "labels": json.dumps(dict(new.labels), sort_keys=True),
        "skip_cache": int(new.skip_cache), "max_duration_s": new.max_duration_s, "sweep_id": new.sweep_id,
        "point": new.point, "replication": new.replication, "profile_sha256": profile_sha256, "create_time_ns": now,
    }  # fmt: skip
    if cached is not None:
        values |= {
            "state": RunState.SUCCEEDED, "cached_result": 1, "summary": json.dumps(cached),
            "start_time_ns": now, "end_time_ns": now,
        }  # fmt: skip
    elif failed is not None:
        values |= {"state": RunState.FAILED, "reason": failed[0], "message": failed[1], "end_time_ns": now}
    names = ", ".join(values)
    db.execute(f"INSERT INTO runs ({names}) VALUES ({', '.join(f':{name}' for name in values)})", values)
