"""Who may do what over HTTP: users, their tokens and certificates, roles, permissions.

Decides and remembers nothing; knows no route, no flow and no clock of its own.

A permission is a word and what it is about: `start trade.Seller`, `view trade.*`, `kill own`,
`answer treasury`, or a word alone, `drain`. `*` stands for any characters. What somebody has
started he may view without being told so. Whatever is not permitted is refused.
"""

from __future__ import annotations

import dataclasses
import datetime
import difflib
import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

FLOW_WORDS = (
    "start",
    "send",
    "view",
    "kill",
    "pause",
    "retry",
    "repair",
    "throw",
    "dump",
)
"""What is done with flows: followed by flows' names, or `own` for those that one has started."""

ROLE_WORDS = ("answer", "expire")
"""What is done with tasks: followed by the roles that they are for."""

NAME_WORDS = ("schedule",)
"""What is done with schedules: followed by their names."""

NODE_WORDS = ("drain", "audit", "metrics", "backup")
"""What is done with the node: these stand alone."""

WORDS = (*FLOW_WORDS, *ROLE_WORDS, *NAME_WORDS, *NODE_WORDS)

OWN = "own"

_SUBJECT = re.compile(r"[A-Za-z0-9_.*? -]{1,200}")
_USER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
_TOKEN = re.compile(r"sha256:[0-9a-f]{64}")

BUILT_IN: Mapping[str, tuple[str, ...]] = {
    "viewer": ("view *", "metrics"),
    "operator": (
        *(f"{word} *" for word in FLOW_WORDS if word not in ("start", "send")),
        "expire *",
        "schedule *",
        *NODE_WORDS,
    ),
    "admin": (
        *(f"{word} *" for word in (*FLOW_WORDS, *ROLE_WORDS, *NAME_WORDS)),
        *NODE_WORDS,
    ),
}
"""Roles that every node has."""


class AccessWrong(Exception):
    """Users or roles that cannot be: says which, why, and what to write instead."""


class RoleLike(Protocol):
    """A role as a configuration has it."""

    @property
    def may(self) -> Sequence[str]: ...


class UserLike(Protocol):
    """A user as a configuration has it: `token` is "sha256:" and the digest in hex, `certificate`
    a subject, `expires` the first day on which nothing is allowed any more."""

    @property
    def roles(self) -> Sequence[str]: ...
    @property
    def token(self) -> str | None: ...
    @property
    def certificate(self) -> str | None: ...
    @property
    def expires(self) -> datetime.date | None: ...
    @property
    def disabled(self) -> bool: ...


@dataclasses.dataclass(frozen=True)
class Role:
    """What those may do who have it."""

    may: Sequence[str]


@dataclasses.dataclass(frozen=True)
class User:
    """Who may come in, and how he is recognised."""

    roles: Sequence[str]
    token: str | None = dataclasses.field(default=None, repr=False)
    certificate: str | None = None
    expires: datetime.date | None = None
    disabled: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Permission:
    """One word, and what it is about ("" where it stands alone)."""

    word: str
    about: str = ""


def permission_of(text: str) -> Permission:
    """The permission that a text writes. Raises AccessWrong."""
    word, _, about = text.partition(" ")
    if word not in WORDS:
        near = difflib.get_close_matches(word, WORDS, 1)
        hint = f"did you mean `{near[0]}`?" if near else f"the words are: {', '.join(WORDS)}"
        raise AccessWrong(f"`{_shown(text)}` begins with no word for something to be done; {hint}")
    if word in NODE_WORDS:
        if about:
            raise AccessWrong(f"`{_shown(text)}` says too much; write `{word}` alone")
        return Permission(word)
    kind = "a flow's name, `own`" if word in FLOW_WORDS else "a role"
    kind = "a schedule's name" if word in NAME_WORDS else kind
    if not _SUBJECT.fullmatch(about) or about != about.strip():
        raise AccessWrong(f"`{_shown(text)}` does not say about what; write {kind} or `*` after it")
    return Permission(word, about)


def _shown(text: str) -> str:
    return ascii(text[:80])[1:-1]


def digest_of(token: str) -> str:
    """A token as a configuration has it."""
    return "sha256:" + hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


class Caller:
    """Who asks, recognised. `name` is what the audit trail and a flow's ownership say."""

    __slots__ = ("_access", "_may", "is_certified", "name")

    def __init__(
        self,
        name: str,
        may: Mapping[str, tuple[str, ...]],
        access: Access,
        is_certified: bool = False,
    ) -> None:
        self.name = name
        self._may = may
        self._access = access
        self.is_certified = is_certified

    @property
    def prefix(self) -> str:
        """With what the names begin of flows that he has started."""
        return f"{self.name}/"

    def owns(self, client: str | None) -> bool:
        """Whether a flow of that client's name was started by him."""
        return client is not None and client.startswith(self.prefix)

    def may(self, word: str, about: str = "", client: str | None = None) -> bool:
        """Whether he may do that with a flow of that name (without its version) and client's name,
        a task of that role, a schedule of that name, or the node."""
        if word in NODE_WORDS:
            return word in self._may
        if word == "view" and self.owns(client):
            return True
        return any(
            self.owns(client) if pattern == OWN and word in FLOW_WORDS else _fits(pattern, about)
            for pattern in self._may.get(word, ())
        )

    def sees_all(self) -> bool:
        """Whether there may be flows that he sees and has not started."""
        return any(pattern != OWN for pattern in self._may.get("view", ()))

    def still(self, word: str, about: str) -> bool:
        """Whether he may do that now: his account may have been closed since he asked."""
        found = self._access.caller(self.name)
        return found is not None and found.may(word, about)


def _fits(pattern: str, about: str) -> bool:
    return pattern == about or (
        "*" in pattern and _expression(pattern).fullmatch(about) is not None
    )


def _expression(pattern: str) -> re.Pattern[str]:
    return re.compile(".*".join(re.escape(part) for part in pattern.split("*")), re.DOTALL)


class Access:
    """The users and roles of one node."""

    def __init__(
        self,
        users: Mapping[str, UserLike],
        roles: Mapping[str, RoleLike],
        today: Callable[[], datetime.date],
    ) -> None:
        """Raises AccessWrong for whatever cannot be: a malformed permission, a role that nobody
        knows, a user without a token, two with the same."""
        self._today = today
        known: dict[str, tuple[Permission, ...]] = {
            name: tuple(map(permission_of, may)) for name, may in BUILT_IN.items()
        }
        for name, role in roles.items():
            if name in BUILT_IN:
                raise AccessWrong(f"every node has a role {name}; give this one another name")
            try:
                known[name] = tuple(map(permission_of, role.may))
            except AccessWrong as wrong:
                raise AccessWrong(f"role {_shown(name)}: {wrong}") from None
        self._users = dict(users)
        self._may: dict[str, Mapping[str, tuple[str, ...]]] = {}
        self._by_token: dict[str, str] = {}
        self._by_subject: dict[str, str] = {}
        for name, user in users.items():
            self._add(name, user, known)

    def _add(self, name: str, user: UserLike, known: Mapping[str, tuple[Permission, ...]]) -> None:
        if not _USER.fullmatch(name):
            raise AccessWrong(
                f"`{_shown(name)}` is no user's name; take letters, digits and . _ @ -, at most 64"
            )
        may: dict[str, tuple[str, ...]] = {}
        for role in user.roles:
            if role not in known:
                near = difflib.get_close_matches(role, known, 1)
                hint = f"did you mean `{near[0]}`?" if near else f"there are: {', '.join(known)}"
                raise AccessWrong(f"user {name}: there is no role `{_shown(role)}`; {hint}")
            for one in known[role]:
                may[one.word] = (*may.get(one.word, ()), one.about)
        self._may[name] = may
        if user.token is None and user.certificate is None:
            raise AccessWrong(
                f"user {name} has neither a token nor a certificate; give one of them"
            )
        if user.token is not None:
            if not _TOKEN.fullmatch(user.token):
                raise AccessWrong(f'user {name}: a token is written as "sha256:" and 64 hex digits')
            self._one(self._by_token, user.token, name, "token")
        if user.certificate is not None:
            self._one(self._by_subject, subject_of(user.certificate), name, "certificate")

    def _one(self, known: dict[str, str], key: str, name: str, what: str) -> None:
        if known.setdefault(key, name) != name:
            raise AccessWrong(f"users {known[key]} and {name} have one {what}; give each its own")

    def caller(self, name: str, is_certified: bool = False) -> Caller | None:
        """That user, if he may come in today."""
        user = self._users.get(name)
        if user is None or user.disabled:
            return None
        if user.expires is not None and user.expires <= self._today():
            return None
        return Caller(name, self._may[name], self, is_certified)

    def by_token(self, token: str) -> Caller | None:
        """Whose token that is, if he may come in today."""
        name = self._by_token.get(digest_of(token))
        return self.caller(name) if name is not None else None

    def by_certificate(self, subject: str) -> Caller | None:
        """Whose certificate that is, by its subject, if he may come in today."""
        name = self._by_subject.get(subject_of(subject))
        return self.caller(name, is_certified=True) if name is not None else None

    def replace(self, other: Access) -> None:
        """Take the users and roles of another, as when the configuration was read again: whoever is
        under way is judged by them from now on."""
        self.__dict__.update(other.__dict__)


def subject_of(text: str) -> str:
    """A subject in one spelling: `CN=ann, O=Bank` and `O=Bank,CN=ann` are the same."""
    parts = [part.strip() for part in text.split(",")]
    return ",".join(sorted(part if "=" in part else f"CN={part}" for part in parts if part))
