"""The format of a database, and how one of an older format becomes one of this. Text only."""

from __future__ import annotations

FORMAT = 6
UPGRADES: dict[int, str] = {
    2: """
        ALTER TABLE engine_node ADD COLUMN draining INTEGER NOT NULL DEFAULT 0;
        ALTER TABLE engine_flow ADD COLUMN since INTEGER NOT NULL DEFAULT 0;
        ALTER TABLE engine_outcome ADD COLUMN at INTEGER NOT NULL DEFAULT 0;
        CREATE TABLE engine_client (
            client TEXT PRIMARY KEY,
            id INTEGER NOT NULL,
            digest BLOB NOT NULL
        ) WITHOUT ROWID;
        CREATE INDEX engine_client_id ON engine_client (id);
    """,
    3: """
        ALTER TABLE engine_audit ADD COLUMN digest BLOB NOT NULL DEFAULT x'';
        CREATE TABLE engine_chain (id INTEGER PRIMARY KEY CHECK (id = 1), start BLOB NOT NULL);
        CREATE INDEX engine_flow_due ON engine_flow (due) WHERE due > 0;
        ALTER TABLE engine_node ADD COLUMN secret BLOB NOT NULL DEFAULT x'';
        ALTER TABLE engine_node ADD COLUMN lives BLOB NOT NULL DEFAULT x'90';
        ALTER TABLE engine_node ADD COLUMN refused TEXT;
        ALTER TABLE engine_node ADD COLUMN former BLOB NOT NULL DEFAULT x'';
        ALTER TABLE engine_node ADD COLUMN severed INTEGER;
        UPDATE engine_node SET secret = randomblob(16);
    """,
    4: """
        CREATE TABLE engine_wait (
            event BLOB NOT NULL,
            flow INTEGER NOT NULL,
            number INTEGER NOT NULL,
            PRIMARY KEY (event, flow, number)
        ) WITHOUT ROWID;
    """,
    # No table changes, but what rows may say: who has claimed a task, that a schedule is paused. A
    # version that does not know these would let others answer, and start what was stopped.
    5: "",
}
"""What makes the next format of an older one, in the transaction that claims the store."""
