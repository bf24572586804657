"""A notifier that writes to people: of each new task, to everybody who may answer it, a mail with a
link of his own that answers it once.

Hands mails to one server, by TLS. Knows no interface: only where it is.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import email.utils
import logging
import re
import smtplib
import socket
import threading
import urllib.parse
from collections.abc import Callable, Mapping
from email.message import EmailMessage
from typing import Any, Final

from flowrt.core.hospital import one_line
from flowrt.notices.given import NotTaken, Place, Wrong, secret_of, shown, text_of
from flowrt.notices.links import PATH, Desk
from flowrt.notices.webhook import trusting
from flowrt.store.noticebook import OVER, Notice
from flowrt.views import TaskView

SERVER_S: Final = 8.0
"""So long the server may take for one answer."""

_ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*")
_SECURITY = ("starttls", "tls", "none")
_AGE = re.compile(r"([1-9][0-9]{0,4})(min|h|d)")
_UNITS = {"min": "minutes", "h": "hours", "d": "days"}
_LOOPBACK = ("localhost", "127.0.0.1", "::1")

_LOG = logging.getLogger("flowrt.notices")


class Mail:
    """Writes to the users of `to`, at the address of each, by the server "host:port".

    A link leads to `url`, where people reach the node's interface, and is good for `good_for`, but
    no longer than the task. With `identify` who opens it must say besides who he is: by his client
    certificate, or by his token. `security` is how the server is spoken to: "starttls", "tls", or
    "none", which only this machine's own is. `ca` is the file of another root of certificates.

    Raises Wrong: a key cannot be so.
    """

    def __init__(
        self,
        place: Place,
        server: str,
        sender: str,
        to: Mapping[str, str],
        url: str,
        security: str = "starttls",
        user: str | None = None,
        password_file: str | None = None,
        ca: str | None = None,
        good_for: str = "1d",
        identify: bool = False,
    ) -> None:
        host, _, port = text_of("server", server).rpartition(":")
        self._host = host.strip("[]")
        if not self._host or not port.isascii() or not port.isdigit() or int(port) > 65_535:
            raise Wrong("server", "it is no address", 'write "mail.example:587"')
        self._port = int(port)
        if security not in _SECURITY:
            raise Wrong("security", f"it is one of {', '.join(_SECURITY)}", 'write "starttls"')
        if security == "none" and self._host not in _LOOPBACK:
            cause = f"links would go to {self._host} so that others can read them"
            raise Wrong("security", cause, 'write "starttls" or "tls"')
        self._security = security
        self._tls = trusting(place.folder, ca) if security != "none" else None
        self._sender = _address("sender", sender)
        if not isinstance(to, Mapping) or not to:
            raise Wrong("to", "a table of users and their addresses is wanted", 'ann = "ann@…"')
        self.users = {name: _address("to", one) for name, one in to.items()}
        """Who is written to, and where."""
        self.url = text_of("url", url).rstrip("/")
        """Where links lead."""
        parts = urllib.parse.urlsplit(self.url)
        if parts.scheme not in ("https", "http") or not parts.hostname or parts.path or parts.query:
            raise Wrong("url", "it leads to no node", 'write "https://HOST:PORT"')
        if parts.scheme == "http" and parts.hostname not in _LOOPBACK:
            cause = "answers would go there so that others can read them"
            raise Wrong("url", cause, f"write https://{parts.netloc}")
        if (user is None) != (password_file is None):
            raise Wrong("user", "`user` and `password_file` go together", "give both, or neither")
        self._login: tuple[str, str] | None = None
        if user is not None and password_file is not None:
            path = place.folder / text_of("password_file", password_file)
            remedy = f"write the password of {text_of('user', user)} into it"
            password = secret_of("password_file", path, remedy)
            if not password or not password.isascii():
                raise Wrong("password_file", f"{shown(path)} has no password in ASCII", remedy)
            self._login = (user, password.decode("ascii"))
        age = _AGE.fullmatch(good_for) if isinstance(good_for, str) else None
        if age is None:
            raise Wrong("good_for", "an age is a number and min, h or d", 'write "1d"')
        self._good_for = datetime.timedelta(**{_UNITS[age[2]]: int(age[1])})
        if type(identify) is not bool:
            raise Wrong("identify", "it is true or false")
        self._identify = identify
        self._party = place.party
        self._desk: Desk | None = None
        # Of the notice that is told now, which may come again: whom it reached, and links.
        self._about = ""
        self._reached: set[str] = set()
        self._tokens: dict[str, str] = {}
        self._speaking = threading.Lock()
        self._server: smtplib.SMTP | None = None

    def attach(self, desk: Desk) -> None:
        """What is asked of the node is asked there."""
        self._desk = desk

    async def tell(self, notice: Notice) -> None:
        """Write, if it is a new task that is still open. Raises NotTaken, OSError."""
        assert self._desk is not None
        if notice.id != self._about:
            self._about, self._reached, self._tokens = notice.id, set(), {}
        if notice.kind in OVER:
            await asyncio.to_thread(self._desk.links.drop, notice.flow_id, notice.number)
            return
        task = self._desk.task(notice.flow_id, notice.number)
        if notice.kind != "new" or task is None or task.since != notice.since:
            return
        wanted = [
            user
            for user in self.users
            if user not in self._reached and self._desk.may_answer(user, task.role)
        ]
        if not wanted:
            return
        until = self._desk.now + self._good_for
        until = min(until, task.due) if task.due is not None else until
        work = asyncio.ensure_future(asyncio.to_thread(self._write, task, wanted, until))
        try:
            await asyncio.shield(work)
        except asyncio.CancelledError:
            while not work.done():
                self._cut_off()
                await asyncio.wait({work}, timeout=0.05)
            work.exception()
            raise

    # --- in a thread ---

    def _write(self, task: TaskView, users: list[str], until: datetime.datetime) -> None:
        assert self._desk is not None
        with self._speaking:
            mails = []
            for user in users:
                if user not in self._tokens:
                    self._tokens[user] = self._desk.link(task, user, until, self._identify)
                mails.append((user, self._mail(task, user, until)))
            try:
                with self._connected() as server:
                    for user, mail in mails:
                        self._hand_over(server, user, mail)
            except smtplib.SMTPResponseException as error:
                # The server's own words may repeat what it was told.
                raise NotTaken(f"{self._host} answers {error.smtp_code}") from None
            except smtplib.SMTPException as error:
                raise NotTaken(f"{self._host}: {type(error).__name__}") from None
            finally:
                self._server = None

    def _hand_over(self, server: smtplib.SMTP, user: str, mail: EmailMessage) -> None:
        try:
            server.send_message(mail)
        except smtplib.SMTPRecipientsRefused as error:
            codes = [code for code, _ in error.recipients.values()]
            if any(code < 500 for code in codes):
                raise NotTaken(
                    f"{self._host} answers {codes[0]} of the address of {user}"
                ) from None
            # For good: others are written to all the same.
            _LOG.warning("%s takes no mail for %s: %d", self._host, user, codes[0])
        self._reached.add(user)

    def _connected(self) -> smtplib.SMTP:
        name = self._sender.partition("@")[2]
        where = (self._host, self._port)
        server: smtplib.SMTP
        if self._security == "tls":
            server = _ByTls(self._see, *where, name, timeout=SERVER_S, context=self._tls)
        else:
            server = _Plain(self._see, *where, name, timeout=SERVER_S)
        try:
            if self._security == "starttls":
                # Raises where it is not offered: nothing is said without it.
                server.starttls(context=self._tls)
            if self._login is not None:
                server.login(*self._login)
        except BaseException:
            server.close()
            raise
        return server

    def _see(self, server: smtplib.SMTP) -> None:
        self._server = server

    def _cut_off(self) -> None:
        """Let a thread that waits for the server go on, and fail."""
        found = self._server.sock if self._server is not None else None
        if found is not None:
            with contextlib.suppress(OSError):
                found.shutdown(socket.SHUT_RDWR)

    def _mail(self, task: TaskView, user: str, until: datetime.datetime) -> EmailMessage:
        made = EmailMessage()
        role, flow = one_line(task.role)[:100], one_line(task.flow)[:200]
        made["Subject"] = f"{self._party}: a question for {role}"[:200]
        made["From"] = self._sender
        made["To"] = self.users[user]
        made["Date"] = email.utils.format_datetime(task.since)
        # The same where it comes again.
        which = f"{self._about}.{list(self.users).index(user)}"
        made["Message-ID"] = f"<{which}@{self._sender.partition('@')[2]}>"
        made["Auto-Submitted"] = "auto-generated"
        asks = f"{flow} of {self._party} asks {role}: flow {task.flow_id}, question {task.number}."
        proof = "It asks you who you are.\n" if self._identify else ""
        made.set_content(
            f"{asks}\n\n"
            f"See it, and answer it once, as {user}, until {until:%Y-%m-%d %H:%M} UTC:\n\n"
            f"{self.url}{PATH}{self._tokens[user]}\n\n"
            f"{proof}"
            "To open this link changes nothing. Who has it answers in your name: pass it on to "
            "nobody.\n",
            cte="7bit" if asks.isascii() else None,
        )
        return made


class _Seen:
    """A client that is known before it has connected, to be cut off."""

    def __init__(self, see: Callable[[Any], None], *where: Any, **how: Any) -> None:
        see(self)
        super().__init__(*where, **how)


class _Plain(_Seen, smtplib.SMTP):
    pass


class _ByTls(_Seen, smtplib.SMTP_SSL):
    pass


def _address(key: str, value: object) -> str:
    if type(value) is not str or len(value) > 254 or not _ADDRESS.fullmatch(value):
        raise Wrong(key, "this is no address of a mailbox", 'write "ann@example.org"')
    return value
