"""The mails of the provider, sent behind the pages: a page answers the same, and as fast, whatever is mailed.

What is to be mailed is written down with the form that asked for it, by one statement whoever is meant, and worked out
and sent by one task afterwards. So it survives a crash, and nobody learns from an answer whether an address is known.
Nor from the next one, which waits for that task: the same mail is made and the mail server is told as much, whether
anybody is to get it or not.
"""

import asyncio
import sqlite3
from contextlib import suppress
from email.message import EmailMessage
from pathlib import Path
from typing import Literal

import aiosmtplib
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from local.emulators.database import Database
from local.emulators.entra.clock import Clock
from local.emulators.entra.links import LIFE_SECONDS, Links, Purpose
from local.emulators.entra.texts import words
from local.emulators.entra.users import Users

SCHEMA = """
CREATE TABLE IF NOT EXISTS letters (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL,
    email TEXT NOT NULL,
    request TEXT NOT NULL,
    language TEXT NOT NULL,
    root TEXT NOT NULL,
    failures INTEGER NOT NULL DEFAULT 0
);
"""
SENDER = "Tessera sign-in <sign-in@tessera.example>"
_FAILURES_MAX = 8
_SMTP_SECONDS = 10
_WORDS_OF_A_MAIL = 4  # MAIL, RCPT, DATA and the mail itself
_PAUSE_SECONDS = 0.5
_PAUSE_SECONDS_MAX = 30.0

Kind = Literal["sign-up", "reset", "password-changed"]


class Post:
    """Writes down what is to be mailed, and mails it."""

    def __init__(self, database: Database, users: Users, links: Links, clock: Clock, smtp: str | None) -> None:
        """:param smtp: `host:port` of the mail server; None: no mail can be sent, and what needs one is refused"""
        self._database = database
        self._users = users
        self._links = links
        self._clock = clock
        host, _, port = (smtp or "").rpartition(":")
        self._server = (host, int(port)) if smtp else None
        self._more = asyncio.Event()
        self.troubles = 0
        self._templates = Environment(
            loader=FileSystemLoader(Path(__file__).parent / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )

    @property
    def open(self) -> bool:
        """Whether there is a mail server."""
        return self._server is not None

    def write(self, kind: Kind, email: str, *, language: str, root: str, request: str = "") -> None:
        """Put a letter down for sending.

        :param root: what addresses in it begin with
        :param request: the sign-in it began with
        """
        insert = "INSERT INTO letters (kind, email, request, language, root) VALUES (?, ?, ?, ?, ?)"
        self._database.change(insert, kind, email, request, language, root)
        self._more.set()

    async def run(self) -> None:
        """Send letters until cancelled. One that fails `_FAILURES_MAX` times is given up, and said so."""
        pause = _PAUSE_SECONDS
        while True:
            self._more.clear()
            try:
                if await self._next():
                    pause = _PAUSE_SECONDS
                    continue
            except Exception as error:  # whatever it is, there will be letters to send after it
                self._tell("cannot send mails", error)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._more.wait(), pause)
            pause = min(2 * pause, _PAUSE_SECONDS_MAX)

    async def _next(self) -> bool:
        """Wait for a letter, if there is none, and try it; False: it is to be tried again."""
        row = self._database.one("SELECT * FROM letters ORDER BY failures, id LIMIT 1")
        if row is None or self._server is None:
            await self._more.wait()
            return True
        try:
            await self._sent(row, *self._server)
        except Exception as error:  # one letter's trouble, of whatever kind, holds up no other
            if row["failures"] + 1 < _FAILURES_MAX:
                if not isinstance(error, (aiosmtplib.SMTPException, OSError)):
                    self._tell(f"cannot make a mail ({row['kind']})", error)
                self._database.change("UPDATE letters SET failures = failures + 1 WHERE id = ?", row["id"])
                return False
            self._tell(f"gave a mail up ({row['kind']})", error)
        self._database.change("DELETE FROM letters WHERE id = ?", row["id"])
        return True

    async def _sent(self, row: sqlite3.Row, host: str, port: int) -> None:
        message, meant = self._composed(row), self._is_meant(row)
        server = aiosmtplib.SMTP(hostname=host, port=port, timeout=_SMTP_SECONDS, use_tls=False, start_tls=False)
        async with server:
            if meant:
                await server.send_message(message)
                return
            await server.ehlo()
            message.as_bytes()
            for _ in range(_WORDS_OF_A_MAIL):
                await server.noop()

    def _tell(self, what: str, error: Exception) -> None:
        self.troubles += 1
        print(f"entra emulator {what}, trouble {self.troubles} since its start: {error!r}", flush=True)

    def _is_meant(self, row: sqlite3.Row) -> bool:
        """Whether anybody is to be written to."""
        user = self._users.by_email(row["email"])
        return row["kind"] == "sign-up" or (user is not None and user.enabled)

    def _composed(self, row: sqlite3.Row) -> EmailMessage:
        """The mail of a letter, also where nobody is to get it: its link leads nowhere then."""
        kind, email, root = row["kind"], row["email"], row["root"]
        if kind == "sign-up" and self._users.by_email(email) is not None:
            return self._mail(row, "known", None, f"{root}/reset")
        if kind == "password-changed":
            return self._mail(row, kind, None, f"{root}/reset")
        purpose = Purpose(kind)
        secret = self._links.make(purpose, email, row["request"], now=self._clock.now())
        return self._mail(row, kind, purpose, f"{root}/{kind}/finish?token={secret}")

    def _mail(self, row: sqlite3.Row, kind: str, purpose: Purpose | None, link: str) -> EmailMessage:
        say = words(row["language"])
        minutes = 0 if purpose is None else LIFE_SECONDS[purpose] // 60
        facts = {"email": row["email"], "minutes": minutes, "hours": minutes // 60}
        lines = [say(f"mail.{kind}.{part}", **facts) for part in ("greeting", "text", "otherwise")]
        mail = EmailMessage()
        mail["From"], mail["To"] = SENDER, row["email"]
        mail["Subject"] = say(f"mail.{kind}.subject")
        mail["Message-ID"] = f"<{row['id']}.{kind}@sign-in.tessera.example>"
        mail["Auto-Submitted"] = "auto-generated"
        mail["Content-Language"] = row["language"]
        mail.set_content(f"{lines[0]}\n\n{lines[1]}\n\n{link}\n\n{lines[2]}\n\n-- \n{say('mail.signature')}\n")
        html = self._templates.get_template("mail.html").render(
            lang=row["language"],
            subject=mail["Subject"],
            lines=lines,
            link=link,
            action=say(f"mail.{kind}.action"),
            signature=say("mail.signature"),
        )
        mail.add_alternative(html, subtype="html")
        return mail
