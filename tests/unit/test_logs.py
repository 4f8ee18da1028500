"""What is logged arrives in Application Insights: it says what happened and where, and nothing of a person."""

import importlib
import json
import logging
import pkgutil
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import azure.functions as func
import pytest
from pydantic import BaseModel, ValidationError

import functions
import shared
from functions.catalog.listing import Listing
from functions.composition import use_cases
from functions.notifications.telling import Told
from functions.sales.orders import Order
from shared.bus.port import Message
from shared.events.sales import OrderPaid
from shared.mail.smtp import SmtpMailer
from shared.telemetry import Log
from shared.telemetry.logs import EXCEPTIONS_MAX, FRAMES_MAX
from shared.telemetry.scrubbing import REMOVED
from shared.web.triggers import parsed, queue_consumer
from tests.doubles.host import queue_function
from tests.doubles.mailbag import Mailbag
from tests.factories import catalog, sales
from tests.factories import settings as factory
from tests.faults.test_smtp_settings import server

PERSONAL = ("uma", "Uma", "Featherstone", "4242")


@pytest.fixture
def shipped(caplog: pytest.LogCaptureFixture) -> Iterator[list[str]]:
    """Every record as the worker's handler ships it: formatted, its exception included."""
    caplog.set_level(logging.INFO, "tessera")
    lines: list[str] = []

    class Ship(logging.Handler):
        """What the Functions worker attaches to the root logger."""

        def emit(self, record: logging.LogRecord) -> None:
            """Ship."""
            lines.append(self.format(record))

    handler = Ship()
    logging.getLogger("tessera").addHandler(handler)
    yield lines
    logging.getLogger("tessera").removeHandler(handler)


def read(lines: list[str]) -> dict[str, Any]:
    [line] = lines
    found: dict[str, Any] = json.loads(line)
    return found


def test_an_exception_is_told_with_what_led_to_it_by_class_frames_and_scrubbed_words(shipped: list[str]) -> None:
    said = ("550 <uma@tessera.example> is unknown, card 4242 4242 4242 4242", "no mail to uma%40tessera.example")

    def refuse() -> None:
        raise ValueError(said[0])

    def deep() -> None:
        try:
            refuse()
        except ValueError as error:
            raise RuntimeError(said[1]) from error

    with pytest.raises(RuntimeError) as raised:
        deep()
    Log("tested").error("mail_refused", error=raised.value, said=[{"to": "uma@tessera.example"}], at=catalog.NOW)

    told = read(shipped)
    assert not any(word in shipped[0] for word in PERSONAL)
    assert (told["event"], told["said"], told["at"]) == ("mail_refused", [{"to": REMOVED}], catalog.NOW.isoformat())
    words = [line for line in told["traceback"].splitlines() if line.startswith(("RuntimeError", "ValueError"))]
    assert words == [
        f"RuntimeError: no mail to {REMOVED}",
        f"ValueError: 550 <{REMOVED}> is unknown, card {REMOVED}",
    ]
    assert told["traceback"].count(f'File "{__file__}", line') == 4
    assert "in deep" in told["traceback"]


def test_a_traceback_without_end_is_cut_off(shipped: list[str]) -> None:
    def recurse(depth: int) -> None:
        if depth == 0:
            raise ValueError
        try:
            recurse(depth - 1)
        except ValueError as error:
            raise ValueError(depth) from error

    with pytest.raises(ValueError, match="60") as raised:
        recurse(60)
    Log("tested").error("bug", error=raised.value)

    trace = read(shipped)["traceback"]
    assert sum(line.startswith("ValueError") for line in trace.splitlines()) == EXCEPTIONS_MAX
    assert trace.count("  File ") <= EXCEPTIONS_MAX * FRAMES_MAX


async def test_a_refused_recipient_is_logged_by_the_servers_codes(tmp_path: Path, shipped: list[str]) -> None:
    async with server("RCPT", b"550 5.1.1 <ada@tessera.example>: Uma Featherstone is unknown") as port:
        mailer = SmtpMailer(
            host="127.0.0.1", port=port, username="", password="", starttls=False, sender="T <t@tessera.example>"
        )
        with factory.adapters(tmp_path, bus=Mailbag(), mailer=mailer) as adapters:
            cases = use_cases(factory.settings(tmp_path), adapters)
            published = await catalog.on_sale(cases)
            wanted = sales.wanted(published.event_id)
            order = await cases.placing.place(wanted, order_id=sales.order_id(), caller=sales.buyer(), now=catalog.NOW)
            await cases.settlement.cancel(order.order_id, caller=sales.buyer(), now=catalog.NOW)
            shipped.clear()
            await cases.telling.tell(Told("OrderCancelled", order.order_id, order.organiser_id), now=catalog.NOW)
        await mailer.close()

    told = read(shipped)
    assert (told["event"], "550 5.1.1" in told["traceback"]) == ("mail_refused", True)
    assert order.buyer.email not in shipped[0]
    assert not any(word in shipped[0] for word in PERSONAL)


def test_an_unreadable_document_is_logged_by_where_and_not_by_what(shipped: list[str]) -> None:
    document = {"kind": "order", "id": "ord_x", "buyer": {"name": "Uma Featherstone", "email": 4242}}

    assert parsed(func.DocumentList([func.Document(document)]), kind="order", model=Order) == []

    told = read(shipped)
    assert (told["event"], told["document"]) == ("feed_document_unreadable", "ord_x")
    assert "buyer.email" in told["traceback"]
    assert not any(word in shipped[0] for word in PERSONAL)


@pytest.mark.parametrize("body", [b'{"id": 1, "organiser_id": "Uma Featherstone"}', b'Uma Featherstone {"'])
async def test_an_unreadable_message_is_refused_by_where_and_not_by_what(body: bytes) -> None:
    async def never(_: OrderPaid, __: datetime) -> None:
        raise AssertionError

    deliver = queue_function(queue_consumer(never, queue="stock", message=OrderPaid, bus=Mailbag()))
    with pytest.raises(ValidationError) as raised:
        await deliver(Message("x", "OrderPaid", body))
    assert not any(word in str(raised.value) for word in PERSONAL)  # which the host logs


def test_every_model_of_what_comes_from_elsewhere_keeps_it_out_of_its_errors() -> None:
    for package in (functions, shared):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            importlib.import_module(module.name)
    ours = {found for found in below(BaseModel) if found.__module__.startswith(("functions.", "shared."))}
    read_ = {found for found in ours if "extra" in found.model_config or "frozen" in found.model_config}
    open_ = {found.__module__ for found in read_ if not found.model_config.get("hide_input_in_errors")}
    assert {Order, OrderPaid, Listing} <= read_
    assert open_ == {"shared.settings", "shared.settings_directory", "shared.topology"}  # what we configure ourselves


def below(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    for each in model.__subclasses__():
        yield each
        yield from below(each)
