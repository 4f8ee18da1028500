"""Posting: each mail goes out once, as far as SMTP lets anybody promise that."""

from collections.abc import Awaitable, Callable
from datetime import datetime

from functions.notifications.outbound import Claim, MailState, OutboundMail
from shared.kernel.clock import utc_now
from shared.kernel.errors import DependencyUnavailable
from shared.kernel.ids import OrganiserId
from shared.mail.port import Mail, Mailer, MailRefused, MailUnavailable
from shared.telemetry import Log, count

_log = Log("notifications")


class MailInHand(DependencyUnavailable):
    """Another delivery of the same event is sending the mail at this moment."""


class Post:
    """Sends mails, and remembers which went out."""

    def __init__(self, outbound: OutboundMail, mailer: Mailer) -> None:
        self._outbound = outbound
        self._mailer = mailer

    async def send_once(
        self, message_id: str, organiser_id: OrganiserId, written: Callable[[], Awaitable[Mail]], now: datetime
    ) -> None:
        """Write and send a mail; one that went out, or was refused for good, is neither written nor sent again.

        :param message_id: the local part of its Message-ID
        :raises MailUnavailable: the mail server is away; later
        :raises MailInHand: another delivery is at it; later, in case it dies
        """
        claim = await self._outbound.claim(message_id, organiser_id, now)
        if claim is MailState.SENDING:
            raise MailInHand("The mail is being sent.")
        if not isinstance(claim, Claim):
            return
        if claim.maybe_sent:
            count("mails_possibly_doubled")
            _log.warning("mail_possibly_doubled", message_id=claim.message_id, copies=claim.copies)
        await self._send(await written(), claim)

    async def _send(self, mail: Mail, claim: Claim) -> None:
        try:
            await self._mailer.send(mail)
        except MailRefused as refusal:
            # A refusal is an outcome, never a reason to retry; what it told can be looked at all the same.
            count("mails_refused")
            _log.error("mail_refused", error=refusal, message_id=claim.message_id)
            await self._outbound.finish(claim, MailState.REFUSED, utc_now())
            return
        except MailUnavailable as trouble:
            if trouble.not_taken:
                await self._outbound.finish(claim, MailState.WAITING, utc_now())
            raise
        count("mails_sent")
        await self._outbound.finish(claim, MailState.SENT, utc_now())
