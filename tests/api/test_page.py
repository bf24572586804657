"""docs/http.md shows what happens: every request in it is made, in order, and answered so.

A request is a line `$ curl …`, asked by curl itself over a socket where the machine has it, and
read here as curl reads it; the JSON under it may have "…" where each run has something else.
"""

from __future__ import annotations

import asyncio
import json
import re
import shlex
import shutil
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from flowrt.api.access import Role, User, digest_of
from flowrt.api.app import OPERATIONS, Offer
from flowrt.api.links import PAGES
from flowrt.api.server import ApiConfig, Server, serve
from flowrt.api.trouble import CODES
from flowrt.node import Node
from flowrt.store.memory import MemoryStore
from flowrt.transport.memory import MemoryNetwork
from tests.examples.loaded import loaded

PAGE = Path(__file__).parents[2] / "docs" / "http.md"
PURCHASE = re.compile(r"^## A purchase$(.*?)^## ", re.DOTALL | re.MULTILINE)
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


Asking = Callable[[list[str]], Awaitable[str]]


@pytest.mark.parametrize("by", ["httpx", *filter(shutil.which, ["curl"])])
def test_what_the_page_shows_is_what_happens(tmp_path: Path, by: str) -> None:
    with loaded("purchase", "purchase", tmp_path) as example:
        asyncio.run(_follow(example.flow, example.warehouse, by))


async def _follow(program: Any, warehouse: Any, by: str) -> None:
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
    offer = Offer(apps=[("purchase", "1.0")])
    server = await serve(nodes[0], ApiConfig("127.0.0.1:0", users, roles, offer=offer))
    client = httpx.AsyncClient(transport=httpx.ASGITransport(server.app))

    async def ask(words: list[str]) -> str:
        return await _by_curl(server, words) if by == "curl" else await _curl(client, words)

    count = 0
    async with client:
        for block in PURCHASE.findall(PAGE.read_text()):
            for shown in ASKED.findall(block):
                for words, answer in requests_of(shown):
                    await _as_shown(ask, words, answer)
                    count += 1
    await server.close()
    for node in nodes:
        await node.close()
    assert count >= 12


async def _as_shown(ask: Asking, words: list[str], answer: str) -> None:
    """Ask until it is answered so: what goes on meanwhile has its time."""
    found = ""
    for _ in range(TRIES):
        found = (await ask(words)).strip()
        if answer.startswith("{"):
            if _fits(json.loads(answer), json.loads(found)):
                return
        elif _is_as(answer, found):
            return
        await asyncio.sleep(0)
    raise AssertionError(f"curl {shlex.join(words)}\n{found}")


async def _by_curl(server: Server, words: list[str]) -> str:
    made = await asyncio.create_subprocess_exec(
        "curl",
        *[_with_tokens(word).replace("http://127.0.0.1:8401", server.url) for word in words],
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await made.communicate()
    assert made.returncode == 0
    return said.decode()


def _with_tokens(word: str) -> str:
    for variable, token in TOKENS.items():
        word = word.replace(f"${variable}", token)
    return word


async def _curl(client: httpx.AsyncClient, words: list[str]) -> str:
    method, url, body, headers = "", "", None, {}
    rest = iter(words)
    for word in rest:
        if word in ("-s", "-N", "-sN"):
            continue
        if word == "-X":
            method = next(rest)
        elif word == "-H":
            name, _, value = next(rest).partition(": ")
            headers[name] = _with_tokens(value)
        elif word == "-d":
            body = next(rest)
        else:
            assert not word.startswith("-"), word
            url = word
    method = method or ("POST" if body is not None else "GET")
    return (await client.request(method, url, content=body, headers=headers)).text


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
