"""How flowctl's commands ask a node: which one, as whom, and what is said when it does not do it.

Knows no command and no route.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import click

from flowrt.serving.troubles import Refused, Trouble, refused

if TYPE_CHECKING:
    from flowrt.client import Client, ClientError

T = TypeVar("T")

VARIABLE = "FLOWCTL_NODE"

NODE = click.option(
    "--node",
    envvar=VARIABLE,
    metavar="URL|FOLDER",
    help="The node to ask, or the folder of its party. Default: this folder.",
)
REASON = click.option("--reason", required=True, help="Why; it is in the audit trail.")
WHY = click.option("--reason", default="", help="Why; it is in the audit trail.")

TRIES = 3
"""How often flowctl asks where that is safe: a person is waiting."""


class Place(NamedTuple):
    """A node that can be asked, and who asks."""

    url: str
    token: str | None
    certificate: str | None
    root: str | None


def place_of(node: str | None) -> Place:
    """What `--node` means. Raises Refused."""
    token = os.environ.get("FLOWCTL_TOKEN") or None
    certificate = os.environ.get("FLOWCTL_CERTIFICATE") or None
    root = os.environ.get("FLOWCTL_ROOT") or None
    if node is not None and "://" in node:
        if token is None and certificate is None:
            raise refused(node, "nobody is known as who asks", "give a token by FLOWCTL_TOKEN")
        return Place(node, token, certificate, root)
    folder = Path(node or ".")
    if not folder.exists() or (folder.is_dir() and not (folder / "node.toml").exists()):
        remedy = f"name a node by --node or {VARIABLE}: its URL, or its party's folder"
        raise refused(folder, "it is no party's folder", remedy)
    return _in_folder(folder, token, certificate, root)


def _in_folder(folder: Path, token: str | None, certificate: str | None, root: str | None) -> Place:
    from flowrt.serving.config import read

    config = read(folder)
    http = config.settings.http
    if http is None:
        remedy = "add the table `[http]`, and start the node again"
        raise refused(config.path, "this party has no HTTP interface", remedy)
    scheme = "http" if http.tls is None else "https"
    if http.tls is not None and root is None:
        root = str(config.folder / http.tls.certificate)
    if token is None and certificate is None:
        token = _own_token(config.folder)
    return Place(f"{scheme}://{http.listen}", token, certificate, root)


def _own_token(folder: Path) -> str:
    """The token that lies in a party's folder: the operator's, or the only one."""
    found = sorted(folder.glob("*.token"))
    chosen = next((one for one in found if one.name == "admin.token"), None)
    if chosen is None and len(found) == 1:
        chosen = found[0]
    if chosen is None:
        remedy = "make one with `flowctl user add`, and give it by FLOWCTL_TOKEN"
        raise refused(folder, "there is no token of who asks", remedy)
    return chosen.read_text("utf-8").strip()


def ask(node: str | None, work: Callable[[Client], Awaitable[T]], *, tries: int = TRIES) -> T:
    """Do something with the node; what comes back. Raises Refused for all that goes wrong."""
    from flowrt.client import ClientError, connect

    place = place_of(node)

    async def live() -> T:
        async with connect(
            place.url,
            token=place.token,
            certificate=place.certificate,
            root=place.root,
            tries=tries,
        ) as client:
            return await work(client)

    try:
        return asyncio.run(live())
    except ClientError as error:
        raise _told(place, error) from None
    except KeyboardInterrupt:
        raise click.Abort from None


def _told(place: Place, error: ClientError) -> Refused:
    remedy = error.remedy
    if error.code == "unauthorized":
        remedy = "give a token that is in force by FLOWCTL_TOKEN; `flowctl user add` makes one"
    return Refused([Trouble(place.url, error.code, error.message, remedy)])


async def flow_id(client: Client, given: str) -> int:
    """The flow whose id is that, or else the one whose id begins so. Raises Refused."""
    from flowrt.client import NotFound

    if not (given.isascii() and given.isdigit()) or len(given) > 19:
        raise refused(given, "an id of a flow is a number", "`flowctl list` shows them")
    try:
        await client.handle(int(given)).show()
    except NotFound:
        pass
    else:
        return int(given)
    found = []
    for state in ("living", "ended"):
        async for one in client.flows(state=state):
            if str(one.id).startswith(given):
                found.append(one.id)
    if not found:
        remedy = "`flowctl list` shows those that there are"
        raise refused(given, "there is no such flow, or it is not yours to see", remedy)
    if len(found) > 1:
        ids = ", ".join(map(str, sorted(found)[:8])) + (", …" if len(found) > 8 else "")
        raise refused(given, f"{len(found)} flows begin so: {ids}", "write more of the id")
    return found[0]


def pairs(given: tuple[str, ...]) -> dict[str, str]:
    """`name=value` of a command line. Raises click.UsageError."""
    found: dict[str, str] = {}
    for one in given:
        name, equals, value = one.partition("=")
        if not equals or not name:
            raise click.UsageError(f"{one!r} is not name=value.")
        if name in found:
            raise click.UsageError(f"{name} is given twice.")
        found[name] = value
    return found


def clean(value: Any) -> str:
    """What a node said, for a terminal: nothing in it moves the cursor."""
    text = "-" if value is None or value == "" else str(value)
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def moment(value: Any) -> str:
    """A time, to the second."""
    return "-" if value is None else value.strftime("%Y-%m-%d %H:%M:%SZ")


def plainly(value: Any) -> Any:
    """An answer as JSON data."""
    import msgspec

    return msgspec.to_builtins(value)
