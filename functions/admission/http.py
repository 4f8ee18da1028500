"""Admission over HTTP: own tickets, their QR codes, the door."""

import asyncio
from typing import Self

from pydantic import BaseModel, Field

from functions.admission.codes import CODE_CHARACTERS_MAX, CodeRefused, qr_svg
from functions.admission.door import Door, WrongEvent, may_hold
from functions.admission.picture import ticket_png
from functions.admission.tickets import (
    CheckIn,
    EventFacts,
    Ticket,
    TicketAlreadyUsed,
    TicketState,
    TicketVoid,
    is_number,
)
from shared.auth.permissions import Permission, PermissionMissing
from shared.kernel.clock import Moment
from shared.kernel.errors import Malformed, NotFound
from shared.kernel.ids import EventId, OrderId, TicketNumber
from shared.web.borders import OWN_OR_THING, THING
from shared.web.endpoint import Admits, Call, Endpoints, Nothing, Raw, Wire
from shared.web.fields import Id
from shared.web.paging import PageQuery
from shared.web.problem import form


class TicketView(BaseModel):
    """A ticket; `code` is what its QR code says. Who may only look has neither the code nor its pictures."""

    number: TicketNumber
    order_id: OrderId
    event: EventFacts
    ticket_type: str
    holder: str
    state: TicketState
    issued_at: Moment
    checked_in_at: Moment | None = None
    code: str | None = None
    qr_svg: str | None = Field(default=None, description="path of the QR code as SVG")
    png: str | None = Field(default=None, description="path of the ticket as a picture; a void ticket has none")

    @classmethod
    def of(cls, ticket: Ticket, code: str | None) -> Self:
        """As its owner sees it; without `code` as those who may only look."""
        pictures = f"/api/orders/{ticket.order_id}/tickets/{ticket.number}"
        return cls(
            number=ticket.number,
            order_id=ticket.order_id,
            event=ticket.event,
            ticket_type=ticket.ticket_type,
            holder=ticket.holder,
            state=ticket.state,
            issued_at=ticket.issued_at,
            checked_in_at=ticket.check_in.at if ticket.check_in else None,
            code=code,
            qr_svg=f"{pictures}/qr.svg" if code else None,
            png=f"{pictures}/ticket.png" if code else None,
        )


class TicketPage(BaseModel):
    """A page of tickets, latest event first."""

    items: list[TicketView]
    continuation: str | None = None


class Scan(Wire):
    """A scan at the door."""

    code: str = Field(min_length=1, max_length=CODE_CHARACTERS_MAX, description="what the QR code says")
    nonce: str = Field(
        min_length=8,
        max_length=64,
        pattern=form(r"^[\x21-\x7e]+$", "visible ASCII characters without blanks"),
        description="made up once per scan; repeat it on retry",
    )
    event_id: Id | None = Field(default=None, description="the event at this door; other tickets are turned away")


class CheckInView(BaseModel):
    """Come in."""

    number: TicketNumber
    ticket_type: str
    holder: str
    event: str
    checked_in_at: Moment
    checked_in_by: str


class KeySet(BaseModel):
    """A JSON Web Key Set (RFC 7517)."""

    keys: list[dict[str, str]]


def endpoints(door: Door, gate: Admits) -> Endpoints:
    """The admission's endpoints."""
    http = Endpoints("admission", gate)
    _tickets(http, door)
    _pictures(http, door)
    _door(http, door)
    return http


def _tickets(http: Endpoints, door: Door) -> None:
    @http("GET", "tickets/mine", needs=Permission.BUY, takes=PageQuery, returns=TicketPage, refuses=[Malformed])
    async def my_tickets(call: Call, query: PageQuery) -> TicketPage:
        """List your tickets, latest event first.

        The list follows a purchase within about a second.
        """
        page = await door.wallet(call.caller.person_id, limit=query.limit, continuation=query.continuation)
        tickets = [Ticket.model_validate(document.value) for document in page.documents]
        return TicketPage(
            items=[TicketView.of(ticket, door.code(ticket)) for ticket in tickets], continuation=page.continuation
        )

    @http(
        "GET", "orders/{order_id}/tickets", needs=Permission.BUY, returns=TicketPage, refuses=[NotFound],
        within=OWN_OR_THING,
    )  # fmt: skip
    async def order_tickets(call: Call, nothing: Nothing) -> TicketPage:
        """List the tickets of an order: for its owner, and for those who sell at the desk, to print.

        Whoever may only look at orders gets them without codes: a code is a way in.
        """
        tickets = await door.tickets(OrderId(call.id("order_id")), caller=call.caller)
        shown = [(ticket, door.code(ticket) if may_hold(ticket, call.caller) else None) for ticket in tickets]
        return TicketPage(items=[TicketView.of(ticket, code) for ticket, code in shown])


def _pictures(http: Endpoints, door: Door) -> None:
    @http(
        "GET", "orders/{order_id}/tickets/{number}/qr.svg", needs=Permission.BUY, refuses=[NotFound, PermissionMissing],
        media_type="image/svg+xml", within=OWN_OR_THING,
    )  # fmt: skip
    async def ticket_qr(call: Call, nothing: Nothing) -> Raw:
        """Show a ticket's QR code as SVG."""
        ticket = await door.ticket(OrderId(call.id("order_id")), _number(call), caller=call.caller)
        return Raw(qr_svg(door.code(ticket)), "image/svg+xml", {"cache-control": "private, max-age=3600"})

    @http(
        "GET", "orders/{order_id}/tickets/{number}/ticket.png", needs=Permission.BUY,
        refuses=[NotFound, PermissionMissing, TicketVoid], media_type="image/png", within=OWN_OR_THING,
    )  # fmt: skip
    async def ticket_picture(call: Call, nothing: Nothing) -> Raw:
        """Show a ticket as a picture to keep or to print.

        It has the event, the place, the time there, the ticket type, the holder, the number and the QR code.
        """
        ticket = await door.ticket(OrderId(call.id("order_id")), _number(call), caller=call.caller)
        ticket.refuse_if_void()
        # Drawing takes some 20 ms, which other requests need not wait for.
        picture = await asyncio.to_thread(ticket_png, ticket, door.code(ticket))
        return Raw(picture, "image/png", {"cache-control": "private, no-cache"})


def _number(call: Call) -> TicketNumber:
    number = str(call.raw.route_params.get("number", ""))
    if not is_number(number):
        raise NotFound(f"There is no ticket “{number[:40]}”.")
    return TicketNumber(number)


def _door(http: Endpoints, door: Door) -> None:
    @http("GET", "ticket-keys", needs=Permission.PUBLIC, returns=KeySet)
    async def ticket_keys(call: Call, nothing: Nothing) -> KeySet:
        """Give the public keys that ticket codes are signed with.

        A scanner keeps them and checks codes without network: Ed25519 over everything before the last full stop.
        """
        return KeySet(keys=door.public_keys())

    @http(
        "POST", "check-ins", needs=Permission.CHECK_IN, takes=Scan, returns=CheckInView,
        refuses=[CodeRefused, NotFound, WrongEvent, TicketVoid, TicketAlreadyUsed], within=THING,
    )  # fmt: skip
    async def check_in(call: Call, body: Scan) -> CheckInView:
        """Let the holder of a ticket in.

        Exactly one scan of a ticket wins; the same scan sent again (same nonce) gets the same answer; every other one
        learns when the ticket was used and who let its holder in.
        """
        caller = call.caller
        by_name = caller.name or caller.actor
        scan = CheckIn(at=call.now, by=caller.actor, by_name=by_name, nonce=body.nonce)
        at_event = EventId(body.event_id) if body.event_id else None
        ticket = await door.check_in(body.code, scan, at_event=at_event, caller=caller)
        assert ticket.check_in is not None, "a ticket that was let in has its check-in"
        return CheckInView(
            number=ticket.number,
            ticket_type=ticket.ticket_type,
            holder=ticket.holder,
            event=ticket.event.name,
            checked_in_at=ticket.check_in.at,
            checked_in_by=ticket.check_in.by_name,
        )
