"""The tables of a session file, and how an older file becomes a newer one.

Every table has `session_id` though a file holds one session: the same statements serve a file or a server that many
sessions share. `PRAGMA user_version` counts the migrations that a file has had. They are only ever appended to, each is
one transaction, and there is no way back: a file with a higher count than this build knows is refused.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from lash.runtime.errors import StoreCorruption, UnsupportedRecordVersion

Migration = Sequence[str]
"""Statements that lead from one version of the schema to the next."""

FIRST: Migration = (
    """CREATE TABLE session_head(session_id TEXT PRIMARY KEY, v INTEGER NOT NULL, head_revision INTEGER NOT NULL,
  leaf_node_id TEXT, checkpoint_ref TEXT, node_count INTEGER NOT NULL, config BLOB NOT NULL,
  successor_session_id TEXT, updated_ms INTEGER NOT NULL) STRICT""",
    """CREATE TABLE graph_nodes(seq INTEGER PRIMARY KEY, session_id TEXT NOT NULL, node_id TEXT NOT NULL,
  parent_node_id TEXT, kind TEXT NOT NULL, revision INTEGER NOT NULL, body BLOB NOT NULL,
  tombstoned INTEGER NOT NULL DEFAULT 0, UNIQUE(session_id, node_id)) STRICT""",
    """CREATE TABLE blobs(session_id TEXT NOT NULL, hash TEXT NOT NULL, kind TEXT NOT NULL, codec INTEGER NOT NULL,
  raw_len INTEGER NOT NULL, body BLOB NOT NULL, PRIMARY KEY(session_id, hash)) STRICT""",
    """CREATE TABLE usage_deltas(seq INTEGER PRIMARY KEY, session_id TEXT NOT NULL, op_id TEXT NOT NULL,
  source TEXT NOT NULL, model TEXT NOT NULL, input INTEGER NOT NULL, output INTEGER NOT NULL,
  cached_input INTEGER NOT NULL, cache_write INTEGER NOT NULL, reasoning INTEGER NOT NULL,
  UNIQUE(session_id, op_id, source, model)) STRICT""",
    """CREATE TABLE turn_commits(session_id TEXT NOT NULL, turn_id TEXT NOT NULL, commit_hash TEXT NOT NULL,
  result BLOB NOT NULL, committed_ms INTEGER NOT NULL, PRIMARY KEY(session_id, turn_id)) STRICT""",
    """CREATE TABLE session_leases(session_id TEXT PRIMARY KEY, owner_id TEXT, incarnation_id TEXT,
  token TEXT, fencing INTEGER NOT NULL DEFAULT 0, expires_ms INTEGER NOT NULL DEFAULT 0) STRICT""",
    """CREATE TABLE turn_checkpoints(session_id TEXT NOT NULL, revision INTEGER NOT NULL,
  turn_index INTEGER NOT NULL, turn_id TEXT, leaf_node_id TEXT, config BLOB NOT NULL, manifest_ref TEXT,
  PRIMARY KEY(session_id, revision)) STRICT""",
    """CREATE TABLE pending_inputs(seq INTEGER PRIMARY KEY, session_id TEXT NOT NULL, input_id TEXT NOT NULL,
  source_key TEXT, ingress TEXT NOT NULL, turn_id TEXT, min_boundary TEXT, state TEXT NOT NULL, body BLOB NOT NULL,
  claim_fencing INTEGER, UNIQUE(session_id, input_id), UNIQUE(session_id, source_key)) STRICT""",
    """CREATE TABLE session_meta(session_id TEXT PRIMARY KEY, name TEXT NOT NULL, created_ms INTEGER NOT NULL,
  model TEXT, cwd TEXT, relation BLOB NOT NULL, first_user_message TEXT,
  user_message_count INTEGER NOT NULL) STRICT""",
    """CREATE TABLE attachment_manifest(session_id TEXT NOT NULL, attachment_id TEXT NOT NULL, uri TEXT NOT NULL,
  owner_turn_id TEXT, intent_ms INTEGER NOT NULL, committed_ms INTEGER,
  PRIMARY KEY(session_id, attachment_id)) STRICT""",
    "CREATE INDEX graph_parent ON graph_nodes(session_id, parent_node_id)",
)

MIGRATIONS: Sequence[Migration] = (FIRST,)
"""What leads from version n to n + 1, for every n from 0."""

TABLES = (
    *("session_head", "graph_nodes", "blobs", "usage_deltas", "turn_commits", "session_leases", "turn_checkpoints"),
    *("pending_inputs", "session_meta", "attachment_manifest"),
)
"""The tables of the newest version."""


def migrate(connection: sqlite3.Connection, what: str, migrations: Sequence[Migration] = MIGRATIONS) -> None:
    """Bring a file to the newest version, step by step; nothing happens to one that is there already.

    Raises UnsupportedRecordVersion for a newer file. `what` names the file in errors.
    """
    while (version := _version(connection)) < len(migrations):
        connection.execute("BEGIN IMMEDIATE")
        try:
            if _version(connection) == version:  # otherwise another process was quicker
                for statement in migrations[version]:
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {version + 1}")
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
    if version > len(migrations):
        raise UnsupportedRecordVersion(what, version, len(migrations))


def check_version(connection: sqlite3.Connection, what: str) -> None:
    """Raises UnsupportedRecordVersion for a newer file, and StoreCorruption for one that no store has made."""
    version = _version(connection)
    if version > len(MIGRATIONS):
        raise UnsupportedRecordVersion(what, version, len(MIGRATIONS))
    if version < 1:
        raise StoreCorruption(f"{what} is no session file")


def check_tables(connection: sqlite3.Connection, what: str) -> None:
    """Raises StoreCorruption where a table is missing."""
    there = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    if missing := [name for name in TABLES if name not in there]:
        raise StoreCorruption(f"{what} lacks {', '.join(missing)}")


def _version(connection: sqlite3.Connection) -> int:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return int(version)
