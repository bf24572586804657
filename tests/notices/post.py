"""A mail server and a web server on this machine, that keep what they are handed. Know no
assertion."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import email.policy
import re
import ssl
from collections.abc import AsyncIterator, Mapping
from email.message import EmailMessage
from pathlib import Path

from tests.api.certified import Authority


class Office:
    """The server. `answers` are codes that it gives instead, by the first word of a command (or
    the whole of it); `security` as a node's configuration has it; `silent` says nothing at all."""

    def __init__(
        self,
        context: ssl.SSLContext,
        security: str,
        answers: Mapping[str, int] | None = None,
        silent: bool = False,
    ) -> None:
        self.mails: list[EmailMessage] = []
        self.commands: list[str] = []
        self.logins: list[str] = []
        self.secure: list[bool] = []
        self.answers = dict(answers or {})
        self.security = security
        self.silent = silent
        self.port = 0
        self._context = context

    async def meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One client."""
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await self._talk(reader, writer)
        writer.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        is_secure = self.security == "tls"

        async def say(text: str) -> None:
            writer.write(f"{text}\r\n".encode())
            await writer.drain()

        if self.silent:
            self.commands.append("")
            await reader.read()
            return
        await say("220 here")
        while line := (await reader.readline()).decode().strip():
            word = line.partition(" ")[0].upper()
            self.commands.append(line)
            code = self.answers.get(line, self.answers.get(word))
            if code is not None:
                # As chatty as a server can be.
                await say(f"{code} no: {line}")
            elif word == "EHLO":
                offer = (
                    "STARTTLS" if self.security == "starttls" and not is_secure else "AUTH PLAIN"
                )
                await say(f"250-here\r\n250 {offer}")
            elif word == "STARTTLS":
                await say("220 go on")
                await writer.start_tls(self._context)
                is_secure = True
            elif word == "AUTH":
                self.logins.append(base64.b64decode(line.split()[2]).decode())
                await say("235 welcome")
            elif word == "DATA":
                await say("354 say it")
                data = await reader.readuntil(b"\r\n.\r\n")
                made = email.message_from_bytes(
                    data[:-3].replace(b"\r\n", b"\n"), policy=email.policy.default
                )
                assert isinstance(made, EmailMessage)
                self.mails.append(made)
                self.secure.append(is_secure)
                await say("250 taken")
            elif word == "QUIT":
                await say("221 well")
                return
            else:
                await say("250 well")


@contextlib.asynccontextmanager
async def office(folder: Path, security: str = "starttls", **how: object) -> AsyncIterator[Office]:
    """One that is open; `folder` has the root of its certificate, `root.pem`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*Authority(folder).certify("post"))
    made = Office(context, security, **how)  # type: ignore[arg-type]
    by_tls = context if security == "tls" else None
    server = await asyncio.start_server(made.meet, "127.0.0.1", 0, ssl=by_tls)
    async with server:
        made.port = server.sockets[0].getsockname()[1]
        yield made


def link_in(mail: EmailMessage) -> str:
    """The path of the link in a mail."""
    text = mail.get_content()
    found = re.search(r"^https://node\.example(/answer/\S+)$", text, re.MULTILINE)
    assert found is not None, text
    return found[1]


@contextlib.asynccontextmanager
async def answering(
    answer: bytes, context: ssl.SSLContext | None = None
) -> AsyncIterator[tuple[int, list[tuple[str, bytes]]]]:
    """A web server that says that to whatever it is asked: its port, and what it was asked."""
    asked: list[tuple[str, bytes]] = []

    async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        fields = dict(line.split(": ", 1) for line in head[1:] if line)
        body = await reader.readexactly(int(fields["Content-Length"]))
        asked.append((fields["Flowrt-Signature"], body))
        writer.write(answer)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(meet, "127.0.0.1", 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1], asked
