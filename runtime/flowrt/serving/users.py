"""Users in `node.toml`: added, disabled, listed; what else is written there stays as it is.

A token is told once; the file has its SHA-256. Who may do what is not judged here.
"""

from __future__ import annotations

import datetime
import json
import re
import secrets
from collections.abc import Sequence
from pathlib import Path

from flowrt.api.access import BUILT_IN, digest_of
from flowrt.serving.config import Config, dotted
from flowrt.serving.files import write
from flowrt.serving.lines import lines_of
from flowrt.serving.settings import User
from flowrt.serving.troubles import nearest, refused

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")


def token_file(name: str) -> str:
    """What a file with a user's token is called in a party's folder."""
    return f"{name}.token"


def new(
    name: str,
    roles: Sequence[str],
    *,
    expires: datetime.date | None = None,
    certificate: str | None = None,
) -> tuple[str, str]:
    """A user's token and table. With a certificate there is no token: it is empty then."""
    token = "" if certificate is not None else f"flow_{secrets.token_urlsafe(32)}"
    lines = ["", f"[{dotted(('users', name))}]"]
    if token:
        lines.append(f'token = "{digest_of(token)}"')
    else:
        lines.append(f"certificate = {json.dumps(certificate, ensure_ascii=False)}")
    lines.append(f"roles = {json.dumps(list(roles), ensure_ascii=False)}")
    if expires is not None:
        lines.append(f"expires = {expires.isoformat()}")
    return token, "\n".join(lines) + "\n"


def add(
    config: Config,
    name: str,
    roles: Sequence[str],
    *,
    expires: datetime.date | None = None,
    certificate: str | None = None,
) -> str:
    """Add a user to the configuration's file; its token. Raises Refused."""
    settings = config.settings
    if not _NAME.fullmatch(name):
        raise refused(config.path, f"{name!r} is no name for a user", "take letters and digits")
    if name in settings.users:
        remedy = "take another name, or remove the table"
        raise refused(config.place("users", name), f"there is a user {name}", remedy)
    known = {*BUILT_IN, *settings.roles}
    for role in roles:
        if role not in known:
            raise refused(config.path, f"there is no role `{role}`", nearest(role, known))
    token, table = new(name, roles, expires=expires, certificate=certificate)
    text = config.path.read_text("utf-8")
    _rewrite(config.path, text.rstrip("\n") + "\n" + table)
    return token


def disable(config: Config, name: str, *, disabled: bool = True) -> bool:
    """Let a user in no more, or again; whether that is a change. Raises Refused."""
    known = config.settings.users
    if name not in known:
        raise refused(config.path, f"there is no user `{name}`", nearest(name, known))
    if known[name].disabled == disabled:
        return False
    text = config.path.read_text("utf-8")
    found = lines_of(text)
    lines = text.splitlines(keepends=True)
    word = "true" if disabled else "false"
    written = found.get(("users", name, "disabled"))
    header = found[("users", name)]
    if written is not None and re.match(r"\s*disabled\s*=", lines[written - 1]):
        lines[written - 1] = re.sub(r"=\s*(true|false)", f"= {word}", lines[written - 1])
    elif lines[header - 1].lstrip().startswith("["):
        lines.insert(header, f"disabled = {word}\n")
    else:
        place, remedy = config.place("users", name), f"write `disabled = {word}` there yourself"
        raise refused(place, "this user is not written as a table of its own", remedy)
    _rewrite(config.path, "".join(lines))
    return True


def standing(user: User, today: datetime.date) -> str:
    """How it stands with a user: `active`, `disabled` or `expired`."""
    if user.disabled:
        return "disabled"
    if user.expires is not None and user.expires <= today:
        return "expired"
    return "active"


def _rewrite(path: Path, text: str) -> None:
    write(path, text.encode(), path.stat().st_mode & 0o777)
