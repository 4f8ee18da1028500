"""A sale whose answer is lost gives its place back all the same, or says which order may keep one."""

from collections.abc import Callable
from dataclasses import replace

import httpx
import pytest
from rich.console import Console

from tests.infra.smoke.support import NO_PATIENCE, SHORT, failures, orders
from tests.support.api import Api, Json, Organiser, soon
from tools.delivery.outcome import Report
from tools.delivery.shop import ATTEMPTS_MAX
from tools.delivery.smoke import EXPECTED, Patience, Target, smoke

AWAY = httpx.Response(503, headers={"retry-after": "0"}, text="somewhere on the way")
BROKEN = httpx.Response(500, text="behind the commit")
TORN = httpx.Response(200, headers={"content-type": "application/json"}, text='{"order_id": ')


class Lossy(httpx.HTTPTransport):
    """Brings requests to their end, and loses the answers of some.

    :param loses: a request's path → whether it is one of those
    :param times: how many answers
    :param instead: what comes instead of them
    """

    def __init__(self, loses: Callable[[str], bool], times: int, instead: httpx.Response = AWAY) -> None:
        super().__init__()
        self.loses, self.times, self.instead = loses, times, instead

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        answer = super().handle_request(request)
        if request.method != "POST" or not self.loses(request.url.path) or not self.times:
            return answer
        self.times -= 1
        answer.read()
        return self.instead


def tried(target: Target, event: Json, lossy: Lossy, patience: Patience = SHORT) -> Report:
    report = Report(Console(quiet=True), EXPECTED)
    smoke(replace(target, event=event["event_id"], insights=None), report, patience, transport=lossy)
    return report


@pytest.mark.parametrize(
    ("path", "failed"), [("/api/orders", "sells at the desk"), ("/refund", "refunds")], ids=["sale", "refund"]
)
@pytest.mark.parametrize(
    ("instead", "times"), [(AWAY, ATTEMPTS_MAX), (BROKEN, 2), (TORN, 2)], ids=["away", "broken", "torn"]
)
def test_what_nobody_who_knows_answered_is_given_back_at_the_end(
    api: Api, shop: Organiser, target: Target, path: str, failed: str, instead: httpx.Response, times: int
) -> None:
    event = shop.event()

    report = tried(target, event, Lossy(lambda asked: asked.endswith(path), times, instead))

    assert list(failures(report)) == [failed]
    assert report.outcomes[-1].name == "gives its place back"
    assert soon(lambda: orders(api, event) == [10] or None, "the place is back")


def test_a_sale_of_which_nothing_is_ever_known_is_told_by_its_key(shop: Organiser, target: Target) -> None:
    lost = Lossy(lambda path: path == "/api/orders", 1_000)

    report = tried(target, shop.event(), lost, replace(NO_PATIENCE, poll=0.01))

    said = failures(report)
    assert list(said) == ["sells at the desk", "gives its place back"]
    assert said["gives its place back"].startswith("a place may stay sold, by an order under the key ")


@pytest.mark.parametrize("state", ["placing", "placed"])
def test_an_order_that_holds_its_place_has_not_given_it_back(shop: Organiser, target: Target, state: str) -> None:
    placed = httpx.Response(201, json={"order_id": "ord_1", "state": state})
    lost = Lossy(lambda path: path == "/api/orders", 1_000, placed)

    said = failures(tried(target, shop.event(), lost, NO_PATIENCE))

    assert list(said) == ["sells at the desk", "gives its place back"]
    assert said["gives its place back"].startswith("a place may stay sold, by an order under the key ")
    assert said["gives its place back"].endswith(f"the order ord_1 is {state}")


def test_who_may_no_longer_give_it_back_is_told_its_key_at_once(shop: Organiser, target: Target) -> None:
    class Expires(Lossy):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            return super().handle_request(request) if self.times else httpx.Response(401, text="the token has expired")

    lost = Expires(lambda path: path == "/api/orders", 1, BROKEN)

    said = failures(tried(target, shop.event(), lost))

    assert list(said) == ["sells at the desk", "gives its place back"]
    assert said["gives its place back"].startswith("a place may stay sold, by an order under the key ")
    assert "401 the token has expired" in said["gives its place back"]


def test_a_refusal_is_an_answer_and_nothing_is_given_back(api: Api, shop: Organiser, target: Target) -> None:
    event = shop.event()

    report = tried(replace(target, token=api.person().token), event, Lossy(lambda _: False, 0))

    assert list(failures(report)) == ["sells at the desk"]
    assert report.outcomes[-1].name == "sells at the desk"
    assert orders(api, event) == [10]
