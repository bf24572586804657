"""Flows written by hand in the shape of generated code: small, and varied where the runtime is."""

from __future__ import annotations

import datetime
import typing
from collections.abc import Mapping

from flowrt.core import flow as rt


class Ask(rt.Message, frozen=True, array_like=True, gc=False):
    wire: typing.ClassVar[str] = "hand.Ask"
    n: rt.Int


class Reply(rt.Message, frozen=True, array_like=True, gc=False):
    wire: typing.ClassVar[str] = "hand.Reply"
    n: rt.Int


class Note(rt.Message, frozen=True, array_like=True, gc=False):
    wire: typing.ClassVar[str] = "hand.Note"
    text: str


class Forward(rt.Message, frozen=True, array_like=True, gc=False):
    wire: typing.ClassVar[str] = "hand.Forward"
    n: rt.Int
    to: rt.Party


class TooMuch(rt.FlowError):
    """hand.flow: error TooMuch(limit: Int, given: Int): "{given} is over {limit}" """

    wire = "hand.TooMuch"

    class Fields(rt.Value, frozen=True, array_like=True, gc=False):
        limit: rt.Int
        given: rt.Int

    def __init__(self, limit: int, given: int) -> None:
        self.limit = limit
        self.given = given
        super().__init__(rt.text(given, " is over ", limit))


class Refused(rt.FlowError):
    wire = "hand.Refused"

    class Fields(rt.Value, frozen=True, array_like=True, gc=False):
        why: str

    def __init__(self, why: str) -> None:
        self.why = why
        super().__init__(rt.text("refused: ", why))


ERRORS: Mapping[str, type[rt.FlowError]] = {"hand.TooMuch": TooMuch, "hand.Refused": Refused}


class Journal(typing.Protocol):
    def put(self, tx: rt.Tx, text: str, /) -> None: ...

    def count(self, tx: rt.Tx, /) -> int: ...


JOURNAL: rt.ServiceKey[Journal] = rt.ServiceKey(
    "hand.Journal",
    rt.Operation("put", "write", ("text",), None),
    rt.Operation("count", "read", (), rt.Int),
)


# --- ask and reply -------------------------------------------------------------------------------


class Asker_v1(rt.Flow[int]):
    contract = 2
    name = "hand.Asker"
    version = 1
    startable = ("rpc",)
    errors = ERRORS

    def __init__(self, *, to: rt.Party, rounds: int) -> None:
        rt.refuse_call(Asker_v1, to=to, rounds=rounds)

    class Start(rt.State, frozen=True, array_like=True, gc=False, tag=0):
        place: typing.ClassVar[str] = "hand.flow:1"
        to: rt.Party
        rounds: rt.Int

    class AwaitReply(rt.State, frozen=True, array_like=True, gc=False, tag=1):
        place: typing.ClassVar[str] = "hand.flow:5"
        s: rt.Session
        rounds: rt.Int
        total: rt.Int

    States = Start | AwaitReply
    Result = int

    @classmethod
    def step(cls, at: Start | AwaitReply, run: rt.Run) -> rt.Step[int]:
        match at:
            case Asker_v1.Start():
                s = run.open("hand.Answerer", at.to, 0)
                rounds, total = at.rounds, 0
            case Asker_v1.AwaitReply():
                s = at.s
                rounds, total = at.rounds - 1, at.total + run.received(Reply).n
        if rounds > 0:
            run.send(s, Ask(rounds))
            return rt.Receive(Asker_v1.AwaitReply(s=s, rounds=rounds, total=total), s)
        return rt.Return(total)


class Answerer_v1(rt.Flow[int]):
    """Replies to what it is asked, and writes it down, until the asker ends."""

    contract = 2
    name = "hand.Answerer"
    version = 1
    responds_to = "hand.Asker"
    services = (JOURNAL,)
    errors = ERRORS

    class Start(rt.State, frozen=True, array_like=True, gc=False, tag=0):
        place: typing.ClassVar[str] = "hand.flow:20"
        s: rt.Session

    class AwaitAsk(rt.State, frozen=True, array_like=True, gc=False, tag=1):
        place: typing.ClassVar[str] = "hand.flow:23"
        s: rt.Session
        seen: rt.Int

    States = Start | AwaitAsk
    Result = int

    @classmethod
    def step(cls, at: Start | AwaitAsk, run: rt.Run) -> rt.Step[int]:
        match at:
            case Answerer_v1.Start():
                return rt.Receive(Answerer_v1.AwaitAsk(s=at.s, seen=0), at.s)
            case Answerer_v1.AwaitAsk():
                try:
                    n = run.received(Ask).n
                except rt.SessionEnded:
                    return rt.Return(at.seen)
                run.service(JOURNAL).put(run.tx, f"asked {n}")
                run.send(at.s, Reply(n * 2))
                return rt.Receive(Answerer_v1.AwaitAsk(s=at.s, seen=at.seen + 1), at.s)


# --- sending only --------------------------------------------------------------------------------


class Notifier_v1(rt.Flow[int]):
    contract = 2
    name = "hand.Notifier"
    version = 1
    startable = ("rpc",)
    errors = ERRORS

    def __init__(self, *, to: rt.Party, texts: tuple[str, ...], flow: str) -> None:
        rt.refuse_call(Notifier_v1, to=to, texts=texts, flow=flow)

    class Start(rt.State, frozen=True, array_like=True, gc=False, tag=0):
        place: typing.ClassVar[str] = "hand.flow:30"
        to: rt.Party
        texts: tuple[str, ...]
        flow: str

    States = Start
    Result = int

    @classmethod
    def step(cls, at: Start, run: rt.Run) -> rt.Step[int]:
        s = run.open(at.flow, at.to, 0)
        for text in at.texts:
            run.send(s, Note(text))
        return rt.Return(len(at.texts))


class Listener_v1(rt.Flow[None]):
    contract = 2
    name = "hand.Listener"
    version = 1
    responds_to = "hand.Notifier"
    services = (JOURNAL,)
    errors = ERRORS

    class Start(rt.State, frozen=True, array_like=True, gc=False, tag=0):
        place: typing.ClassVar[str] = "hand.flow:40"
        s: rt.Session

    class AwaitNote(rt.State, frozen=True, array_like=True, gc=False, tag=1):
        place: typing.ClassVar[str] = "hand.flow:42"
        s: rt.Session

    States = Start | AwaitNote
    Result = type(None)

    @classmethod
    def step(cls, at: Start | AwaitNote, run: rt.Run) -> rt.Step[None]:
        match at:
            case Listener_v1.Start():
                return rt.Receive(Listener_v1.AwaitNote(s=at.s), at.s)
            case Listener_v1.AwaitNote():
                try:
                    note = run.received(Note)
                except rt.SessionEnded:
                    run.service(JOURNAL).put(run.tx, "the end")
                    return rt.Return(None)
                run.service(JOURNAL).put(run.tx, note.text)
                return rt.Receive(Listener_v1.AwaitNote(s=at.s), at.s)


# --- both sides send first -----------------------------------------------------------------------


class Left_v1(rt.Flow[str]):
    contract = 2
    name = "hand.Left"
    version = 1
    startable = ("rpc",)
    errors = ERRORS

    def __init__(self, *, to: rt.Party) -> None:
        rt.refuse_call(Left_v1, to=to)

    class Start(rt.State, frozen=True, array_like=True, gc=False, tag=0):
        to: rt.Party

    class AwaitNote(rt.State, frozen=True, array_like=True, gc=False, tag=1):
        s: rt.Session

    States = Start | AwaitNote
    Result = str

    @classmethod
    def step(cls, at: Start | AwaitNote, run: rt.Run) -> rt.Step[str]:
        match at:
            case Left_v1.Start():
                s = run.open("hand.Right", at.to, 0)
                run.send(s, Note("from left"))
                return rt.Receive(Left_v1.AwaitNote(s=s), s)
            case Left_v1.AwaitNote():
                return rt.Return(run.received(Note).text)


class Right_v1(rt.Flow[str]):
    contract = 2
    name = "hand.Right"
    version = 1
    responds_to = "hand.Left"
    services = (JOURNAL,)
    errors = ERRORS

    class Start(rt.State, frozen=True, array_like=True, gc=False, tag=0):
        s: rt.Session

    class AwaitNote(rt.State, frozen=True, array_like=True, gc=False, tag=1):
        s: rt.Session

    States = Start | AwaitNote
    Result = str

    @classmethod
    def step(cls, at: Start | AwaitNote, run: rt.Run) -> rt.Step[str]:
        match at:
            case Right_v1.Start():
                run.send(at.s, Note("from right"))
                return rt.Receive(Right_v1.AwaitNote(s=at.s), at.s)
            case Right_v1.AwaitNote():
                text = run.received(Note).text
                run.service(JOURNAL).put(run.tx, text)
                return rt.Return(text)


# --- two sessions, read in the other order -------------------------------------------------------


class Pair_v1(rt.Flow[tuple[int, int]]):
    contract = 2
    name = "hand.Pair"
    version = 1
    startable = ("rpc",)
    errors = ERRORS

    def __init__(self, *, first: rt.Party, second: rt.Party) -> None:
        rt.refuse_call(Pair_v1, first=first, second=second)

    class Start(rt.State, frozen=True, array_like=True, gc=False, tag=0):
        first: rt.Party
        second: rt.Party

    class AwaitSecond(rt.State, frozen=True, array_like=True, gc=False, tag=1):
        a: rt.Session

    class AwaitFirst(rt.State, frozen=True, array_like=True, gc=False, tag=2):
        second: rt.Int

    States = Start | AwaitSecond | AwaitFirst
    Result = tuple[int, int]

    @classmethod
    def step(cls, at: Start | AwaitSecond | AwaitFirst, run: rt.Run) -> rt.Step[tuple[int, int]]:
        match at:
            case Pair_v1.Start():
                a = run.open("hand.Echo", at.first, 0)
                b = run.open("hand.Echo", at.second, 0)
                run.send(a, Ask(1))
                run.send(b, Ask(2))
                return rt.Receive(Pair_v1.AwaitSecond(a=a), b)
            case Pair_v1.AwaitSecond():
                second = run.received(Reply).n
                return rt.Receive(Pair_v1.AwaitFirst(second=second), at.a)
            case Pair_v1.AwaitFirst():
                return rt.Return((run.received(Reply).n, at.second))


class Echo_v1(rt.Flow[None]):
    contract = 2
    name = "hand.Echo"
    version = 1
    responds_to = "hand.Pair"
    errors = ERRORS

    class Start(rt.State, frozen=True, array_like=True, gc=False, tag=0):
        s: rt.Session

    class AwaitAsk(rt.State, frozen=True, array_like=True, gc=False, tag=1):
        s: rt.Session

    States = Start | AwaitAsk
    Result = type(None)

    @classmethod
    def step(cls, at: Start | AwaitAsk, run: rt.Run) -> rt.Step[None]:
        match at:
            case Echo_v1.Start():
                return rt.Receive(Echo_v1.AwaitAsk(s=at.s), at.s)
            case Echo_v1.AwaitAsk():
                run.send(at.s, Reply(run.received(Ask).n))
                return rt.Return(None)


# --- a chain: what of an error reaches whom ------------------------------------------------------


class Front_v1(rt.Flow[int]):
    contract = 2
    name = "hand.Front"
    version = 1
    startable = ("rpc",)
    errors = ERRORS

    def __init__(self, *, middle: rt.Party, back: rt.Party, n: int) -> None:
        rt.refuse_call(Front_v1, middle=middle, back=back, n=n)

    class Start(rt.State, frozen=True, array_like=True, gc=False, tag=0):
        middle: rt.Party
        back: rt.Party
        n: rt.Int

    class AwaitReply(rt.State, frozen=True, array_like=True, gc=False, tag=1):
        pass

    States = Start | AwaitReply
    Result = int

    @classmethod
    def step(cls, at: Start | AwaitReply, run: rt.Run) -> rt.Step[int]:
        match at:
            case Front_v1.Start():
                s = run.open("hand.Middle", at.middle, 0)
                run.send(s, Forward(at.n, at.back))
                return rt.Receive(Front_v1.AwaitReply(), s)
            case Front_v1.AwaitReply():
                return rt.Return(run.received(Reply).n)


class Middle_v1(rt.Flow[None]):
    contract = 2
    name = "hand.Middle"
    version = 1
    responds_to = "hand.Front"
    errors = ERRORS

    class Start(rt.State, frozen=True, array_like=True, gc=False, tag=0):
        front: rt.Session

    class AwaitForward(rt.State, frozen=True, array_like=True, gc=False, tag=1):
        front: rt.Session

    class AwaitReply(rt.State, frozen=True, array_like=True, gc=False, tag=2):
        front: rt.Session

    States = Start | AwaitForward | AwaitReply
    Result = type(None)

    @classmethod
    def step(cls, at: Start | AwaitForward | AwaitReply, run: rt.Run) -> rt.Step[None]:
        match at:
            case Middle_v1.Start():
                return rt.Receive(Middle_v1.AwaitForward(front=at.front), at.front)
            case Middle_v1.AwaitForward():
                forward = run.received(Forward)
                back = run.open("hand.Back", forward.to, 0)
                run.send(back, Ask(forward.n))
                return rt.Receive(Middle_v1.AwaitReply(front=at.front), back)
            case Middle_v1.AwaitReply():
                run.send(at.front, run.received(Reply))
                return rt.Return(None)


class Back_v1(rt.Flow[None]):
    """Over 100 is too much, 0 is divided by, below that its Python does something foolish."""

    contract = 2
    name = "hand.Back"
    version = 1
    responds_to = "hand.Middle"
    errors = ERRORS

    class Start(rt.State, frozen=True, array_like=True, gc=False, tag=0):
        s: rt.Session

    class AwaitAsk(rt.State, frozen=True, array_like=True, gc=False, tag=1):
        place: typing.ClassVar[str] = "hand.flow:90"
        s: rt.Session

    States = Start | AwaitAsk
    Result = type(None)

    @classmethod
    def step(cls, at: Start | AwaitAsk, run: rt.Run) -> rt.Step[None]:
        match at:
            case Back_v1.Start():
                return rt.Receive(Back_v1.AwaitAsk(s=at.s), at.s)
            case Back_v1.AwaitAsk():
                n = run.received(Ask).n
                if n > 100:
                    raise TooMuch(100, n)
                if n < 0:
                    raise rt.Malformed("a secret of Back")
                run.send(at.s, Reply(rt.floor_div(1000, n)))
                return rt.Return(None)


# --- a subflow with its own session, a catch around it, a fresh session --------------------------


class Bid_v1(rt.Flow[int]):
    contract = 2
    name = "hand.Bid"
    version = 1
    errors = ERRORS

    class Start(rt.State, frozen=True, array_like=True, gc=False, tag=0):
        to: rt.Party
        price: rt.Int

    class AwaitReply(rt.State, frozen=True, array_like=True, gc=False, tag=1):
        pass

    States = Start | AwaitReply
    Result = int
    steps = (rt.ProgressStep("BIDDING", "Making an offer"),)

    @classmethod
    def step(cls, at: Start | AwaitReply, run: rt.Run) -> rt.Step[int]:
        match at:
            case Bid_v1.Start():
                run.at("BIDDING", f"Offering {at.price}")
                s = run.open("hand.Limit", at.to, 0)
                run.send(s, Ask(at.price))
                return rt.Receive(Bid_v1.AwaitReply(), s)
            case Bid_v1.AwaitReply():
                return rt.Return(run.received(Reply).n)


class Limit_v1(rt.Flow[int]):
    contract = 2
    name = "hand.Limit"
    version = 1
    responds_to = "hand.Bid"
    services = (JOURNAL,)
    errors = ERRORS

    class Start(rt.State, frozen=True, array_like=True, gc=False, tag=0):
        s: rt.Session

    class AwaitAsk(rt.State, frozen=True, array_like=True, gc=False, tag=1):
        s: rt.Session

    States = Start | AwaitAsk
    Result = int

    @classmethod
    def step(cls, at: Start | AwaitAsk, run: rt.Run) -> rt.Step[int]:
        match at:
            case Limit_v1.Start():
                return rt.Receive(Limit_v1.AwaitAsk(s=at.s), at.s)
            case Limit_v1.AwaitAsk():
                n = run.received(Ask).n
                run.service(JOURNAL).put(run.tx, f"offered {n}")
                if n > 10:
                    raise TooMuch(10, n)
                run.send(at.s, Reply(n))
                return rt.Return(n)


class Bidder_v1(rt.Flow[int]):
    """Bids, lowers its price as the error says, bids again; the error lies in a checkpoint."""

    contract = 2
    name = "hand.Bidder"
    version = 1
    startable = ("rpc",)
    errors = ERRORS
    subflows = ("hand.Bid_v1",)
    steps = (
        rt.ProgressStep("FIRST", "First offer", "hand.Bid"),
        rt.ProgressStep("AGAIN", "Another offer", "hand.Bid"),
    )

    def __init__(self, *, to: rt.Party, price: int) -> None:
        rt.refuse_call(Bidder_v1, to=to, price=price)

    class Start(rt.State, frozen=True, array_like=True, gc=False, tag=0):
        to: rt.Party
        price: rt.Int

    class InBid(rt.State, frozen=True, array_like=True, gc=False, tag=1):
        to: rt.Party

    class Checkpoint(rt.State, frozen=True, array_like=True, gc=False, tag=2):
        to: rt.Party
        e: TooMuch

    States = Start | InBid | Checkpoint
    Result = int

    @classmethod
    def step(cls, at: Start | InBid | Checkpoint, run: rt.Run) -> rt.Step[int]:
        match at:
            case Bidder_v1.Start():
                run.at("FIRST")
                start = Bid_v1.Start(to=at.to, price=at.price)
                return rt.Call(Bidder_v1.InBid(to=at.to), Bid_v1, start)
            case Bidder_v1.InBid():
                try:
                    return rt.Return(run.result(Bid_v1))
                except TooMuch as e:
                    return rt.Checkpoint(Bidder_v1.Checkpoint(to=at.to, e=e))
            case Bidder_v1.Checkpoint():
                run.at("AGAIN", f"after {at.e}")
                start = Bid_v1.Start(to=at.to, price=at.e.limit)
                return rt.Call(Bidder_v1.InBid(to=at.to), Bid_v1, start)


# --- a session each round of a loop --------------------------------------------------------------


class Rounds_v1(rt.Flow[int]):
    """Opens a session in each round and leaves it; reads a reply if `listen`."""

    contract = 2
    name = "hand.Rounds"
    version = 1
    startable = ("rpc",)
    errors = ERRORS

    def __init__(self, *, to: rt.Party, flow: str, count: int, listen: bool) -> None:
        rt.refuse_call(Rounds_v1, to=to, flow=flow, count=count, listen=listen)

    class Start(rt.State, frozen=True, array_like=True, gc=False, tag=0):
        to: rt.Party
        flow: str
        count: rt.Int
        listen: bool

    class AwaitReply(rt.State, frozen=True, array_like=True, gc=False, tag=1):
        to: rt.Party
        flow: str
        count: rt.Int

    class Checkpoint(rt.State, frozen=True, array_like=True, gc=False, tag=2):
        to: rt.Party
        flow: str
        count: rt.Int

    States = Start | AwaitReply | Checkpoint
    Result = int

    @classmethod
    def step(cls, at: Start | AwaitReply | Checkpoint, run: rt.Run) -> rt.Step[int]:
        listen = False
        match at:
            case Rounds_v1.Start():
                listen = at.listen
            case Rounds_v1.AwaitReply():
                run.received(Reply)
                listen = True
                run.leave(0)
        if at.count == 0:
            return rt.Return(0)
        s = run.open(at.flow, at.to, 1)
        run.send(s, Ask(at.count))
        if listen:
            state = Rounds_v1.AwaitReply(to=at.to, flow=at.flow, count=at.count - 1)
            return rt.Receive(state, s)
        run.leave(0)
        return rt.Checkpoint(Rounds_v1.Checkpoint(to=at.to, flow=at.flow, count=at.count - 1))


class Rounded_v1(rt.Flow[None]):
    contract = 2
    name = "hand.Rounded"
    version = 1
    responds_to = "hand.Rounds"
    services = (JOURNAL,)
    errors = ERRORS

    class Start(rt.State, frozen=True, array_like=True, gc=False, tag=0):
        s: rt.Session

    class AwaitAsk(rt.State, frozen=True, array_like=True, gc=False, tag=1):
        s: rt.Session

    States = Start | AwaitAsk
    Result = type(None)

    @classmethod
    def step(cls, at: Start | AwaitAsk, run: rt.Run) -> rt.Step[None]:
        match at:
            case Rounded_v1.Start():
                return rt.Receive(Rounded_v1.AwaitAsk(s=at.s), at.s)
            case Rounded_v1.AwaitAsk():
                n = run.received(Ask).n
                run.service(JOURNAL).put(run.tx, f"round {n}")
                run.send(at.s, Reply(n))
                return rt.Return(None)


# --- who ends too early, and who goes on all the same --------------------------------------------


class Stubborn_v1(rt.Flow[str]):
    """Reads, and after the end reads again and sends: every time `SessionEnded`, never a hang."""

    contract = 2
    name = "hand.Stubborn"
    version = 1
    startable = ("rpc",)
    errors = ERRORS

    def __init__(self, *, to: rt.Party) -> None:
        rt.refuse_call(Stubborn_v1, to=to)

    class Start(rt.State, frozen=True, array_like=True, gc=False, tag=0):
        to: rt.Party

    class AwaitReply(rt.State, frozen=True, array_like=True, gc=False, tag=1):
        s: rt.Session
        said: str

    States = Start | AwaitReply
    Result = str

    @classmethod
    def step(cls, at: Start | AwaitReply, run: rt.Run) -> rt.Step[str]:
        match at:
            case Stubborn_v1.Start():
                s = run.open("hand.Quitter", at.to, 0)
                run.send(s, Ask(1))
                return rt.Receive(Stubborn_v1.AwaitReply(s=s, said=""), s)
            case Stubborn_v1.AwaitReply():
                try:
                    run.received(Reply)
                except rt.SessionEnded:
                    said = at.said + "ended;"
                    if len(said) < 12:
                        return rt.Receive(Stubborn_v1.AwaitReply(s=at.s, said=said), at.s)
                else:
                    return rt.Return("a reply?")
                try:
                    run.send(at.s, Ask(2))
                except rt.SessionEnded:
                    said += "cannot send"
                return rt.Return(said)


class Quitter_v1(rt.Flow[None]):
    contract = 2
    name = "hand.Quitter"
    version = 1
    responds_to = "hand.Stubborn"
    errors = ERRORS

    class Start(rt.State, frozen=True, array_like=True, gc=False, tag=0):
        s: rt.Session

    States = Start
    Result = type(None)

    @classmethod
    def step(cls, at: Start, run: rt.Run) -> rt.Step[None]:
        return rt.Return(None)


class Hasty_v1(rt.Flow[None]):
    """Opens, says something, throws: all in one step, before anyone can have confirmed."""

    contract = 2
    name = "hand.Hasty"
    version = 1
    startable = ("rpc",)
    errors = ERRORS

    def __init__(self, *, to: rt.Party, words: int) -> None:
        rt.refuse_call(Hasty_v1, to=to, words=words)

    class Start(rt.State, frozen=True, array_like=True, gc=False, tag=0):
        to: rt.Party
        words: rt.Int

    States = Start
    Result = type(None)

    @classmethod
    def step(cls, at: Start, run: rt.Run) -> rt.Step[None]:
        s = run.open("hand.Victim", at.to, 0)
        for word in range(at.words):
            run.send(s, Note(f"word {word}"))
        raise TooMuch(1, 2)


class Victim_v1(rt.Flow[str]):
    contract = 2
    name = "hand.Victim"
    version = 1
    responds_to = "hand.Hasty"
    services = (JOURNAL,)
    errors = ERRORS

    class Start(rt.State, frozen=True, array_like=True, gc=False, tag=0):
        s: rt.Session

    class AwaitNote(rt.State, frozen=True, array_like=True, gc=False, tag=1):
        s: rt.Session

    States = Start | AwaitNote
    Result = str

    @classmethod
    def step(cls, at: Start | AwaitNote, run: rt.Run) -> rt.Step[str]:
        match at:
            case Victim_v1.Start():
                return rt.Receive(Victim_v1.AwaitNote(s=at.s), at.s)
            case Victim_v1.AwaitNote():
                try:
                    text = run.received(Note).text
                except TooMuch as e:
                    run.service(JOURNAL).put(run.tx, f"caught {e} {e.error_id}")
                    return rt.Return(rt.text(e.given))
                run.service(JOURNAL).put(run.tx, text)
                return rt.Receive(Victim_v1.AwaitNote(s=at.s), at.s)


# --- alone ---------------------------------------------------------------------------------------


class Napper_v1(rt.Flow[int]):
    contract = 2
    name = "hand.Napper"
    version = 1
    startable = ("rpc",)
    errors = ERRORS
    services = (JOURNAL,)
    steps = (rt.ProgressStep("NAPPING", "Asleep"), rt.ProgressStep("AWAKE", "Up again"))

    def __init__(self, *, naps: int, length: datetime.timedelta) -> None:
        rt.refuse_call(Napper_v1, naps=naps, length=length)

    class Start(rt.State, frozen=True, array_like=True, gc=False, tag=0):
        place: typing.ClassVar[str] = "hand.flow:200"
        naps: rt.Int
        length: datetime.timedelta

    class Asleep(rt.State, frozen=True, array_like=True, gc=False, tag=1):
        place: typing.ClassVar[str] = "hand.flow:203"
        naps: rt.Int
        length: datetime.timedelta
        done: rt.Int

    States = Start | Asleep
    Result = int

    @classmethod
    def step(cls, at: Start | Asleep, run: rt.Run) -> rt.Step[int]:
        match at:
            case Napper_v1.Start():
                done = 0
            case Napper_v1.Asleep():
                done = at.done + 1
                run.at("AWAKE", rt.text("Up after nap ", done))
                run.log("info", rt.text("awake ", done, " at ", run.now))
                run.service(JOURNAL).put(run.tx, f"nap {done}")
        if done == at.naps:
            return rt.Return(done)
        run.at("NAPPING")
        return rt.Sleep(Napper_v1.Asleep(naps=at.naps, length=at.length, done=done), at.length)


class Holder_v1(rt.Flow[str]):
    contract = 2
    name = "hand.Holder"
    version = 1
    startable = ("rpc",)
    errors = ERRORS

    def __init__(self, *, reason: str) -> None:
        rt.refuse_call(Holder_v1, reason=reason)

    class Start(rt.State, frozen=True, array_like=True, gc=False, tag=0):
        reason: str

    class Held(rt.State, frozen=True, array_like=True, gc=False, tag=1):
        place: typing.ClassVar[str] = "hand.flow:220"

    States = Start | Held
    Result = str

    @classmethod
    def step(cls, at: Start | Held, run: rt.Run) -> rt.Step[str]:
        match at:
            case Holder_v1.Start():
                return rt.Hold(Holder_v1.Held(), at.reason)
            case Holder_v1.Held():
                return rt.Return("went on")


class Teller_v1(rt.Flow[int]):
    """Writes, checkpoints, writes again; `first` and `second` are what its service is told."""

    contract = 2
    name = "hand.Teller"
    version = 1
    startable = ("rpc",)
    errors = ERRORS
    services = (JOURNAL,)
    steps = (rt.ProgressStep("ONE", "Writing"), rt.ProgressStep("TWO", "Writing more"))

    def __init__(self, *, first: str, second: str) -> None:
        rt.refuse_call(Teller_v1, first=first, second=second)

    class Start(rt.State, frozen=True, array_like=True, gc=False, tag=0):
        place: typing.ClassVar[str] = "hand.flow:230"
        first: str
        second: str

    class Checkpoint(rt.State, frozen=True, array_like=True, gc=False, tag=1):
        place: typing.ClassVar[str] = "hand.flow:233"
        second: str

    class Rest(rt.State, frozen=True, array_like=True, gc=False, tag=2):
        place: typing.ClassVar[str] = "hand.flow:235"

    States = Start | Checkpoint | Rest
    Result = int

    @classmethod
    def step(cls, at: Start | Checkpoint | Rest, run: rt.Run) -> rt.Step[int]:
        match at:
            case Teller_v1.Start():
                run.at("ONE")
                run.log("info", f"writing {at.first}")
                run.service(JOURNAL).put(run.tx, at.first)
                return rt.Checkpoint(Teller_v1.Checkpoint(second=at.second))
            case Teller_v1.Checkpoint():
                run.at("TWO")
                run.log("warn", f"writing {at.second}")
                run.service(JOURNAL).put(run.tx, at.second)
                return rt.Checkpoint(Teller_v1.Rest())
            case Teller_v1.Rest():
                return rt.Return(run.service(JOURNAL).count(run.tx))


class Deep_v1(rt.Flow[int]):
    contract = 2
    name = "hand.Deep"
    version = 1
    startable = ("rpc",)
    errors = ERRORS
    subflows = ("hand.Deep_v1",)

    def __init__(self, *, n: int) -> None:
        rt.refuse_call(Deep_v1, n=n)

    class Start(rt.State, frozen=True, array_like=True, gc=False, tag=0):
        n: rt.Int

    class InDeep(rt.State, frozen=True, array_like=True, gc=False, tag=1):
        n: rt.Int

    States = Start | InDeep
    Result = int

    @classmethod
    def step(cls, at: Start | InDeep, run: rt.Run) -> rt.Step[int]:
        match at:
            case Deep_v1.Start():
                if at.n == 0:
                    return rt.Return(0)
                return rt.Call(Deep_v1.InDeep(n=at.n), Deep_v1, Deep_v1.Start(n=at.n - 1))
            case Deep_v1.InDeep():
                return rt.Return(at.n + run.result(Deep_v1))
