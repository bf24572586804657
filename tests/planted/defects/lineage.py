"""Defects of how a store that went back is recognised, and of what comes then."""

from __future__ import annotations

from tests.planted.planting import defect

_ROOM = "lineage"
_RECOGNITION = "flowrt.peers.recognition:Recognition"
_LINEAGE = "flowrt.core.lineage:Lineage"
_STORE = "flowrt.store.memory:MemoryStore"

DEFECTS = (
    defect(
        "mark is not checked",
        _ROOM,
        "who is shown a mark that is ahead of its store says that it is its own",
        "B3, I1, I6",
        (f"{_LINEAGE}.judge", "return OWN if said <= end else LATER", "return OWN"),
        (f"{_LINEAGE}.judge", "return OWN if is_old and said <= began else LATER", "return OWN"),
    ),
    defect(
        "mark is not kept",
        _ROOM,
        "what a peer's store had committed is not written with what rests on that",
        "I1, I6, L",
        ("flowrt.loop:Loop._commit", "(*batch.peers, *self._heard)", "batch.peers"),
    ),
    defect(
        "every life is welcome",
        _ROOM,
        "what comes from another life of a peer's store is taken without asking",
        "I1, I6",
        (f"{_RECOGNITION}._is_known", "if life_of(mark) != life_of(last):", "if False:"),
    ),
    defect(
        "count stands still",
        _ROOM,
        "of each life of a peer's store only the first mark is kept",
        "I1, I6, L",
        (f"{_RECOGNITION}._is_known", "if count_of(mark) > count_of(last):", "if False:"),
    ),
    defect(
        "nothing beside the store is read",
        _ROOM,
        "a store does not look at what was written beside it",
        "B2",
        (f"{_STORE}.open", "is_behind(disk.beside, self._as_opened(party))", "None"),
    ),
    defect(
        "nothing beside the store is written",
        _ROOM,
        "how far a store has come is written beside it when it is opened only",
        "B2",
        (
            f"{_STORE}.commit",
            "self.disk.beside = self.disk.incarnation, self.disk.lives[-1][0], self.disk.commits",
            "pass",
        ),
    ),
    defect(
        "refusal is forgotten",
        _ROOM,
        "who was shown that it went back stops, and goes on when it is opened again",
        "B3",
        (f"{_STORE}.refuse", "self.disk.refused = reason", "pass"),
    ),
    defect(
        "lost sessions stay",
        _ROOM,
        "who accepts a restore keeps the sessions that its peers have given up",
        "L, I8",
        (f"{_RECOGNITION}._sever_own", "self._step(Job(row.flow_id, event), turn)", "pass"),
    ),
    defect(
        "the other side waits",
        _ROOM,
        "where a peer's store begins anew, our sessions with it go on waiting",
        "L, I8",
        (
            f"{_RECOGNITION}._sever",
            "self._store.holding(encode(item.peer))",
            "self._store.holding(encode(item.peer))[:0]",
        ),
    ),
    defect(
        "taken before it is known",
        _ROOM,
        "a restored store takes what its peers say before they know that it is restored",
        "L, I8",
        (f"{_RECOGNITION}._is_known", "if known is not None and known.wary:", "if False:"),
    ),
)
