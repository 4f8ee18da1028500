"""The mail server misbehaves; every paid order is told about, as nearly once as SMTP lets anybody promise."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from functions.admission.codes import Codes
from functions.admission.repository import TicketRepository
from functions.notifications.outbound import CLAIM, OutboundMail
from functions.notifications.posting import MailInHand, Post
from functions.notifications.telling import Telling, Told
from functions.sales.reading import Orders
from functions.sales.repository import OrderRepository
from local.layout import stack_secrets
from local.stack import Stack
from shared.bus.embedded import EmbeddedBus
from shared.bus.port import Message
from shared.kernel.clock import utc_now
from shared.kernel.ids import OrderId, OrganiserId
from shared.mail.port import MailUnavailable
from shared.mail.smtp import SmtpMailer
from shared.store.embedded import EmbeddedStore
from shared.telemetry import counters
from shared.topology import topology
from tests.faults.databases import read_documents, read_messages, unfinished
from tests.faults.shop import TIMEOUT_SECONDS, Pool, Shop, stack_at

pytestmark = pytest.mark.xdist_group("mail")  # one stack for all

SETTLED_SECONDS = 120.0  # normally well below ten


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with stack_at(tmp_path_factory.mktemp("mail")) as running:
        yield running


@asynccontextmanager
async def shop_on(stack: Stack) -> AsyncIterator[Shop]:
    """An event whose places cost nothing: an order is paid, and told, at once."""
    async with httpx.AsyncClient(timeout=TIMEOUT_SECONDS) as http:
        shop = await Shop.open(stack, http, [Pool("free", 100, price=0)])
        await http.delete(f"{stack.mailbox_url}/_emulator/faults")
        yield shop


async def buy(shop: Shop) -> str:
    """A paid order of somebody with an address; its id."""
    [buyer] = await shop.people(1, prefix=f"reader-{uuid.uuid4().hex[:8]}")
    order = await shop.placed(buyer, {"free": 2})
    assert order["state"] == "paid"
    return str(order["order_id"])


async def copies(shop: Shop, order_id: str) -> int:
    found = await shop.mailbox(f"api/messages?message_id=%3Cconfirmation.{order_id}@tessera.example%3E")
    return len(found["messages"])


def told(shop: Shop, order_id: str) -> tuple[str, int]:
    """What we wrote down: the mail's state and how many copies there may be."""
    mail = read_documents(shop.stack.data).get(("mail", f"confirmation.{order_id}", "mail"), {})
    return str(mail.get("state", "nowhere")), int(mail.get("copies", 0))


async def quiet(shop: Shop) -> None:
    """Return once nothing is left on its way but the deadlines, a quarter of an hour ahead."""
    async with asyncio.timeout(SETTLED_SECONDS):
        while unfinished(shop.stack.data).keys() - {"expiries scheduled"}:  # noqa: ASYNC110 - another process makes it true
            await asyncio.sleep(0.05)


async def waiting(shop: Shop, order_id: str) -> None:
    """Return once the mail is known to wait for its server."""
    async with asyncio.timeout(SETTLED_SECONDS):
        while told(shop, order_id)[0] != "waiting":  # noqa: ASYNC110 - another process makes it true
            await asyncio.sleep(0.05)


async def hits(shop: Shop) -> int:
    return int((await shop.mailbox("_emulator/faults"))["hits"])


async def test_a_mail_server_that_was_away_gets_the_mail_once_when_it_is_back(stack: Stack) -> None:
    async with shop_on(stack) as shop:
        stack.kill_emulator("mailbox")
        order_id = await buy(shop)
        await waiting(shop, order_id)
        await asyncio.to_thread(stack.start_emulator, "mailbox")
        await quiet(shop)

        assert await copies(shop, order_id) == 1
        assert told(shop, order_id) == ("sent", 1)


async def test_a_mail_put_off_by_the_server_is_sent_once(stack: Stack) -> None:
    async with shop_on(stack) as shop:
        before = await hits(shop)
        await shop.mailbox("_emulator/faults", {"kind": "reject", "code": 451, "times": 2})
        order_id = await buy(shop)
        await quiet(shop)

        assert await hits(shop) - before == 2
        assert await copies(shop, order_id) == 1
        assert told(shop, order_id) == ("sent", 1)


async def test_a_refused_mail_is_noted_and_never_tried_again(stack: Stack) -> None:
    async with shop_on(stack) as shop:
        before = await hits(shop)
        await shop.mailbox("_emulator/faults", {"kind": "reject", "code": 550})
        order_id = await buy(shop)
        await quiet(shop)  # no postponed copy waits for its time either

        assert await hits(shop) - before == 1
        assert await copies(shop, order_id) == 0
        assert told(shop, order_id) == ("refused", 1)
        assert not [id_ for _, state, id_, _ in read_messages(stack.data) if state == 3 and order_id in id_]


async def test_an_event_delivered_again_sends_no_second_mail(stack: Stack) -> None:
    async with shop_on(stack) as shop:
        order_id = await buy(shop)
        await quiet(shop)
        body = next(
            value["payload"]
            for (container, _, _), value in read_documents(stack.data).items()
            if container == "insights" and value["payload"].get("order_id") == order_id
        )
        await publish_again(stack.data, body)
        await quiet(shop)

        assert await copies(shop, order_id) == 1
        assert told(shop, order_id) == ("sent", 1)


async def publish_again(data: Path, body: dict[str, Any]) -> None:
    """Put an event on the bus under fresh MessageIds, as a replay does, so that duplicate detection lets it through."""
    bus = EmbeddedBus(data / "bus.db", topology())
    try:
        replays = [Message(f"replay-{uuid.uuid4()}", "OrderPaid", json.dumps(body).encode()) for _ in range(3)]
        await bus.publish("events", replays)
    finally:
        bus.close()


@asynccontextmanager
async def telling_on(stack: Stack) -> AsyncIterator[Telling]:
    """The mailing use case on the host's own files and mail server, where a test decides what time it is."""
    own = stack_secrets(stack.data)
    store = EmbeddedStore(stack.data / "store.db", topology(), own["signing_secret"].encode())
    mailer = SmtpMailer(host="127.0.0.1", port=stack.ports.smtp, username="", password="", starttls=False,
                        sender="Tessera <tickets@tessera.example>")  # fmt: skip
    orders = Orders(OrderRepository(store))
    try:
        yield Telling(orders, TicketRepository(store), Codes(own["ticket_key"]), Post(OutboundMail(store), mailer))
    finally:
        await mailer.close()
        store.close()


async def test_a_mail_taken_whose_answer_was_lost_is_sent_again_under_the_same_name_and_counted(
    tmp_path: Path,
) -> None:
    """Its host is stopped, so that the claim, which lasts 45 seconds, can lapse by the test's own clock."""
    with stack_at(tmp_path) as stack:
        async with shop_on(stack) as shop:
            order_id = await paid_and_untold(shop)
            await shop.mailbox("_emulator/faults", {"kind": "lost", "times": 1})
            async with telling_on(stack) as telling:
                now = utc_now()
                doubled = counters().get("mails_possibly_doubled", 0)
                with pytest.raises(MailUnavailable):
                    await confirm(telling, shop, order_id, now)
                after_loss = (await copies(shop, order_id), told(shop, order_id))
                with pytest.raises(MailInHand):
                    await confirm(telling, shop, order_id, now + CLAIM / 2)
                await confirm(telling, shop, order_id, now + CLAIM + timedelta(seconds=1))
                await confirm(telling, shop, order_id, now + CLAIM + timedelta(hours=1))

            assert after_loss == (1, ("sending", 1))
            assert await copies(shop, order_id) == 2
            assert told(shop, order_id) == ("sent", 2)
            assert counters()["mails_possibly_doubled"] - doubled == 1


async def paid_and_untold(shop: Shop) -> str:
    """A paid order whose mail nobody sent, and no host that would: its mail server was away, then it was killed."""
    shop.stack.kill_emulator("mailbox")
    order_id = await buy(shop)
    await waiting(shop, order_id)
    assert shop.stack.host is not None
    shop.stack.host.kill()
    await asyncio.to_thread(shop.stack.start_emulator, "mailbox")
    return order_id


async def confirm(telling: Telling, shop: Shop, order_id: str, now: datetime) -> None:
    told = Told("OrderPaid", OrderId(order_id), OrganiserId(shop.event["organiser_id"]))
    await telling.tell(told, now=now)
