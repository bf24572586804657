-- Rows are keyed by small integers in order of arrival: random keys insert several times slower.
CREATE TABLE engine_node (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    format INTEGER NOT NULL,
    party TEXT NOT NULL,
    incarnation BLOB NOT NULL,
    epoch INTEGER NOT NULL,
    commits INTEGER NOT NULL,
    next_flow INTEGER NOT NULL,
    next_outbox INTEGER NOT NULL,
    draining INTEGER NOT NULL DEFAULT 0,
    -- What its marks are made with, and its last lives: see flowrt.core.lineage.
    secret BLOB NOT NULL DEFAULT x'',
    lives BLOB NOT NULL DEFAULT x'90',
    -- Why it may not be opened: it went back. Where that was accepted: the incarnation before, and
    -- the flow up to which the sessions of that are ended.
    refused TEXT,
    former BLOB NOT NULL DEFAULT x'',
    severed INTEGER
);
-- due: 0 goes on at once, a time in microseconds goes on then, NULL waits for somebody.
-- since: when it was written, in seconds since 1970.
CREATE TABLE engine_flow (
    id INTEGER PRIMARY KEY,
    due INTEGER,
    checkpoint BLOB NOT NULL,
    since INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX engine_flow_due ON engine_flow (due) WHERE due > 0;
CREATE TABLE engine_outbox (id INTEGER PRIMARY KEY, peer TEXT NOT NULL, frame BLOB NOT NULL);
CREATE TABLE engine_peer (name TEXT PRIMARY KEY, known BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE engine_outcome (
    id INTEGER PRIMARY KEY,
    flow TEXT NOT NULL,
    error TEXT,
    value BLOB NOT NULL,
    at INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE engine_progress (
    flow INTEGER NOT NULL,
    number INTEGER NOT NULL,
    event BLOB NOT NULL,
    PRIMARY KEY (flow, number)
) WITHOUT ROWID;
CREATE TABLE engine_hospital (id INTEGER PRIMARY KEY, patient BLOB NOT NULL);
CREATE TABLE engine_mail (
    flow INTEGER NOT NULL,
    number INTEGER NOT NULL,
    content BLOB NOT NULL,
    PRIMARY KEY (flow, number)
) WITHOUT ROWID;
CREATE TABLE engine_task (
    flow INTEGER NOT NULL,
    number INTEGER NOT NULL,
    task BLOB NOT NULL,
    PRIMARY KEY (flow, number)
) WITHOUT ROWID;
CREATE TABLE engine_key (
    flow TEXT NOT NULL,
    key TEXT NOT NULL,
    id INTEGER NOT NULL,
    PRIMARY KEY (flow, key)
) WITHOUT ROWID;
-- Who asked for a flow under a name of its own, and for what: a digest of flow and arguments.
CREATE TABLE engine_client (
    client TEXT PRIMARY KEY,
    id INTEGER NOT NULL,
    digest BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX engine_client_id ON engine_client (id);
CREATE TABLE engine_schedule (name TEXT PRIMARY KEY, state BLOB NOT NULL) WITHOUT ROWID;
-- One row a batch, not one a step: an extra row a step costs more than the step.
CREATE TABLE engine_audit (
    id INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    entries BLOB NOT NULL,
    digest BLOB NOT NULL DEFAULT x''
);
-- The digest of the last row of the audit trail that was purged: what is left begins there.
CREATE TABLE engine_chain (id INTEGER PRIMARY KEY CHECK (id = 1), start BLOB NOT NULL);
-- Who waits for an event of a service: event is a digest of its name and arguments.
CREATE TABLE engine_wait (
    event BLOB NOT NULL,
    flow INTEGER NOT NULL,
    number INTEGER NOT NULL,
    PRIMARY KEY (event, flow, number)
) WITHOUT ROWID;
