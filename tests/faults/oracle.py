"""The oracle: what must hold between everybody's books once nothing moves any more.

It shares no code with the product: it counts documents, payments and mails. Each rule gives the contradictions it
found, in words; `tests/faults/test_oracle.py` shows that each one fires.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from typing import Final

from tests.faults.books import Books
from tests.faults.databases import Record

type Rule = Callable[[Books], Iterator[str]]
_ENDED: Final = {"paid", "refused", "expired", "cancelled", "refunded"}
_MAIL_DOMAIN: Final = "tessera.example"


def contradictions(books: Books) -> list[str]:
    """Everything that contradicts, each with the rule's name in front."""
    return [f"{rule.__name__}: {found}" for rule in RULES for found in rule(books)]


def shards_add_up(books: Books) -> Iterator[str]:
    """Available + held + sold = capacity, none negative."""
    for shard in books.of_kind("inventory", "shard"):
        parts = [shard["available"], shard["held"], shard["sold"]]
        if min(parts) < 0 or sum(parts) != shard["capacity"]:
            yield f"{shard['_partition']} has {parts} of {shard['capacity']}"


def pools_keep_their_capacity(books: Books) -> Iterator[str]:
    """The shards of a pool have together what was published."""
    found: Counter[str] = Counter()
    for shard in books.of_kind("inventory", "shard"):
        found[shard["pool_id"]] += shard["capacity"]
    if dict(found) != books.pools:
        yield f"shards {dict(found)}, published {books.pools}"


def sold_is_what_paid_orders_bought(books: Books) -> Iterator[str]:
    """Per pool by what orders wanted, per shard by what they hold."""
    wanted, held = Counter[str](), Counter[str]()
    for order in _in_state(books, "paid"):
        for line in order["lines"]:
            wanted[line["pool_id"]] += line["quantity"]
        for part in order["held"]:
            held[f"{part['pool_id']}#{part['shard']}"] += part["quantity"]
    sold = Counter[str]()
    for shard in books.of_kind("inventory", "shard"):
        sold[shard["pool_id"]] += shard["sold"]
        if shard["sold"] != held[shard["_partition"]]:
            yield f"{shard['_partition']} sold {shard['sold']}, paid orders have {held[shard['_partition']]} there"
    for pool_id, capacity in books.pools.items():
        if not sold[pool_id] == wanted[pool_id] <= capacity:
            yield f"{pool_id} sold {sold[pool_id]} of {capacity}, paid orders bought {wanted[pool_id]}"


def holds_account_for_the_counters(books: Books) -> Iterator[str]:
    """Each shard's counters are the sums of its holds."""
    sums: dict[str, Counter[str]] = defaultdict(Counter)
    for hold in books.of_kind("inventory", "hold"):
        sums[hold["_partition"]][hold["state"]] += hold["quantity"]
    for shard in books.of_kind("inventory", "shard"):
        of_holds = sums[shard["_partition"]]
        if (shard["held"], shard["sold"]) != (of_holds["held"], of_holds["sold"]):
            yield f"{shard['_partition']} counts {shard['held']} held, {shard['sold']} sold; its holds {dict(of_holds)}"


def nothing_is_held_any_more(books: Books) -> Iterator[str]:
    """Every order ended, so every hold is sold or back."""
    for hold in books.of_kind("inventory", "hold"):
        if hold["state"] == "held":
            yield f"{hold['quantity']} in {hold['_partition']} for {hold['order_id']}"


def every_order_ended(books: Books) -> Iterator[str]:
    """No order is left between two states."""
    for order in books.orders.values():
        if order["state"] not in _ENDED:
            yield f"{order['order_id']} is {order['state']}"


def paid_orders_have_their_tickets(books: Books) -> Iterator[str]:
    """Exactly one good ticket a place, of the type that was bought."""
    issued: dict[str, Counter[str]] = defaultdict(Counter)
    for ticket in books.of_kind("orders", "ticket"):
        if ticket["state"] in {"valid", "used"}:
            issued[ticket["_partition"]][ticket["ticket_type_id"]] += 1
    for order in _in_state(books, "paid"):
        bought = {line["ticket_type_id"]: line["quantity"] for line in order["lines"]}
        if dict(issued[order["order_id"]]) != bought:
            yield f"{order['order_id']} bought {bought}, has {dict(issued[order['order_id']])}"


def good_tickets_belong_to_paid_orders(books: Books) -> Iterator[str]:
    """No ticket without a paid order; no two with one number."""
    numbers = Counter(ticket["number"] for ticket in books.of_kind("orders", "ticket"))
    yield from (f"{number} exists {times} times" for number, times in numbers.items() if times > 1)
    for ticket in books.of_kind("orders", "ticket"):
        state = books.orders.get(ticket["_partition"], {}).get("state")
        if (state == "paid") != (ticket["state"] in {"valid", "used"}):
            yield f"{ticket['number']} is {ticket['state']}, its order {state}"


def wallets_show_the_tickets(books: Books) -> Iterator[str]:
    """Every owner's wallet has their tickets as they are, and no others."""
    tickets = {(t["owner_id"], t["number"]): t["state"] for t in books.of_kind("orders", "ticket") if t["owner_id"]}
    shown = {(t["owner_id"], t["number"]): t["state"] for t in books.of_kind("wallets", "ticket")}
    for owner, number in tickets.keys() | shown.keys():
        if tickets.get((owner, number)) != shown.get((owner, number)):
            yield f"{number} is {tickets.get((owner, number))}, in the wallet {shown.get((owner, number))}"


def card_orders_have_one_payment(books: Books) -> Iterator[str]:
    """A paid card order: one succeeded payment of its total, the one it names, still with us."""
    succeeded = _succeeded(books)
    returned = _returned(books)
    for order in _in_state(books, "paid"):
        if order["method"] != "card":
            continue
        found = [(i["id"], i["amount_received"], i["currency"].upper()) for i in succeeded[order["order_id"]]]
        total = order["total"]
        if found != [(order["payment"]["payment_id"], total["amount_minor"], total["currency"])]:
            yield f"{order['order_id']} over {total} names {order['payment']['payment_id']}, Stripe has {found}"
        elif returned[found[0][0]]:
            yield f"{order['order_id']} is paid, but {returned[found[0][0]]} went back"


def every_payment_is_accounted_for(books: Books) -> Iterator[str]:
    """Money Stripe took is a paid order's, or all of it went back and the order says so."""
    returned = _returned(books)
    for order_id, intents in _succeeded(books).items():
        order = books.orders.get(order_id, {})
        for intent in intents:
            back = returned[intent["id"]]
            paid = order.get("state") == "paid" and order["payment"]["payment_id"] == intent["id"]
            refunded = order.get("state") == "refunded" and order["payment"]["payment_id"] == intent["id"]
            if not (paid and back == 0) and not (refunded and back == intent["amount_received"]):
                yield f"{intent['id']} of {order_id or 'no order'} ({order.get('state')}): {back} went back"


def refunds_are_the_orders_own(books: Books) -> Iterator[str]:
    """Each refunded card order names exactly one refund, of what was paid; Stripe knows no others."""
    by_payment: dict[str, list[str]] = defaultdict(list)
    for refund in books.refunds:
        by_payment[refund["payment_intent"]].append(refund["id"])
    ours = {
        order["payment"]["payment_id"]: [order["payment"]["refund_id"]]
        for order in _in_state(books, "refunded")
        if order["method"] == "card"
    }
    for payment in ours.keys() | by_payment.keys():
        if ours.get(payment) != by_payment.get(payment):
            yield f"{payment}: we say {ours.get(payment)}, Stripe {by_payment.get(payment)}"


def nobody_can_pay_for_an_order_that_ended(books: Books) -> Iterator[str]:
    """No session of ours is open at Stripe."""
    for session in books.sessions:
        if session["status"] == "open":
            order_id = session["metadata"].get("order_id", "")
            yield f"{session['id']} of {order_id} ({books.orders.get(order_id, {}).get('state')}) is open"


def clients_find_what_they_were_told(books: Books) -> Iterator[str]:
    """An order that was answered exists with the same content and has not gone back in its life."""
    answers = books.answers
    for order_id, told in answers.orders.items():
        order = books.orders.get(order_id)
        if order is None:
            yield f"{order_id} was answered and is gone"
        elif (order["total"], _quantity(order)) != (told["total"], told["quantity"]):
            yield f"{order_id} was answered with {told['total']} for {told['quantity']}, now {order['total']}"
    for order_id in answers.seen_paid - _ids(books, "paid", "refunded"):
        yield f"{order_id} was seen paid, now {_state(books, order_id)}"
    for order_id in answers.seen_paid - answers.refund_asked - _ids(books, "paid"):
        yield f"{order_id} was seen paid and nobody asked for a refund, now {_state(books, order_id)}"
    for order_id in answers.paid_pages - _ids(books, "paid", "refunded"):
        yield f"{order_id} was paid on the page, now {_state(books, order_id)}"
    for order_id in answers.refund_promised - _ids(books, "refunded"):
        yield f"{order_id} was to be refunded, now {_state(books, order_id)}"
    for order_id in answers.cancelled - _ids(books, "cancelled", "refunded"):
        yield f"{order_id} was cancelled, now {_state(books, order_id)}"


def one_key_is_one_order(books: Books) -> Iterator[str]:
    """A key is answered with one order, and nobody has more orders than they made up keys."""
    for key, order_ids in books.answers.orders_of_keys.items():
        if len(order_ids) > 1:
            yield f"key {key} gave {sorted(order_ids)}"
    asked = books.answers.keys
    orders = Counter(order["placed_by"] for order in books.orders.values())
    if sum(orders.values()) > sum(asked.values()) or (orders and max(orders.values()) > max(asked.values())):
        yield f"{sum(orders.values())} orders of {sum(asked.values())} keys"


def clients_were_answered_properly(books: Books) -> Iterator[str]:
    """No answer was outside the contract."""
    yield from books.answers.errors


def the_host_had_no_errors(books: Books) -> Iterator[str]:
    """A kill is no error of ours: nothing that comes after it may be surprised."""
    yield from books.errors


def buyers_were_told_what_happened(books: Books) -> Iterator[str]:
    """Each mail an order owes its buyer, a second copy only where we counted that it could be; and no others."""
    documents = {mail["_partition"]: mail for mail in books.of_kind("mail", "mail")}
    had_tickets = {ticket["_partition"] for ticket in books.of_kind("orders", "ticket")}
    known = set()
    for order in books.orders.values():
        for kind, owed in _mails(order, had_tickets=order["order_id"] in had_tickets).items():
            name = f"{kind}.{order['order_id']}"
            known.add(f"<{name}@{_MAIL_DOMAIN}>")
            copies = books.mails[f"<{name}@{_MAIL_DOMAIN}>"]
            mail = documents.get(name, {"state": "nowhere", "copies": 0})
            possible = mail["copies"] if mail["state"] == "sending" else 0  # its answer was lost, or it never arrived
            if mail["state"] in {"nowhere", "waiting", "sending"} and copies <= possible and not owed:
                continue  # overtaken by what happened next, which has a mail of its own
            if mail["state"] != "sent" or not 1 <= copies <= mail["copies"]:
                yield f"{name}: {copies} in the mailbox, we say {mail['state']} with {mail['copies']} copies"
    yield from (f"{message_id} is nobody's" for message_id in books.mails.keys() - known)


def _mails(order: Record, *, had_tickets: bool) -> dict[str, bool]:
    """The mails there can be of an order that ended, and whether each must be."""
    state = order["state"]
    if not order["buyer"]["email"]:
        return {}
    possible = {"confirmation": state == "paid"} if had_tickets else {}
    if order.get("payment_failed_at"):
        possible["payment-failed"] = False
    if state == "refunded":
        possible |= {"refunded": True, "refund-delayed": False}
        return possible if had_tickets else possible | {"expired": False, "cancelled": False}
    if state in {"expired", "cancelled"} and order["held"]:
        possible[state] = True
    return possible


def insights_count_each_purchase_once(books: Books) -> Iterator[str]:
    """Orders that got tickets, and only those, are in the analytics as paid, once, with their total."""
    had_tickets = {ticket["_partition"] for ticket in books.of_kind("orders", "ticket")}
    counted: dict[str, list[tuple[object, object]]] = defaultdict(list)
    for event in books.of_kind("insights", "insight"):
        if event["name"] == "OrderPaid":
            payload = event["payload"]
            counted[payload["order_id"]].append((payload["total"], payload["quantity"]))
    for order_id in had_tickets | counted.keys():
        order = books.orders.get(order_id)
        expected = [(order["total"], _quantity(order))] if order and order_id in had_tickets else []
        if counted[order_id] != expected:
            yield f"{order_id}: {counted[order_id]} instead of {expected}"


def nothing_is_left_to_tell(books: Books) -> Iterator[str]:
    """The outbox is empty and nothing was parked."""
    for container, partition, id_ in books.documents:
        if id_.startswith(("outbox:", "parked:")):
            yield f"{container}/{partition}/{id_}"


def no_message_is_left(books: Books) -> Iterator[str]:
    """The queues are empty, the dead-letter queues too."""
    names = ("ready", "locked", "scheduled", "DEAD")
    yield from (f"{queue}: {id_} is {names[state]} {reason}" for queue, state, id_, reason in books.messages)


RULES: Final[tuple[Rule, ...]] = (
    shards_add_up,
    pools_keep_their_capacity,
    sold_is_what_paid_orders_bought,
    holds_account_for_the_counters,
    nothing_is_held_any_more,
    every_order_ended,
    paid_orders_have_their_tickets,
    good_tickets_belong_to_paid_orders,
    wallets_show_the_tickets,
    card_orders_have_one_payment,
    every_payment_is_accounted_for,
    refunds_are_the_orders_own,
    nobody_can_pay_for_an_order_that_ended,
    clients_find_what_they_were_told,
    one_key_is_one_order,
    clients_were_answered_properly,
    the_host_had_no_errors,
    buyers_were_told_what_happened,
    insights_count_each_purchase_once,
    nothing_is_left_to_tell,
    no_message_is_left,
)


def _in_state(books: Books, *states: str) -> list[Record]:
    return [order for order in books.orders.values() if order["state"] in states]


def _ids(books: Books, *states: str) -> set[str]:
    return {order["order_id"] for order in _in_state(books, *states)}


def _state(books: Books, order_id: str) -> str:
    return str(books.orders.get(order_id, {}).get("state", "gone"))


def _quantity(order: Record) -> int:
    return sum(line["quantity"] for line in order["lines"])


def _succeeded(books: Books) -> dict[str, list[Record]]:
    found: dict[str, list[Record]] = defaultdict(list)
    for intent in books.intents:
        if intent["status"] == "succeeded":
            found[intent["metadata"].get("order_id", "")].append(intent)
    return found


def _returned(books: Books) -> Counter[str]:
    found: Counter[str] = Counter()
    for refund in books.refunds:
        found[refund["payment_intent"]] += refund["amount"]
    return found
