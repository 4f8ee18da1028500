"""Dead letters through HTTP: seen, replayed, discarded, and every act of it in the audit trail."""

import json
import time
import uuid
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import httpx
import pytest

from local.layout import Ports
from local.stack import Stack
from shared.bus.port import MESSAGE_BYTES_MAX
from shared.kernel.ids import derived_id
from shared.topology import topology
from tests.functions.conftest import undocumented_statuses
from tests.functions.selling import rows, shard
from tests.support.api import Api, Json, Person, fields, refusal, soon

DEAD = 3
NOBODY = derived_id("ord", "nobody")


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """A Tessera of its own: its dead letters would be warnings in everybody else's."""
    with (
        Stack(tmp_path_factory.mktemp("dead"), Ports.free()) as stack,
        httpx.Client(base_url=stack.url, timeout=30) as http,
    ):
        client = Api(stack, http)
        yield client
        undocumented = undocumented_statuses(client.seen, http.get("/api/openapi.json").json())
    assert undocumented == set()


@pytest.fixture
def admin(api: Api) -> Iterator[Person]:
    """Who runs the platform; the queues are empty afterwards."""
    person = api.person("admin")
    yield person
    for item in person.get("operations/dead-letters").json()["items"]:
        if item["dead_letters"]:
            deal(person, item["queue"], "discard", all=True, why="the test is over")


def bury(api: Api, queue: str, type_name: str, body: str = "{", *, reason: str = "Bug", **properties: object) -> int:
    """A dead letter, as if its consumer had failed long ago; its number."""
    [(number,)] = rows(api, "bus.db", "UPDATE sequence SET value = value + 1 RETURNING value")
    columns = (
        "seq, queue, state, due_at, id, type, body, correlation_id, properties, enqueued_at, delivery_count, "
        "reason, description, ended_at"
    )
    rows(
        api,
        "bus.db",
        f"INSERT INTO messages ({columns}) VALUES (?, ?, 3, 0, ?, ?, ?, ?, ?, ?, 10, ?, 'as a test wants it', ?)",
        number,
        queue,
        f"m-{number}",
        type_name,
        body.encode(),
        f"cor-{number}-of-test",
        json.dumps(properties),
        time.time() - 100,
        reason,
        time.time() - 90,
    )
    return int(number)


def dead(admin: Person, queue: str, **query: object) -> list[int]:
    """The numbers of a queue's dead letters."""
    answer = admin.get(f"operations/dead-letters/{queue}", **query)
    assert answer.status_code == 200, answer.text
    return [item["sequence_number"] for item in answer.json()["items"]]


def deal(admin: Person, queue: str, how: str, *, key: str | None = None, **body: object) -> Json:
    """Replay or discard, which must succeed."""
    answer = admin.post(f"operations/dead-letters/{queue}/{how}", body, key=key)
    assert answer.status_code == 200, answer.text
    done: Json = answer.json()
    return done


def trail_of(admin: Person, audit_id: str) -> list[Json]:
    """What the audit trail says of an action, first entry first."""
    items = admin.get("operations/audit").json()["items"]
    return [item for item in reversed(items) if item["audit_id"] == audit_id]


def messages(api: Api, like: str) -> list[tuple[str, int, str, str]]:
    """Messages whose id is like this: id, state, correlation id, properties."""
    sql = "SELECT id, state, correlation_id, properties FROM messages WHERE id LIKE ? ORDER BY seq"
    found: list[Any] = rows(api, "bus.db", sql, like)
    return found


def rename_shard(api: Api, event: Json, before: str, after: str) -> None:
    """Hide an event's counters, or show them again."""
    where = "container = 'inventory' AND id = ? AND json_extract(body, '$.event_id') = ?"
    rows(api, "store.db", f"UPDATE documents SET id = ? WHERE {where}", after, before, event["event_id"])


def test_places_of_a_refunded_order_whose_message_died_come_back_with_its_replay(api: Api, admin: Person) -> None:
    house = api.organiser()
    event = house.event(capacity=7)
    order = house.operator.paid(event, 2)
    soon(lambda: shard(api, event)["sold"] == 2 or None, "sold places")
    rename_shard(api, event, "shard", "hidden")  # the consumer of `stock` now fails, as with a bug of ours
    assert house.operator.post(f"orders/{order['order_id']}/refund").status_code == 200
    [number] = soon(lambda: dead(admin, "stock") or None, "a dead letter")
    rename_shard(api, event, "hidden", "shard")
    assert shard(api, event) == {"available": 5, "held": 0, "sold": 2}

    plan = deal(admin, "stock", "replay", sequence_numbers=[number], dry_run=True)
    assert dead(admin, "stock", type="OrderRefunded", reason="MaxDeliveryCountExceeded") == [number]
    done = deal(admin, "stock", "replay", type="OrderRefunded", why="the counters are there again")

    assert [letter["sequence_number"] for letter in plan["letters"]] == done["done"] == [number]
    soon(lambda: shard(api, event) == {"available": 7, "held": 0, "sold": 0} or None, "free places")
    assert dead(admin, "stock") == []


def test_a_letter_is_shown_whole_and_stays(api: Api, admin: Person) -> None:
    buried = time.time()
    number = bury(api, "stock", "OrderPaid", '{"order_id": "ö"}', reason="Unreadable", attempt=3)

    [item] = admin.get("operations/dead-letters/stock").json()["items"]
    answered = time.time()
    shown = admin.get(f"operations/dead-letters/stock/{number}").json()

    assert 90 <= item.pop("age_seconds") <= 91 + answered - buried
    assert item.pop("dead_lettered_at").endswith("Z")
    assert item == {
        "sequence_number": number,
        "message_id": f"m-{number}",
        "type": "OrderPaid",
        "reason": "Unreadable",
        "description": "as a test wants it",
        "delivery_count": 10,
        "correlation_id": f"cor-{number}-of-test",
    }
    assert (shown["body"], shown["properties"]) == ('{"order_id": "ö"}', {"attempt": 3})
    assert shown["letter"]["sequence_number"] == number
    assert dead(admin, "stock") == [number]


def test_letters_are_listed_by_page_by_reason_and_by_type(api: Api, admin: Person) -> None:
    numbers = [bury(api, "refunds", f"Type{n % 2}", reason=f"Reason{n % 3}") for n in range(6)]

    first = admin.get("operations/dead-letters/refunds", limit=4).json()
    assert [item["sequence_number"] for item in first["items"]] == numbers[:4]
    assert first["next_after"] == numbers[3]
    assert dead(admin, "refunds", after=first["next_after"]) == numbers[4:]
    assert dead(admin, "refunds", reason="Reason0") == [numbers[0], numbers[3]]
    assert dead(admin, "refunds", reason="Reason0", type="Type1") == [numbers[3]]
    counts = admin.get("operations/dead-letters").json()["items"]
    assert {each["queue"]: each["dead_letters"] for each in counts} == dict.fromkeys(
        (queue.name for queue in topology().queues), 0
    ) | {"refunds": 6}


def test_replays_are_spread_over_time_under_fresh_ids_with_a_fresh_life(api: Api, admin: Person) -> None:
    body = payment_report(NOBODY)
    numbers = [
        bury(api, "payments", "PaymentReported", body, postponed=31, original_id="m-0", note="kept") for _ in range(3)
    ]

    done = deal(admin, "payments", "replay", sequence_numbers=numbers, per_second=1, why="the order is there now")

    assert done["done"] == numbers
    due = [datetime.fromisoformat(letter["due_at"]) for letter in done["letters"]]
    assert [(moment - due[0]).total_seconds() for moment in due] == [0, 1, 2]
    # The order is unknown still: the copy is postponed like a new message, not given up as its letter was.
    copy_id = f"replay:{done['audit_id']}:{numbers[0]}"
    *_, (id_, _, correlation_id, properties) = soon(
        lambda: messages(api, f"{copy_id}:payments:%") or None, "a postponed copy"
    )
    assert correlation_id == f"cor-{numbers[0]}-of-test"
    assert json.loads(properties) == {
        "note": "kept",
        "replay": done["audit_id"],
        "replay_of": f"m-{numbers[0]}",
        "postponed": int(id_.removeprefix(f"{copy_id}:payments:")),  # again after a second, then after two
        "original_id": copy_id,
    }
    last = f"replay:{done['audit_id']}:{numbers[2]}"
    assert {id_.partition(":payments:")[0] for id_, *_ in messages(api, f"{last}%")} == {last}
    assert dead(admin, "payments") == []


def payment_report(order_id: str) -> str:
    """A payment for an order nobody knows."""
    return json.dumps(
        {
            "id": f"{order_id}.payment.pi_{uuid.uuid4().hex}",
            "occurred_at": "2026-11-21T12:00:00Z",
            "organiser_id": derived_id("org", "nobody"),
            "order_id": order_id,
            "session_id": "cs_1",
            "payment_id": "pi_1",
            "paid": True,
            "amount": {"amount_minor": 2500, "currency": "EUR"},
        }
    )


def test_a_replay_sent_again_with_its_key_does_nothing_twice_and_another_with_it_is_refused(
    api: Api, admin: Person
) -> None:
    number, other = bury(api, "insights", "OrderPaid"), bury(api, "insights", "OrderPaid")
    key = str(uuid.uuid4())
    asked: Json = {"sequence_numbers": [number], "why": "again"}

    first = deal(admin, "insights", "replay", key=key, **asked)
    soon(lambda: len(dead(admin, "insights")) == 2 or None, "a copy that died again")
    second = deal(admin, "insights", "replay", key=key, **asked)
    reused = admin.post("operations/dead-letters/insights/replay", {**asked, "sequence_numbers": [other]}, key=key)

    assert first == second
    assert first["done"] == [number]
    assert refusal(reused) == (422, "key-reused")
    assert len(trail_of(admin, first["audit_id"])) == 2
    assert [id_ for id_, state, _, _ in messages(api, f"replay:{first['audit_id']}%") if state == DEAD] == [
        f"replay:{first['audit_id']}:{number}"
    ]
    assert other in dead(admin, "insights")


def test_a_letter_whose_copy_would_be_too_large_is_not_replayed_however_often_it_is_asked(
    api: Api, admin: Person
) -> None:
    number = bury(api, "stock", "OrderPaid", "x" * (MESSAGE_BYTES_MAX - 50))
    key = str(uuid.uuid4())
    asked: Json = {"sequence_numbers": [number], "why": "once more"}

    answers = [admin.post("operations/dead-letters/stock/replay", asked, key=key) for _ in range(2)]

    assert [refusal(answer) for answer in answers] == [(409, "copy-refused")] * 2
    assert f"exceeds {MESSAGE_BYTES_MAX} bytes" in answers[0].json()["detail"] == answers[1].json()["detail"]
    assert dead(admin, "stock") == [number]
    items = admin.get("operations/audit").json()["items"]
    assert [items[0]["step"], items[0]["details"]["done"], items[1]["step"]] == ["outcome", [], "intent"]
    assert items[0]["details"]["refused"] in answers[0].json()["detail"]


def test_a_discarded_letter_is_kept_whole_by_the_audit_trail(api: Api, admin: Person) -> None:
    number = bury(api, "stock", "OrderPaid", "not JSON", note="n")
    stays = bury(api, "stock", "OrderExpired")

    done = deal(admin, "stock", "discard", type="OrderPaid", why="sent by a test of ours")
    again = deal(admin, "stock", "discard", sequence_numbers=[number], why="once more")

    assert (done["done"], done["gone"], again["done"], again["gone"]) == ([number], [], [], [number])
    assert dead(admin, "stock") == [stays]
    intent, outcome = trail_of(admin, done["audit_id"])
    assert {name: intent[name] for name in ("step", "who", "what", "target", "why")} == {
        "step": "intent",
        "who": admin.id,
        "what": "dead-letters.discard",
        "target": "stock",
        "why": "sent by a test of ours",
    }
    [kept] = intent["details"]["letters"]
    assert (kept["message_id"], kept["body"], kept["properties"]) == (f"m-{number}", "not JSON", {"note": "n"})
    assert (outcome["step"], outcome["details"]) == ("outcome", {"done": [number], "gone": [], "refused": ""})
    assert outcome["correlation_id"] == intent["correlation_id"]


def test_dead_letters_are_a_gauge_and_a_warning_while_the_service_is_ready(api: Api, admin: Person) -> None:
    bury(api, "refunds", "OrderRefunding")
    admin.get("operations/dead-letters")

    ready = api.nobody.get("health/ready").json()["warnings"]
    gauges = admin.get("operations/counters").json()["gauges"]
    assert ready == ["There are dead letters: see /api/operations/dead-letters."]
    assert {name: value for name, value in gauges.items() if name.startswith("dead_letters.") and value} == {
        "dead_letters.refunds": 1
    }
    assert api.nobody.get("health/ready").status_code == 200

    deal(admin, "refunds", "discard", all=True, why="seen")
    admin.get("operations/dead-letters")
    assert api.nobody.get("health/ready").json()["warnings"] == []


@pytest.mark.parametrize(
    ("how", "body", "field"),
    [
        ("replay", {"why": "x"}, ""),
        ("replay", {"why": "x", "all": True, "reason": "Bug"}, ""),
        ("replay", {"all": True}, ""),
        ("replay", {"all": True, "why": "x", "per_second": 51}, "per_second"),
        ("replay", {"all": True, "why": "x", "per_second": 0}, "per_second"),
        ("replay", {"sequence_numbers": [0], "why": "x"}, ""),
        ("replay", {"sequence_numbers": [2**63], "why": "x"}, ""),
        ("discard", {"sequence_numbers": list(range(1, 102)), "why": "x"}, "sequence_numbers"),
        ("discard", {"all": True, "why": " "}, "why"),
        ("discard", {"all": True, "why": "two\nlines"}, "why"),
        ("discard", {"all": True, "why": "x", "per_second": 1}, "per_second"),
    ],
)
def test_what_does_not_say_which_or_why_is_refused_and_nothing_changes(
    api: Api, admin: Person, how: str, body: Json, field: str
) -> None:
    number = bury(api, "expiries", "ExpireOrder")

    assert fields(admin.post(f"operations/dead-letters/expiries/{how}", body)) == [field]
    assert dead(admin, "expiries") == [number]


def test_a_queue_or_letter_that_is_not_there_is_not_found(admin: Person) -> None:
    choice = {"all": True, "why": "x"}
    for answer in (
        admin.get("operations/dead-letters/nowhere"),
        admin.get("operations/dead-letters/nowhere/1"),
        admin.get("operations/dead-letters/stock/999999"),
        admin.get("operations/dead-letters/stock/one"),
        admin.get(f"operations/dead-letters/stock/{2**63}"),
        admin.post("operations/dead-letters/nowhere/replay", choice),
        admin.post("operations/dead-letters/nowhere/discard", choice),
    ):
        assert refusal(answer) == (404, "not-found")
    assert fields(admin.get("operations/audit", month="2026-13")) == ["month"]
    assert fields(admin.get("operations/dead-letters/stock", after=2**63)) == ["after"]
