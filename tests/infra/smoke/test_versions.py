"""Which version answers: published past our tool, not taken by Azure, or still to come, it is seen."""

import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import httpx
import pytest
from rich.console import Console

from shared.version import UNPACKAGED
from tests.infra.cloud import ACCOUNT, APPS, Cloud
from tests.infra.smoke.support import (
    NO_PATIENCE,
    NOBODY,
    SHORT,
    deployed,
    failures,
    orders,
    outcome_of,
    version_of,
)
from tests.support.api import Api, Json, Organiser
from tools.delivery.here import APP
from tools.delivery.history import Mark
from tools.delivery.insights import Insights, Row
from tools.delivery.outcome import CheckFailed, Report
from tools.delivery.releases import Releases
from tools.delivery.smoke import EXPECTED, Target, smoke
from tools.delivery.smoke_trace import STEPS, others, trace
from tools.delivery.versions import IN_A_ROW, answering

HEALTH = "http://app.example/api/health/live"


def test_another_version_at_the_gateway_is_refused_and_nothing_is_tried_with_it(
    api: Api, target: Target, event: Json
) -> None:
    report = outcome_of(replace(target, version="next-1"), NO_PATIENCE)

    assert failures(report) == {"version": f"not next-1 everywhere within 0 s, but the gateway: {UNPACKAGED}"}
    assert [each.name for each in report.outcomes] == ["answers", "version"]
    assert not report.undecided
    assert orders(api, event) == [10]


def test_one_app_of_another_version_is_named(target: Target) -> None:
    """Past the gateway, which asks only one of them."""
    old = httpx.Response(200, json={"status": "alive", "version": "old-1"})

    class Elsewhere(httpx.HTTPTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            return old if request.url.host == "old.example" else super().handle_request(request)

    report = Report(Console(quiet=True), EXPECTED)
    addresses = {APP: target.url, "insights": "https://old.example"}
    smoke(replace(target, addresses=addresses), report, NO_PATIENCE, transport=Elsewhere())

    assert failures(report) == {"version": f"not {UNPACKAGED} everywhere within 0 s, but insights: old-1"}


def asked(answers: Iterable[httpx.Response], seconds: float = 60.0) -> tuple[int, list[str], str]:
    """How often an app that answers like this is asked for `new-1`; what is told meanwhile, and what in the end."""
    told: list[str] = []
    left: Iterator[httpx.Response] = iter(answers)
    times = 0

    def answer(_: httpx.Request) -> httpx.Response:
        nonlocal times
        times += 1
        return next(left)

    with httpx.Client(transport=httpx.MockTransport(answer)) as http:
        said = answering(http, {"app": HEALTH}, "new-1", seconds=seconds, poll=0.0, tell=told.append)
    return times, told, said


def alive(version: str) -> httpx.Response:
    return httpx.Response(200, json={"status": "alive", "version": version})


def test_old_instances_may_answer_for_a_while_and_it_is_told() -> None:
    """One good answer is none: the next may come from another instance."""
    turns = [alive("new-1"), alive("old-1"), alive("old-1"), httpx.Response(503, text="starts"), *[alive("new-1")] * 9]

    times, told, said = asked(turns)

    assert (times, said) == (4 + IN_A_ROW, "new-1 at app")
    assert told == [f"new-1 is not everywhere yet: app: {each}" for each in ("old-1", "503 starts")]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (httpx.Response(200, html="<h1>Your app is up and running</h1>"), "app: 200 <h1>Your app"),
        (httpx.Response(200, json={"status": "alive"}), "app: no version"),
        (httpx.Response(200, json=["alive"]), r'app: 200 \["alive"\]'),
        (httpx.Response(200, headers={"content-type": "application/json"}, text="{"), "app: 200 {"),
    ],
)
def test_what_tells_no_version_is_not_the_one_wanted(answer: httpx.Response, said: str) -> None:
    with pytest.raises(CheckFailed, match=said):
        asked([answer], seconds=0.0)


def test_an_answer_that_cannot_be_read_is_trouble_and_no_crash() -> None:
    def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers={"content-encoding": "gzip"}, content=b"no gzip")

    with httpx.Client(transport=httpx.MockTransport(answer)) as http, pytest.raises(CheckFailed, match="app: http"):
        answering(http, {"app": HEALTH}, "new-1", seconds=0.0, poll=0.0, tell=print)


def test_each_look_is_on_a_connection_of_its_own() -> None:
    """On one that is kept the same instance may answer every time."""
    kept: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        kept.append(request.headers["connection"])
        return alive("new-1")

    with httpx.Client(transport=httpx.MockTransport(answer)) as http:
        answering(http, {"app": HEALTH}, "new-1", seconds=0.0, poll=0.0, tell=print)

    assert kept == ["close"] * IN_A_ROW


@dataclass(frozen=True, slots=True)
class AtOnce(Insights):
    """Has all of every sale without waiting: done by versions before for so many queries, and then by this one.

    :param old: one for each such query
    """

    old: list[str]

    def rows(self, query: str) -> list[Row]:
        version = self.old.pop() if self.old else UNPACKAGED
        row = {"operation_Id": "1", "cloud_RoleName": "workers", "application_Version": version}
        names = STEPS if query.startswith("requests") else ["OrderPaid"]
        return [{**row, "name": name, "customDimensions": {"outcome": "done"}} for name in names]


@pytest.mark.parametrize("whole", [True, False], ids=["all traces", "a share"])
def test_what_reads_a_queue_as_another_version_speaks_against_what_was_published(target: Target, whole: bool) -> None:
    """Those instances answer nobody: what they are shows by what they did."""
    old = AtOnce("", "", lambda: "", ["old-1"])

    report = outcome_of(replace(target, insights=old, whole_traces=whole), SHORT)

    assert failures(report) == {"done by this version": f"{UNPACKAGED} did not do all of it, but workers: old-1"}
    assert not report.undecided


def test_an_old_instance_may_take_a_message_for_a_while(api: Api, target: Target, event: Json) -> None:
    old = AtOnce("", "", lambda: "", ["old-1", "old-1"])

    report = outcome_of(replace(target, insights=old), replace(SHORT, ready=60.0))

    assert failures(report) == {}
    assert [each.name for each in report.outcomes].count("sells at the desk") == 2
    assert orders(api, event) == [10]


@pytest.mark.parametrize("told", [None, "", "null", "{}", {}])
def test_a_step_of_the_hosts_that_tells_nothing_is_none_of_ours(told: object) -> None:
    class OfTheHost(Insights):
        def rows(self, query: str) -> list[Row]:
            row = {"operation_Id": "1", "cloud_RoleName": "workers", "application_Version": "new-1"}
            theirs = {"application_Version": "", "customDimensions": told}
            return [{**row, **theirs, "name": name} for name in STEPS] if query.startswith("requests") else [row]

    done, said = trace(OfTheHost("", "", lambda: ""), "ord_1", seconds=0.0, poll=0.0, whole=True)

    assert (len(done), others("new-1", done), said) == (1, "", "operation 1: POST /api/orders, move_stock")


def test_an_app_that_does_not_run_what_was_published_is_gone_back_from(
    api: Api, shop: Organiser, event: Json, cloud: Cloud, running: str
) -> None:
    cloud.write("hosts", {APPS[0]: api.stack.url, APPS[1]: NOBODY})

    code, text = deployed(cloud, api, shop, event, "--record", "--no-telemetry", "--ready-seconds", "0")

    assert (code, f"but {APPS[1]}: {NOBODY}/api/health/live does not answer" in text) == (1, True), text
    assert version_of(cloud).marks.keys() == {Mark.PUBLISHING, Mark.PUBLISHED}
    assert Releases(cloud.azure, ACCOUNT).history().stays(running) == ""


def test_a_version_from_before_versions_were_told_is_taken_at_its_word(
    api: Api, shop: Organiser, event: Json, cloud: Cloud
) -> None:
    manifest = cloud.pack_as_here().model_copy(update={"version": "old-1", "tells_version": False})
    (cloud.home / "tessera.json").write_text(manifest.model_dump_json(exclude={"tells_version"}))
    cloud.runs(manifest)

    code, text = deployed(cloud, api, shop, event, "--record", "--insights-api", api.stack.telemetry_url)

    assert (code, "✓ version" in text) == (0, False), text
    assert version_of(cloud).last(Mark.PASSED)


def test_what_is_waited_for_is_told_while_it_is_waited_for(target: Target) -> None:
    told, times = io.StringIO(), 0

    class OldAtFirst(httpx.HTTPTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            nonlocal times
            times += request.url.path == "/api/health/live"
            return alive("old-1") if times == 2 else super().handle_request(request)  # the first is whether it answers

    report = Report(Console(file=told, width=200), EXPECTED)
    smoke(replace(target, token=""), report, replace(SHORT, ready=60.0), transport=OldAtFirst())

    assert failures(report) == {}
    assert told.getvalue().count(f"… {UNPACKAGED} is not everywhere yet: the gateway: old-1") == 1
