"""Whether a disk holds all of a batch that was just committed. Knows rows, and no flow."""

from __future__ import annotations

from collections.abc import Iterator

from flowrt.store import Batch
from flowrt.store.memory import MemoryDisk


def missing(disk: MemoryDisk, batch: Batch) -> str | None:
    """What of the batch is not on the disk, or should not be there any more; None if all is as
    the batch says."""
    return next(_missing(disk, batch), None)


def _missing(disk: MemoryDisk, batch: Batch) -> Iterator[str]:
    if (disk.next_flow, disk.next_outbox) != (batch.next_flow, batch.next_outbox):
        yield "the next numbers"
    for flow_id, row in batch.flows.items():
        if disk.flows.get(flow_id) != row:
            yield f"flow {flow_id}"
    settled = set(batch.settled)
    for number, peer, frame in batch.outbox:
        if disk.outbox.get(number) != (peer, frame) and number not in settled:
            yield f"outbox row {number}"
    for number in settled:
        if number in disk.outbox:
            yield f"that outbox row {number} is settled"
    for flow_id, flow, error, value in batch.outcomes:
        if disk.outcomes.get(flow_id) != (flow, error, value):
            yield f"the outcome of flow {flow_id}"
    for peer, known in batch.peers.items():
        if disk.peers.get(peer) != known:
            yield f"peer {peer}"
    for flow_id, number, content in batch.mail:
        if (number, content) not in disk.mail.get(flow_id, ()):
            yield f"mail {number} of flow {flow_id}"
    for flow_id, number, move in batch.moves:
        moves = disk.moves.get(flow_id, ())
        if number >= len(moves) or moves[number] != move:
            yield f"move {number} of flow {flow_id}"
    for flow_id, patient in batch.patients.items():
        if disk.patients.get(flow_id) != patient:
            yield f"patient {flow_id}"
    for question, task in batch.tasks.items():
        if disk.tasks.get(question) != task:
            yield f"task {question}"
    for name, schedule in batch.schedules.items():
        if disk.schedules.get(name) != schedule:
            yield f"schedule {name}"
    for key, holder in batch.keys.items():
        if disk.keys.get(key) != holder:
            yield f"key {key}"
    if batch.audit and (not disk.audit or disk.audit[-1] != (batch.now_us, batch.audit)):
        yield "the audit row"
