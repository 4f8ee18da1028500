"""What the smoke test needs, made once an environment."""

from dataclasses import replace
from typing import Any

import pytest

from tests.infra.smoke.support import SHORT, failures, outcome_of
from tests.support.api import Api, soon
from tools.delivery.preparing import CAPACITY, prepare
from tools.delivery.shop import Shop
from tools.delivery.smoke import Target

pytestmark = pytest.mark.xdist_group("smoke")  # one Tessera for all of them


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
