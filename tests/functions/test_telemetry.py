"""What a purchase tells Application Insights: one connected operation, and nothing personal."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import httpx
import pytest

from local.emulators.applicationinsights.traces import Operation, operation_of
from local.layout import Ports
from local.stack import ROOT, Stack
from tests.support.api import Api, Json, Organiser, new_key, order_body, soon

CLIENT_TRACE: Final = "4bf92f3577b34da6a3ce929d0e0e4736"
CALLER: Final = f"00-{CLIENT_TRACE}-00f067aa0ba902b7-00"
NAME: Final = "Wilhelmina Featherstonehaugh"
EMAIL: Final = "wilhelmina@featherstone.example"


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """A Tessera whose telemetry is collected."""
    stack = Stack(tmp_path_factory.mktemp("watched"), Ports.free(), telemetry=True)
    with stack, httpx.Client(base_url=stack.url, timeout=30) as http:
        yield Api(stack, http)


@pytest.fixture(scope="module")
def shop(watched: Api) -> Organiser:
    return watched.organiser()


@dataclass(frozen=True)
class Done:
    """What people did, so that what is sent of it all comes together.

    :param card: an order paid by card; `desk`, `three`: sold at a desk, of one place and of three
    :param code: of the ticket that was scanned
    :param bearer: of whoever bought, was refused, and looked for an address
    """

    card: Json
    desk: Json
    three: Json
    code: str
    bearer: str


@pytest.fixture(scope="module")
def done(watched: Api, shop: Organiser) -> Done:
    event, buyer = shop.event(), watched.person("user", email=EMAIL, name=NAME)
    placed = buyer.ask(
        "POST", "orders", json=order_body(event, 2), headers={"idempotency-key": new_key(), "traceparent": CALLER}
    )
    assert placed.status_code == 201, placed.text
    card = placed.json()
    opened = buyer.post(f"orders/{card['order_id']}/checkout").json()
    assert watched.pay(opened["checkout_url"]).status_code == 303
    to = {"name": NAME, "email": EMAIL}
    desk, three = (shop.operator.order(event, number, method="desk", buyer=to).json() for number in (1, 3))
    assert buyer.order(shop.event(capacity=1), 2).status_code == 409
    buyer.get("events", q=EMAIL)
    code = shop.owner.get(f"orders/{desk['order_id']}/tickets").json()["items"][0]["code"]
    scanned = shop.operator.post("check-ins", {"code": code, "nonce": "a-nonce-of-the-scan"})
    assert scanned.status_code == 200, scanned.text
    for order in (card, desk, three):
        watched.mail(order)
    return Done(card, desk, three, code, buyer.token)


def items(api: Api, **query: str) -> list[Json]:
    """Everything that came, or of one operation."""
    found: list[Json] = []
    while True:
        after = {"after": str(found[-1]["number"])} if found else {}
        page = httpx.get(f"{api.stack.telemetry_url}/items", params={**query, **after}).raise_for_status()
        more = page.json()["items"]
        if not more:
            return found
        found += more


def operation(api: Api, trace_id: str, *, until: str) -> Operation:
    """The operation, once it has everything that `until` names; spans are sent when they ended."""

    def look() -> Operation | None:
        found = operation_of(trace_id, items(api, operation=trace_id))
        return found if set(until.split(", ")) <= {node.name for node in found.nodes} else None

    return soon(look, f"{until} in the operation")


def operation_with(api: Api, name: str, **properties: str) -> str:
    """The id of the operation that has such an item, once it came."""

    def look() -> str | None:
        for item in items(api):
            told = item["data"]["baseData"]
            if told.get("name") == name and properties.items() <= (told.get("properties") or {}).items():
                return str(item["tags"]["ai.operation.id"])
        return None

    return soon(look, name)


def shape(found: Operation) -> dict[str, str]:
    """The name of each step's parent; steps that came twice (a batch given again) once."""
    names = {node.id: node.name for node in found.nodes if node.kind != "event"}
    return {node.name: names.get(node.parent_id, "") for node in found.nodes}


@pytest.mark.usefixtures("done")
def test_a_card_purchase_is_one_operation_from_the_clients_request_to_the_mail(watched: Api) -> None:
    trace_id = operation_with(watched, "POST /api/orders", caller=CALLER)
    steps = {
        "POST /api/orders": "",
        "send ExpireOrder": "POST /api/orders",
        "POST /api/orders/{order_id}/checkout": "POST /api/orders",
        "open session": "POST /api/orders/{order_id}/checkout",
        "POST /api/payments/stripe": "POST /api/orders",
        "send PaymentReported": "POST /api/payments/stripe",
        "settle_order": "send PaymentReported",
        "send OrderPaid": "settle_order",
        "move_stock": "send OrderPaid",
        "mail_notice": "send OrderPaid",
        "send mail": "mail_notice",
        "record_event": "send OrderPaid",
        "OrderPaid": "record_event",
    }

    found = operation(watched, trace_id, until=", ".join(steps))

    assert shape(found) == steps
    [root] = [node for node in found.nodes if not node.parent_id]
    assert root.name == "POST /api/orders"
    assert found.failures == 0
    assert items(watched, operation=CLIENT_TRACE) == []  # a stranger's: named, not joined


def test_every_step_takes_its_time_within_what_it_was_done_for(watched: Api, done: Done) -> None:
    trace_id = operation_with(watched, "OrderPaid", order_id=done.desk["order_id"])

    found = operation(watched, trace_id, until="send mail, mail_notice, POST /api/orders")

    steps = {node.name: node for node in found.nodes}
    mail, notice, request = steps["send mail"], steps["mail_notice"], steps["POST /api/orders"]
    slack = 2.0  # durations are rounded to milliseconds
    assert 0 < mail.milliseconds <= notice.milliseconds + slack
    assert notice.start_ms - slack <= mail.start_ms
    assert mail.start_ms + mail.milliseconds <= notice.start_ms + notice.milliseconds + slack
    assert request.start_ms == 0
    assert request.milliseconds <= found.milliseconds
    assert request.properties["correlation_id"] == shop_correlation(watched, done.desk)


def shop_correlation(api: Api, order: Json) -> str:
    """The reference that the order's mail names."""
    text = api.mail(order)["text"]
    [line] = [line for line in text.splitlines() if "eference" in line]
    return str(line.split()[-1].strip("."))


def test_a_business_event_tells_ids_and_numbers_alone(watched: Api, shop: Organiser, done: Done) -> None:
    order = done.three
    operation_with(watched, "OrderPaid", order_id=order["order_id"])

    [told] = [
        item["data"]["baseData"]
        for item in items(watched, type="EventData")
        if item["data"]["baseData"]["properties"].get("order_id") == order["order_id"]
    ]

    assert told["properties"] == {
        "id": f"{order['order_id']}.paid",
        "organiser_id": shop.id,
        "event_id": order["event"]["event_id"],
        "order_id": order["order_id"],
        "method": "desk",
        "currency": "EUR",
    }
    assert told["measurements"] == {"quantity": 3.0, "amount_minor": 7500.0}


@pytest.mark.usefixtures("done")
def test_a_refusal_is_an_answer_and_no_failure(watched: Api) -> None:
    trace_id = soon(lambda: with_status(watched, "409"), "the refused request")

    found = operation_of(trace_id, items(watched, operation=trace_id))

    assert (found.nodes[0].name, found.nodes[0].properties["outcome"]) == ("POST /api/orders", "refused")
    assert found.failures == 0


def with_status(api: Api, status: str) -> str | None:
    found = [each for each in items(api, type="RequestData") if each["data"]["baseData"]["responseCode"] == status]
    return str(found[-1]["tags"]["ai.operation.id"]) if found else None


def test_nothing_personal_and_no_secret_is_in_anything_that_was_sent(watched: Api, done: Done) -> None:
    operation_with(watched, "POST /api/check-ins")
    for order in (done.card, done.desk, done.three):
        operation_with(watched, "OrderPaid", order_id=order["order_id"])

    found = items(watched)
    for item in found:
        del item["tags"]["ai.device.osVersion"]  # the kernel's own words
    sent = json.dumps(found, ensure_ascii=False).lower()

    assert done.desk["order_id"] in sent
    stack_environment = watched.stack.environment()
    secrets = [value for name, value in stack_environment.items() if name.endswith(("SECRET", "KEY"))]
    for word in (NAME, EMAIL, "wilhelmina", "featherstone", "4242424242424242", done.bearer, done.code, *secrets):
        assert word.lower() not in sent
    for name in ("uma user", "?", "@"):
        assert name not in sent


def test_while_the_ingestion_holds_its_answers_back_people_buy_as_before(watched: Api, shop: Organiser) -> None:
    faults = f"{watched.stack.telemetry_url}/_emulator/faults"
    httpx.post(faults, json={"seconds": 60.0, "times": 1_000}).raise_for_status()
    try:
        event = shop.event(capacity=20)
        soon(lambda: httpx.get(faults).json()["left"] < 1_000 or None, "a batch that is held back")
        orders = [shop.operator.paid(event) for _ in range(10)]
        buyer = watched.person("user")
        order = buyer.order(event).json()
        watched.pay(buyer.post(f"orders/{order['order_id']}/checkout").json()["checkout_url"])
        watched.mail(order)
        assert httpx.get(faults).json()["left"] > 0
    finally:
        httpx.delete(faults)
    assert {each["state"] for each in orders} == {"paid"}


def test_without_the_ingestion_people_buy_and_the_process_ends_in_order(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    with Stack(tmp_path_factory.mktemp("away"), Ports.free(), telemetry=True) as stack:
        stack.kill_emulator("applicationinsights")
        with httpx.Client(base_url=stack.url, timeout=30) as http:
            api = Api(stack, http)
            house = api.organiser()
            order = house.operator.paid(house.event())
            lost = soon(lambda: counters(api).get("telemetry_batches_lost"), "a lost batch")
            soon(lambda: api.logged("telemetry_not_taken") or None, "a word of it in the log")
        assert stack.host is not None
        assert stack.host.stop() == 0
    assert order["state"] == "paid"
    assert lost >= 1


def counters(api: Api) -> dict[str, int]:
    found: dict[str, int] = api.person("admin").get("operations/counters").json()["counters"]
    return found


def started(api: Api, code: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """A process that loads the function app as a host does, and then runs `code`."""
    environment = {**api.stack.environment(), "PYTHONPATH": str(ROOT), **settings}
    command = [sys.executable, "-c", f"import sys, function_app\n{code}"]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=60)


def test_a_start_loads_nothing_of_an_exporter_nor_of_the_directory(api: Api) -> None:
    say = "print(*sorted({'opencensus', 'requests', 'prometheus_client', 'msal'} & set(sys.modules)))"
    done = started(api, say)
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr


def test_with_one_no_start_waits_for_the_exporter_which_is_loaded_for_the_first_span(api: Api) -> None:
    say = """
import time
heavy = {'opencensus', 'requests', 'azure.identity'}
print(*sorted(heavy & set(sys.modules)), sep=",")
from shared.telemetry import span
with span("the first"):
    pass
give_up = time.monotonic() + 30
while not heavy <= set(sys.modules) and time.monotonic() < give_up:
    time.sleep(0.05)
print(*sorted(heavy & set(sys.modules)), sep=",")
"""
    key = "InstrumentationKey=00000000-0000-4000-8000-000000000000"
    text = f"{key};IngestionEndpoint=http://127.0.0.1:9"
    done = started(api, say, APPLICATIONINSIGHTS_CONNECTION_STRING=text)
    assert (done.returncode, done.stdout.splitlines()) == (0, ["", "azure.identity,opencensus,requests"]), done.stderr


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("APPLICATIONINSIGHTS_CONNECTION_STRING", "InstrumentationKey=a-secret-of-ours"),
        ("APPLICATIONINSIGHTS_AUTHENTICATION_STRING", "Authorization=a-secret-of-ours"),
        ("TESSERA_TRACE_SAMPLING", "1.5"),
    ],
)
def test_a_malformed_telemetry_setting_stops_the_start_and_is_named(api: Api, setting: str, value: str) -> None:
    done = started(api, "", **{setting: value})
    assert done.returncode != 0
    assert setting in done.stderr
    assert "a-secret-of-ours" not in done.stderr


def metric(api: Api, name: str) -> float:
    """A counter of the one process there is."""
    answer = api.insights.get("metrics")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    [value] = [line.rpartition(" ")[2] for line in answer.text.splitlines() if line.startswith(f"{name}{{")]
    return float(value)


def test_prometheus_reads_what_was_sold(api: Api, house: Organiser) -> None:
    names = ("orders_placed", "orders_paid", "tickets_sold", "check_ins", "orders_refused", "holds_refused")
    before = {name: metric(api, f"tessera_{name}_total") for name in names}
    event = house.event(capacity=4)
    order = house.operator.paid(event, 3)
    assert house.operator.order(event, 2, method="desk").status_code == 409
    code = house.owner.get(f"orders/{order['order_id']}/tickets").json()["items"][0]["code"]
    for _ in range(2):  # the same scan twice is one person who came in
        house.operator.post("check-ins", {"code": code, "nonce": "a-nonce-of-the-scan"})

    grown = {name: metric(api, f"tessera_{name}_total") - before[name] for name in names}

    assert grown == {
        "orders_placed": 1, "orders_paid": 1, "tickets_sold": 3, "check_ins": 1, "orders_refused": 1,
        "holds_refused": 1,
    }  # fmt: skip


def test_a_payment_tells_how_long_it_took_to_settle_and_its_mail_is_counted(api: Api, house: Organiser) -> None:
    settled, mailed = "tessera_settlement_seconds_count", "tessera_mails_sent_total"
    before = metric_or_zero(api, settled), metric_or_zero(api, mailed)
    buyer = api.person("user")
    order = buyer.order(house.event()).json()
    api.pay(buyer.post(f"orders/{order['order_id']}/checkout").json()["checkout_url"])
    api.mail(order)

    soon(lambda: metric_or_zero(api, mailed) > before[1] or None, "the mail, counted")

    assert metric_or_zero(api, settled) == before[0] + 1
    function = 'tessera_function_seconds_count{function="sales_place_order",outcome="ok"'

    def waited() -> bool | None:
        lines = [line for line in api.insights.get("metrics").text.splitlines() if "queue_seconds_count{" in line]
        told = {line.split('queue="')[1].partition('"')[0] for line in lines}
        return told >= {"payments", "stock", "notifications"} or None

    soon(waited, "how long messages waited on three queues")
    text = api.insights.get("metrics").text
    assert function in text
    asked = {tuple(re.findall(r'="(\w+)"', line)[-3:]) for line in text.splitlines() if "store_calls_total{" in line}
    assert asked >= {("inventory", "write", "sales_place_order"), ("orders", "write", "sales_place_order")}


def metric_or_zero(api: Api, name: str) -> float:
    text = api.insights.get("metrics").text
    return sum(float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith(f"{name}{{"))


def test_times_of_spans_are_moments_in_utc(watched: Api) -> None:
    def moment(item: dict[str, Any]) -> bool:
        return datetime.fromisoformat(item["time"]).utcoffset() is not None

    watched.nobody.get("health/live")
    requests = soon(lambda: items(watched, type="RequestData") or None, "a request's span")
    assert all(moment(item) for item in requests)
