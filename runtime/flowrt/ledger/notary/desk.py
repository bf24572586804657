"""Where claims come together: all that wait are decided in one transaction and signed at once.

It knows no flow and no session. What it is asked twice it answers twice, and alike.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import datetime
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from flowrt.ledger.keys import SigningKey
from flowrt.ledger.notary.judging import Accepted, Verdict, decide
from flowrt.ledger.notary.requests import Claim
from flowrt.ledger.signatures import TransactionSignature, sign_all
from flowrt.store.uniqueness import Book

MAX_BATCH: Final = 1_024
"""The most claims of one transaction of the book."""

MAX_BATCH_STATES: Final = 20_000
"""The most inputs and references of one transaction of the book, but for a claim that has more."""


class Answer:
    """What came of a claim: the verdict, and the signature where it was accepted."""

    __slots__ = ("signature", "verdict")

    def __init__(self, verdict: Verdict, signature: TransactionSignature | None) -> None:
        self.verdict = verdict
        self.signature = signature


def utc_now() -> datetime.datetime:
    """The machine's clock."""
    return datetime.datetime.now(datetime.UTC)


class Desk:
    """Takes claims for one book and signs with one key.

    Several desks, in threads and processes of any number, may share a book: what one has entered
    the others see. A desk itself belongs to one event loop. `clock` gives the notary's time, in
    UTC.
    """

    def __init__(
        self, book: Book, key: SigningKey, clock: Callable[[], datetime.datetime] = utc_now
    ) -> None:
        self.book = book
        self.key = key
        self._clock = clock
        self._waiting: deque[tuple[Claim, asyncio.Future[Answer]]] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._serving: asyncio.Task[None] | None = None
        self._thread: concurrent.futures.ThreadPoolExecutor | None = None
        self.batches = 0
        self.claims = 0

    def decide(self, claims: Sequence[Claim]) -> list[Answer]:
        """The answers to claims, in their order, from one transaction and one signature. Nothing is
        signed that is not durable before."""
        verdicts = decide(self.book, claims, self._clock)
        self.batches += 1
        self.claims += len(claims)
        accepted = {
            claim.transaction: None
            for claim, verdict in zip(claims, verdicts, strict=True)
            if isinstance(verdict, Accepted)
        }
        signatures = dict(zip(accepted, sign_all(list(accepted), self.key), strict=True))
        return [
            Answer(
                verdict,
                signatures.get(claim.transaction) if isinstance(verdict, Accepted) else None,
            )
            for claim, verdict in zip(claims, verdicts, strict=True)
        ]

    async def answer(self, claim: Claim) -> Answer:
        """The answer to a claim, which is decided together with all that wait when its turn comes.
        Raises what the book raises; then nothing was entered, or it is not known, and asking again
        is right."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            # An earlier loop is over, and with it all who waited in it: their flows ask again.
            self._loop, self._serving = loop, None
            self._waiting.clear()
        future: asyncio.Future[Answer] = loop.create_future()
        self._waiting.append((claim, future))
        if self._serving is None or self._serving.done():
            self._serving = loop.create_task(self._serve(loop))
        return await future

    def close(self) -> None:
        """Let go of the thread; the book is its owner's."""
        if self._thread is not None:
            self._thread.shutdown()
            self._thread = None

    async def _serve(self, loop: asyncio.AbstractEventLoop) -> None:
        # Those who came together are taken together: a turn of the loop lets them all come.
        await asyncio.sleep(0)
        while self._waiting:
            batch = self._next_batch()
            claims = [claim for claim, _ in batch]
            try:
                if self.book.waits:
                    answers = await loop.run_in_executor(self._own_thread(), self.decide, claims)
                else:
                    answers = self.decide(claims)
            except Exception as error:
                for _, future in batch:
                    if not future.done():
                        future.set_exception(error)
            else:
                for (_, future), answer in zip(batch, answers, strict=True):
                    if not future.done():
                        future.set_result(answer)

    def _next_batch(self) -> list[tuple[Claim, asyncio.Future[Answer]]]:
        batch: list[tuple[Claim, asyncio.Future[Answer]]] = []
        states = 0
        while self._waiting and len(batch) < MAX_BATCH:
            claim, future = self._waiting[0]
            states += len(claim.inputs) + len(claim.references)
            if batch and states > MAX_BATCH_STATES:
                break
            self._waiting.popleft()
            if not future.done():  # Who asked may have gone.
                batch.append((claim, future))
        return batch

    def _own_thread(self) -> concurrent.futures.ThreadPoolExecutor:
        if self._thread is None:
            self._thread = concurrent.futures.ThreadPoolExecutor(1, "notary's book")
        return self._thread
