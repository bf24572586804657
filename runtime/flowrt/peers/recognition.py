"""Whether a store has gone back: what peers say of ours, what ours knows of theirs.

A peer takes nothing from a life of a store (a process that opened it) that it does not know, until
that has said that the last mark which the peer holds is of its own past. Who is shown a mark that
is ahead of its store refuses to go on. Where a store has lost what it knew, sessions end.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Iterable, Mapping
from types import ModuleType

from flowrt.core import engine
from flowrt.core.engine import Severed
from flowrt.core.hospital import one_line
from flowrt.core.lineage import LATER, OWN, STRANGE, Lineage, count_of, life_of
from flowrt.core.registry import Registry
from flowrt.core.session import INVITED, Peer
from flowrt.core.values import Ack, Invite, Recall, Recalled, decode_frame, encode
from flowrt.core.waiting import find
from flowrt.limits import Limits
from flowrt.peers.outbox import Outbox, packed_word
from flowrt.policies import Policy
from flowrt.stepping import Stepping
from flowrt.store import Opened, Store, gone_back
from flowrt.transport import Transport
from flowrt.turn import Job, Severing, Turn

ASKED_US = 500_000
"""A peer is asked so often at most whether it still is who it was."""

SLICE = 256
"""So many flows are looked at in one commit, where our own store has lost its sessions."""

_LOG = logging.getLogger("flowrt.node")


class Recognition(Stepping):
    """The marks of one party's store and of its peers'."""

    _transport: Transport

    def __init__(
        self,
        party: str,
        store: Store,
        modules: Iterable[ModuleType] | Registry,
        services: Mapping[str, object],
        clock: Callable[[], int],
        key: bytes,
        policy: Policy | None = None,
        limits: Limits | None = None,
    ) -> None:
        super().__init__(party, store, modules, services, clock, key, policy, limits)
        self._outbox = Outbox(store.frames, self._quotas.limits)
        self._lineage = Lineage(b"", [(b"", 0)])
        # Whose mark is ahead of its row; who was asked, about which life and when; who has had its
        # rows since it knows this life; what was lost.
        self._heard: set[str] = set()
        self._asked_us: dict[str, tuple[bytes, int]] = {}
        self._recalled_by: set[str] = set()
        self._severed: int | None = None
        self._former = b""

    def _begin_life(self, opened: Opened) -> None:
        """Go on from what the store holds."""
        self._lineage = Lineage(opened.secret, opened.lives)
        self._former, self._severed = opened.former, opened.severed
        self._heard.clear()
        self._asked_us.clear()
        self._set_mark()

    def _set_mark(self) -> None:
        self._outbox.mark = self._lineage.mark(self._commits)

    def greet(self) -> None:
        """Tell every peer the last that is known of it, and show it which life of our store this
        is: whoever went back is found out though nobody has anything else to say."""
        for name, known in self._peers.items():
            if known.mark:
                self._transport.send(name, packed_word(Recall(known.mark), self._outbox.mark))

    def _peer(self, name: str) -> Peer:
        """What is known of a peer. Who is a stranger to a store that went back need not be one: it
        has forgotten whom it met since it was copied, so late words of that time are kept off."""
        known = self._peers.get(name)
        if known is None:
            known = super()._peer(name)
            known.wary = bool(self._former)
        return known

    # --- what peers are ---

    def _is_known(self, name: str, mark: bytes) -> bool:
        """Whether what comes with that mark may be taken; if not, the peer is asked."""
        known = self._peers.get(name)
        if known is None and self._former and mark:
            known = self._peer(name)
        last = known.mark if known is not None else b""
        if known is not None and known.wary:
            self._ask(name, mark, last)
            return False
        if mark == last:
            return True
        if not last:
            self._peer(name).mark = mark
            self._heard.add(name)
            return True
        if not mark:
            return False
        if life_of(mark) != life_of(last):
            self._ask(name, mark, last)
            return False
        known = self._peers[name]
        if count_of(mark) < known.floor:
            return False
        if count_of(mark) > count_of(last):
            known.mark = mark
            self._heard.add(name)
        return True

    def _ask(self, name: str, mark: bytes, last: bytes) -> None:
        life, now_us = life_of(mark), self._world.now_us
        asked = self._asked_us.get(name)
        if asked is not None and asked[0] == life and 0 <= now_us - asked[1] < ASKED_US:
            return
        self._asked_us[name] = life, now_us
        self._transport.send(name, packed_word(Recall(last), self._outbox.mark))

    def _answered(self, name: str, mark: bytes, answer: Recalled) -> Severing | None:
        """What a peer makes of the mark that it was told. The answer counts for the last one
        only. If all is lost there, what is to be done about that."""
        known = self._peers.get(name)
        if known is None or not mark or answer.mark != known.mark:
            return None
        if known.wary:
            if answer.knows:
                known.wary, known.mark, known.floor = False, mark, count_of(mark)
                self._heard.add(name)
                self._outbox.send_to(name, self._transport, self._world.now_us)
            return None
        if life_of(mark) == life_of(known.mark):
            return None
        if answer.anew:
            return Severing(name, known.mark, mark)
        known.mark, known.floor = mark, 0
        self._heard.add(name)
        self._outbox.send_to(name, self._transport, self._world.now_us)
        return None

    # --- what we are ---

    def _judge(self, name: str, mark: bytes) -> int:
        """What our store makes of a mark that a peer has of it: OWN or STRANGE.

        Raises:
            RestoredFromBackup: the peer knows more than our store.
        """
        verdict = self._lineage.judge(mark, self._commits)
        if verdict == LATER:
            why = f"{name} knows of commits that it does not hold"
            self._store.refuse(why)
            raise gone_back(f"the store of {self.party.name}", why)
        return verdict

    def _is_of_ours(self, name: str, mark: bytes) -> bool:
        """Whether an acknowledgement of what came to a peer with that mark is of rows that our
        store has numbered, and not of those that had their numbers before it went back.

        Raises:
            RestoredFromBackup: the peer knows more than our store.
        """
        return not mark or self._judge(name, mark) == OWN

    def _recall(self, name: str, its: bytes, mark: bytes) -> None:
        """A peer, whose own mark is `its`, tells the last that it knows of us.

        Raises:
            RestoredFromBackup: it knows more than our store.
        """
        verdict = self._judge(name, mark)
        known = self._peer(name)
        if not known.mark and not known.wary:
            known.mark = its
            self._heard.add(name)
        # Where we are wary, our own store has lost all that it had with whatever the peer was, and
        # has taken nothing since: two who went back would wait for each other's word otherwise.
        knows = known.wary or life_of(its) == life_of(known.mark)
        answer = Recalled(mark, verdict == STRANGE, knows)
        self._transport.send(name, packed_word(answer, self._outbox.mark))
        if name not in self._recalled_by:
            self._recalled_by.add(name)
            self._outbox.send_to(name, self._transport, self._world.now_us)
        if known.wary or (known.mark and not knows):
            self._ask(name, its, known.mark)

    # --- what is lost ---

    def _sever(self, item: Severing, turn: Turn) -> None:
        """End what a store had with ours and knows no more, or, without a peer, what ours had."""
        if not item.peer:
            self._sever_own(turn)
            return
        known = self._peers.get(item.peer)
        if known is None or known.mark != item.last:
            return  # A refused batch has taken back what we knew of it, and nothing rests on that.
        error_id = self._error_id()
        text = f"{item.peer} has lost what its store knew of this session"
        spared = self._spared(item.peer, turn)
        known.mark, known.era, known.invited = item.mark, known.era + 1, 0
        known.floor = 0
        turn.batch.peers[item.peer] = b""
        for flow_id in self._store.holding(encode(item.peer)):
            mine = frozenset(number for flow, number in spared if flow == flow_id)
            self._step(Job(flow_id, Severed(item.peer, text, error_id, mine)), turn)
        _LOG.warning(
            "%s: the store of %s begins anew; our sessions with what it was have ended (%s)",
            self.party.name,
            one_line(item.peer),
            error_id,
        )

    def _spared(self, peer: str, turn: Turn) -> set[tuple[int, int]]:
        """Which sessions (flow, number) are still being asked for: the new store will answer. An
        invitation that the old one has answered already, if only with words that came before their
        turn, is not sent to it: nobody reads what two have said."""
        spared = set()
        for number, data in self._outbox.rows_for(peer):
            frame = decode_frame(data)
            if type(frame) is not Invite:
                continue
            checkpoint = self._checkpoint(Job(frame.from_flow, engine.RESUME), turn)
            session = find(checkpoint, frame.from_session) if checkpoint is not None else None
            if session is not None and session.status == INVITED and not session.inbox:
                spared.add((frame.from_flow, frame.from_session))
            else:
                self._outbox.forget(peer, number)
        return spared

    def _sever_own(self, turn: Turn) -> None:
        """Some flows more whose sessions our own store has lost: it was a backup."""
        assert self._severed is not None
        rows = list(itertools.islice(self._store.flows(self._severed), SLICE))
        error_id = self._error_id()
        text = f"the store of {self.party.name} was restored from a backup"
        for row in rows:
            event = Severed("", text, error_id, former=self._former)
            self._step(Job(row.flow_id, event), turn)
        turn.batch.severed = rows[-1].flow_id if rows else 0
        if rows:
            _LOG.warning(
                "%s: restored from a backup; the sessions of %d flows have ended (%s)",
                self.party.name,
                len(rows),
                error_id,
            )
        else:
            turn.audit.append((0, 0, RESTORED, [("warn", text)]))
            # Every peer must hear of this life, so that it ends the sessions at its side.
            for peer, known in self._peers.items():
                known.seen, known.wary = [], True
                turn.batch.peers[peer] = b""
                self._enqueue(turn, peer, encode(Ack(())))

    def _error_id(self) -> str:
        return self._world.secret(self._next_outbox, self._commits, b"severed")[:8].hex()


RESTORED = 101
"""How the audit trail writes that a store was a backup, and all sessions of it have ended."""
