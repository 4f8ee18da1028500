"""The smoke test against a Tessera on this machine: it passes, leaves nothing behind, and finds what is wrong."""

from dataclasses import replace

import httpx
from rich.console import Console

from local.host.process import HostProcess
from local.package import ROOT
from tests.infra.smoke.support import EVERYTHING, NO_PATIENCE, NOBODY, SHORT, failures, orders, outcome_of, sold
from tests.support.api import Api, Json, Organiser
from tools.delivery.azure import AzureFailed
from tools.delivery.here import APP, told_by_host
from tools.delivery.insights import Insights
from tools.delivery.outcome import Outcome, Report
from tools.delivery.smoke import EXPECTED, Functions, Target, smoke


def counted(api: Api) -> tuple[list[Json], int, int]:
    """What is wrong with the inventory, and how much of it is held and sold."""
    audit = api.person("admin").post("operations/inventory-audit").json()
    return audit["violations"], audit["held"], audit["sold"]


def test_what_works_passes_and_nothing_is_left_behind(api: Api, target: Target, event: Json) -> None:
    before = counted(api)
    report = outcome_of(target, SHORT)

    assert [each.name for each in report.outcomes] == EVERYTHING
    assert failures(report) == {}
    assert report.passed
    assert {"POST /api/orders", "move_stock"} <= set(report.outcomes[-2].said.partition(": ")[2].split(", "))
    order_id = sold(report)
    order = api.person("admin").get(f"orders/{order_id}").json()
    assert (order["state"], order["quantity"], order["method"]) == ("refunded", 1, "desk")
    assert (counted(api), before[0]) == (before, [])
    assert orders(api, event) == [10]
    assert api.mails(order_id) == []


def test_a_missing_function_and_one_too_many_are_named(target: Target) -> None:
    wanted = target.wanted[APP]
    other = frozenset({*(wanted - {"move_stock"}), "sell_twice"})

    report = outcome_of(replace(target, wanted={APP: other}, insights=None), SHORT)

    said = f"{APP} has {len(wanted)} functions instead of {len(wanted)}: lacks sell_twice and has besides move_stock"
    assert failures(report) == {"functions": said}


def test_who_may_not_sell_fails_and_changes_nothing(api: Api, target: Target, event: Json) -> None:
    report = outcome_of(replace(target, token=api.person().token), SHORT)

    assert list(failures(report)) == ["sells at the desk"]
    assert "403" in failures(report)["sells at the desk"]
    assert [each.name for each in report.outcomes][-1] == "sells at the desk"
    assert orders(api, event) == [10]


def test_a_sold_out_event_says_what_to_do_and_is_no_reason_to_go_back(shop: Organiser, target: Target) -> None:
    event = shop.event(pools=[{"name": "Hall", "capacity": 1}])
    shop.operator.paid(event)

    report = outcome_of(replace(target, event=event["event_id"], insights=None), SHORT)

    said = failures(report)["the event is on sale"]
    assert (len(failures(report)), report.undecided) == (1, True)
    assert said.startswith("“Concert” is sold out, so nothing was tried with it")
    assert "`python -m tools.delivery smoke-event` makes another" in said


def test_an_address_where_nobody_answers_fails_at_once_and_nothing_else_is_tried(target: Target) -> None:
    report = outcome_of(replace(target, url=NOBODY), NO_PATIENCE)

    [(name, said)] = failures(report).items()
    assert (name, len(report.outcomes)) == ("answers", 1)
    assert said.startswith(f"not within 0 s: {NOBODY} does not answer")


def test_telemetry_that_does_not_answer_fails(target: Target) -> None:
    deaf = Insights(NOBODY, "here", lambda: "")
    report = outcome_of(replace(target, insights=deaf), replace(SHORT, telemetry=0.0))

    assert list(failures(report)) == ["its trace is found"]
    assert "does not answer" in failures(report)["its trace is found"]


def test_telemetry_that_has_nothing_of_the_sale_fails(api: Api, target: Target) -> None:
    faults = f"{api.stack.telemetry_url}/_emulator/faults"
    httpx.post(faults, json={"status": 500, "times": 1_000}).raise_for_status()
    try:
        report = outcome_of(target, replace(SHORT, telemetry=1.0))
    finally:
        httpx.delete(faults).raise_for_status()

    assert list(failures(report)) == ["its trace is found"]
    assert "not within 1 s" in failures(report)["its trace is found"]


def test_a_deployment_that_lacks_its_workers_fails(api: Api, target: Target) -> None:
    """Nothing leaves the outbox there: what a refund leads to never happens."""
    settings = {**api.stack.environment(), "TESSERA_SERVICES": "commerce,identity"}
    with HostProcess.start(app=ROOT, data=api.stack.data / "lame", environment=settings) as lame:
        alone = Api(api.stack, httpx.Client(base_url=lame.url, timeout=30))
        with alone.http:
            shop = alone.organiser()
            token, event = shop.operator.token, shop.event()["event_id"]
            lacking = replace(
                target, url=lame.url, token=token, event=event, told=lambda: told_by_host(lame.url), insights=None
            )
            report = outcome_of(lacking, replace(SHORT, moved=1.0))

    assert list(failures(report)) == ["functions", "refunds"]
    assert report.outcomes[-1].said.endswith("is refunding")  # and will be refunded once somebody does it
    assert failures(report)["refunds"].endswith("is still refunding after 1 s")


def test_a_refund_that_gives_no_place_back_fails(api: Api, shop: Organiser, target: Target) -> None:
    """As seen by a test that began with one place more than there is when it ends."""
    event = shop.event()
    asked = 0

    class Meanwhile(httpx.HTTPTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            nonlocal asked
            asked += request.url.path == f"/api/events/{event['event_id']}"
            if asked == 1 and request.method == "POST":
                shop.operator.paid(event)
                asked += 1
            return super().handle_request(request)

    report = Report(Console(quiet=True), EXPECTED)
    wanted = replace(target, event=event["event_id"], insights=None)
    smoke(wanted, report, replace(SHORT, moved=5.0), transport=Meanwhile())

    assert failures(report) == {"stock is as before": "9 places are left, and there were 10 before"}


def test_a_page_of_somebody_elses_at_the_address_is_trouble_and_no_crash(target: Target) -> None:
    page = httpx.MockTransport(lambda _: httpx.Response(200, html="<h1>Your app is up and running</h1>"))
    report = Report(Console(quiet=True), EXPECTED)

    smoke(target, report, NO_PATIENCE, transport=page)

    assert "Your app is up and running" in failures(report)["answers"]


def test_one_bad_answer_of_az_is_asked_again(target: Target) -> None:
    asked = 0

    def told() -> Functions:
        nonlocal asked
        asked += 1
        if asked == 1:
            raise AzureFailed("az functionapp function list: 502")
        return target.wanted

    report = outcome_of(replace(target, told=told, token=""), replace(SHORT, ready=60.0))
    assert failures(report) == {}


def test_a_report_without_checks_has_not_passed() -> None:
    report = Report(Console(quiet=True), EXPECTED)
    assert not report.passed
    report.outcomes.append(Outcome("answers", passed=True, seconds=0.0, said=""))
    assert report.passed
