"""docs/http.md shows what happens: every request in it is made, in order, and answered so.

A request is a line `$ curl …`, read here as curl reads it; the JSON under it may have "…" where
each run has something else.
"""

from __future__ import annotations

import asyncio
import datetime
import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx

from flowrt.api.access import Access, Role, User, digest_of
from flowrt.api.app import OPERATIONS, App, Offer
from flowrt.api.links import PAGES
from flowrt.api.trouble import CODES
from flowrt.node import Node
from flowrt.store.memory import MemoryStore
from flowrt.transport.memory import MemoryNetwork
from tests.examples.loaded import loaded

PAGE = Path(__file__).parents[2] / "docs" / "http.md"
ASKED = re.compile(r"```console\n(.*?)```", re.DOTALL)
TOKENS = {"TOKEN": "mary's", "ANN": "ann's"}
TRIES = 400


def test_every_route_is_told_of() -> None:
    text = PAGE.read_text()
    for one in OPERATIONS:
        assert f"| `{one.method} {one.path}` |" in text, one.path
    for one in PAGES:
        assert f"| `{one.method} {one.path}` |" in text, one.path
    for status, code in CODES.items():
        assert f"| {status} | `{code}` |" in text


def requests_of(block: str) -> Iterator[tuple[list[str], str]]:
    """(words of a curl, the answer under it)."""
    for part in block.split("$ curl ")[1:]:
        lines = part.split("\n")
        count = 1
        while "\n".join(lines[:count]).count("'") % 2:
            count += 1
        yield shlex.split("\n".join(lines[:count])), "\n".join(lines[count:]).strip()


def test_what_the_page_shows_is_what_happens(tmp_path: Path) -> None:
    with loaded("purchase", "purchase", tmp_path) as example:
        asyncio.run(_follow(example.flow, example.warehouse))


async def _follow(program: Any, warehouse: Any) -> None:
    network = MemoryNetwork()
    nodes = [
        await Node.open(
            name,
            store=MemoryStore(),
            network=network,
            modules=[program],
            services={"Warehouse": warehouse.Warehouse(stock)},
        )
        for name, stock in (("builder", {}), ("toolshop", {"drill": "249.00"}))
    ]
    users = {
        "mary": User(["operator", "manager"], digest_of(TOKENS["TOKEN"])),
        "ann": User(["buyer"], digest_of(TOKENS["ANN"])),
    }
    roles = {
        "manager": Role(["answer manager"]),
        "buyer": Role(["start purchase.Purchase", "kill own"]),
    }
    access = Access(users, roles, datetime.date.today)
    app = App(nodes[0], access, Offer(apps=[("purchase", "1.0")]))
    client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost")
    count = 0
    async with client:
        for block in ASKED.findall(PAGE.read_text()):
            for words, answer in requests_of(block):
                await _as_shown(client, words, answer)
                count += 1
    for node in nodes:
        await node.close()
    assert count >= 12


async def _as_shown(client: httpx.AsyncClient, words: list[str], answer: str) -> None:
    """Ask until it is answered so: what goes on meanwhile has its time."""
    found: Any = None
    for _ in range(TRIES):
        response = await _curl(client, words)
        found = response.text.strip()
        if "text/event-stream" in response.headers["content-type"]:
            if _is_as(answer, found):
                return
        elif _fits(json.loads(answer), response.json()):
            return
        await asyncio.sleep(0)
    raise AssertionError(f"curl {shlex.join(words)}\n{found}")


async def _curl(client: httpx.AsyncClient, words: list[str]) -> httpx.Response:
    method, url, body, headers = "", "", None, {}
    rest = iter(words)
    for word in rest:
        if word in ("-s", "-N", "-sN"):
            continue
        if word == "-X":
            method = next(rest)
        elif word == "-H":
            name, _, value = next(rest).partition(": ")
            for variable, token in TOKENS.items():
                value = value.replace(f"${variable}", token)
            headers[name] = value
        elif word == "-d":
            body = next(rest)
        else:
            assert not word.startswith("-"), word
            url = word
    method = method or ("POST" if body is not None else "GET")
    return await client.request(method, url, content=body, headers=headers)


def _fits(shown: Any, found: Any) -> bool:
    if shown == "…":
        return True
    if isinstance(shown, dict) and isinstance(found, dict):
        names = shown.keys() - {"…"}
        whole = names == found.keys() or ("…" in shown and names <= found.keys())
        return whole and all(_fits(shown[name], found[name]) for name in names)
    if isinstance(shown, list) and isinstance(found, list):
        if shown and shown[-1] == "…":
            shown, found = shown[:-1], found[: len(shown) - 1]
        return len(shown) == len(found) and all(map(_fits, shown, found))
    return bool(shown == found)


def _is_as(shown: str, found: str) -> bool:
    parts = [re.escape(part) for part in shown.split("…")]
    return re.fullmatch(".*".join(parts), found, re.DOTALL) is not None
