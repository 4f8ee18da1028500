"""The SMTP side: what a sender talks to, with the failures a sender must survive."""

import asyncio
from typing import Any, Literal, cast

from aiosmtpd.smtp import SMTP, Envelope, Session
from pydantic import Field

from local.emulators.mailbox.store import Mails
from local.emulators.replies import Control

_MESSAGE_BYTES_MAX = 25_000_000
_IDLE_SECONDS = 300.0
_REFUSALS = {
    421: "421 4.3.2 Service not available (injected)",
    450: "450 4.2.1 Mailbox busy (injected)",
    451: "451 4.3.0 Try again later (injected)",
    452: "452 4.2.2 Mailbox full (injected)",
    550: "550 5.1.1 No such mailbox (injected)",
    554: "554 5.7.1 Refused (injected)",
}


class SmtpFault(Control):
    """One rule; the first in force decides about a message.

    `reject` answers `code` and keeps nothing; `lost` keeps the message and cuts the connection before its 250; `slow`
    waits before keeping it.
    """

    kind: Literal["reject", "lost", "slow"]
    code: Literal[421, 450, 451, 452, 550, 554] = 451
    times: int | None = Field(default=None, ge=1, description="how many messages it hits; unset: until cleared")
    seconds: float = Field(default=1.0, ge=0, le=600)


class Receiving:
    """What happens to a message once its content has arrived (aiosmtpd's handler)."""

    def __init__(self, mails: Mails) -> None:
        self._mails = mails
        self._rules: list[tuple[SmtpFault, int]] = []
        self.hits = 0

    def add(self, fault: SmtpFault) -> None:
        """Put a rule behind those in force."""
        self._rules.append((fault, 0))

    def clear(self) -> None:
        """A good day again."""
        self._rules.clear()

    async def handle_DATA(self, server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's name
        """Keep the message, then say so; or fail as told."""
        fault = self._next()
        if fault is not None and fault.kind == "reject":
            return _REFUSALS[fault.code]
        if fault is not None and fault.kind == "slow":
            await asyncio.sleep(fault.seconds)
        content = envelope.content
        assert isinstance(content, bytes), "the server is told not to decode"
        number = self._mails.keep(
            sender=envelope.mail_from or "",
            recipients=[str(address) for address in envelope.rcpt_tos],
            raw=content,
        )
        if fault is not None and fault.kind == "lost":
            assert server.transport is not None, "a conversation has a connection"
            cast(asyncio.Transport, server.transport).abort()
        return f"250 2.0.0 Kept as {number}"

    def _next(self) -> SmtpFault | None:
        if not self._rules:
            return None
        fault, hit = self._rules[0]
        if fault.times is not None and hit + 1 >= fault.times:
            del self._rules[0]
        else:
            self._rules[0] = (fault, hit + 1)
        self.hits += 1
        return fault


def protocol(receiving: Receiving) -> Any:
    """A fresh conversation with a sender."""
    return SMTP(
        receiving,
        data_size_limit=_MESSAGE_BYTES_MAX,
        enable_SMTPUTF8=True,
        decode_data=False,
        hostname="mailbox.tessera.example",  # given, so that no name service is asked
        ident="Tessera mailbox",
        timeout=_IDLE_SECONDS,
        loop=asyncio.get_running_loop(),
    )
