"""Everything a person can leave behind here, and a look into the store that knows nothing of the product."""

import sqlite3
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import orjson

from functions.admission.tickets import CheckIn, Ticket
from functions.catalog.events import Event
from functions.catalog.repository import Organiser
from functions.composition import Adapters, UseCases, use_cases
from functions.identity.invitations import InvitationCodes
from functions.inventory.holds import PoolShort
from functions.notifications.telling import Told
from functions.operations.relay import PUBLISHERS
from functions.sales.orders import Buyer, Method, Order
from shared.auth.permissions import Caller, Membership, Permission
from shared.events.sales import OrderPaid, PaymentReported
from shared.kernel.ids import OrderId, PersonId
from shared.store.embedded import EmbeddedStore
from shared.store.port import EVERYWHERE, Store, Where
from shared.topology import topology
from tests.doubles.directory import Accounts
from tests.doubles.mailbag import Mailbag
from tests.doubles.mailbox import Mailbox
from tests.doubles.provider import Provider
from tests.factories import catalog, sales
from tests.factories import settings as factory

USER_ID: Final = "0b5c9f5e-0000-4000-8000-00000000paul"
NEW_NAME: Final = "Paula Called-Otherwise"
SHOW: Final = "Summer concert"


def paula() -> Caller:
    """Whose traces are looked for: a buyer who also works for the school."""
    memberships = {catalog.organiser_id(): Membership.OPERATOR}
    return Caller(
        person_id=catalog.person("paula"), name="Paula Quux-Person", email="Paula.Quux@mail.example",
        user_id=USER_ID, memberships=memberships,
    )  # fmt: skip


NEEDLES: Final = (
    paula().person_id,
    paula().name,
    NEW_NAME,
    USER_ID,
    paula().email,
    paula().email.lower(),
    paula().email.upper(),
)


@dataclass
class Clock:
    """The store's, set by the test."""

    now: datetime = catalog.NOW

    def __call__(self) -> datetime:
        return self.now


@dataclass
class Life:
    """A Tessera in the test, its store in a file."""

    folder: Path
    clock: Clock = field(default_factory=Clock)
    bag: Mailbag = field(default_factory=Mailbag)
    mailbox: Mailbox = field(default_factory=Mailbox)
    accounts: Accounts = field(default_factory=Accounts)
    provider: Provider = field(default_factory=Provider)
    stack: ExitStack = field(default_factory=ExitStack)

    def __post_init__(self) -> None:
        self.file = self.folder / "store.db"
        self.store = EmbeddedStore(self.file, topology(), factory.SIGNING_SECRET.encode(), now=self.clock)
        self.stack.callback(self.store.close)

    def adapters(self, store: Store | None = None) -> Adapters:
        """What use cases stand on; another store over the same file, where one is given."""
        entered = factory.adapters(
            self.folder, store=store or self.store, bus=self.bag, payments=self.provider,
            mailer=self.mailbox, directory=self.accounts,
        )  # fmt: skip
        return self.stack.enter_context(entered)

    def cases(self, store: Store | None = None) -> UseCases:
        """A process's use cases, which remember nothing."""
        return use_cases(factory.settings(self.folder), self.adapters(store))

    async def relay(self, cases: UseCases) -> None:
        """Empty every outbox into the mailbag."""
        for container in PUBLISHERS:
            found = await self.store.query(container, EVERYWHERE, where=[Where("kind", "=", "outbox")], limit=200)
            await cases.relay.send(container, [{**each.value, "id": each.id} for each in found.documents])

    async def fill_wallets(self, cases: UseCases) -> list[Ticket]:
        """What the change feed does; the tickets it saw."""
        found = await self.store.query("orders", EVERYWHERE, where=[Where("kind", "=", "ticket")], limit=200)
        tickets = [Ticket.model_validate(each.value) for each in found.documents]
        await cases.door.fill_wallets(tickets)
        return tickets

    async def purge(self) -> None:
        """What the host does now and then with documents whose time is over."""
        while await self.store.purge_expired(200):
            pass

    def rows(self) -> dict[str, str]:
        """Every document on disk by where it is, as text, asked of SQLite itself."""
        with sqlite3.connect(self.file) as raw:
            found = raw.execute("SELECT container, partition, id, body FROM documents").fetchall()
        raw.close()
        return {f"{container}/{partition}/{id_}": body for container, partition, id_, body in found}

    def mentions(self, *needles: str) -> set[str]:
        """Where any of these stands, in a document, its id or its partition."""
        return {where for where, body in self.rows().items() if any(needle in where + body for needle in needles)}

    def books(self) -> list[dict[str, Any]]:
        """What the ledger says of every order, without who it was."""
        kept = ("order_id", "organiser_id", "state", "total", "lines", "method", "created_at", "held", "event")
        orders = [orjson.loads(body) for where, body in self.rows().items() if where.endswith("/order")]
        return [
            {name: order[name] for name in kept} for order in sorted(orders, key=lambda each: str(each["order_id"]))
        ]


async def place(cases: UseCases, event: Event, key: str, method: Method = Method.CARD, quantity: int = 1) -> Order:
    """An order of hers; at the desk it is for somebody else."""
    who = paula()
    wanted = sales.wanted(event.event_id, quantities={event.pools[0].name: quantity}, method=method, caller=who)
    if method is Method.DESK:
        wanted = replace(wanted, buyer=Buyer(person_id=PersonId(""), name="Bob Walk-In", email=""))
    return await cases.placing.place(wanted, order_id=sales.order_id(key, who), caller=who, now=catalog.NOW)


async def live(life: Life) -> UseCases:
    """She does everything that leaves a trace."""
    cases, now, who = life.cases(), catalog.NOW, paula()
    life.accounts.add(USER_ID, who.email, who.name)
    seen = await cases.accounts.profiles.seen(who, now)
    await cases.accounts.profiles.change(who.person_id, name=NEW_NAME, locale="de-CH", make=seen)
    event = await catalog.on_sale(cases)
    free = await catalog.on_sale(cases, catalog.event(name="Open day", price_minor=0, pools={"yard": 2}))
    await _work(cases)
    await place(cases, free, "free")
    await _refused(cases, free)
    await place(cases, event, "desk", Method.DESK)
    paid = await place(cases, event, "paid", quantity=2)
    await pay(cases, paid)
    cancelled = await place(cases, event, "cancelled")
    await cases.settlement.cancel(cancelled.order_id, caller=who, now=now)
    await place(cases, event, "expired")
    await cases.settlement.expire(sales.order_id("expired", who), now=now + timedelta(hours=1))
    await _at_the_door(life, cases, event)
    await life.relay(cases)
    await life.fill_wallets(cases)
    for message in life.bag.take("notifications"):
        told = OrderPaid.model_validate_json(message.body) if message.type == "OrderPaid" else None
        if told is not None:
            await tell(cases, told)
    life.bag.queues.clear()
    return cases


async def pay(cases: UseCases, order: Order) -> None:
    """The provider reports the money."""
    report = PaymentReported(
        id=f"{order.order_id}.payment.pi_1", occurred_at=catalog.NOW, organiser_id=order.organiser_id,
        order_id=order.order_id, session_id="cs_1", payment_id=f"pi_{order.order_id}", paid=True, amount=order.total,
    )  # fmt: skip
    await cases.settlement.settle(report, now=catalog.NOW)


async def tell(cases: UseCases, paid: OrderPaid) -> None:
    """Mail the confirmation."""
    await cases.telling.tell(Told("OrderPaid", paid.order_id, paid.organiser_id), now=catalog.NOW)


async def _work(cases: UseCases) -> None:
    """She joins the school by an invitation, invites others, makes a key, and has an organiser with somebody else."""
    who, boss, school, now = paula(), catalog.owner(), catalog.organiser_id(), catalog.NOW
    await cases.accounts.profiles.seen(boss, now)
    invitation = await cases.inviting.invite(school, who.email, Membership.OPERATOR, by=boss.person_id, now=now)
    code = InvitationCodes(factory.SIGNING_SECRET.encode()).code(invitation)
    await cases.inviting.accept(code, who.person_id, now=now)
    await cases.inviting.invite(school, "colleague@mail.example", Membership.OPERATOR, by=who.person_id, now=now)
    await _invited_elsewhere(cases)
    own = catalog.organiser_id("paulas")
    await cases.managing.create_organiser(Organiser(organiser_id=own, name="A club", created_by=who.person_id), now=now)
    await cases.belonging.set_role(own, boss.person_id, Membership.OWNER, by=who.person_id, now=now, trusted=True)
    await cases.keyring.make(
        organiser_id=own, name="a scanner", scopes=[Permission.CHECK_IN], by=who.person_id,
        life=timedelta(days=30), now=now,
    )  # fmt: skip


async def _invited_elsewhere(cases: UseCases) -> None:
    """One invitation to another address of hers, which she accepts, and one that nobody has accepted yet."""
    who, boss, now = paula(), catalog.owner(), catalog.NOW
    for name, email in (("gym", "office@gym.example"), ("choir", who.email.upper())):
        organiser = catalog.organiser_id(name)
        await cases.belonging.own(boss.person_id, organiser, name, now)
        invitation = await cases.inviting.invite(organiser, email, Membership.CREATOR, by=boss.person_id, now=now)
        if name == "gym":
            code = InvitationCodes(factory.SIGNING_SECRET.encode()).code(invitation)
            await cases.inviting.accept(code, who.person_id, now=now)


async def _refused(cases: UseCases, event: Event) -> None:
    try:
        await place(cases, event, "refused", quantity=2)
    except PoolShort:
        return
    raise AssertionError("one of two places was sold")


async def _at_the_door(life: Life, cases: UseCases, event: Event) -> None:
    """She lets somebody else in."""
    ada = sales.buyer()
    wanted = sales.wanted(event.event_id, quantities={event.pools[0].name: 1}, caller=ada)
    order = await cases.placing.place(wanted, order_id=sales.order_id("adas", ada), caller=ada, now=catalog.NOW)
    await pay(cases, order)
    tickets: Sequence[Ticket] = await cases.door.tickets(OrderId(order.order_id), caller=ada)
    scan = CheckIn(at=catalog.NOW, by=paula().person_id, by_name=paula().name, nonce="12345678")
    await cases.door.check_in(cases.door.code(tickets[0]), scan, at_event=None, caller=paula())
