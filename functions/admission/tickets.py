"""Tickets: one a place, with a number people can read out and a life of valid → used, or void. Pure."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum, unique
from typing import Final, Self

from pydantic import ConfigDict

from shared.kernel.clock import Moment, stamp
from shared.kernel.errors import DomainError, Kind
from shared.kernel.ids import EventId, OrderId, OrganiserId, PersonId, TicketNumber, TicketTypeId
from shared.kernel.model import Model

TICKETS_PER_ORDER_MAX: Final = 50  # a commit holds 100 writes
_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford base32: no I, L, O, U
_CHECK_ALPHABET: Final = _ALPHABET + "*~$=U"  # his check symbols: the value modulo 37
_ORDER_BITS: Final = 60
_INDEX_BITS: Final = 10


class TicketAlreadyUsed(DomainError):
    """Somebody came in with this ticket; `checked_in_at` and `checked_in_by` say when and who let them in."""

    kind = Kind.CONFLICT


class TicketVoid(DomainError):
    """The ticket is void: its order is being or was refunded."""

    kind = Kind.CONFLICT


@unique
class TicketState(StrEnum):
    """valid → used, valid → void, used → void."""

    VALID = "valid"
    USED = "used"
    VOID = "void"


class EventFacts(Model):
    """What a ticket says of its event, as it was when the order was placed."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    event_id: EventId
    organiser_id: OrganiserId
    organiser_name: str
    name: str
    starts_at: Moment
    ends_at: Moment
    venue: str
    address: str
    city: str
    timezone: str


class CheckIn(Model):
    """When a ticket was used, and who let its holder in.

    :param by: a person's id, or that of a scanner's service key
    :param nonce: made up by the scanner once per scan: its retry gets the same answer
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    at: Moment
    by: str
    by_name: str
    nonce: str


class Ticket(Model):
    """A ticket as stored, in its order's partition.

    :param owner_id: the person it belongs to; empty when it was sold at the desk to somebody without an account
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    number: TicketNumber
    order_id: OrderId
    organiser_id: OrganiserId
    event: EventFacts
    ticket_type_id: TicketTypeId
    ticket_type: str
    owner_id: PersonId
    holder: str
    state: TicketState = TicketState.VALID
    issued_at: Moment
    check_in: CheckIn | None = None
    version: int = 1

    def used(self, check_in: CheckIn) -> Self:
        """The ticket, used now; the same scan again changes nothing.

        :raises TicketVoid: it is void
        :raises TicketAlreadyUsed: another scan was first
        """
        self.refuse_if_void()
        if self.check_in is None:
            return self._changed(state=TicketState.USED, check_in=check_in)
        if (self.check_in.nonce, self.check_in.by) == (check_in.nonce, check_in.by):
            return self
        raise TicketAlreadyUsed(
            f"Ticket {self.number} was used at {stamp(self.check_in.at)}, let in by {self.check_in.by_name}.",
            number=self.number,
            checked_in_at=stamp(self.check_in.at),
            checked_in_by=self.check_in.by_name,
        )

    def refuse_if_void(self) -> None:
        """Nothing, for a ticket that is good for something.

        :raises TicketVoid: it is void
        """
        if self.state is TicketState.VOID:
            raise TicketVoid(f"Ticket {self.number} is void: its order was refunded.", number=self.number)

    def voided(self) -> Self:
        """The ticket, no longer good for anything."""
        return self if self.state is TicketState.VOID else self._changed(state=TicketState.VOID)

    def forgetting(self, person_id: PersonId) -> Self:
        """The ticket without the person, whether they own it or let its holder in; it stays as good as it was."""
        changes: dict[str, object] = {}
        if self.owner_id == person_id:
            changes |= {"owner_id": PersonId(""), "holder": ""}
        if self.check_in is not None and self.check_in.by == person_id:
            changes |= {"check_in": self.check_in.model_copy(update={"by": "", "by_name": ""})}
        return self._changed(**changes) if changes else self

    def _changed(self, **details: object) -> Self:
        return self.model_copy(update={**details, "version": self.version + 1})


def number_of(order_id: OrderId, index: int) -> TicketNumber:
    """The number of an order's ticket, e.g. `7K3M-9Q2P-AB4D-01-X`.

    60 bits of the order id, the ticket's index and a check character (Crockford's, modulo 37: it finds every wrong
    character and every swap of two neighbours). Nothing enforces uniqueness across partitions, so a clash is made
    improbable: among a million orders two share a number with a chance of 1 to 2 million.

    :param index: from 1 to `TICKETS_PER_ORDER_MAX`
    """
    assert 1 <= index <= TICKETS_PER_ORDER_MAX, "an order has at most 50 tickets"
    value = (_order_bits(order_id) << _INDEX_BITS) | index
    digits = _base32(value, (_ORDER_BITS + _INDEX_BITS) // 5)
    check = _CHECK_ALPHABET[value % 37]
    return TicketNumber(f"{digits[:4]}-{digits[4:8]}-{digits[8:12]}-{digits[12:]}-{check}")


def index_of(number: TicketNumber) -> int:
    """The ticket's place in its order, from 1."""
    digits = number.split("-")[3]
    return _ALPHABET.index(digits[0]) * 32 + _ALPHABET.index(digits[1])


def is_number(text: str) -> bool:
    """Whether `text` is a ticket number whose check character agrees."""
    parts = text.split("-")
    if [len(part) for part in parts] != [4, 4, 4, 2, 1]:
        return False
    digits = "".join(parts[:4])
    if any(digit not in _ALPHABET for digit in digits):
        return False
    value = 0
    for digit in digits:
        value = value * 32 + _ALPHABET.index(digit)
    return _CHECK_ALPHABET[value % 37] == parts[4]


def issue(
    *, order_id: OrderId, event: EventFacts, places: Sequence[tuple[TicketTypeId, str]], owner_id: PersonId,
    holder: str, now: datetime,
) -> list[Ticket]:  # fmt: skip
    """One ticket for each place.

    :param places: the ticket type's id and name of each place, in order
    """
    return [
        Ticket(
            number=number_of(order_id, index),
            order_id=order_id,
            organiser_id=event.organiser_id,
            event=event,
            ticket_type_id=ticket_type_id,
            ticket_type=ticket_type,
            owner_id=owner_id,
            holder=holder,
            issued_at=now,
        )
        for index, (ticket_type_id, ticket_type) in enumerate(places, start=1)
    ]


def _order_bits(order_id: OrderId) -> int:
    """The first 60 bits of the order id: 12 characters of RFC 4648 base32, 5 bits each."""
    value = 0
    for character in order_id.partition("_")[2][: _ORDER_BITS // 5]:
        value = value * 32 + "abcdefghijklmnopqrstuvwxyz234567".index(character)
    return value


def _base32(value: int, length: int) -> str:
    digits = ""
    for _ in range(length):
        value, digit = divmod(value, 32)
        digits = _ALPHABET[digit] + digits
    return digits
