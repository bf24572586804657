"""Defects of the store: what a transaction holds, what it undoes, who may write."""

from __future__ import annotations

from tests.planted.planting import defect

_ROOM = "store"
_STORE = "flowrt.store.memory:MemoryStore"
_WORK = "flowrt.store.transaction:Transaction"

DEFECTS = (
    defect(
        "no fence",
        _ROOM,
        "who lost the store may still write",
        "I12",
        (f"{_STORE}.commit", "self._epoch != self.disk.epoch", "False"),
    ),
    defect(
        "claim without an epoch",
        _ROOM,
        "who opens the store does not shut out who had it",
        "I12",
        (f"{_STORE}.open", "disk.epoch += 1", "disk.epoch = max(disk.epoch, 1)"),
    ),
    defect(
        "half a batch",
        _ROOM,
        "what leaves is written before the services' rows are, and stays if those are refused",
        "I5",
        (
            f"{_STORE}.commit",
            "        self._check_new(batch)\n",
            "        self._check_new(batch)\n"
            "        for number, peer, frame in batch.outbox:\n"
            "            self.disk.outbox[number] = (peer, frame)\n",
        ),
    ),
    defect(
        "commits are not counted",
        _ROOM,
        "whether a commit of unknown end was written cannot be seen",
        "I2",
        (f"{_STORE}.commit", "self.disk.commits += 1", "pass"),
    ),
    defect(
        "flow ids again",
        _ROOM,
        "the number of the next flow is not written",
        "I2",
        (f"{_STORE}.commit", "self.disk.next_flow = batch.next_flow", "pass"),
    ),
    defect(
        "outbox ids again",
        _ROOM,
        "the number of the next outbox row is not written",
        "I16",
        (f"{_STORE}.commit", "self.disk.next_outbox = batch.next_outbox", "pass"),
    ),
    defect(
        "nothing is settled",
        _ROOM,
        "rows that were acknowledged stay in the store",
        "I16",
        (f"{_STORE}.commit", "self.disk.outbox.pop(number, None)", "pass"),
    ),
    defect(
        "peers are not written",
        _ROOM,
        "what is remembered of peers is not in the transaction",
        "I6",
        (f"{_STORE}.commit", "self.disk.peers.update(batch.peers)", "pass"),
    ),
    defect(
        "ready is not due",
        _ROOM,
        "a new process is not told of the flows that can go on at once",
        "L",
        (f"{_STORE}.due", "if due is not None)", "if due)"),
    ),
    defect(
        "abandoned rows stay",
        _ROOM,
        "what services wrote for a refused batch is committed with the next one",
        "judge",
        (f"{_WORK}.abandon", 'self.db.execute("ROLLBACK")', 'self.db.execute("COMMIT")'),
    ),
    defect(
        "step is not undone",
        _ROOM,
        "what a failed step wrote stays in the batch",
        "judge",
        (f"{_WORK}.rollback", '        self.db.execute("ROLLBACK TO step")\n', ""),
    ),
    defect(
        "released is undone",
        _ROOM,
        "a step that fails undoes also what the steps before it in the batch wrote",
        "judge",
        (f"{_WORK}.rollback", '"ROLLBACK TO step"', '"ROLLBACK"'),
        (
            f"{_WORK}.rollback",
            '        self.db.execute("RELEASE step")\n',
            '        self.db.execute("BEGIN")\n',
        ),
    ),
    defect(
        "patient is not discharged",
        _ROOM,
        "the hospital's entry of a flow that is well again stays",
        "I16, judge",
        (f"{_STORE}.commit", "self.disk.patients.pop(flow_id, None)", "pass"),
    ),
    defect(
        "audit without the batch",
        _ROOM,
        "the audit trail is not written with a batch that ends a flow",
        "I2",
        (f"{_STORE}.commit", "if batch.audit:", "if batch.audit and not batch.outcomes:"),
    ),
    defect(
        "services commit later",
        _ROOM,
        "what services wrote is committed with the next batch, not with its own",
        "judge",
        (
            f"{_STORE}._commit_tables",
            "if work.db.in_transaction:",
            "if work.db.in_transaction and self.disk.commits % 3:",
        ),
    ),
    defect(
        "tasks are not written",
        _ROOM,
        "questions to people are not in the transaction",
        "I15",
        (f"{_STORE}.commit", "    _replace(self.disk.tasks, batch.tasks)\n", ""),
    ),
    defect(
        "outcome is written over",
        _ROOM,
        "a batch that ends flows keeps the outcome of the first only",
        "I4, judge",
        (
            f"{_STORE}.commit",
            "in batch.outcomes:",
            "in batch.outcomes[:1]:",
        ),
    ),
    defect(
        "audit is no chain",
        _ROOM,
        "each row of the audit trail begins a chain of its own",
        "I20",
        (
            "flowrt.store.memory:MemoryStore.commit",
            "digest_of(before, batch.now_us, batch.audit)",
            "digest_of(NOTHING, batch.now_us, batch.audit)",
        ),
    ),
)
