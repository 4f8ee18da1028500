"""Orders sent again over HTTP, and who may order what for whom."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.functions.selling import left
from tests.support.api import (
    Api,
    Json,
    Organiser,
    fields,
    new_key,
    order_body,
    problem,
    refusal,
)


@pytest.mark.parametrize("key", [None, "", "x" * 129, "two words"])
def test_an_order_without_a_proper_key_is_refused(api: Api, house: Organiser, key: str | None) -> None:
    event, buyer = house.event(), api.person()

    refused = buyer.post("orders", order_body(event), key=key)

    assert problem(refused) == {
        "type": "urn:tessera:problem:malformed",
        "title": "Malformed",
        "status": 400,
        "detail": "Send an Idempotency-Key header: a value you make up once per order, e.g. a UUID.",
        "field": "Idempotency-Key",
        "allowed": "1–128 visible ASCII characters",
    }
    assert left(buyer, event) == 10


def test_the_same_key_is_one_order_in_sequence_and_at_once_and_refuses_another_body(api: Api, house: Organiser) -> None:
    event, buyer, key = house.event(), api.person(), new_key()

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: buyer.order(event, 2, key=key), range(8)))
    answers.append(buyer.order(event, 2, key=key))

    assert {answer.status_code for answer in answers} == {201}
    assert all(answer.json() == answers[0].json() for answer in answers)
    assert problem(buyer.order(event, 3, key=key)) == {
        "type": "urn:tessera:problem:key-reused",
        "title": "Key reused",
        "status": 422,
        "detail": "This Idempotency-Key was used for another order; make up a new one.",
        "field": "Idempotency-Key",
    }
    assert buyer.get(f"orders/{answers[0].json()['order_id']}").json() == answers[0].json()
    assert left(buyer, event) == 8
    assert api.person().order(event, 1, key=key).json()["order_id"] != answers[0].json()["order_id"]


def test_a_repeat_after_the_sale_ended_still_gets_its_order(api: Api, house: Organiser) -> None:
    event, buyer, key = house.event(), api.person(), new_key()
    order = buyer.order(event, key=key).json()
    house.owner.post(f"events/{event['event_id']}/cancel")

    assert buyer.order(event, key=key).json() == order
    assert refusal(buyer.order(event, 2, key=key)) == (422, "key-reused")


def test_only_the_organisers_own_people_sell_at_the_desk(api: Api, house: Organiser) -> None:
    event, other = house.event(), api.organiser("Other")

    for stranger in (api.person(), api.person("operator"), house.creator, other.operator, other.owner):
        assert problem(stranger.order(event, method="desk")) == {
            "type": "urn:tessera:problem:permission-missing",
            "title": "Permission missing",
            "status": 403,
            "detail": "Only the organiser's own people sell at the desk.",
            "needs": "sell-at-desk",
        }
    assert left(house.owner, event) == 10


@pytest.mark.parametrize(
    "buyer",
    [
        {"email": "nobody"},
        {"email": "a b@example.org"},
        {"email": "a,b@example.org"},
        {"email": "<a>@example.org"},
        {"email": "ä@example.org"},
        {"email": "a@" + "x" * 300},
        {"name": "x" * 201},
        {"name": "Bcc:\r\nsomebody"},
        {"phone": "1"},
    ],
)
def test_a_buyer_no_mail_could_reach_is_refused(api: Api, house: Organiser, buyer: Json) -> None:
    event, uma = house.event(), api.person()

    assert fields(uma.order(event, buyer=buyer)) == [f"buyer.{next(iter(buyer))}"]
    assert left(uma, event) == 10
