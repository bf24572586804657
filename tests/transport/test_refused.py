"""Who is not let in: the matrix of bad handshakes, from both sides. Refused, counted, and nothing
reaches the party; those who are let in notice nothing."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import datetime
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest

from flowrt.ledger.identity.certificates import Authority, Usage
from flowrt.transport.credentials import Credentials
from flowrt.transport.framing import HELLO, PACKET, PROTOCOL, framed
from flowrt.transport.limits import WireLimits
from flowrt.transport.tunnel import Refusal
from tests.transport.certified import (
    ECDSA_P256,
    QUICK,
    SINCE,
    UNTIL,
    Raw,
    Town,
    key,
    pem,
    until,
)
from tests.transport.test_tls import LIFE, Party, play

YEAR = datetime.timedelta(days=365)
NOW = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
MANY = WireLimits(handshakes_per_s=10_000, handshakes_per_address=500)


def context(
    shown: Credentials | None,
    side: int = ssl.PROTOCOL_TLS_CLIENT,
    newest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3,
    speaks: str | None = PROTOCOL,
) -> ssl.SSLContext:
    """An end that shows what it likes and believes everything."""
    made = ssl.SSLContext(side)
    made.check_hostname = False
    made.verify_mode = ssl.CERT_NONE
    if newest < ssl.TLSVersion.TLSv1_2:
        made.set_ciphers("ALL:@SECLEVEL=0")
    made.maximum_version = newest
    if speaks is not None:
        made.set_alpn_protocols([speaks])
    if shown is not None:
        made.load_cert_chain(shown.certificate, shown.key, password=lambda: shown.passphrase or "")
    return made


def another_root(town: Town) -> Credentials:
    folder = town.folder / "other"
    folder.mkdir()
    return Town(folder, "O=Elsewhere, C=GB").issue("mallory")


def same_root_name(town: Town) -> Credentials:
    """Of a root that is named as ours is, and has another key."""
    root = Authority.root("O=Town, C=GB", key("another"), SINCE, UNTIL)
    return town.issue("mallory", authority=root)


def self_signed(town: Town) -> Credentials:
    shown = town.issue("mallory")
    own = Authority.root("mallory", key("tls mallory"), SINCE, UNTIL)
    shown.certificate.write_text(pem([own.certificate]))
    return shown


def authority(town: Town) -> Credentials:
    """An authority of our own network, as if it were a party."""
    shown = town.issue("mallory")
    chain = town.authority.authority("mallory", key("tls mallory").public, SINCE, UNTIL)
    shown.certificate.write_text(pem(chain[:-1]))
    return shown


def below(town: Town, *, permitted: str, until: datetime.datetime = UNTIL) -> Credentials:
    """Certified by an authority below the root."""
    chain = town.authority.authority(
        "O=London, C=GB", key("london").public, SINCE, until, permitted=[permitted]
    )
    return town.issue(
        "O=Mallory, C=GB", authority=Authority(chain, key("london")), until=until
    )  # fmt: skip


def no_chain(town: Town) -> Credentials:
    """The authority between it and the root is left out."""
    shown = below(town, permitted="C=GB")
    first, end, _ = shown.certificate.read_text().partition("-----END CERTIFICATE-----\n")
    shown.certificate.write_text(first + end)
    return shown


SHOWN: dict[str, tuple[Callable[[Town], Credentials | None], Refusal]] = {
    "no certificate": (lambda town: None, Refusal.NO_CERTIFICATE),
    "another network's": (another_root, Refusal.UNTRUSTED),
    "another root of our root's name": (same_root_name, Refusal.UNTRUSTED),
    "self-signed": (self_signed, Refusal.UNTRUSTED),
    "an authority's own": (authority, Refusal.WRONG_USAGE),
    "by an authority that may not": (lambda town: below(town, permitted="C=FR"), Refusal.UNTRUSTED),
    "without the authority above it": (no_chain, Refusal.UNTRUSTED),
    "expired": (
        lambda town: town.issue("mallory", since=NOW - 2 * YEAR, until=NOW - YEAR),
        Refusal.EXPIRED,
    ),
    "under an authority that is expired": (
        lambda town: below(town, permitted="C=GB", until=NOW - YEAR),
        Refusal.EXPIRED,
    ),
    "not valid yet": (lambda town: town.issue("mallory", since=NOW + YEAR), Refusal.NOT_YET_VALID),
    "for the ledger": (
        lambda town: town.issue("mallory", usage=Usage.IDENTITY),
        Refusal.WRONG_USAGE,
    ),
    "the operator's": (
        lambda town: town.issue("mallory", usage=Usage.OPERATOR),
        Refusal.WRONG_USAGE,
    ),
    "of a party that is not in the directory": (
        lambda town: town.issue("stranger"),
        Refusal.UNKNOWN_PARTY,
    ),
    "our own name": (lambda town: town.issue("alice"), Refusal.WRONG_NAME),
}


async def knock(raw: Raw) -> None:
    """Say everything that a party says, and hear the door shut."""
    with contextlib.suppress(OSError):
        raw.writer.write(framed(HELLO, LIFE) + framed(PACKET, b"let me in"))
        said = await raw.rest()
        assert said == b"", "not even hello"


@pytest.mark.parametrize("name", SHOWN)
def test_who_comes_with_a_bad_certificate(tmp_path: Path, name: str) -> None:
    make, why = SHOWN[name]

    async def test(town: Town) -> None:
        async with town.open("alice", "bob") as networks:
            alice, bob = map(Party, networks)
            town.known["mallory"] = town.known["O=Mallory, C=GB"] = []
            bob.send("alice", b"before")
            await until(lambda: len(alice.mail) == 1)
            with contextlib.suppress(OSError):
                async with Raw.dial(alice.network, context(make(town))) as raw:
                    await knock(raw)
            await until(lambda: alice.network.figures().refused == {why.value: 1})
            bob.send("alice", b"after")
            await until(lambda: len(alice.mail) == 2)
            assert {peer for peer, _ in alice.mail} == {"bob"}
            await until(lambda: alice.network.figures().handshakes == 0)

    play(test, tmp_path)


@pytest.mark.parametrize("name", [name for name in SHOWN if name != "no certificate"])
def test_who_is_dialed_and_shows_a_bad_certificate(tmp_path: Path, name: str) -> None:
    make, why = SHOWN[name]
    # Whom we dial is known; that he is somebody else is all that it takes.
    why = Refusal.WRONG_NAME if why is Refusal.UNKNOWN_PARTY else why

    async def test(town: Town) -> None:
        heard: list[bytes] = []

        async def met(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with contextlib.suppress(OSError):
                writer.write(framed(HELLO, LIFE) + framed(PACKET, b"it is me"))
                heard.append(await reader.read())
            writer.close()

        shown = context(make(town), ssl.PROTOCOL_TLS_SERVER)
        server = await asyncio.start_server(met, "127.0.0.1", 0, ssl=shown)
        async with town.open("alice") as [network]:
            alice = Party(network)
            who = "O=Mallory, C=GB" if "authority" in name and "own" not in name else "mallory"
            town.known[who] = [f"127.0.0.1:{server.sockets[0].getsockname()[1]}"]
            alice.send(who, b"for mallory alone")
            await until(lambda: network.figures().refused.get(why.value))
            assert why.value in network.peers()[0].trouble
            await until(lambda: network.figures().packets_dropped)
            assert alice.mail == []
        server.close()
        await server.wait_closed()
        assert b"".join(heard) == b"", "nothing is told to who is not the right one"

    play(test, tmp_path)


@pytest.mark.parametrize(
    ("name", "newest", "speaks", "why"),
    [
        ("TLS 1.2", ssl.TLSVersion.TLSv1_2, PROTOCOL, Refusal.OLD_TLS),
        ("no protocol named", ssl.TLSVersion.TLSv1_3, None, Refusal.OTHER_PROTOCOL),
        ("HTTP/2", ssl.TLSVersion.TLSv1_3, "h2", Refusal.OTHER_PROTOCOL),
        ("a later protocol", ssl.TLSVersion.TLSv1_3, "flowrt/2", Refusal.OTHER_PROTOCOL),
    ],
)
def test_a_good_certificate_is_not_enough(
    tmp_path: Path, name: str, newest: ssl.TLSVersion, speaks: str | None, why: Refusal
) -> None:
    async def test(town: Town) -> None:
        async with town.open("alice") as [network]:
            alice = Party(network)
            town.known["mallory"] = []
            with contextlib.suppress(OSError):
                shown = context(town.issue("mallory"), newest=newest, speaks=speaks)
                async with Raw.dial(network, shown) as raw:
                    await knock(raw)
            await until(lambda: network.figures().refused == {why.value: 1})
            assert alice.mail == []

    play(test, tmp_path)


PLAIN = {
    "W10 HTTP": b"GET / HTTP/1.1\r\nHost: alice\r\n\r\n",
    "W10 HTTP by a proxy": b"CONNECT alice:443 HTTP/1.1\r\n\r\n",
    "W10 SSH": b"SSH-2.0-OpenSSH_9.9\r\n",
    "W10 our own frames, not encrypted": framed(HELLO, LIFE) + framed(PACKET, b"let me in"),
    "W10 zeros": bytes(5000),
    "W10 ones": b"\xff" * 5000,
    "W10 SSL 2": b"\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10" + bytes(40),
    "W10 an alert": b"\x15\x03\x01\x00\x02\x02\x28",
    "W10 a record that is too long": b"\x16\x03\x01\xff\xff" + bytes(66_000),
}


@pytest.mark.parametrize("name", PLAIN)
def test_what_is_no_tls(tmp_path: Path, name: str) -> None:
    async def test(town: Town) -> None:
        async with town.open("alice") as [network]:
            alice = Party(network)
            async with Raw.dial(network, None) as raw:
                raw.writer.write(PLAIN[name])
                answer = await raw.rest()
            assert len(answer) <= 7, "an alert at most"
            await until(lambda: network.figures().refused)
            [why] = network.figures().refused
            assert why == Refusal.NOT_TLS.value
            assert alice.mail == []

    play(test, tmp_path)


def test_w10_the_beginning_of_a_handshake_and_then_silence(tmp_path: Path) -> None:
    async def test(town: Town) -> None:
        limits = WireLimits(handshake_s=0.05)
        async with town.open("alice", limits=limits) as [network]:
            Party(network)
            for hello in (b"", b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03", b"\x16"):
                before = network.figures().refused.get(Refusal.SLOW_HANDSHAKE.value, 0)
                async with Raw.dial(network, None) as raw:
                    raw.writer.write(hello)
                    assert await raw.rest() == b""
                after = network.figures().refused[Refusal.SLOW_HANDSHAKE.value]
                assert after == before + 1

    play(test, tmp_path)


def test_who_shakes_hands_and_says_no_hello(tmp_path: Path) -> None:
    async def test(town: Town) -> None:
        town.known["mallory"] = []
        async with town.open("alice", limits=WireLimits(handshake_s=0.2)) as [network]:
            Party(network)
            async with Raw.dial(network, town.issue("mallory").load().dialing) as raw:
                assert (await raw.frame())[0] == HELLO
                assert await raw.rest() == b""
            assert network.figures().refused == {Refusal.SLOW_HANDSHAKE.value: 1}

    play(test, tmp_path)


def test_nobody_is_let_in_where_no_party_has_joined(tmp_path: Path) -> None:
    async def test(town: Town) -> None:
        town.known["mallory"] = []
        async with town.open("alice") as [network]:
            async with Raw.dial(network, None) as raw:
                assert await raw.rest() == b""
            assert network.figures().refused == {Refusal.NOT_HERE.value: 1}

    play(test, tmp_path)


@pytest.mark.parametrize(
    "make",
    [
        lambda town: town.issue("mallory"),
        lambda town: town.issue("mallory", scheme=ECDSA_P256),
        lambda town: town.issue("mallory", passphrase=b"open sesame"),
        lambda town: below(town, permitted="C=GB"),
    ],
)
def test_who_is_let_in(tmp_path: Path, make: Callable[[Town], Credentials]) -> None:
    """The same knocking, with what is right: so it is the certificates that the others lack."""

    async def test(town: Town) -> None:
        town.known["mallory"] = town.known["O=Mallory, C=GB"] = []
        async with town.open("alice", limits=QUICK) as [network]:
            alice = Party(network)
            async with Raw.dial(network, context(make(town)), life=LIFE) as raw:
                raw.writer.write(framed(PACKET, b"good day"))
                await until(lambda: alice.mail)
                tls = raw.writer.get_extra_info("ssl_object")
                assert not tls.session.has_ticket, "nobody comes again without a certificate"
            assert alice.mail[0][1] == b"good day"

    play(test, tmp_path)


def test_the_page_has_every_reason_and_limit() -> None:
    page = (Path(__file__).parent.parent.parent / "docs" / "nodes.md").read_text()
    for why in Refusal:
        assert why.value in page, why
    for field in dataclasses.fields(WireLimits):
        assert f"`{field.name}`" in page
        assert f"{field.default:,g}" in page or field.name == "waiting_bytes"
