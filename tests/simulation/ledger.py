"""The ledger in worlds where everything goes wrong: cash is issued, paid and taken off, things are
sold for it, and one of those who do so may mean harm.

What is judged with every commit is what nobody may ever see broken (L1 to L5), at the end what the
library of flows promises once all is well again (L6 to L9). Knows no seed.
"""

from __future__ import annotations

import copy
import functools
import logging
import sqlite3
from pathlib import Path
from types import ModuleType
from typing import Any

from flowlang import standard
from flowrt.core.flow import FlowError, Party
from flowrt.core.registry import Registry
from flowrt.core.values import decode
from flowrt.finance import cash
from flowrt.finance.desk import CashDesk, Treasury, coins_of
from flowrt.handle import StillRunning
from flowrt.ledger.identity.keystore import KeyStore
from flowrt.ledger.local import LocalNetwork
from flowrt.ledger.node import Ledger
from flowrt.ledger.notary.judging import hash_of, name_of
from flowrt.ledger.transactions import SignedTransaction
from flowrt.sim import Host, Started, Violation, World, backup
from flowrt.sim.history import Called
from flowrt.stdlib.finance import cash_flow, money_flow
from flowrt.stdlib.ledger.finality_flow import RecoverTransaction_v1
from flowrt.stdlib.ledger.parts_flow import Amount
from flowrt.store import Batch
from flowrt.store.uniqueness import UniquenessMemory
from tests.ledger import played
from tests.simulation import market

NOTARY, BANK, MALLORY = "notary", "bank", "mallory"
HONEST = ("alice", "bob")
CURRENCY = market.CURRENCY
THING = "market.Thing"
FORGERIES = 2
"""How many payments without good signatures who means harm hands out."""

STEPS = 8
"""How many things at most people do in a world."""

RECOVERED = 30
"""How many pseudonyms a party takes for its own whose disk went back; more than it makes."""

KEYS = 60 + RECOVERED

HERE = Path(__file__).parent


def _hostile(text: str, finality: str) -> str:
    """A program in which whoever pays may cheat."""
    assert finality in text
    text = text.replace(
        finality, f"subflow Cheat({finality.partition('(')[2].replace('[', '').replace(']', '')}"
    )
    text = text.replace('and recorded" tracks Finality', 'and recorded"', 1)
    begin = text.index("\nuse ") + 1
    return text[:begin] + market.CHEAT_USES + text[begin:] + market.CHEAT


@functools.cache
def programs() -> tuple[ModuleType, ModuleType, ModuleType]:
    """`market.flow`; the same and cash as those have them who mean harm."""
    text = (HERE / "market.flow").read_text("utf-8")
    found = standard.text_of("finance.cash")
    assert found is not None
    money = found.read_text("utf-8").partition("\ntest ")[0]
    return (
        played.program(text, "market"),
        played.program(_hostile(text, "subflow Finality(signed, [talk])"), "market"),
        played.program(_hostile(money, "subflow Finality(signed, [talk])"), "finance.cash"),
    )


@functools.cache
def _network(parties: tuple[str, ...], validating: bool) -> LocalNetwork:
    return LocalNetwork(
        parties,
        [cash, market.RULES],
        validating=validating,
        seed="world",
        clock=lambda: 0,
        recovered=RECOVERED,
    )


@functools.cache
def _owners(parties: tuple[str, ...]) -> dict[bytes, str]:
    """Whose pseudonyms are whose, as nobody but their key stores knows."""
    found = {}
    for name in parties:
        keys = KeyStore.derive(f"world {name}".encode())
        found.update({keys.fresh(number).public.encoded: name for number in range(1, KEYS)})
    return found


@functools.cache
def _used(modules: tuple[ModuleType, ...]) -> frozenset[str]:
    return frozenset(key.name for key in Registry(modules).services())


def require(condition: object, rule: str, text: str) -> None:
    if not condition:
        raise Violation(rule, text)


def rows(host: Host, sql: str, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """What is on a party's disk now, whether its process lives or not."""
    tables = host.disk.tables
    if tables is None:
        return []
    try:
        return tables.execute(sql, values).fetchall()
    except sqlite3.OperationalError as error:
        if "no such table" in str(error):
            return []
        raise


class Truth:
    """What honest parties believe, together: all that any of them has recorded."""

    def __init__(self, book: UniquenessMemory) -> None:
        self.book = book
        self.known: dict[bytes, SignedTransaction] = {}
        self.spenders: dict[Any, bytes] = {}
        self.issued: dict[Any, int] = {}
        self._read: dict[str, int] = {}
        self.has: dict[str, set[bytes]] = {}
        self._disks: dict[str, Any] = {}

    def see(self, host: Host) -> None:
        """What a party has recorded since it was looked at last; all of it, if its disk is another
        one."""
        if self._disks.setdefault(host.name, host.disk) is not host.disk:
            self._disks[host.name] = host.disk
            self._read[host.name] = 0
            self.has[host.name] = set()
        last = self._read.get(host.name, 0)
        found = rows(
            host,
            "SELECT number, id, signed FROM ledger_transaction WHERE status = 1 AND number > ? "
            "ORDER BY number",
            (last,),
        )
        has = self.has.setdefault(host.name, set())
        for number, id, signed in found:
            self._read[host.name] = number
            has.add(id)
            if id not in self.known:
                self._add(host.name, id, SignedTransaction.from_flow(signed))
            for under in self.known[id].transaction.dependencies:
                require(under in has, "L5", f"{host.name} has {id.hex()}, not what it rests on")

    def _add(self, party: str, id: bytes, signed: SignedTransaction) -> None:
        """L1, L2, L3: nothing twice, nothing without the notary, no money from nowhere."""
        name = f"{id.hex()[:8]}, which {party} has recorded,"
        require(signed.id == id, "L2", f"{name} is {signed.id.hex()[:8]}")
        for ref in signed.inputs:
            other = self.spenders.setdefault(ref, id)
            require(other == id, "L1", f"{name} uses up what {other.hex()[:8]} has used up")
            user = self.book.used.get(name_of(ref))
            require(user == hash_of(id), "L2", f"{name} is not in the notary's book")
        try:
            signed.check_signatures()
        except Exception as error:
            raise Violation("L2", f"{name} is not signed: {error}") from error
        moved: dict[Any, int] = {}
        for coin in coins_of(signed):
            moved[coin.token] = moved.get(coin.token, 0) + coin.amount.units
        for ref in signed.inputs:
            require(ref.transaction in self.known, "L5", f"{name} comes from nowhere")
            coin = self.coin(ref)
            if coin is not None:
                moved[coin.token] = moved.get(coin.token, 0) - coin.amount.units
        for token, units in moved.items():
            self.issued[token] = self.issued.get(token, 0) + units
            if units:
                signers = {key for keys in signed.transaction.signers for key in keys}
                require(token[0].key in signers, "L3", f"{name} makes {units} units of nothing")
        self.known[id] = signed

    def coin(self, ref: Any) -> cash.Cash | None:
        """The cash of that name, if it is cash."""
        output = self.known[ref.transaction].transaction.outputs[ref.index]
        if output.schema != cash.NAME:
            return None
        made: cash.Cash = cash_of(output.data)
        return made

    def unspent(self) -> dict[Any, int]:
        """What there is of each kind, by all that is recorded anywhere."""
        found: dict[Any, int] = {}
        for id, signed in self.known.items():
            for index in range(len(signed.transaction.outputs)):
                ref = signed.transaction.output(index).ref
                coin = self.coin(ref) if ref not in self.spenders else None
                if coin is not None:
                    found[coin.token] = found.get(coin.token, 0) + coin.amount.units
            assert id
        return found


def cash_of(data: bytes) -> cash.Cash:
    found: cash.Cash = decode(cash.Cash, data)
    return found


class Town:
    """A bank, two or three honest customers or one who is not, a notary of either kind."""

    name = "ledger"

    def __init__(self) -> None:
        programs()

    def build(self, world: World) -> None:
        draw = world.tape.uniform
        self.flows, bad_flows, bad_cash = programs()
        self.is_hostile = draw("who", 4) > 0
        third = MALLORY if self.is_hostile else "carol"
        names = (BANK, *HONEST, third) if draw("third", 8) else (BANK, *HONEST)
        self.is_hostile = MALLORY in names
        validating = draw("validating", 2) > 0
        self.book = UniquenessMemory()
        self.local = copy.copy(_network(names, validating))
        self.local._book = self.book
        self.local._clock = lambda: world.hosts[NOTARY].clock()
        self.local.ledgers = {}
        self.truth = Truth(self.book)
        self.heard = market.Overheard(draw)
        self.signed: dict[Any, bytes] = {}
        self.trouble: list[Violation] = []
        self.honest = [name for name in names if name != MALLORY]
        for name in (*names, NOTARY):
            own: tuple[ModuleType, ...] = (self.flows, cash_flow)
            if name == MALLORY:
                own = (bad_flows, bad_cash)
            modules = Ledger.modules(*own, money_flow)
            world.add(name, modules, functools.partial(self._services, world, name, modules))
        world.witnesses.append(self.look)
        world.people.append(self.operate)
        self.operated = 0
        self.recovered: set[tuple[str, bytes, Party]] = set()
        self.starts: list[tuple[Started, str]] = []
        self.names = names
        self._begin(world, draw)

    def _begin(self, world: World, draw: Any) -> None:
        """Who has what, and what people want: each thing at some time, whatever others do."""
        sums = tuple(
            Amount(units, CURRENCY) for units in ((1_500, 300, 200), (2_000,))[draw("sums", 2)]
        )
        notary = Party(NOTARY)
        self.start(world, BANK, cash_flow.CashIssue_v1, sums=sums, reference=b"\1", notary=notary)
        if draw("things", 4):
            self.start(world, "alice", self.flows.Make_v1, name="a horse", notary=notary)
        if self.is_hostile:
            self.feed(world)
            for number in range(FORGERIES):
                when_us = 500_000 + 200_000 * draw("when forged", 20)
                world.promise(when_us, functools.partial(self.forge, world, number))
        count = 3 + draw("count", STEPS - 2)
        for _ in range(count):
            when_us = 300_000 + 20_000 * draw("when", 200)
            what, who, to = draw("what", 10), draw("who pays", 12), draw("to whom", 12)
            sum_ = (50, 120, 300)[draw("units", 3)]
            world.promise(when_us, functools.partial(self.want, world, what, who, to, sum_))

    def feed(self, world: World, tries: int = 0) -> None:
        """Who means harm needs coins for that."""
        if tries < 40 and self.starts[0][0].outcome is None:
            world.promise(100_000, functools.partial(self.feed, world, tries + 1))
            return
        amount, flow = Amount(300, CURRENCY), cash_flow.CashPayment_v1
        self.start(world, BANK, flow, payee=Party(MALLORY), amount=amount, pseudonymous=True)

    def forge(self, world: World, number: int, tries: int = 0) -> None:
        """Who means harm hands out a payment that is not signed as it should be."""
        if MALLORY not in self.holders(world, cash.NAME):
            if tries < 40:
                again = functools.partial(self.forge, world, number, tries + 1)
                world.promise(100_000, again)
            return
        payee = Party(HONEST[number % len(HONEST)])
        amount = Amount(market.FORGED, CURRENCY)
        flow = self.flow_of(MALLORY, "CashPayment")
        self.start(world, MALLORY, flow, payee=payee, amount=amount, pseudonymous=False)

    def want(self, world: World, what: int, who: int, to: int, units: int, tries: int = 0) -> None:
        """Somebody who has cash wants something, once there is any."""
        bank = self.starts[0][0]
        if tries < 40 and (bank.outcome is None or (what == 1 and not self.holders(world, THING))):
            again = functools.partial(self.want, world, what, who, to, units, tries + 1)
            world.promise(200_000, again)
            return
        amount = Amount(units, CURRENCY)
        rich = self.holders(world, cash.NAME) or [BANK]
        payer = MALLORY if MALLORY in rich and who % 2 else rich[who % len(rich)]
        others = [name for name in self.names if name != payer]
        payee = others[to % len(others)]
        if what == 0:
            self.start(world, BANK, cash_flow.CashExit_v1, amount=amount, reference=b"\1")
        elif what <= 3:
            sellers = [name for name in self.holders(world, THING) if name != payer]
            seller = sellers[to % len(sellers)] if sellers else payee
            watchers = [name for name in others if name not in (seller, MALLORY)]
            watcher = Party(watchers[0]) if what == 3 and watchers else None
            flow = self.flow_of(payer, "Buy")
            self.start(world, payer, flow, seller=Party(seller), price=amount, watcher=watcher)
        else:
            flow = self.flow_of(payer, "CashPayment")
            hidden = what != 4
            self.start(world, payer, flow, payee=Party(payee), amount=amount, pseudonymous=hidden)

    def holders(self, world: World, schema: str) -> list[str]:
        """Who has states of a kind, by their own vaults."""
        return [
            name
            for name in self.names
            if rows(
                world.hosts[name],
                "SELECT 1 FROM ledger_state s JOIN ledger_kind k ON k.id = s.kind "
                "WHERE k.schema = ? AND s.relevant = 1 AND s.consumed IS NULL LIMIT 1",
                (schema,),
            )
        ]

    def flow_of(self, who: str, flow: str) -> Any:
        """The flow of that name that a party has."""
        good = {"Buy": self.flows, "CashPayment": cash_flow}
        bad = {"Buy": programs()[1], "CashPayment": programs()[2]}
        return getattr((bad if who == MALLORY else good)[flow], f"{flow}_v1")

    def start(self, world: World, who: str, flow: Any, **arguments: Any) -> None:
        self.starts.append((world.start(who, flow, **arguments), who))

    def _services(self, world: World, name: str, modules: Any) -> dict[str, object]:
        ledger = self.local.ledger(name)
        desk: Any = CashDesk(ledger.keys, ledger.network, ledger.vault)
        keys: Any = ledger.keys
        notaries: Any = ledger.notaries
        if name == MALLORY:
            keys.__class__, notaries.__class__ = market.ForgedKeys, market.ForgedNotaries
            ledger.backchain.__class__ = market.ForgedBackchain
            ledger.backchain.heard = self.heard  # type: ignore[attr-defined]
            desk = market.ForgedCash(ledger, self.heard, self.local.rules)
        else:
            keys.__class__, notaries.__class__ = market.HonestKeys, market.HonestNotaries
            vault: Any = ledger.vault
            vault.__class__, vault.heard = market.HonestVault, self.heard
            backchain: Any = ledger.backchain
            backchain.__class__, backchain.given = market.HonestBackchain, self.given
        keys.heard = notaries.heard = self.heard
        if name == NOTARY:
            self._listen(notaries._notary.desk)
        return {
            **{name: one for name, one in ledger._named().items() if name in _used(modules)},
            "finance.cash.Cash": desk,
            "finance.cash.Treasury": Treasury({CURRENCY: 10_000}),
            "market.Market": market.Market(ledger, self.local.rules, self.flows, self.heard.agreed),
            **(
                {
                    "market.Mischief": market.Mischief(self.heard),
                    "finance.cash.Mischief": market.Mischief(self.heard),
                }
                if name == MALLORY
                else {}
            ),
        }

    def _listen(self, desk: Any) -> None:
        """L4: what a notary has signed it signs again, and nothing beside it."""
        decide = desk.decide

        def listening(claims: Any) -> Any:
            answers = decide(claims)
            for claim, answer in zip(claims, answers, strict=True):
                if answer.signature is None:
                    if claim.transaction in self.signed.values():
                        self.trouble.append(
                            Violation("L4", f"{claim.transaction.hex()[:8]} is refused after all")
                        )
                    continue
                for ref in claim.inputs:
                    other = self.signed.setdefault(ref, claim.transaction)
                    if other != claim.transaction:
                        text = f"{claim.transaction.hex()[:8]} and {other.hex()[:8]} are notarised"
                        self.trouble.append(Violation("L4", text))
                    if self.book.used.get(name_of(ref)) != hash_of(claim.transaction):
                        self.trouble.append(Violation("L4", "signed, and not in the book"))
            return answers

        desk.decide = listening

    # --- with every commit ---

    def look(self, host: Host, _: Batch) -> None:
        if self.trouble:
            raise self.trouble[0]
        if host.name == MALLORY:
            return
        self.truth.see(host)
        self.heard.transactions = self.truth.known
        for (lock,) in rows(host, "SELECT DISTINCT lock FROM ledger_state WHERE lock IS NOT NULL"):
            require(abs(lock) in host.disk.flows, "L6", f"{host.name}: flow {lock} is no more")

    def operate(self, world: World) -> bool:
        """Who waits for somebody is let go on."""
        done = False
        for host in world.hosts.values():
            if host.node is not None and self.operated < 60:
                for patient in host.node.hospital():
                    host.node.submit_retry(patient.flow_id, by="ann", reason="go on")
                    self.operated += 1
                    done = True
        return done or (not world.is_faulty and self.recover(world))

    def recover(self, world: World) -> bool:
        """Once all is well again, people look what still waits for a notary, and ask."""
        asked = False
        for name in self.honest:
            waiting = rows(world.hosts[name], "SELECT id FROM ledger_transaction WHERE status = 0")
            for (id,) in waiting if not world.hosts[name].disk.flows else ():
                peers = [one for one in self.honest if id in self.truth.has.get(one, ())]
                peer = Party(peers[0] if peers else NOTARY)
                if (name, id, peer) not in self.recovered:
                    self.recovered.add((name, id, peer))
                    self.start(world, name, RecoverTransaction_v1, transaction=id, peer=peer)
                    asked = True
        return asked

    # --- at the end ---

    def judge(self, world: World) -> None:
        if self.trouble:
            raise self.trouble[0]
        self.sums()
        for name in self.honest:
            self.settled(world, world.hosts[name])
        self.signatures(world)
        went_back = any(host.disk_lost for host in world.hosts.values())
        for started, who in self.starts:
            if who == MALLORY or started.is_lost:
                continue
            try:
                self._recorded(who, world.result(started))
            except StillRunning:
                if not world.hosts[who].disk.patients:
                    raise Violation("L9", f"{started} has not ended") from None
            except FlowError as error:
                # Its own coins were taken by another flow of its own.
                lost = type(error).__name__ in ("NotaryConflict", "StatesUnavailable")
                foretold = self.is_hostile or went_back
                require(not lost or foretold, "L11", f"{started} of {who}: {error}")

    def _recorded(self, who: str, result: Any) -> None:
        """L8: who gives a transaction as final has recorded it."""
        id = result if isinstance(result, bytes) else result.id
        require(id in self.truth.has.get(who, ()), "L8", f"{who} has not recorded {id.hex()[:8]}")

    def sums(self) -> None:
        """L3: what was issued and did not leave is what there is."""
        there = self.truth.unspent()
        for token, units in self.truth.issued.items():
            require(there.get(token, 0) == units, "L3", f"{there.get(token, 0)} units of {units}")

    def settled(self, world: World, host: Host) -> None:
        """L7: who keeps what was notarised has recorded it, or says that it waits; nobody counts
        what is used up as his own."""
        if host.disk.patients:
            return
        name = host.name
        waiting = {id for (id,) in rows(host, "SELECT id FROM ledger_transaction WHERE status = 0")}
        has = self.truth.has.get(name, set())
        for event in world.history:
            if type(event) is not Called or event.party != name:
                continue
            if host.disk_lost:
                break  # What it has lost is asked for: L13.
            if event.operation.endswith("Vault.record_in_flight"):
                id = event.arguments[0].id
                refs = event.arguments[0].inputs
                if any(self.book.used.get(name_of(ref)) == hash_of(id) for ref in refs):
                    found = id in has or id in waiting
                    require(found, "L7", f"{name} has lost {id.hex()[:8]}, which is notarised")
        mine = rows(
            host,
            "SELECT t.id, s.ref & 16383, s.pending FROM ledger_state s JOIN ledger_transaction t "
            "ON t.number = s.ref >> 14 WHERE s.relevant = 1 AND s.consumed IS NULL",
        )
        used = {name_of(ref): ref for ref in self.signed}
        for id, index, pending in mine:
            ref = self.truth.known[id].transaction.output(index).ref
            user = self.signed.get(used.get(name_of(ref), ref))
            if host.disk_lost and user not in has:
                continue  # What it was never told again it cannot know.
            if name_of(ref) in used and pending is None:
                text = f"{name} counts {id.hex()[:8]}:{index} as its own, and it is used up"
                raise Violation("L7", text)
        for table in ("ledger_kept", "ledger_asked", "ledger_offered"):
            for (flow,) in rows(host, f"SELECT DISTINCT flow FROM {table}"):
                require(flow in host.disk.flows, "L6", f"{table} of {name} has rows of {flow}")
        for (signed,) in rows(host, "SELECT signed FROM ledger_transaction WHERE status = 0"):
            self._waits(world, host, SignedTransaction.from_flow(signed))
        for party, key in rows(host, "SELECT party, key FROM ledger_keys WHERE number IS NULL"):
            owner = _owners(self.local.parties).get(bytes(key))
            require(owner in (None, party), "L10", f"{name} believes {party} has a key of {owner}")
        for ref, id in self.signed.items():
            self._shared(world, host, ref, id)

    def _waits(self, world: World, host: Host, signed: SignedTransaction) -> None:
        """L8: what an honest party has had notarised waits for nothing any more."""
        refs = signed.inputs
        if any(self.signed.get(ref) != signed.id for ref in refs):
            return
        if any(signed.id in self.truth.has.get(one, ()) for one in self._payers(world, signed)):
            text = f"{signed.id.hex()[:8]} is notarised, and still in flight at {host.name}"
            raise Violation("L8", text)

    def _shared(self, world: World, host: Host, ref: Any, id: bytes) -> None:
        """L8: what an honest party has had notarised, all honest ones have who take part."""
        signed = self.truth.known.get(id)
        if signed is None or id in self.truth.has.get(host.name, ()):
            return
        if any(id in self.truth.has.get(name, ()) for name in self._payers(world, signed)):
            ledger = self.local.ledgers[host.name]
            reading = world.node(host.name).reading()
            ours = any(ledger.keys.is_ours(reading, coin.owner) for coin in coins_of(signed))
            waits = rows(host, "SELECT 1 FROM ledger_transaction WHERE id = ?", (id,))
            require(not ours or waits, "L8", f"{host.name} was paid by {id.hex()[:8]}, unheard")

    def _payers(self, world: World, signed: SignedTransaction) -> list[str]:
        """The honest ones whose coins it uses up."""
        found = []
        for name in self.honest:
            keys = self.local.ledgers[name].keys
            reading = world.node(name).reading()
            coins = [self.truth.coin(ref) for ref in signed.inputs]
            if any(coin is not None and keys.is_ours(reading, coin.owner) for coin in coins):
                found.append(name)
        return found

    def signatures(self, world: World) -> None:
        """L9: no honest flow signs for another what it has not checked."""
        for event in world.history:
            if type(event) is not Called or event.party == MALLORY:
                continue
            operation = event.operation.rpartition(".")[2]
            if operation == "sign" and "Keys" in event.operation:
                which = event.party, event.flow_id, event.arguments[0].id
                require(which in self.heard.checked, "L9", f"{event.party} signs, unchecked")
                require(which in self.heard.agreed, "L9", f"{event.party} signs what is unfair")

    def given(self, offered: Any, ids: Any) -> None:
        """L12: only what was offered is served, and what that rests on."""
        if set(ids) - self._under(offered):
            self.trouble.append(Violation("L12", "something is given that was not offered"))

    def _under(self, offered: Any) -> set[bytes]:
        """What was offered, and all that it rests on."""
        found: set[bytes] = set()
        queue = list(offered)
        while queue:
            id = queue.pop()
            if id not in found:
                found.add(id)
                if id in self.truth.known:
                    queue += self.truth.known[id].transaction.dependencies
        return found


class RestoredTown(Town):
    """The same, and one computer's disk is replaced by an older copy of it. Somebody accepts that,
    and asks the others for each transaction that concerns him and is not there any more.

    L13: then he has all of it, or was told why not; nobody honest has it, if that is the reason.
    """

    name = "ledger restored"

    def build(self, world: World) -> None:
        super().build(world)
        world.strangers.clear()
        who = (*HONEST, BANK, NOTARY)[world.tape.uniform("who goes back", 4)]
        self.fetched: dict[tuple[str, bytes], Started] = {}
        backup.expect(world, who, 15_000)
        world.people.append(self.fetch)

    def missing(self, world: World, host: Host) -> list[bytes]:
        """What concerns a party and is not on its disk, by all that others have."""
        keys, found = self.local.ledgers[host.name].keys, []
        reading = world.node(host.name).reading()
        has = self.truth.has.get(host.name, set())
        for id, signed in self.truth.known.items():
            coins = [self.truth.coin(ref) for ref in signed.inputs] + list(coins_of(signed))
            if id not in has and any(coin and keys.is_ours(reading, coin.owner) for coin in coins):
                found.append(id)
        return found

    def fetch(self, world: World) -> bool:
        """Once all is well again, who went back asks for what he has lost."""
        begun = False
        for host in world.hosts.values():
            if (
                world.is_faulty
                or not host.accepted
                or host.disk.flows
                or host.name not in self.honest
            ):
                continue
            for id in self.missing(world, host):
                peers = [one for one in self.honest if id in self.truth.has.get(one, ())]
                if peers and (host.name, id) not in self.fetched:
                    flow, peer = RecoverTransaction_v1, Party(peers[0])
                    started = world.start(host.name, flow, transaction=id, peer=peer)
                    self.fetched[host.name, id] = started
                    begun = True
        return begun

    def judge(self, world: World) -> None:
        super().judge(world)
        for host in world.hosts.values():
            if not host.accepted or host.name not in self.honest or host.disk.patients:
                continue
            for id in self.missing(world, host):
                name = f"{id.hex()[:8]}, which concerns {host.name},"
                peers = [one for one in self.honest if id in self.truth.has.get(one, ())]
                told = self.fetched.get((host.name, id))
                require(told or not peers, "L13", f"{name} is lost, and {peers} have it")
                if told:
                    try:
                        world.result(told)
                    except FlowError as why:
                        require(str(why), "L13", f"{name} is lost, and nobody says why")
                    else:
                        raise Violation("L13", f"{name} was fetched, and is not there")


def quiet() -> None:
    logging.disable(logging.CRITICAL)
