"""The program that the stories play: conversations with enough going on in them. Knows no defect.

Every flow gives something that the story can foretell, and every service writes down what a judge
can count.
"""

from __future__ import annotations

TEXT = '''
message Item:
    n: Int

message Sum:
    n: Int

message Stop

message Ask:
    """Answer `n` after a nap: with a bid, at 0 by ending, below 0 with an error."""
    n: Int
    nap: Duration

message Via:
    next: Party
    n: Int

message Bid:
    n: Int

message Add:
    n: Int

message Added:
    n: Int
    sum: Int

record Question:
    text: Text

record Decision:
    n: Int

error Bad(n: Int): "bad {n}"
error Unheard

service Book:
    write put(text: untrusted Text)
    write trip(text: Text)
    write owe(text: Text)
    read count(text: Text) -> Int

service Post:
    external ship(n: Int) -> Int
    external once pay(n: Int) -> Int

# --- many in flight -------------------------------------------------------------------------------

flow Pump(peer: Party, count: Int, chunk: Int) -> Int:
    """Send `count` items without waiting, `chunk` of them in a step; the sum comes back."""
    startable by rpc
    steps:
        PUMPING(done: Int) "{done} sent"
        WAITING "Waiting for the sum"
    open Drain with peer as s
    var i = 0
    while i < count:
        step PUMPING(i)
        send Item(i) to s
        if i % chunk == chunk - 1:
            Book.put("sent {i}")
            checkpoint
        i = i + 1
    step WAITING
    send Stop() to s then receive total: Sum from s:
        require total.n >= 0 else Bad(total.n)
    return total.n

flow Drain() -> Int:
    responds to Pump as s
    var got = 0
    var sum = 0
    while true:
        receive from s:
            case Item as item:
                require item.n >= 0 else Bad(item.n)
                Book.put("got {item.n}")
                got = got + 1
                sum = sum + item.n
            case Stop:
                break
        if got == 3:
            checkpoint
    send Sum(sum) to s
    return got

flow Left(peer: Party) -> Int:
    """Both sides send before they listen."""
    startable by rpc
    open Right with peer as s
    send Item(1) to s
    send Item(2) to s
    checkpoint
    send Item(3) to s
    let heard = subflow Three(s)
    return heard

flow Right() -> Int:
    responds to Left as s
    send Item(4) to s
    checkpoint
    send Item(5) to s
    send Item(6) to s
    let heard = subflow Three(s)
    return heard

flow Three(s: Session) -> Int:
    var heard = 0
    for i in [1, 2, 3]:
        receive item: Item from s:
            require item.n > 0 else Bad(item.n)
        heard = heard * 10 + item.n
    return heard

# --- who serves -----------------------------------------------------------------------------------

flow Serve(s: Session):
    while true:
        receive from s:
            case Ask as asked:
                require asked.n >= 0 else Bad(asked.n)
                require asked.nap >= 0s else Bad(0)
                if asked.nap > 0s:
                    sleep asked.nap
                if asked.n == 0:
                    return
                Book.put("bid {asked.n}")
                send Bid(asked.n) to s
            case ended:
                return

flow Fan(parties: List[Party]) -> Int:
    """Several sessions at once, all asked, all awaited; then whichever comes first."""
    startable by rpc
    open FanServed with each parties as ss
    var n = 0
    for s in ss:
        n = n + 1
        send Ask(n, 0s) to s
    receive bids: Bid from each ss:
        for bid in bids:
            require bid.n > 0 else Bad(bid.n)
    var sum = 0
    for bid in bids:
        sum = sum * 10 + bid.n
    for s in ss:
        n = n + 1
        send Ask(n, 0s) to s
        send Ask(0, 0s) to s
    var left = ss.size
    while left > 0:
        receive:
            case Bid from any ss as bid by s:
                require bid.n > 0 else Bad(bid.n)
                Book.put("any {bid.n}")
            case ended from any ss by s:
                left = left - 1
    return sum

flow FanServed():
    responds to Fan as s
    subflow Serve(s)

flow Deep(peer: Party, depth: Int) -> Int:
    """A session in every one of so many subflows."""
    startable by rpc
    open DeepServed with peer as s
    send Ask(depth, 0s) to s
    var below = 0
    if depth > 1:
        below = subflow Deep(peer, depth - 1)
    receive bid: Bid from s:
        require bid.n > 0 else Bad(bid.n)
    if depth == 3:
        sleep 1m
    return below * 10 + bid.n

flow DeepServed():
    responds to Deep as s
    subflow Serve(s)

# --- errors ---------------------------------------------------------------------------------------

flow One(peer: Party, n: Int) -> Text:
    """Ask for trouble; says what came of it, and under which id."""
    startable by rpc
    open OneServed with peer as s
    try:
        send Ask(n, 0s) to s then receive bid: Bid from s:
            require bid.n > 0 else Bad(bid.n)
        return "bid {bid.n}"
    catch Bad as error:
        let id = error.id
        require error.n < 0 else Unheard()
        Book.put("id {id}")
        return "bad {error.n}"
    catch SessionEnded:
        return "ended"
    catch SessionRejected:
        return "rejected"

flow OneServed():
    responds to One as s
    subflow Serve(s)

flow Chain(peer: Party, then_to: Party) -> Text:
    """An error of the third is not for the first."""
    startable by rpc
    open Link with peer as s
    try:
        send Via(then_to, -7) to s then receive bid: Bid from s:
            require bid.n > 0 else Bad(bid.n)
        return "bid"
    catch UnexpectedFlowEnd as error:
        return "unexpected"
    catch Bad:
        return "bad"

flow Link() -> Int:
    responds to Chain as s
    receive via: Via from s:
        require via.next != me else Bad(0)
        require via.n < 0 else Bad(via.n)
    return subflow LinkOn(via.next, via.n)

flow LinkOn(peer: Party, n: Int) -> Int:
    open LinkServed with peer as other
    send Ask(n, 0s) to other then receive bid: Bid from other:
        require bid.n > 0 else Bad(bid.n)
    return bid.n

flow LinkServed():
    responds to LinkOn as s
    subflow Serve(s)

flow Tell(peer: Party) -> Text:
    """Only send: who is rejected must hear of it."""
    startable by rpc
    open Hear with peer as s
    send Item(1) to s
    send Item(2) to s
    return "told"

flow Hear():
    responds to Tell as s
    receive item: Item from s:
        require item.n == 1 else Bad(item.n)
    receive next: Item from s:
        require next.n == 2 else Bad(next.n)
    Book.put("heard")

flow Shut(peer: Party) -> Text:
    """A session is closed long before the flow ends."""
    startable by rpc
    open ShutServed with peer as s
    send Ask(1, 0s) to s then receive bid: Bid from s:
        require bid.n == 1 else Bad(bid.n)
    close s
    let done = pending ask "boss": Question("shut") -> Decision
    receive:
        case answer done as answer:
            return "shut"

flow ShutServed():
    responds to Shut as s
    subflow Serve(s)
    Book.put("shut")

flow Tried(peer: Party) -> Text:
    """A session ends with the block that an error leaves."""
    startable by rpc
    try:
        open TriedServed with peer as s
        send Ask(3, 0s) to s then receive bid: Bid from s:
            require bid.n == 3 else Bad(bid.n)
        throw Unheard()
    catch Unheard:
        let done = pending ask "boss": Question("tried") -> Decision
        receive:
            case answer done as answer:
                return "tried"

flow Rounds(peer: Party) -> Text:
    """A session ends with the round of the loop that opened it."""
    startable by rpc
    for n in [1, 2]:
        open RoundServed with peer as s
        send Ask(n, 0s) to s then receive bid: Bid from s:
            require bid.n == n else Bad(bid.n)
    let done = pending ask "boss": Question("rounds") -> Decision
    receive:
        case answer done as answer:
            return "done"

flow RoundServed():
    responds to Rounds as s
    subflow Serve(s)
    Book.put("round")

flow TriedServed():
    responds to Tried as s
    subflow Serve(s)
    Book.put("tried")

# --- time -----------------------------------------------------------------------------------------

flow Twice(peer: Party, nap: Duration) -> Text:
    """What comes too late is dropped, once; the next answer is the next answer."""
    startable by rpc
    open TwiceServed with peer as s
    var said = "in time"
    try:
        send Ask(1, nap) to s then receive bid: Bid from s within 30s then discard:
            require bid.n == 1 else Bad(bid.n)
    catch Timeout:
        said = "late"
    send Ask(2, 1s) to s then receive bid: Bid from s:
        require bid.n > 0 else Bad(bid.n)
    send Ask(3, 1s) to s then receive more: Bid from s:
        require more.n > 0 else Bad(more.n)
    return "{said} {bid.n} {more.n}"

flow TwiceServed():
    responds to Twice as s
    subflow Serve(s)

flow Limited(peer: Party, nap: Duration) -> Text:
    """A deadline over a subflow, and no longer than it."""
    startable by rpc
    open LimitedServed with peer as s
    try:
        within 1m:
            subflow Bidding(s, nap)
    catch Timeout:
        sleep 1s
        return "late"
    let before = now
    sleep 2h
    require now >= before + 2h else Unheard()
    send Ask(3, 1s) to s then receive bid: Bid from s:
        require bid.n == 3 else Bad(bid.n)
    return "fine"

flow Bidding(s: Session, nap: Duration):
    send Ask(1, nap) to s then receive bid: Bid from s:
        require bid.n == 1 else Bad(bid.n)
    sleep 1s

flow LimitedServed():
    responds to Limited as s
    subflow Serve(s)

flow Some(parties: List[Party], nap: Duration) -> Text:
    """Of several those that come in time; what is owed is dropped."""
    startable by rpc
    open SomeServed with each parties as ss
    var n = 0
    for s in ss:
        n = n + 1
        send Ask(n, nap * n) to s
    receive bids: Bid? from each ss within 45s then discard:
        for bid in bids:
            if bid != none:
                require bid.n > 0 else Bad(bid.n)
    send Ask(9, 1s) to each ss
    receive more: Bid? from each ss:
        for bid in more:
            if bid != none:
                require bid.n == 9 else Bad(bid.n)
    var text = ""
    for bid in bids:
        if bid == none:
            text = text + "-"
        else:
            text = text + "{bid.n}"
    return text

flow SomeServed():
    responds to Some as s
    subflow Serve(s)

flow Either(peer: Party, nap: Duration) -> Text:
    """A choice between an answer and a time."""
    startable by rpc
    open EitherServed with peer as s
    send Ask(1, nap) to s then receive from s:
        case Bid as bid:
            require bid.n == 1 else Bad(bid.n)
            return "bid"
        case timeout 1m:
            return "late"

flow Fallback(peer: Party, nap: Duration) -> Int:
    """What is given when nothing comes is known before."""
    startable by rpc
    open FallbackServed with peer as s
    let instead = peer.name.size + 4
    try:
        send Ask(8, nap) to s then receive bid: Bid from s within 20s:
            require bid.n == 8 else Bad(bid.n)
        return bid.n
    catch Timeout:
        return instead

flow FallbackServed():
    responds to Fallback as s
    subflow Serve(s)

flow EitherServed():
    responds to Either as s
    subflow Serve(s)

# --- what flows begin -----------------------------------------------------------------------------

flow Order(n: Int) -> Int:
    """An operation, a child, one that only listens to the child, and a question."""
    startable by rpc
    steps:
        SHIPPING "Shipping"
        WAITING "Waiting for the children"
        ASKING "Asking the boss"
    step SHIPPING
    let shipped = await Post.ship(n)
    step WAITING
    let child = start Pack(n)
    let other = start Listen(child)
    let late = start After(n + 1, now + 30s) at now + 30s
    let packed = await child
    let heard = await other
    let last = await late
    step ASKING
    Book.put("ordered {n}")
    return shipped * 1000 + packed + heard + last

flow Pack(n: Int) -> Int:
    Book.put("packed {n}")
    let a = pending await Post.ship(n + 100)
    let b = pending await Post.ship(n + 200)
    var left = 2
    while left > 0:
        receive:
            case result a as one:
                left = left - 1
            case result b as two:
                left = left - 1
    return n

flow After(n: Int, time: Timestamp) -> Int:
    require now >= time else Unheard()
    return subflow Pack(n)

flow Listen(child: FlowId[Int]) -> Int:
    checkpoint
    let heard = await child
    return heard

flow Pay(n: Int) -> Int:
    startable by rpc
    let paid = await Post.pay(n)
    Book.put("paid {n}")
    return paid

flow Question1(n: Int) -> Int:
    """One decision counts, and none that comes too late."""
    startable by rpc
    let asked = now
    try:
        let answer = ask "boss": Question("how many") -> Decision within 1h
        if answer.at > asked + 1h:
            return -2
        Book.put("decided {answer.n}")
        return answer.n
    catch TaskExpired:
        return -1

flow Question2(n: Int) -> Int:
    """Asks, and looks at the answer much later."""
    startable by rpc
    let asked = pending ask "boss": Question("how many, later") -> Decision
    sleep 50s
    receive:
        case answer asked as answer:
            return answer.n

flow Locker(name: Text) -> Int:
    """Only one lives under a key: who comes second tries again."""
    startable by rpc
    var tries = 0
    var pause = 7s
    while true:
        try:
            let id = start Keyed(name)
            await id
            return tries
        catch FlowFailed:
            tries = tries + 1
            sleep pause
            pause = pause * 2

flow Keyed(name: Text):
    startable by rpc
    key "lock {name}"
    Book.put("in {name}")
    sleep 10s
    Book.put("out {name}")

# --- owners ---------------------------------------------------------------------------------------

flow Adder() -> Int:
    """Adds what its owner says; three seconds after each it listens again."""
    startable by rpc as owner
    var sum = 0
    while true:
        receive from owner:
            case Add as add:
                require add.n > 0 else Bad(add.n)
                sum = sum + add.n
                send Added(add.n, sum) to owner
            case Stop:
                return sum
        sleep 3s

flow Fussy() -> Int:
    """Takes one thing, then waits for another."""
    startable by rpc as owner
    receive add: Add from owner:
        require add.n > 0 else Bad(add.n)
    send Added(add.n, add.n) to owner
    receive stop: Stop from owner unchecked
    return add.n

# --- what fails -----------------------------------------------------------------------------------

flow Shaky(peer: Party, owing: Bool) -> Int:
    """Steps that fail once after they wrote and sent something."""
    startable by rpc
    open ShakyServed with peer as s
    var n = 0
    while n < 3:
        n = n + 1
        send Ask(n, 0s) to s
        send Ask(n + 10, 0s) to s
        receive bid: Bid from s:
            require bid.n == n else Bad(bid.n)
        if owing:
            Book.owe("shaky {n}")
        else:
            Book.trip("shaky {n}")
        receive more: Bid from s:
            require more.n == n + 10 else Bad(more.n)
    return n

flow ShakyServed():
    responds to Shaky as s
    subflow Serve(s)
'''

CLOCK = """
service Book:
    write put(text: Text)

flow Tick(name: Text):
    startable by schedule
    Book.put("tick {now}")

schedule Hourly = Tick("hourly") every "0 * * * *" in "Europe/London"

flow Nap() -> Int:
    startable by rpc
    sleep 3h
    Book.put("awake")
    return 3
"""
"""What runs by the clock."""

ELSEWHERE = """
message Nothing

flow Alone() -> Int:
    startable by rpc
    return 1
"""
"""What runs where nobody responds to anything."""


TALKS = """
message Offer:
    n: Int

message Back:
    n: Int

message Leave

protocol Deal:
    asker -> giver: Offer
    choice at giver:
        giver -> asker: Back
    or:
        giver -> asker: Leave
"""
"""A protocol that two programs share, which are compiled apart."""

OTHER_TALKS = TALKS.replace(
    "    n: Int\n\nmessage Back", "    n: Int\n    why: Text\n\nmessage Back"
)
"""The same with another message."""

ROLES = """
use talks: Back, Deal, Leave, Offer

flow Asking(peer: Party, n: Int) -> Int:
    startable by rpc
    open Deal.giver with peer as deal
    send Offer(n) to deal
    receive from deal:
        case Back as b unchecked:
            return b.n
        case Leave:
            return 0
"""

GIVING = """
use talks: Back, Deal, Leave, Offer

flow Giving():
    responds to Deal.asker as deal
    receive offer: Offer from deal unchecked
    if offer.n > 3:
        send Back(offer.n * 2) to deal
    else:
        send Leave() to deal
"""
