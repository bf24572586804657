"""A project for measuring the compiler: 50 files with 290 flows, about 9,000 lines; or more.

Every tenth file declares what the nine after it share. The others have flows that talk to each
other, ask people, start flows, and use every other construct; a few call a flow of the file before.
"""

from __future__ import annotations

from pathlib import Path

SETTINGS = '[tool.flowlang]\nsources = "flows"\noutput = "out"\n'

SHARED = '''\
"""What the files of part {part} share."""

record Amount:
    """Money, in the smallest unit of its currency."""
    units: Int
    currency: Text

record Line:
    sku: Text
    count: Int
    price: Amount
    note: Text? = none

message Order:
    """What is wanted, and by when."""
    number: Text
    lines: List[Line]
    total: Amount
    due: Timestamp
    labels: Map[Text, Text]

message Quote:
    number: Text
    price: Amount
    valid: Duration
    discount: Decimal = 0.00

message Receipt:
    number: Text
    paid: Amount
    proof: Bytes

message Refusal:
    number: Text
    why: Text

message Taken:
    number: Text

enum Decision:
    """What became of an order."""
    Approved(by: Text, limit: Int)
    Refused(why: Text)
    Open

record Question:
    number: Text
    units: Int

record Approval:
    approved: Bool
    note: Text? = none

type Ticket = python "shop.tickets:Ticket":
    """What the shop's own code makes."""
    number: Text
    weight: Int
    ordered

error NotSold
error TooExpensive(price: Amount, limit: Int) is NotSold: "{{price.units}} is more than {{limit}}"
error Unknown(number: Text): "there is no order {{number}}"
error Late(number: Text, by: Duration): "order {{number}} is late by {{by}}"
error OutOfStock(sku: Text) is NotSold: "there is no {{sku}}"

service Stock:
    """What is on the shelves."""
    read on_hand(sku: Text) -> Int
    read limit() -> Int
    write reserve(sku: Text, count: Int) -> Bool
    write release(sku: Text)

service Carrier:
    """Who takes it there."""
    external book(sku: Text) -> Text
    external once pay(units: Int)

function ticket_of(number: Text) -> Ticket = python "shop.tickets:ticket_of"
function total_of(lines: untrusted List[Line]) -> Int = python "shop.prices:total_of"
function seal(number: Text, units: Int) -> Bytes = python "shop.seals:seal"
'''

FLOWS = '''
flow Buy{n}(seller: Party, number: Text, lines: List[Line], due: Timestamp) -> Receipt:
    """Order `lines` and pay what was quoted for them; the order's number is our own."""
    version {version}
    startable by rpc
    steps:
        COUNTING "Counting what is wanted"
        ASKING "Waiting for a quote"
        PAYING "Waiting for the receipt"
        SENDING(done: Int, of: Int) "{{done}} of {{of}}" tracks Send{n}

    step COUNTING
    var units = 0
    var labels = {{"source": "desk", "kind": "ordinary"}}
    for line in lines:
        require line.count > 0 else OutOfStock(line.sku)
        units = units + line.count * line.price.units
        if line.note != none:
            log info "order {{number}}: {{line.sku}} has a note"
        elif line.count > 100 and not (line.price.units < 10):
            labels = {{"source": "desk", "kind": "large"}}
    if lines.size == 0:
        throw Unknown(number)
    let price = Amount(units, currency="EUR")

    step ASKING: "Asking for {{lines.size}} lines of order {{number}}"
    open Sell{n} with seller as deal
    var tries = 0
    while tries < 3:
        tries = tries + 1
        send Order(number, lines, price, due, labels) to deal \
then receive quote: Quote from deal within 1h:
            require quote.number == number else Unknown(quote.number)
            require quote.price.currency == price.currency else TooExpensive(quote.price, units)
            require quote.price.units <= units * 2 + 1 else TooExpensive(quote.price, units)
            require quote.valid >= 1h else Late(number, quote.valid)
            require quote.discount < 0.50 else Unknown(number)
        if quote.price.units <= units or tries == 3:
            break
        log debug "order {{number}}: {{quote.price.units}} is too much, try {{tries}}"
        sleep 5m
        continue
    send Taken(number) to deal

    step SENDING(0, of=lines.size)
    let sent = subflow Send{n}(number, lines, units)
    match sent:
        case Approved(by, limit):
            log info "order {{number}}: {{by}} agrees to {{limit}}"
        case Refused(why):
            throw Unknown(why)
        case Open:
            pass

    step PAYING
    let wanted = seal(number, units)
    try:
        within 3d:
            receive from deal @receipt_{n}:
                case Receipt as receipt:
                    require receipt.number == number else Unknown(receipt.number)
                    require receipt.paid.units >= 0 else Unknown(number)
                    require receipt.proof == wanted else Unknown(number)
                    close deal
                    return receipt
                case Refusal as refusal unchecked:
                    log info "order {{number}}: {{refusal.why}}"
                case ended:
                    log info "order {{number}}: the seller is gone"
                case timeout 2d:
                    log info "order {{number}}: no receipt in two days"
        throw Unknown(number)
    catch NotSold as refusal:
        log warn "order {{number}}: {{refusal.text}}"
        throw refusal
    catch SessionEnded, UnexpectedFlowEnd, UnexpectedMessage, Timeout:
        hold "order {{number}}: nobody knows whether it was paid"
        throw Unknown(number)

flow Send{n}(number: Text, lines: List[Line], units: Int) -> Decision:
    """Ask people, book a carrier, and weigh each line in a flow of its own."""
    steps:
        WEIGHING(done: Int) "{{done}} are weighed"
        DECIDING "Somebody decides"
    let ticket = ticket_of(number)
    var ids: List[FlowId[Int]] = []
    for line in lines:
        step WEIGHING(ids.size)
        let id = start Weigh{n}(line.sku, line.count)
        ids = ids + [id]
    let label = pending await Carrier.book(ticket.number)
    step DECIDING
    var weight = 0
    try:
        within 2d:
            let weights = await each ids
            weight = weights.sum()
            receive @label_{n}:
                case result label as booked:
                    log info "order {{number}}: {{booked}}"
                case timeout 1d:
                    return Decision.Refused("nobody takes {{weight}}")
            let answer = ask "buyer": Question(number, units) -> Approval within 1d
            if answer.approved:
                await Carrier.pay(units)
                return Decision.Approved(answer.by, limit=weight)
            return Decision.Refused("{{answer.by}} does not agree")
    catch FlowFailed, TaskExpired, Timeout as why:
        log warn "order {{number}}: {{why.text}}"
    return Decision.Open

flow Weigh{n}(sku: Text, count: Int) -> Int:
    wait until now + 1h
    require count > 0 and sku != "" else OutOfStock(sku)
    return sku.size * count

flow Poll{n}(sellers: List[Party], number: Text) -> List[Int]:
    """Hear what many sellers offer."""
    startable by rpc, schedule
    key "poll {{number}}"
    open Offer{n} with each sellers as talks
    send Refusal(number, "only asking") to each talks
    receive quotes: Quote? from each talks within 1d then discard:
        for quote in quotes:
            if quote != none:
                require quote.number == number else Unknown(number)
                require quote.price.units >= 0 else Unknown(number)
    var offers: List[Int] = []
    for quote in quotes:
        if quote != none:
            let cheaper = quote.price with units = quote.price.units - 1
            offers = offers + [cheaper.units]
    return offers.sorted()

schedule Daily{n} = Poll{n}([], number="daily {n}") every "0 18 * * MON-FRI" in "Europe/London"

flow Offer{n}():
    responds to Poll{n} as talk
    receive asked: Refusal from talk:
        require asked.why.size < 100 else Unknown(asked.number)
    send Quote(asked.number, Amount(7, "EUR"), 1h) to talk

flow Sell{n}():
    """Answer an order with a quote, and with a receipt once it is reserved."""
    version {version}
    responds to Buy{n} as deal
    steps:
        READING "Reading the order"
        RESERVING "Reserving"

    step READING
    var round = 0
    var last: Order? = none
    while true:
        round = round + 1
        receive from deal:
            case Order as order:
                let sum = total_of(order.lines)
                require order.lines.size > 0 and order.lines.size < 1_000 else Unknown(order.number)
                require sum == order.total.units else TooExpensive(order.total, sum)
                require order.due > now + 30m else Late(order.number, 30m)
                require order.number != "" else Unknown("none")
                last = order
            case Taken:
                break
        if last == none:
            throw Unknown("none")
        var scarce: List[Text] = []
        for line in last.lines:
            let on_hand = Stock.on_hand(line.sku)
            if on_hand < line.count:
                scarce = scarce + [line.sku]
            elif on_hand > 10 * line.count and line.price.units > 0:
                log debug "{{line.sku}}: {{on_hand}} on the shelf, {{line.count}} are wanted"
        if scarce.size > 0:
            let first = scarce[0]
            throw OutOfStock(first)
        let limit = Stock.limit()
        let price = Amount(last.total.units + (3 - round) * 10, last.total.currency)
        if round < 3 and price.units > limit:
            send Quote(last.number, price, valid=2h, discount=0.05 * 2.0) to deal
            continue
        send Quote(last.number, last.total, 2h) to deal
    if last == none:
        throw Unknown("none")
    checkpoint
    step RESERVING
    for line in last.lines:
        if Stock.on_hand(line.sku) < line.count:
            throw OutOfStock(line.sku)
        let done = Stock.reserve(line.sku, line.count)
        require done else OutOfStock(line.sku)
    if last.labels.size > 20:
        send Refusal(last.number, "so many labels") to deal
        return
    let proof = seal(last.number, last.total.units)
    send Receipt(last.number, Amount(last.total.units, "EUR"), proof) to deal
'''

CALL = '''
private flow Again{n}(seller: Party, number: Text, lines: List[Line], due: Timestamp) -> Int:
    """Order the same twice, in two conversations."""
    let first = subflow Buy{n}(seller, number, lines, due=due)
    let second = subflow Buy{n}(seller, "{{number}} again", lines, due + 1d)
    return first.paid.units + second.paid.units

flow Both{n}(seller: Party, number: Text, lines: List[Line], due: Timestamp) -> Text:
    let own = subflow Again{n}(seller, number, lines, due)
    let other = subflow Buy{before}(seller, "{{number}} elsewhere", lines, due)
    return "{{own}} and {{other.paid.units}}"
'''

NAMES = (
    "Amount, Approval, Carrier, Decision, Late, Line, NotSold, Order, OutOfStock, Question, Quote, "
    "Receipt, Refusal, Stock, Taken, TooExpensive, Unknown"
)


def texts(files: int = 50) -> dict[str, str]:
    """The modules of the project, by name."""
    found: dict[str, str] = {}
    for number in range(files):
        part = number // 10
        if number % 10 == 0:
            found[f"part{part}.shared"] = SHARED.format(part=part)
            continue
        calls = number % 5 == 4
        uses = [f"use part{part}.shared: {NAMES}, seal, ticket_of, total_of"]
        if calls:
            uses.append(f"use part{part}.flows{number - 1}: Buy{(number - 1) * 10}")
        text = f'"""Flows of file {number}."""\n\n' + "\n".join(uses) + "\n"
        text += FLOWS.format(n=number * 10, version=number % 3 + 1)
        if calls:
            text += CALL.format(n=number * 10, before=(number - 1) * 10)
        found[f"part{part}.flows{number}"] = text
    return found


def make(folder: Path, files: int = 50) -> int:
    """Write the project; returns how many lines it has."""
    modules = texts(files)
    for name, text in modules.items():
        path = folder.joinpath("flows", *name.split(".")).with_suffix(".flow")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (folder / "pyproject.toml").write_text(SETTINGS)
    return sum(text.count("\n") for text in modules.values())
