"""A checkout the provider keeps open keeps its order open: its places must not be sold while somebody can still pay."""

from pathlib import Path

import pytest

from functions.composition import use_cases
from functions.sales.states import OrderState
from shared.payments.port import PaymentsUnavailable, Session
from tests.doubles.mailbag import Mailbag
from tests.doubles.provider import Provider
from tests.factories import catalog, sales
from tests.factories import settings as factory


class Stubborn(Provider):
    """A provider that will not expire sessions, e.g. because our key may not."""

    async def expire_session(self, session_id: str) -> Session:
        """The session, as open as before."""
        return await self.session(session_id)


async def test_an_order_whose_checkout_cannot_be_closed_is_not_closed(tmp_path: Path) -> None:
    provider = Stubborn(clock=lambda: catalog.NOW)
    with factory.adapters(tmp_path, bus=Mailbag(), payments=provider) as adapters:
        cases = use_cases(factory.settings(tmp_path), adapters)
        event = await catalog.on_sale(cases, catalog.event(pools={"floor": 5}))
        order = await cases.placing.place(
            sales.wanted(event.event_id),
            order_id=sales.order_id(),
            caller=sales.buyer(),
            now=catalog.NOW,
        )
        await cases.checkouts.open(order.order_id, caller=sales.buyer(), now=catalog.NOW)

        with pytest.raises(PaymentsUnavailable):
            await cases.settlement.expire(order.order_id, now=order.deadline)

        kept = await cases.orders.for_result(order.order_id)
        assert kept is not None
        assert kept.state is OrderState.PLACED
        assert (await cases.holds.availability(order.pools[0])).held == order.quantity
