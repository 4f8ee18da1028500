"""The smoke test against a Tessera on this machine: it passes, leaves nothing behind, and finds what is wrong."""

import hashlib
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as Xml

import httpx
import pytest
from rich.console import Console

from local.host.process import HostProcess
from local.layout import Ports
from local.stack import ROOT, Stack
from tests.infra.cloud import ACCOUNT, APPS, DEPLOYMENT, OUTPUTS, Cloud, outputs
from tests.support.api import Api, Json, Organiser, soon
from tools.delivery.azure import AzureFailed
from tools.delivery.here import APP, NotHere, collected, told_by_host
from tools.delivery.history import Mark, Version
from tools.delivery.insights import Insights
from tools.delivery.outcome import Outcome, Report
from tools.delivery.package import Manifest
from tools.delivery.preparing import CAPACITY, prepare
from tools.delivery.releases import Releases
from tools.delivery.shop import Shop
from tools.delivery.smoke import EXPECTED, Functions, Patience, Target, smoke

pytestmark = pytest.mark.xdist_group("smoke")  # one Tessera for all of them

SHORT = Patience(ready=0.0, moved=60.0, telemetry=60.0, poll=0.1)
NO_PATIENCE = Patience(ready=0.0, moved=0.0, telemetry=0.0, poll=0.0)
NOBODY = "http://127.0.0.1:9"
EVERYTHING = [
    "answers", "what it stands on answers", "functions", "knows the operator", "the event is on sale",
    "sells at the desk", "refunds",
    "stock is as before", "its trace is found",
]  # fmt: skip


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """A Tessera whose telemetry is collected; its ports are in a row, as `make run` has them."""
    stack = Stack(tmp_path_factory.mktemp("smoke"), Ports.free(), telemetry=True)
    with stack, httpx.Client(base_url=stack.url, timeout=30) as http:
        yield Api(stack, http)


@pytest.fixture(scope="module")
def shop(api: Api) -> Organiser:
    return api.organiser()


@pytest.fixture(scope="module")
def event(shop: Organiser) -> Json:
    return shop.event()


@pytest.fixture
def target(api: Api, shop: Organiser, event: Json) -> Target:
    """All as it should be."""
    return Target(
        url=api.stack.url,
        token=shop.operator.token,
        event=event["event_id"],
        wanted=told_by_host(api.stack.url),
        told=lambda: told_by_host(api.stack.url),
        insights=Insights(api.stack.telemetry_url, "here", lambda: ""),
    )


def outcome_of(target: Target, patience: Patience) -> Report:
    report = Report(Console(quiet=True), EXPECTED)
    smoke(target, report, patience)
    return report


def failures(report: Report) -> dict[str, str]:
    return {each.name: each.said for each in report.outcomes if not each.passed}


def orders(api: Api, event: Json) -> list[Any]:
    return [api.person("admin").get(f"events/{event['event_id']}").json()["available"]]


def test_what_works_passes_and_nothing_is_left_behind(api: Api, target: Target, event: Json) -> None:
    report = outcome_of(target, SHORT)

    assert [each.name for each in report.outcomes] == EVERYTHING
    assert failures(report) == {}
    assert report.passed
    assert {"POST /api/orders", "move_stock"} <= set(report.outcomes[-1].said.partition(": ")[2].split(", "))
    order_id = report.outcomes[5].said.split()[1].rstrip(",")
    order = api.person("admin").get(f"orders/{order_id}").json()
    assert (order["state"], order["quantity"], order["method"]) == ("refunded", 1, "desk")
    audit = api.person("admin").post("operations/inventory-audit").json()
    assert (audit["violations"], audit["held"], audit["sold"]) == ([], 0, 0)
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


def test_a_sold_out_event_fails_and_says_what_to_do(shop: Organiser, target: Target) -> None:
    event = shop.event(pools=[{"name": "Hall", "capacity": 1}])
    shop.operator.paid(event)

    report = outcome_of(replace(target, event=event["event_id"], insights=None), SHORT)

    said = "“Concert” is sold out: nothing can be tried with it; give another event"
    assert failures(report) == {"the event is on sale": said}


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


def listed(operator: Any) -> list[str]:
    return [each["event_id"] for each in operator.get("events?from=2099-01-01T00:00:00Z").json()["items"]]


def test_what_it_needs_is_prepared_by_a_creator_and_an_operator(api: Api, target: Target) -> None:
    creator, operator = api.person("creator"), api.person()

    event_id = prepare(Shop(api.http, creator.token, "prepare-1"), Shop(api.http, operator.token, "prepare-2"))

    assert failures(outcome_of(replace(target, token=operator.token, event=event_id, insights=None), SHORT)) == {}
    event = operator.get(f"events/{event_id}").json()
    assert (event["name"], event["available"]) == ("Smoke test, not for sale", CAPACITY)
    assert operator.get("me").json()["memberships"] == {event["organiser_id"]: "operator"}
    assert soon(lambda: event_id in listed(operator) or None, "the event in the list")
    again = prepare(Shop(api.http, creator.token, "prepare-3"), Shop(api.http, operator.token, "prepare-4"))
    assert again == event_id
    assert operator.get("me").json()["memberships"] == {event["organiser_id"]: "operator"}


def command(*options: str) -> tuple[int, str]:
    line = [sys.executable, "-m", "tools.delivery", "smoke", *options]
    done = subprocess.run(line, cwd=ROOT, check=False, capture_output=True, text=True, timeout=120)
    return done.returncode, done.stdout + done.stderr


def test_the_command_tests_this_machine_and_writes_junit(api: Api, tmp_path: Path) -> None:
    from local.seed.seed import Seeder
    from shared.kernel.clock import utc_now

    Seeder(api.stack.url, api.stack.entra_url).seed(utc_now())
    here = ["--here", "--port", str(api.stack.ports.host), "--data", str(api.stack.data)]

    code, text = command(*here, "--no-telemetry", "--junit", str(tmp_path / "smoke.xml"))

    names = EVERYTHING[:-1]
    assert (code, text.count("✓"), "✗" in text) == (0, len(names), False), text
    suite = Xml.fromstring((tmp_path / "smoke.xml").read_text())  # noqa: S314 - our own
    assert (suite.get("tests"), suite.get("failures")) == (str(len(names)), "0")
    assert [case.get("name") for case in suite] == names


def test_a_command_that_cannot_begin_is_a_failure_for_the_pipeline_too(tmp_path: Path) -> None:
    code, text = command("--here", "--data", str(tmp_path), "--junit", str(tmp_path / "smoke.xml"))

    assert (code, "no demo in" in text) == (1, True)
    suite = Xml.fromstring((tmp_path / "smoke.xml").read_text())  # noqa: S314 - our own
    assert (suite.get("tests"), suite.get("failures")) == ("1", "1")


@pytest.fixture
def cloud(api: Api, tmp_path: Path) -> Cloud:
    """A deployment whose gateway is the Tessera here, with two apps."""
    made = Cloud.make(tmp_path)
    here = outputs({**OUTPUTS, "gatewaY_URL": api.stack.url})
    made.write("deployments", {DEPLOYMENT: here})
    return made


def deployed(cloud: Cloud, api: Api, shop: Organiser, event: Json, *options: str) -> tuple[int, str]:
    """The command, as a pipeline calls it."""
    return cloud.command(
        "smoke", "--package", str(cloud.home / "tessera.zip"), "--deployment", DEPLOYMENT, *options,
        TESSERA_SMOKE_TOKEN=shop.operator.token, TESSERA_SMOKE_EVENT=event["event_id"],
    )  # fmt: skip


@pytest.fixture
def running(cloud: Cloud) -> str:
    """The version that runs there."""
    manifest = cloud.pack_as_here()
    cloud.runs(manifest)
    return manifest.version


def version_of(cloud: Cloud) -> Version:
    [version] = Releases(cloud.azure, ACCOUNT).history().all()
    return version


def test_a_deployment_that_works_is_written_down_as_one_to_go_back_to(
    api: Api, shop: Organiser, event: Json, cloud: Cloud, running: str
) -> None:
    """Of one of its apps only a share of the traces is collected: there the business event has to be enough."""
    settings = cloud.read("settings")
    cloud.write("settings", {**settings, APPS[0]: {**settings[APPS[0]], "TESSERA_TRACE_SAMPLING": "0.2"}})

    code, text = deployed(cloud, api, shop, event, "--record", "--insights-api", api.stack.telemetry_url)

    assert (code, text.count("✓"), "✗" in text) == (0, 1 + len(EVERYTHING), False), text
    assert "its spans are collected for a share of the traces only" in text
    assert (version_of(cloud).name, version_of(cloud).trusted) == (running, True)
    asked = [words for words in cloud.commands() if "get-access-token" in words]
    assert {words[words.index("--scope") + 1] for words in asked} == {"https://api.applicationinsights.io/.default"}


@pytest.mark.usefixtures("running")
def test_a_deployment_that_lacks_a_function_fails_by_name_and_is_not_gone_back_to(
    api: Api, shop: Organiser, event: Json, cloud: Cloud
) -> None:
    functions = cloud.read("functions")
    cloud.write("functions", {**functions, APPS[1]: [name for name in functions[APPS[1]] if name != "relay_orders"]})

    code, text = deployed(cloud, api, shop, event, "--record", "--no-telemetry", "--ready-seconds", "0")

    assert (code, "lacks relay_orders" in text) == (1, True), text
    assert version_of(cloud).marks.keys() == {"publishing", "published"}


def test_a_late_trace_ends_the_stage_and_is_no_reason_to_go_back(
    api: Api, shop: Organiser, event: Json, cloud: Cloud, running: str
) -> None:
    code, text = deployed(cloud, api, shop, event, "--record", "--insights-api", NOBODY, "--trace-seconds", "0")

    assert (code, text.count("✗"), f"Nothing speaks against {running}" in text) == (1, 1, True), text
    assert (version_of(cloud).trusted, bool(version_of(cloud).last(Mark.UNDECIDED))) == (False, True)
    back = cloud.command("rollback", "--environment", "dev", "--package", str(cloud.home / "tessera.zip"))
    assert (back[0], f"{running} stays" in back[1]) == (0, True), back


def test_an_operator_who_cannot_sign_in_is_no_reason_to_go_back(cloud: Cloud, running: str) -> None:
    code, text = cloud.command("smoke", "--deployment", DEPLOYMENT, "--record", "--sale")

    assert (code, text.count("✓"), text.count("✗")) == (1, 4, 1), text
    assert "✗ signs in" in text
    assert Releases(cloud.azure, ACCOUNT).history().stays(running).startswith(f"{running} stays")


def test_a_package_that_does_not_run_is_not_tested_and_nothing_is_written_down(
    api: Api, shop: Organiser, event: Json, cloud: Cloud, running: str, tmp_path: Path
) -> None:
    other = tmp_path / "other" / "tessera.zip"
    other.parent.mkdir()
    other.write_bytes(b"another package")
    told = Manifest.model_validate_json((cloud.home / "tessera.json").read_text())
    sha256 = hashlib.sha256(other.read_bytes()).hexdigest()
    other.with_suffix(".json").write_text(
        told.model_copy(update={"version": "other", "sha256": sha256}).model_dump_json()
    )

    code, text = deployed(cloud, api, shop, event, "--record", "--package", str(other))

    assert (code, text.count("✓"), f"{running} runs, and not other" in text) == (1, 0, True), text
    assert version_of(cloud).marks.keys() == {"publishing", "published"}


def test_before_there_is_an_operator_it_looks_and_counts_and_proves_nothing(cloud: Cloud, running: str) -> None:
    """No package lies here either: what runs is known."""
    code, text = cloud.command("smoke", "--deployment", DEPLOYMENT, "--record")

    assert (code, text.count("✓"), "✗" in text) == (0, 4, False), text
    assert f"Not all was tried, so {running} is not written down" in text
    assert version_of(cloud).marks.keys() == {"publishing", "published"}


def test_where_nobody_collects_telemetry_it_says_so_at_once(api: Api) -> None:
    collected(Insights(api.stack.telemetry_url, "here", lambda: ""))
    with pytest.raises(NotHere, match="make run TELEMETRY=1"):
        collected(Insights(NOBODY, "here", lambda: ""))


def test_this_machine_is_no_deployment() -> None:
    code, text = command("--here", "--environment", "dev")
    assert (code, "nothing that was deployed" in text) == (2, True), text


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


@pytest.mark.usefixtures("running")
def test_what_passed_and_cannot_be_written_down_is_no_failure(
    api: Api, shop: Organiser, event: Json, cloud: Cloud
) -> None:
    cloud.write("faults", {"uploads": "/passed/"})

    code, text = deployed(cloud, api, shop, event, "--record", "--insights-api", api.stack.telemetry_url)

    assert (code, text.count("could not be marked as passed")) == (0, 3), text


def test_a_report_without_checks_has_not_passed() -> None:
    report = Report(Console(quiet=True), EXPECTED)
    assert not report.passed
    report.outcomes.append(Outcome("answers", passed=True, seconds=0.0, said=""))
    assert report.passed
