"""An order's life: every pair of states, through the order's own methods, against a table written out here."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from pydantic import ValidationError

from functions.inventory.pools import Allocation, Pool
from functions.sales.orders import Checkout, Order, Payment
from functions.sales.states import TRANSITIONS, OrderState, OrderStateRefused
from shared.kernel.ids import PoolId, TicketTypeId
from shared.kernel.money import Money
from tests.factories import sales
from tests.factories.catalog import NOW

LATER = NOW + timedelta(minutes=20)
PAYMENT = Payment(payment_id="pi_1", amount=Money(amount_minor=3_000, currency="EUR"), received_at=NOW)
CHECKOUT = Checkout(site="https://tickets.example", begun_at=NOW, expires_at=LATER)

STEPS: dict[str, Callable[[Order], Order]] = {
    "placing": lambda order: order.again(deadline=LATER, now=NOW),
    "placed": lambda order: order.placed(sales.held(order)),
    "refused": Order.refused,
    "paid": lambda order: order.paid(PAYMENT),
    "expired": Order.expired,
    "cancelled": Order.cancelled,
    "refunding": lambda order: order.refunding(payment=PAYMENT, now=NOW),
    "refunded": lambda order: order.refunded(refund_id="re_1", now=NOW),
}
ALLOWED = {
    ("placing", "placing"),
    ("placing", "placed"),
    ("placing", "refused"),
    ("placing", "cancelled"),
    ("refused", "placing"),
    ("placed", "paid"),
    ("placed", "expired"),
    ("placed", "cancelled"),
    ("placed", "refunding"),
    ("expired", "refunding"),
    ("cancelled", "refunding"),
    ("paid", "refunding"),
    ("refunding", "refunded"),
    ("refunding", "partly_refunded"),
    ("partly_refunded", "refunding"),
}


def in_state(state: str) -> Order:
    """An order in a state, wherever it came from."""
    return sales.order().model_copy(update={"state": OrderState(state), "payment": PAYMENT})


@pytest.mark.parametrize("after", list(STEPS))
@pytest.mark.parametrize("before", [state.value for state in OrderState])
def test_a_step_is_taken_exactly_where_the_table_allows_it(before: str, after: str) -> None:
    order = in_state(before)

    if (before, after) in ALLOWED:
        changed = STEPS[after](order)
        assert (changed.state, changed.version) == (after, order.version + 1)
    else:
        with pytest.raises(OrderStateRefused) as refused:
            STEPS[after](order)
        assert refused.value.facts == {"state": before, "wanted": after}
    assert order == in_state(before)


def test_the_table_says_nothing_else() -> None:
    written = {(before.value, after.value) for before, afters in TRANSITIONS.items() for after in afters}

    assert written == ALLOWED


@pytest.mark.parametrize("state", [state.value for state in OrderState])
def test_only_a_placed_order_gets_a_checkout(state: str) -> None:
    order = in_state(state)

    if state == "placed":
        assert order.with_checkout(CHECKOUT).checkout == CHECKOUT
    else:
        with pytest.raises(OrderStateRefused):
            order.with_checkout(CHECKOUT)


def test_an_order_cannot_be_changed_past_its_door() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        setattr(sales.order(), "state", OrderState.PAID)  # noqa: B010 - the type checker would refuse it even sooner


@pytest.mark.parametrize(
    ("state", "owes_at"),
    [("placed", NOW + sales.DEADLINE), ("refused", None), ("cancelled", None), ("placing", LATER)],
)
def test_what_is_owed_is_written_on_the_order_itself(state: str, owes_at: object) -> None:
    assert STEPS[state](sales.order()).due_at == owes_at


def test_a_refund_is_owed_until_the_money_and_the_places_went_back() -> None:
    refunding = in_state("paid").refunding(payment=PAYMENT, now=NOW)
    refunded = refunding.refunded(refund_id="re_1", now=LATER)

    assert (refunding.due_at, refunded.due_at, refunded.nothing_owed().due_at) == (NOW, LATER, None)
    assert refunded.payment == PAYMENT.model_copy(update={"refund_id": "re_1", "refunded_at": LATER})


def test_each_unfinished_attempt_is_remembered_as_abandoned() -> None:
    second = sales.order().again(deadline=LATER, now=NOW)
    third = second.again(deadline=LATER, now=NOW)

    assert (third.attempt, third.abandoned) == (3, (1, 2))
    assert third.cancelled().abandoned == (1, 2, 3)


def test_a_refused_attempt_left_nothing_and_is_not_abandoned() -> None:
    second = sales.order().refused().again(deadline=LATER, now=NOW)

    assert (second.attempt, second.abandoned) == (2, ())


def test_a_placed_order_that_is_cancelled_abandons_nothing_it_holds() -> None:
    placed = sales.order().placed(sales.held(sales.order()))

    assert placed.cancelled().abandoned == ()
    assert placed.cancelled().held == placed.held


def test_demands_add_up_the_lines_of_each_pool() -> None:
    order = sales.order()
    [line] = order.lines
    stalls = Pool(organiser_id=order.organiser_id, event_id=order.event.event_id, pool_id=PoolId("stalls"), shards=2)
    lines = (
        line.model_copy(update={"quantity": 3, "ticket_type_id": TicketTypeId("child")}),
        line.model_copy(update={"quantity": 4, "pool_id": stalls.pool_id}),
        line.model_copy(update={"quantity": 5}),
    )
    both = order.model_copy(update={"lines": lines, "pools": (*order.pools, stalls)})

    assert both.demands == [(order.pools[0], 8), (stalls, 4)]
    assert both.quantity == 12


def test_a_ticket_for_each_place_in_the_order_of_the_lines() -> None:
    order = sales.order()
    [line] = order.lines
    child = line.model_copy(update={"quantity": 1, "name": "child"})
    tickets = order.model_copy(update={"lines": (line, child)}).tickets(NOW)

    assert [ticket.ticket_type for ticket in tickets] == ["floor", "floor", "child"]
    assert len({ticket.number for ticket in tickets}) == 3
    assert {ticket.owner_id for ticket in tickets} == {order.buyer.person_id}


def test_what_an_order_holds_is_what_its_placing_took() -> None:
    held = [Allocation(pool_id=PoolId("p"), shard=3, quantity=2, attempt=1)]

    assert sales.order().placed(held).held == tuple(held)
