"""Telling buyers: send each mail once, as far as SMTP lets anybody promise that."""

from datetime import datetime

from functions.admission.codes import Codes
from functions.admission.repository import TicketRepository
from functions.notifications.confirmation import confirmation, message_id
from functions.notifications.outbound import Claim, MailState, OutboundMail
from functions.sales.reading import Orders
from functions.sales.states import OrderState
from shared.kernel.clock import utc_now
from shared.kernel.errors import DependencyUnavailable
from shared.kernel.ids import OrderId, OrganiserId
from shared.mail.port import Mailer, MailRefused, MailUnavailable
from shared.telemetry import Log, count

_log = Log("notifications")


class MailInHand(DependencyUnavailable):
    """Another delivery of the same event is sending the mail at this moment."""


class Telling:
    """Sends what orders have to say."""

    def __init__(
        self, orders: Orders, tickets: TicketRepository, codes: Codes, outbound: OutboundMail, mailer: Mailer
    ) -> None:
        self._orders = orders
        self._tickets = tickets
        self._codes = codes
        self._outbound = outbound
        self._mailer = mailer

    async def confirm(self, order_id: OrderId, organiser_id: OrganiserId, *, now: datetime) -> None:
        """Mail the tickets of a paid order to its buyer, if there is an address; again sends nothing.

        :raises MailUnavailable: the mail server is away; later
        :raises MailInHand: another delivery is at it; later, in case it dies
        """
        order = await self._orders.for_mail(order_id)
        if not order.buyer.email or order.state is not OrderState.PAID:
            return  # nobody to tell, or refunded since: its tickets are void
        claim = await self._outbound.claim(message_id(order_id), organiser_id, now)
        if claim is MailState.SENDING:
            raise MailInHand("The mail is being sent.")
        if not isinstance(claim, Claim):
            return
        if claim.maybe_sent:
            count("mails_possibly_doubled")
            _log.warning("mail_possibly_doubled", order_id=order_id, copies=claim.copies)
        tickets = [(read.ticket, self._codes.sign(read.ticket)) for read in await self._tickets.of_order(order_id)]
        try:
            await self._mailer.send(confirmation(order, tickets))
        except MailRefused as refusal:
            # A refusal is an outcome, never a reason to retry; the tickets are in the wallet all the same.
            count("mails_refused")
            _log.error("mail_refused", error=refusal, order_id=order_id)
            await self._outbound.finish(claim, MailState.REFUSED, utc_now())
            return
        except MailUnavailable as trouble:
            if trouble.not_taken:
                await self._outbound.finish(claim, MailState.WAITING, utc_now())
            raise
        await self._outbound.finish(claim, MailState.SENT, utc_now())
