"""Mail over SMTP, by aiosmtplib, on connections that are kept for the next mail.

Whatever goes wrong before the content is handed over, the server has certainly not taken the mail; from then on it may
have. A kept connection may be dead without our knowing: it is tried with sender and recipient, and replaced by a fresh
one if it does not answer, which cannot send anything twice.
"""

import asyncio
import re
from dataclasses import dataclass
from email.utils import parseaddr
from typing import TYPE_CHECKING, Final

from shared.kernel.clock import utc_now
from shared.mail.connections import Connections, Kept
from shared.mail.message import AddressImpossible, mailbox, written
from shared.mail.port import Mail, MailRefused, MailUnavailable

if TYPE_CHECKING:
    import aiosmtplib

COMMAND_SECONDS_MAX: Final = 15.0
KEPT_SECONDS_MAX: Final = 5.0  # what a kept connection may take for its first answer
_ENHANCED: Final = re.compile(r"[245]\.\d{1,3}\.\d{1,3}\b")
SEND_SECONDS_MAX: Final = 30.0  # well below the claim on the mail (functions/notifications/outbound.py)


@dataclass(slots=True)
class _Progress:
    handed_over: bool = False


class SmtpMailer:
    """A mail server.

    :param sender: `Name <address>`; its domain is the Message-ID's
    :raises AddressImpossible: the sender has no address
    """

    def __init__(self, *, host: str, port: int, username: str, password: str, starttls: bool, sender: str) -> None:
        self._host = host
        self._port = port
        self._username = username or None
        self._password = password or None
        self._starttls = starttls
        name, self._address = parseaddr(sender)
        self._sender = mailbox(name, self._address)
        self._connections = Connections()

    async def send(self, mail: Mail) -> None:
        """See `Mailer.send`."""
        import aiosmtplib

        try:
            message = written(
                mail, sender=self._sender, domain=self._address.partition("@")[2], now=utc_now().replace(microsecond=0)
            )
        except AddressImpossible as error:
            raise MailRefused(f"The mail cannot be written: {error}") from error
        progress = _Progress()
        try:
            async with asyncio.timeout(SEND_SECONDS_MAX):
                await self._hand_over(message, mail.to_address, progress)
        # A server that refuses quotes whom and what it refuses. Exceptions are logged with what led to them, so its
        # words end here: what is told is its codes.
        except aiosmtplib.SMTPRecipientRefused as error:
            raise _refusal("the recipient", error, progress) from None
        except aiosmtplib.SMTPDataError as error:
            raise _refusal("the content", error, progress) from None
        except aiosmtplib.SMTPResponseException as error:
            # Whatever a server says to our greeting, credentials or sender, it says to all mails: a matter of settings.
            # An answer to the content that is none comes here too.
            untouched = not progress.handed_over
            raise MailUnavailable(
                f"The mail server does not let us in: {_codes(error)}.", not_taken=untouched
            ) from None
        except (aiosmtplib.SMTPException, OSError) as error:
            raise MailUnavailable("The mail server does not answer.", not_taken=not progress.handed_over) from error

    async def close(self) -> None:
        """Close the connections that are not in use."""
        await self._connections.close()

    async def _hand_over(self, message: bytes, address: str, progress: _Progress) -> None:
        async with self._connections.turn():
            kept = await self._ready(address)
            try:
                progress.handed_over = True
                await kept.client.data(message)
            except BaseException:
                kept.client.close()
                raise
            self._connections.keep(kept)

    async def _ready(self, address: str) -> Kept:
        """A connection on which the server took our sender and this recipient."""
        import aiosmtplib

        kept = await self._connections.take()
        if kept is not None:
            try:
                return await self._begin(kept, address, KEPT_SECONDS_MAX)
            except aiosmtplib.SMTPRecipientRefused:
                raise
            except (aiosmtplib.SMTPException, OSError) as error:
                self._connections.lost(error)
        client = aiosmtplib.SMTP(
            hostname=self._host, port=self._port, username=self._username, password=self._password,
            start_tls=self._starttls, timeout=COMMAND_SECONDS_MAX,
        )  # fmt: skip
        await client.connect()
        return await self._begin(Kept(client), address, COMMAND_SECONDS_MAX)

    async def _begin(self, kept: Kept, address: str, seconds: float) -> Kept:
        client: aiosmtplib.SMTP = kept.client
        try:
            await client.mail(self._address, timeout=seconds)
            await client.rcpt(address)
        except BaseException:
            client.close()
            raise
        return kept


def _refusal(what: str, error: "aiosmtplib.SMTPResponseException", progress: _Progress) -> Exception:
    if 500 <= error.code < 600:
        return MailRefused(f"The mail server refuses {what}: {_codes(error)}.")
    if 400 <= error.code < 500:
        return MailUnavailable(f"The mail server says later: {_codes(error)}.", not_taken=True)
    return MailUnavailable(f"The mail server says nonsense: {error.code}.", not_taken=not progress.handed_over)


def _codes(error: "aiosmtplib.SMTPResponseException") -> str:
    """The reply code, and where there is one the enhanced status code (RFC 3463), which says why in a table's terms."""
    enhanced = _ENHANCED.match(error.message)
    return f"{error.code} {enhanced.group()}" if enhanced else str(error.code)
