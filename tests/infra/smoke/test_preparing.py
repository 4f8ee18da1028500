"""What the smoke test needs, made once an environment."""

from dataclasses import replace

import pytest

from tests.infra.smoke.support import SHORT, failures, outcome_of
from tests.support.api import Api, Person, soon
from tools.delivery.preparing import CAPACITY, STARTS_AT, prepare
from tools.delivery.shop import Json, Shop, ShopRefused
from tools.delivery.smoke import Target


def listed(operator: Person) -> list[str]:
    """The list as `prepare` asks for it: the same answer is given for some seconds."""
    shop = Shop(operator.api.http, operator.token, "listed")
    return [each["event_id"] for each in shop.get(f"events?from={STARTS_AT}&limit=100")["items"]]


class Late(Shop):
    """Sees a list that has nothing of the last seconds."""

    def get(self, path: str) -> Json:
        return {"items": []} if path.startswith("events?") else Shop.get(self, path)


def test_what_it_needs_is_prepared_by_a_creator_and_an_operator(api: Api, target: Target) -> None:
    creator, operator = api.person("creator"), api.person()

    event_id = prepare(Shop(api.http, creator.token, "prepare-1"), Shop(api.http, operator.token, "prepare-2"))

    assert failures(outcome_of(replace(target, token=operator.token, event=event_id, insights=None), SHORT)) == {}
    event = operator.get(f"events/{event_id}").json()
    assert (event["name"], event["available"]) == ("Smoke test, not for sale", CAPACITY)
    assert operator.get("me").json()["memberships"] == {event["organiser_id"]: "operator"}
    again = prepare(Shop(api.http, creator.token, "prepare-3"), Late(api.http, operator.token, "prepare-4"))
    assert again == event_id
    assert soon(lambda: event_id in listed(operator) or None, "the event in the list")
    later = prepare(Shop(api.http, creator.token, "prepare-5"), Shop(api.http, operator.token, "prepare-6"))
    assert later == event_id
    assert operator.get("me").json()["memberships"] == {event["organiser_id"]: "operator"}


def test_an_event_that_is_sold_out_is_followed_by_another(api: Api) -> None:
    creator, operator = api.person("creator"), api.person()

    def prepared() -> str:
        return prepare(Shop(api.http, creator.token, "prepare-5"), Shop(api.http, operator.token, "prepare-6"))

    first = prepared()
    assert soon(lambda: first in listed(operator) or None, "the event in the list")
    operator.paid(operator.get(f"events/{first}").json(), CAPACITY)
    assert soon(lambda: operator.get(f"events/{first}").json()["available"] == 0 or None, "sold out, as answers say")

    second = prepared()

    assert second != first
    states = [operator.get(f"events/{each}").json() for each in (first, second)]
    assert [(each["state"], each["organiser_id"]) for each in states] == [
        ("cancelled", states[0]["organiser_id"]),
        ("published", states[0]["organiser_id"]),
    ]
    assert states[1]["available"] == CAPACITY
    assert soon(lambda: second in listed(operator) or None, "the other event in the list")
    assert prepared() == second


class Dies(Shop):
    """Dies before it cancels."""

    def post(self, path: str, body: Json | None = None, *, key: str = "") -> Json:
        if path.endswith("/cancel"):
            raise ShopRefused("died")
        return Shop.post(self, path, body, key=key)


def test_one_that_died_before_it_cancelled_what_is_sold_out_is_gone_on_with(api: Api) -> None:
    creator, operator = api.person("creator"), api.person()
    dies = Dies(api.http, creator.token, "prepare-9")
    first = prepare(dies, Shop(api.http, operator.token, "prepare-10"))
    assert soon(lambda: first in listed(operator) or None, "the event in the list")
    operator.paid(operator.get(f"events/{first}").json(), CAPACITY)
    assert soon(lambda: operator.get(f"events/{first}").json()["available"] == 0 or None, "sold out, as answers say")
    with pytest.raises(ShopRefused, match="died"):
        prepare(dies, Shop(api.http, operator.token, "prepare-11"))

    mine = operator.get("me").json()["memberships"]
    second = soon(
        lambda: next(
            (
                each
                for each in listed(operator)
                if operator.get(f"events/{each}").json()["organiser_id"] in mine and each != first
            ),
            None,
        ),
        "another",
    )
    again = prepare(Shop(api.http, creator.token, "prepare-12"), Shop(api.http, operator.token, "prepare-13"))

    assert again == second
    assert operator.get(f"events/{first}").json()["state"] == "cancelled"
