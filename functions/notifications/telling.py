"""Telling buyers: send each mail once, as far as SMTP lets anybody promise that."""

from dataclasses import dataclass
from datetime import datetime

from functions.admission.codes import Codes
from functions.admission.repository import TicketRepository
from functions.notifications.notices import NOTICES, Notice
from functions.notifications.outbound import Claim, MailState, OutboundMail
from functions.notifications.writing import write
from functions.sales.orders import Order
from functions.sales.reading import Orders
from shared.kernel.clock import utc_now
from shared.kernel.errors import DependencyUnavailable
from shared.kernel.ids import OrderId, OrganiserId
from shared.mail.port import Mail, Mailer, MailRefused, MailUnavailable
from shared.telemetry import Log, count

_log = Log("notifications")


class MailInHand(DependencyUnavailable):
    """Another delivery of the same event is sending the mail at this moment."""


class OrderBehind(DependencyUnavailable):
    """The store shows the order as it was before the event that is to be told."""


@dataclass(frozen=True, slots=True)
class Told:
    """What an event said of an order.

    :param type: of the event
    :param by: who cancelled the order, where somebody did
    :param correlation_id: of the request that began it
    """

    type: str
    order_id: OrderId
    organiser_id: OrganiserId
    by: str = ""
    correlation_id: str = ""


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

    async def tell(self, told: Told, *, now: datetime) -> None:
        """Mail an order's buyer what happened, if there is an address and it is still true; again sends nothing.

        :raises MailUnavailable: the mail server is away; later
        :raises OrderBehind: what happened cannot be read yet; later
        :raises MailInHand: another delivery is at it; later, in case it dies
        """
        notice = NOTICES[told.type]
        order = await self._orders.for_mail(told.order_id)
        if order.state in notice.before:
            raise OrderBehind(f"The order is still {order.state}.")
        if not order.buyer.email or not notice.applies(order, now):
            return
        claim = await self._outbound.claim(notice.message_id(told.order_id), told.organiser_id, now)
        if claim is MailState.SENDING:
            raise MailInHand("The mail is being sent.")
        if not isinstance(claim, Claim):
            return
        if claim.maybe_sent:
            count("mails_possibly_doubled")
            _log.warning("mail_possibly_doubled", message_id=claim.message_id, copies=claim.copies)
        await self._send(await self._written(notice, order, told), claim)

    async def _written(self, notice: Notice, order: Order, told: Told) -> Mail:
        found = await self._tickets.of_order(order.order_id) if notice.reads_tickets else []
        tickets = [(read.ticket, self._codes.sign(read.ticket)) for read in found]
        return write(notice, order, tickets=tickets, by=told.by, correlation_id=told.correlation_id)

    async def _send(self, mail: Mail, claim: Claim) -> None:
        try:
            await self._mailer.send(mail)
        except MailRefused as refusal:
            # A refusal is an outcome, never a reason to retry; order and tickets can be looked at all the same.
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
