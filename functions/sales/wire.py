"""What sales' endpoints read and answer."""

import hashlib
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, Field, ValidationInfo, field_validator

from functions.admission.tickets import EventFacts, number_of
from functions.sales.orders import LINES_MAX, QUANTITY_MAX, Buyer, Method, Order
from functions.sales.placing import Wanted
from functions.sales.result_page import LOOKS_MAX
from functions.sales.states import OrderState
from shared.auth.permissions import Caller
from shared.kernel.clock import Moment
from shared.kernel.ids import (
    EventId,
    OrderId,
    OrganiserId,
    PersonId,
    TicketNumber,
    TicketTypeId,
    derived_id,
)
from shared.kernel.money import Money
from shared.web.endpoint import Wire
from shared.web.fields import EMAIL_PATTERN, Id, one_line
from shared.web.problem import form, rule_broken


class WantedLine(Wire):
    """Some places of one ticket type."""

    ticket_type_id: Id
    quantity: int = Field(ge=1, le=QUANTITY_MAX, strict=True)


class BuyerDetails(Wire):
    """Who the tickets are for, where that is not the caller."""

    name: Annotated[str, Field(max_length=200), AfterValidator(one_line)] = ""
    email: str = Field(
        default="", max_length=254, pattern=form(rf"{EMAIL_PATTERN}|^$", "a mail address, e.g. uma@tessera.example")
    )


class PlaceOrder(Wire):
    """An order: `card` is paid on the provider's page, `desk` was paid in cash to an operator, who sends this."""

    event_id: Id
    lines: list[WantedLine] = Field(min_length=1, max_length=LINES_MAX)
    method: Literal["card", "desk"] = "card"
    buyer: BuyerDetails | None = Field(default=None, description="default: you; at the desk: nobody in particular")

    @field_validator("lines")
    @classmethod
    def _together(cls, lines: list[WantedLine]) -> list[WantedLine]:
        if (places := sum(line.quantity for line in lines)) > QUANTITY_MAX:
            raise rule_broken(f"has {places} places in all", f"at most {QUANTITY_MAX} places in all")
        if len({line.ticket_type_id for line in lines}) < len(lines):
            raise rule_broken("names a ticket type twice", "each ticket type once; add the quantities up")
        return lines

    @field_validator("buyer")
    @classmethod
    def _email_at_the_desk(cls, buyer: BuyerDetails | None, info: ValidationInfo) -> BuyerDetails | None:
        if info.data.get("method") == "card" and buyer is not None and buyer.email:
            raise rule_broken("email is for sales at the desk", "no email: your own tickets go to your own address")
        return buyer

    def wanted(self, caller: Caller) -> Wanted:
        """In the use case's words."""
        return Wanted(
            event_id=EventId(self.event_id),
            lines=[(TicketTypeId(line.ticket_type_id), line.quantity) for line in self.lines],
            method=Method(self.method),
            buyer=self._buyer(caller),
            body_hash=hashlib.sha256(self.model_dump_json().encode()).hexdigest(),
        )

    def _buyer(self, caller: Caller) -> Buyer:
        given = self.buyer or BuyerDetails()
        if self.method == "desk":
            return Buyer(person_id=PersonId(""), name=given.name, email=given.email)
        return Buyer(person_id=caller.person_id, name=given.name or caller.name, email=caller.email)


class LineView(BaseModel):
    """A line of an order."""

    ticket_type_id: TicketTypeId
    name: str
    quantity: int
    unit: Money


class IssuedTicket(BaseModel):
    """A ticket of a paid order; `GET /api/tickets/mine` has its QR code."""

    number: TicketNumber
    ticket_type: str


class OrderView(BaseModel):
    """An order."""

    order_id: OrderId
    state: OrderState
    organiser_id: OrganiserId
    event: EventFacts
    method: Method
    lines: list[LineView]
    quantity: int
    total: Money
    buyer_name: str
    created_at: Moment
    deadline: Moment = Field(description="pay before this moment; then the places go back on sale")
    checkout_url: str | None = Field(default=None, description="where to pay, once checkout was opened")
    tickets: list[IssuedTicket] = Field(default_factory=list, description="once the order is paid")
    refunded_at: Moment | None = None

    @classmethod
    def of(cls, order: Order) -> Self:
        """As its buyer sees it."""
        waits = order.state is OrderState.PLACED and order.checkout is not None and bool(order.checkout.url)
        return cls(
            order_id=order.order_id,
            state=order.state,
            organiser_id=order.organiser_id,
            event=order.event,
            method=order.method,
            lines=[LineView.model_validate(line.model_dump()) for line in order.lines],
            quantity=order.quantity,
            total=order.total,
            buyer_name=order.buyer.name,
            created_at=order.created_at,
            deadline=order.deadline,
            checkout_url=order.checkout.url if waits and order.checkout else None,
            tickets=_issued(order) if order.state is OrderState.PAID else [],
            refunded_at=order.payment.refunded_at if order.payment else None,
        )


class CheckoutView(BaseModel):
    """Where to pay."""

    order_id: OrderId
    checkout_url: str = Field(description="the provider's page; send the buyer there")
    deadline: Moment


class ResultQuery(Wire):
    """What the provider sends people back with."""

    order: str = Field(default="", max_length=64)
    outcome: Literal["paid", "cancelled"] = "paid"
    look: int = Field(default=0, ge=0, le=LOOKS_MAX, description="how often the page has looked again by itself")


def order_id_for(caller: Caller, key: str) -> OrderId:
    """The id that always follows from the caller and the Idempotency-Key."""
    return OrderId(derived_id("ord", caller.person_id, key))


def _issued(order: Order) -> list[IssuedTicket]:
    names = [line.name for line in order.lines for _ in range(line.quantity)]
    return [
        IssuedTicket(number=number_of(order.order_id, index), ticket_type=name)
        for index, name in enumerate(names, start=1)
    ]
