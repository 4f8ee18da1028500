"""The confirmation mail: what was bought, and the tickets with their QR codes. Pure, given the order and its codes."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from functions.admission.codes import qr_svg
from functions.admission.tickets import Ticket
from functions.sales.orders import Order
from shared.mail.port import Attachment, Mail

if TYPE_CHECKING:
    from jinja2 import Environment


def message_id(order_id: str) -> str:
    """The Message-ID's local part: the same order's confirmation always has the same."""
    return f"confirmation.{order_id}"


def confirmation(order: Order, tickets: Sequence[tuple[Ticket, str]]) -> Mail:
    """The mail.

    :param tickets: each with its signed code
    """
    starts = order.event.starts_at.astimezone(ZoneInfo(order.event.timezone))
    place = [order.event.venue, order.event.address, order.event.city]
    facts = {
        "place": ", ".join(part for part in place if part),
        "order": order,
        "tickets": [ticket for ticket, _ in tickets],
        "when": f"{starts:%A, %d %B %Y, %H:%M}",
    }
    return Mail(
        message_id=message_id(order.order_id),
        to_name=order.buyer.name,
        to_address=order.buyer.email,
        subject=f"Your tickets for {order.event.name}",
        text=_templates().get_template("confirmation.txt").render(facts),
        html=_templates().get_template("confirmation.html").render(facts),
        attachments=[
            Attachment(f"ticket-{ticket.number}.svg", "image/svg+xml", qr_svg(code)) for ticket, code in tickets
        ],
    )


@cache
def _templates() -> "Environment":
    from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

    return Environment(
        loader=FileSystemLoader(Path(__file__).parent / "mails"),
        autoescape=select_autoescape(["html"]),
        undefined=StrictUndefined,
        trim_blocks=True,
    )
