"""The store's tables, their versions, and whether a file is a store of ours at all.

A file is looked at before SQLite may touch it: application id and version stand in the first 100 bytes of the file
(sqlite.org/fileformat2.html), so a foreign or newer one is refused as it is.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from gcsim.sweep.states import StoreRefusedError

APPLICATION_ID = 0x67637369
"""ASCII "gcsi"."""

MIGRATIONS = (
    """
CREATE TABLE runs (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    spec_json TEXT NOT NULL,
    digest TEXT NOT NULL,
    dataset_id TEXT NOT NULL,
    request_id TEXT UNIQUE,
    request_digest TEXT NOT NULL,
    state TEXT NOT NULL,
    reason TEXT NOT NULL DEFAULT '',
    message TEXT NOT NULL DEFAULT '',
    attempt INTEGER NOT NULL DEFAULT 0,
    losses INTEGER NOT NULL DEFAULT 0,
    interruptions INTEGER NOT NULL DEFAULT 0,
    revision INTEGER NOT NULL DEFAULT 1,
    labels TEXT NOT NULL,
    skip_cache INTEGER NOT NULL,
    cached_result INTEGER NOT NULL DEFAULT 0,
    max_duration_s INTEGER,
    sweep_id TEXT,
    point TEXT,
    profile_sha256 TEXT,
    summary TEXT NOT NULL DEFAULT '{}',
    create_time_ns INTEGER NOT NULL,
    start_time_ns INTEGER,
    end_time_ns INTEGER
);
CREATE INDEX runs_by_state ON runs (state, seq);
CREATE INDEX runs_by_dataset ON runs (dataset_id);
CREATE INDEX runs_by_sweep ON runs (sweep_id, seq) WHERE sweep_id IS NOT NULL;
CREATE TABLE datasets (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    size_bytes INTEGER NOT NULL,
    sha256 TEXT NOT NULL,
    schema_version TEXT NOT NULL,
    engine_version TEXT NOT NULL,
    create_time_ns INTEGER NOT NULL
);
CREATE TABLE sweeps (
    id TEXT PRIMARY KEY,
    request_id TEXT UNIQUE,
    request_digest TEXT NOT NULL,
    plan_json TEXT NOT NULL,
    create_time_ns INTEGER NOT NULL
);
""",
    # 2: sweeps.  The table of version 1 was laid out ahead, and nothing wrote to it.
    """
DROP TABLE sweeps;
CREATE TABLE sweeps (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    plan_id TEXT NOT NULL,
    spec_json TEXT NOT NULL,
    layout TEXT NOT NULL,
    columns TEXT NOT NULL,
    seed INTEGER NOT NULL,
    points INTEGER NOT NULL,
    replications INTEGER NOT NULL,
    request_id TEXT UNIQUE,
    request_digest TEXT NOT NULL,
    state TEXT NOT NULL,
    fed INTEGER NOT NULL DEFAULT 0,
    revision INTEGER NOT NULL DEFAULT 1,
    labels TEXT NOT NULL,
    skip_cache INTEGER NOT NULL,
    max_duration_s INTEGER,
    profile_sha256 TEXT,
    engine_version TEXT NOT NULL,
    create_time_ns INTEGER NOT NULL,
    end_time_ns INTEGER
);
CREATE INDEX sweeps_by_state ON sweeps (state, seq);
CREATE TABLE sweep_points (
    sweep_id TEXT NOT NULL REFERENCES sweeps (id) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    point_id TEXT NOT NULL,
    label TEXT NOT NULL,
    overrides TEXT NOT NULL,
    knobs TEXT NOT NULL,
    run_ids TEXT NOT NULL,
    PRIMARY KEY (sweep_id, number)
) WITHOUT ROWID;
ALTER TABLE runs ADD COLUMN replication INTEGER;
CREATE UNIQUE INDEX runs_by_point ON runs (sweep_id, point, replication) WHERE sweep_id IS NOT NULL;
CREATE INDEX runs_by_sweep_and_state ON runs (sweep_id, state) WHERE sweep_id IS NOT NULL;
""",
    # 3: sweeps that stop the replications of a point early; `fed` and `settled` of points are used by those alone.
    """
ALTER TABLE sweeps ADD COLUMN until TEXT;
ALTER TABLE sweeps ADD COLUMN skipped INTEGER NOT NULL DEFAULT 0;
ALTER TABLE sweep_points ADD COLUMN fed INTEGER NOT NULL DEFAULT 0;
ALTER TABLE sweep_points ADD COLUMN settled INTEGER NOT NULL DEFAULT 0;
CREATE INDEX sweep_points_open ON sweep_points (sweep_id, fed, number) WHERE settled = 0;
""",
)
"""Version n of the store is what the first n of these make."""

VERSION = len(MIGRATIONS)

_REMEDY = "`gcsim db rebuild` makes a new one from the datasets that are there"


def examine(path: Path) -> None:
    """Raise StoreRefusedError unless a file is a whole store that this version can read.  Changes nothing."""
    with path.open("rb") as file:
        header = file.read(100)
    if len(header) < 100 or not header.startswith(b"SQLite format 3\0"):
        raise StoreRefusedError(f"{path} is no SQLite file, or truncated; {_REMEDY}")
    if int.from_bytes(header[68:72], "big") != APPLICATION_ID:
        raise StoreRefusedError(f"{path} is the database of another program; choose another data directory")
    version = int.from_bytes(header[60:64], "big")
    if version > VERSION:
        raise StoreRefusedError(
            f"{path} has version {version} and this gcsim knows {VERSION}; use a newer gcsim, or {_REMEDY}"
        )
    try:
        db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
        try:
            found = [row[0] for row in db.execute("PRAGMA quick_check(5)")]
        finally:
            db.close()
    except sqlite3.DatabaseError as error:
        raise StoreRefusedError(f"{path} is damaged ({error}); {_REMEDY}") from error
    if found != ["ok"]:
        raise StoreRefusedError(f"{path} is damaged ({'; '.join(found)}); {_REMEDY}")


def connect(path: Path) -> sqlite3.Connection:
    """A connection that is durable at every commit, for use under a lock by any thread."""
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10)
    db.row_factory = sqlite3.Row
    db.execute("PRAGMA synchronous = FULL")
    db.execute("PRAGMA busy_timeout = 10000")
    db.execute("PRAGMA foreign_keys = ON")
    return db


def migrate(db: sqlite3.Connection) -> None:
    """Bring a store to the present version, each step in a transaction of its own."""
    (version,) = db.execute("PRAGMA user_version").fetchone()
    for number in range(version, VERSION):
        db.executescript(
            f"BEGIN IMMEDIATE;\n{MIGRATIONS[number]}\n"
            f"PRAGMA application_id = {APPLICATION_ID};\nPRAGMA user_version = {number + 1};\nCOMMIT;"
        )
    db.execute("PRAGMA journal_mode = WAL")
    # So that the file itself says its version, for `examine`.
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
