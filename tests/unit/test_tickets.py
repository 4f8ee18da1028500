"""Ticket numbers people read out, codes scanners read, and the life of a ticket."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.admission.codes import CODE_CHARACTERS_MAX, Code, CodeRefused, Codes, qr_svg
from functions.admission.tickets import (
    TICKETS_PER_ORDER_MAX,
    CheckIn,
    Ticket,
    TicketAlreadyUsed,
    TicketState,
    TicketVoid,
    is_number,
    number_of,
)
from shared.kernel.ids import OrderId, derived_id
from tests.factories import catalog, sales
from tests.factories.catalog import NOW
from tests.factories.settings import TICKET_KEY, ticket_key

DIGITS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
URL_BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
CHECKS = DIGITS + "*~$=U"

order_ids = st.integers(0, 10**9).map(lambda n: OrderId(derived_id("ord", str(n))))
numbers = st.builds(number_of, order_ids, st.integers(1, TICKETS_PER_ORDER_MAX))


def ticket() -> Ticket:
    """A valid ticket."""
    return sales.order().tickets(NOW)[0]


def check_in(nonce: str = "scan-1", by: str = "gate") -> CheckIn:
    """A scan."""
    return CheckIn(at=NOW, by=catalog.person(by), by_name="Gate 1", nonce=nonce)


# Numbers


@given(numbers)
def test_every_number_agrees_with_its_check_character(number: str) -> None:
    assert is_number(number)


@given(numbers, st.data())
def test_one_wrong_character_is_found(number: str, data: st.DataObject) -> None:
    place = data.draw(st.sampled_from([n for n, character in enumerate(number) if character != "-"]))
    alphabet = CHECKS if place == len(number) - 1 else DIGITS
    other = data.draw(st.sampled_from([character for character in alphabet if character != number[place]]))

    assert not is_number(number[:place] + other + number[place + 1 :])


@given(numbers, st.data())
def test_two_neighbours_that_changed_places_are_found(number: str, data: st.DataObject) -> None:
    bare = number.replace("-", "")
    place = data.draw(st.integers(0, len(bare) - 2))
    swapped = bare[:place] + bare[place + 1] + bare[place] + bare[place + 2 :]
    if swapped == bare:
        return

    assert not is_number(f"{swapped[:4]}-{swapped[4:8]}-{swapped[8:12]}-{swapped[12:14]}-{swapped[14]}")


@given(st.text(max_size=30))
def test_any_other_text_is_no_number_and_no_crash(text: str) -> None:
    number = number_of(sales.order_id(), 1)

    assert not is_number(text) or len(text) == len(number)


@pytest.mark.parametrize("change", [str.lower, lambda n: n.replace("-", ""), lambda n: f"{n}-", lambda _: ""])
def test_a_number_is_written_in_one_way_only(change: Callable[[str], str]) -> None:
    assert not is_number(change(number_of(sales.order_id(), 1)))


def test_an_orders_numbers_all_differ() -> None:
    assert len({number_of(sales.order_id(), n) for n in range(1, TICKETS_PER_ORDER_MAX + 1)}) == TICKETS_PER_ORDER_MAX


def test_a_number_carries_sixty_bits_of_its_order() -> None:
    """The digits of the number, read as base32, are the first twelve of the order id and the index."""
    number = number_of(OrderId("ord_" + "a" * 11 + "b" + "z" * 14), 5).replace("-", "")

    assert number[:14] == "00000000000" + "1" + "05"


# Codes


def test_a_code_says_what_a_point_read_needs() -> None:
    one = ticket()

    assert Codes(TICKET_KEY).read(Codes(TICKET_KEY).sign(one)) == Code(one.order_id, one.number, one.event.event_id)


def test_the_same_ticket_always_has_the_same_code() -> None:
    assert Codes(TICKET_KEY).sign(ticket()) == Codes(TICKET_KEY).sign(ticket())


@given(st.integers(0, 10_000), st.characters(codec="utf-8"))
def test_a_code_with_any_other_character_is_refused(place: int, other: str) -> None:
    codes = Codes(TICKET_KEY)
    code = codes.sign(ticket())
    place %= len(code)
    forged = code[:place] + other + code[place + 1 :]
    if forged == code:
        return

    with pytest.raises(CodeRefused):
        codes.read(forged)


@given(st.integers(0, 10_000))
def test_a_truncated_code_is_refused(length: int) -> None:
    codes = Codes(TICKET_KEY)
    code = codes.sign(ticket())

    with pytest.raises(CodeRefused):
        codes.read(code[: length % len(code)])


def test_a_code_is_written_in_one_way_only() -> None:
    """64 bytes leave 4 spare bits in the last character, which decoders ignore."""
    codes = Codes(TICKET_KEY)
    code = codes.sign(ticket())
    accepted = []
    for last in URL_BASE64:
        try:
            codes.read(code[:-1] + last)
        except CodeRefused:
            continue
        accepted.append(last)

    assert accepted == [code[-1]]


def test_a_code_signed_with_another_key_is_refused() -> None:
    with pytest.raises(CodeRefused, match="not a ticket code of ours"):
        Codes(TICKET_KEY).read(Codes(ticket_key()).sign(ticket()))


def test_another_key_under_our_keys_name_is_refused() -> None:
    ours, theirs = Codes(TICKET_KEY), Codes(ticket_key())
    _, key_id, *_ = ours.sign(ticket()).split(".")
    said = theirs.sign(ticket()).split(".")

    with pytest.raises(CodeRefused, match="forged"):
        ours.read(".".join(["T1", key_id, *said[2:]]))


@given(st.text(max_size=2 * CODE_CHARACTERS_MAX))
def test_any_text_is_refused(text: str) -> None:
    with pytest.raises(CodeRefused):
        Codes(TICKET_KEY).read(text)


def test_a_code_fits_into_a_picture() -> None:
    picture = qr_svg(Codes(TICKET_KEY).sign(ticket()))

    assert picture.startswith(b"<svg")


# A ticket's life


def test_a_ticket_is_used_once_and_its_own_scan_may_repeat() -> None:
    used = ticket().used(check_in())

    assert (used.state, used.check_in) == (TicketState.USED, check_in())
    assert used.used(check_in()) == used


@pytest.mark.parametrize("other", [check_in(nonce="scan-2"), check_in(by="another gate")])
def test_another_scan_learns_when_and_by_whom(other: CheckIn) -> None:
    with pytest.raises(TicketAlreadyUsed) as refused:
        ticket().used(check_in()).used(other)

    assert refused.value.facts["checked_in_by"] == "Gate 1"
    assert refused.value.facts["checked_in_at"] == "2026-01-15T12:00:00.000000Z"


def test_a_void_ticket_lets_nobody_in() -> None:
    with pytest.raises(TicketVoid):
        ticket().voided().used(check_in())


def test_a_used_ticket_can_be_voided_and_voiding_repeats() -> None:
    void = ticket().used(check_in()).voided()

    assert (void.state, void.voided()) == (TicketState.VOID, void)
    with pytest.raises(TicketVoid):
        void.used(check_in())


def test_a_ticket_is_issued_when_it_was_paid() -> None:
    assert sales.order().tickets(NOW + timedelta(hours=1))[0].issued_at == NOW + timedelta(hours=1)
