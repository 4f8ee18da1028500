"""Operations: health, the front door, and the audit."""

import json
import sqlite3
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from contextlib import closing

import httpx
import pytest

from local.layout import Ports
from local.stack import Stack
from shared.version import UNPACKAGED
from tests.functions.selling import shard
from tests.support.api import Api, Json, Organiser, problem, refusal, soon


def test_a_running_service_is_alive_and_ready(api: Api) -> None:
    assert api.nobody.get("health/live").json() == {"status": "alive", "version": UNPACKAGED}
    assert api.nobody.get("health/ready").json() == {
        "status": "ready",
        "checks": {"store": True, "sign-in": True},
        "warnings": [],
    }


@pytest.fixture
def lonely(tmp_path_factory: pytest.TempPathFactory, stack: Stack) -> Iterator[Stack]:
    """A host whose neighbours have not started."""
    stack = Stack(tmp_path_factory.mktemp("lonely"), Ports.free())
    stack.data.mkdir(exist_ok=True)
    try:
        stack.start_host()
        yield stack
    finally:
        stack.stop()


def unproven(header: Json, claims: Json) -> str:
    """A token that only its issuer's keys could tell from a true one."""
    parts = [urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in (header, claims)]
    return ".".join([*parts, "x2w"])


def test_without_its_issuer_the_service_is_alive_but_not_ready_and_recovers_by_itself(lonely: Stack) -> None:
    with httpx.Client(base_url=lonely.url, timeout=30) as http:
        api = Api(lonely, http)
        token = unproven({"alg": "RS256", "kid": "k"}, {"iss": lonely.authority})

        assert api.nobody.get("health/live").json() == {"status": "alive", "version": UNPACKAGED}
        not_ready = api.nobody.get("health/ready")
        assert problem(not_ready) == {
            "type": "urn:tessera:problem:not-ready",
            "title": "Not ready",
            "status": 503,
            "detail": "Not ready: sign-in.",
            "missing": ["sign-in"],
        }
        assert not_ready.headers["retry-after"] == "5"
        away = api.bearer(token).get("me")
        assert refusal(away) == (503, "dependency-unavailable")
        assert away.headers["retry-after"] == "5"

        lonely.start_emulators()

        soon(lambda: api.nobody.get("health/ready").status_code == 200 or None, "a ready service")
        assert api.person().get("me").status_code == 200
        assert refusal(api.bearer(token).get("me")) == (401, "token-refused")


def test_the_front_door_leads_to_everything(api: Api) -> None:
    answer = api.http.get("/")

    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    for target in ("/api/docs", "/api/health/ready", api.stack.mailbox_url, api.stack.stripe_url, api.stack.entra_url):
        assert f'href="{target}"' in answer.text
        assert httpx.get(httpx.URL(api.stack.url).join(target)).status_code == 200
    for person in api.stack.people():
        assert person["email"] in answer.text


def sold(api: Api, house: Organiser, quantity: int) -> Json:
    """An event of seven places of which so many are sold, and nothing moves any more."""
    event = house.event(capacity=7)
    house.operator.paid(event, quantity)
    soon(lambda: shard(api, event) == {"available": 7 - quantity, "held": 0, "sold": quantity} or None, "sold places")
    return event


def test_the_audit_adds_up_and_a_shard_that_does_not_is_reported(api: Api, house: Organiser) -> None:
    event, admin = sold(api, house, 2), api.person("admin")
    database = api.stack.data / "store.db"
    before = admin.post("operations/inventory-audit").json()
    assert before["violations"] == []
    assert before["available"] + before["held"] + before["sold"] == before["capacity"]

    with closing(sqlite3.connect(database, timeout=60)) as file:
        where = "container = 'inventory' AND id = 'shard' AND json_extract(body, '$.event_id') = ?"
        found = file.execute(f"SELECT partition FROM documents WHERE {where}", [event["event_id"]])
        [(partition,)] = found.fetchall()

        def change(expression: str) -> None:
            with file:
                file.execute(f"UPDATE documents SET body = {expression} WHERE {where}", [event["event_id"]])

        change("json_set(body, '$.available', json_extract(body, '$.available') + 1)")
        wrong = admin.post("operations/inventory-audit").json()
        change("json_set(body, '$.available', -1)")
        negative = admin.post("operations/inventory-audit").json()
        change("json_set(body, '$.available', 5)")

    assert wrong["violations"] == [f"{partition}: available + held + sold differs from capacity"]
    assert negative["violations"] == [
        f"{partition}: available is negative",
        f"{partition}: available + held + sold differs from capacity",
    ]
    assert api.stack.host is not None
    assert api.stack.host.wait_for_log("inventory_violations", count=2)
    assert admin.post("operations/inventory-audit").json()["violations"] == []


def test_a_counter_that_its_holds_contradict_is_reported_though_the_sum_is_right(api: Api, house: Organiser) -> None:
    event, admin = sold(api, house, 2), api.person("admin")
    where = "container = 'inventory' AND json_extract(body, '$.event_id') = ? AND json_extract(body, '$.kind') = 'hold'"

    with closing(sqlite3.connect(api.stack.data / "store.db", timeout=60)) as file:

        def change(quantity: int) -> list[str]:
            with file:
                change = f"UPDATE documents SET body = json_set(body, '$.quantity', {quantity}) WHERE {where}"
                file.execute(change, [event["event_id"]])
            found: list[str] = admin.post("operations/inventory-audit").json()["violations"]
            return found

        # What moves while it is looked at is said to be neither right nor wrong: a timer may be looking at it, too.
        wrong = soon(lambda: change(3) or None, "a violation")
        right = change(2)

    assert [violation.partition(": ")[2] for violation in wrong] == ["sold is 2, its holds say 3"]
    assert right == []


def test_what_was_counted_can_be_read_by_who_runs_the_platform(api: Api) -> None:
    admin = api.person("admin")
    before = admin.get("operations/counters").json()["counters"].get("webhooks_refused", 0)
    api.nobody.ask("POST", "payments/stripe", json={}, headers={"stripe-signature": "t=1,v1=0"})
    assert admin.get("operations/counters").json()["counters"]["webhooks_refused"] == before + 1


def test_a_page_of_the_laptop_is_no_part_of_the_product(api: Api) -> None:
    assert "/" not in api.nobody.get("openapi.json").json()["paths"]
    assert all(path.startswith("/api/") for path in api.nobody.get("openapi.json").json()["paths"])
