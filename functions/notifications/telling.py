"""Telling buyers what became of their orders."""

from dataclasses import dataclass
from datetime import datetime

from functions.admission.codes import Codes
from functions.admission.repository import TicketRepository
from functions.notifications.notices import NOTICES, Notice
from functions.notifications.posting import Post
from functions.notifications.writing import write
from functions.sales.orders import Order
from functions.sales.reading import Orders
from shared.kernel.errors import DependencyUnavailable
from shared.kernel.ids import OrderId, OrganiserId
from shared.mail.port import Mail


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

    def __init__(self, orders: Orders, tickets: TicketRepository, codes: Codes, post: Post) -> None:
        self._orders = orders
        self._tickets = tickets
        self._codes = codes
        self._post = post

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
        await self._post.send_once(
            notice.message_id(told.order_id), told.organiser_id, lambda: self._written(notice, order, told), now
        )

    async def _written(self, notice: Notice, order: Order, told: Told) -> Mail:
        found = await self._tickets.of_order(order.order_id) if notice.reads_tickets else []
        tickets = [(read.ticket, self._codes.sign(read.ticket)) for read in found]
        return write(notice, order, tickets=tickets, by=told.by, correlation_id=told.correlation_id)
