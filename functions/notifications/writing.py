"""Mails as they are written: the words of a notice in the layout all share, as text and as HTML. Pure.

A file of words is a subject and paragraphs, with blank lines between; both forms are made from it.
"""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

from functions.admission.codes import qr_png
from functions.admission.tickets import Ticket
from functions.identity.invitation_page import WORK
from functions.identity.inviting import Mailed
from functions.notifications.notices import CONFIRMATION, Notice
from functions.sales.orders import Order
from functions.sales.states import OrderState
from shared.mail.port import Attachment, Mail

if TYPE_CHECKING:
    from jinja2 import Environment

_COLOUR: Final = "#8a2b3f"
_MAILS: Final = Path(__file__).parent / "mails"


def write(notice: Notice, order: Order, *, tickets: Sequence[tuple[Ticket, str]], by: str, correlation_id: str) -> Mail:
    """The mail.

    :param tickets: each with its signed code, where the notice tells of them
    :param by: who cancelled the order, where somebody did
    :param correlation_id: under which the logs tell what happened; empty where nobody knows
    """
    facts = _facts(order, by=by, tickets_void=bool(tickets))
    subject, *paragraphs = _words(notice.name, facts)
    shown = tickets if notice is CONFIRMATION else []
    facts |= {
        "subject": subject,
        "paragraphs": paragraphs,
        "name": order.buyer.name,
        "tickets": [ticket for ticket, _ in shown],
        "link": _link(order),
        "colour": notice.colour,
        "from_whom": f"Sold by {order.event.organiser_name}",
        "correlation_id": correlation_id,
    }
    return Mail(
        message_id=notice.message_id(order.order_id),
        to_name=order.buyer.name,
        to_address=order.buyer.email,
        subject=subject,
        text=_template("layout.txt").render(facts),
        html=_template("layout.html").render(facts),
        attachments=[
            # The last character of a number only checks it, and may be one that file names cannot have.
            Attachment(f"ticket-{ticket.number[:-2]}.png", "image/png", qr_png(code), f"ticket-{n}@tessera")
            for n, (ticket, code) in enumerate(shown, start=1)
        ],
    )


def write_invitation(message_id: str, mailed: Mailed, *, link: str, correlation_id: str) -> Mail:
    """The mail that invites somebody to work for an organiser.

    :param message_id: the local part of its Message-ID
    :param link: to the page that shows the invitation
    """
    invitation = mailed.invitation
    facts: dict[str, Any] = {
        "organiser": mailed.organiser,
        "role": invitation.role.value,
        "work": WORK[invitation.role],
        "until": f"{invitation.expires_at:%A, %d %B %Y, %H:%M} UTC",
    }
    subject, *paragraphs = _words("invitation", facts)
    facts |= {
        "subject": subject, "paragraphs": paragraphs, "name": "", "tickets": [], "order": None, "colour": _COLOUR,
        "link": {"label": "Look at the invitation", "url": link},
        "from_whom": f"Sent for {mailed.organiser}", "correlation_id": correlation_id,
    }  # fmt: skip
    return Mail(
        message_id=message_id,
        to_name="",
        to_address=invitation.email,
        subject=subject,
        text=_template("layout.txt").render(facts),
        html=_template("layout.html").render(facts),
        attachments=[],
    )


def write_welcome(message_id: str, *, name: str, email: str, site: str, correlation_id: str) -> Mail:
    """The mail that tells somebody of their account.

    :param message_id: the local part of its Message-ID
    :param site: where people sign in
    """
    subject, *paragraphs = _words("welcome", {})
    facts: dict[str, Any] = {
        "subject": subject, "paragraphs": paragraphs, "name": name, "tickets": [], "order": None, "colour": _COLOUR,
        "link": {"label": "Sign in", "url": site}, "from_whom": "Sent for the people who run Tessera",
        "correlation_id": correlation_id,
    }  # fmt: skip
    return Mail(
        message_id=message_id,
        to_name=name,
        to_address=email,
        subject=subject,
        text=_template("layout.txt").render(facts),
        html=_template("layout.html").render(facts),
        attachments=[],
    )


def _facts(order: Order, *, by: str, tickets_void: bool) -> dict[str, Any]:
    zone = ZoneInfo(order.event.timezone)
    starts, deadline = order.event.starts_at.astimezone(zone), order.deadline.astimezone(zone)
    place = [order.event.venue, order.event.address, order.event.city]
    return {
        "order": order,
        "by": by,
        "when": f"{starts:%A, %d %B %Y, %H:%M} ({order.event.timezone})",
        "deadline": f"{deadline:%H:%M on %A, %d %B %Y} ({order.event.timezone})",
        "place": ", ".join(part for part in place if part),
        "refunded": order.payment.amount if order.payment else order.total,
        "tickets_void": tickets_void,
        "late": order.payment is not None and order.payment.amount == order.total,
    }


def _words(name: str, facts: dict[str, Any]) -> list[str]:
    written = _template(f"{name}.txt").render(facts)
    return [part.strip() for part in written.split("\n\n") if part.strip()]


def _link(order: Order) -> dict[str, str] | None:
    """Where the order can be paid, as long as it can."""
    if order.state is not OrderState.PLACED or order.checkout is None or not order.checkout.url:
        return None
    return {"label": "Try again", "url": order.checkout.url}


@cache
def _template(name: str) -> Any:
    return _environment().get_template(name)


@cache
def _environment() -> "Environment":
    from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

    return Environment(
        loader=FileSystemLoader(_MAILS),
        autoescape=select_autoescape(["html"]),
        undefined=StrictUndefined,
        trim_blocks=True,
    )
