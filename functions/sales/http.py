"""Sales over HTTP: place, pay, look, cancel, refund; and the provider's webhook."""

import re

from functions.catalog.events import NotOnSale, TicketTypeUnknown, TooManyOfType
from functions.inventory.holds import PoolShort
from functions.sales.checkout import Checkouts, PaymentImpossible
from functions.sales.placing import Placing
from functions.sales.reading import Orders
from functions.sales.result_page import result_page
from functions.sales.settling import Settlement
from functions.sales.states import OrderStateRefused
from functions.sales.webhook import Webhook, WebhookRefused
from functions.sales.wire import CheckoutView, OrderView, PlaceOrder, ResultQuery, order_id_for
from shared.auth.permissions import Permission, PermissionMissing
from shared.kernel.errors import Contended, KeyReused, Malformed, NotFound
from shared.kernel.ids import ID_PATTERN, OrderId
from shared.payments.port import PaymentsBusy, PaymentsUnavailable
from shared.web.borders import OWN_OR_THING, THING
from shared.web.endpoint import Admits, Call, Endpoints, Nothing, Raw


def endpoints(
    *, placing: Placing, checkouts: Checkouts, settlement: Settlement, orders: Orders, webhook: Webhook, gate: Admits
) -> Endpoints:
    """The endpoints of sales."""
    http = Endpoints("sales", gate)
    _buy(http, placing, checkouts)
    _look_and_end(http, orders, settlement)
    _provider(http, orders, webhook)
    return http


def _buy(http: Endpoints, placing: Placing, checkouts: Checkouts) -> None:
    @http(
        "POST", "orders", needs=Permission.BUY, takes=PlaceOrder, returns=OrderView, status=201,
        headers=["Idempotency-Key"],
        refuses=[Malformed, PoolShort, KeyReused, NotOnSale, TicketTypeUnknown, TooManyOfType, NotFound,
                 PermissionMissing, Contended],
    )  # fmt: skip
    async def place_order(call: Call, body: PlaceOrder) -> OrderView:
        """Place an order: its places are yours until its deadline.

        Send the same request with the same Idempotency-Key as often as you like: it is one order, and the answer is
        that order. A refusal is not remembered: the key may succeed later. `method: desk` is for the organiser's
        operators: paid in cash, and the answer has the tickets.
        """
        order = await placing.place(
            body.wanted(call.caller),
            order_id=order_id_for(call.caller, call.idempotency_key),
            caller=call.caller,
            now=call.now,
        )
        return OrderView.of(order)

    @http(
        "POST", "orders/{order_id}/checkout", needs=Permission.BUY, returns=CheckoutView,
        refuses=[
            NotFound, OrderStateRefused, NotOnSale, PaymentImpossible, PaymentsUnavailable, PaymentsBusy, Contended
        ], within=OWN_OR_THING,
    )  # fmt: skip
    async def open_checkout(call: Call, nothing: Nothing) -> CheckoutView:
        """Open the checkout: the answer says where to send the buyer to pay.

        Opening again gives the same page. Card data is typed there and never reaches us.
        """
        order = await checkouts.open(OrderId(call.id("order_id")), caller=call.caller, now=call.now)
        assert order.checkout is not None, "an opened checkout has its page"
        return CheckoutView(order_id=order.order_id, checkout_url=order.checkout.url, deadline=order.deadline)


def _look_and_end(http: Endpoints, orders: Orders, settlement: Settlement) -> None:
    @http(
        "GET", "orders/{order_id}", needs=Permission.BUY, returns=OrderView, refuses=[NotFound], within=OWN_OR_THING
    )  # fmt: skip
    async def show_order(call: Call, nothing: Nothing) -> OrderView:
        """Show an order of yours, or of your organiser."""
        return OrderView.of(await orders.show(OrderId(call.id("order_id")), caller=call.caller))

    @http(
        "POST", "orders/{order_id}/cancel", needs=Permission.BUY, returns=OrderView,
        refuses=[NotFound, OrderStateRefused, PaymentsUnavailable, PaymentsBusy, Contended], within=OWN_OR_THING,
        audited=True,
    )  # fmt: skip
    async def cancel_order(call: Call, nothing: Nothing) -> OrderView:
        """Cancel an order that is not paid: its places go back on sale."""
        order = await settlement.cancel(OrderId(call.id("order_id")), caller=call.caller, now=call.now)
        return OrderView.of(order)

    @http(
        "POST", "orders/{order_id}/refund", needs=Permission.REFUND, returns=OrderView,
        refuses=[NotFound, OrderStateRefused, Contended], within=THING, audited=True,
    )  # fmt: skip
    async def refund_order(call: Call, nothing: Nothing) -> OrderView:
        """Refund a paid order: its tickets are void at once, the money and the places follow."""
        order = await settlement.refund(OrderId(call.id("order_id")), caller=call.caller, now=call.now)
        return OrderView.of(order)


def _provider(http: Endpoints, orders: Orders, webhook: Webhook) -> None:
    @http("POST", "payments/stripe", needs=Permission.PUBLIC, refuses=[WebhookRefused], headers=["Stripe-Signature"])
    async def stripe_webhook(call: Call, nothing: Nothing) -> None:
        """Take the payment provider's word, if its signature is right.

        For Stripe alone: enable `checkout.session.completed` and `payment_intent.payment_failed` there. It is queued
        and answered; what follows happens from the queue.
        """
        signature = str(call.raw.headers.get("stripe-signature", ""))
        await webhook.take(call.raw.get_body(), signature, now=call.now)

    @http("GET", "checkout/result", needs=Permission.PUBLIC, takes=ResultQuery, media_type="text/html")
    async def checkout_result(call: Call, query: ResultQuery) -> Raw:
        """Show the page a buyer comes back to from the provider.

        While the payment is not there it looks again by itself, for two minutes, and then says what to do. It links to
        the checkout as long as the order can be paid; who has an order's id may see its state, and nothing personal.
        """
        known = query.order if re.fullmatch(ID_PATTERN, query.order) else ""
        order = await orders.for_result(OrderId(known)) if known else None
        page = result_page(order, cancelled=query.outcome == "cancelled", look=query.look, now=call.now)
        return Raw(page, "text/html", {"cache-control": "no-store"})
