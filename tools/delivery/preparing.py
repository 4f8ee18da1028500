"""What the smoke test needs, once an environment: an organiser, an event of it, an operator who may sell."""

from collections.abc import Mapping
from typing import Final

from tools.delivery.shop import Json, Shop

ORGANISER: Final = "Smoke test"
EVENT: Final = "Smoke test, not for sale"
CAPACITY: Final = 10
STARTS_AT: Final = "2099-12-31T20:00:00Z"
_VENUE: Final = {
    "name": "Nowhere", "address": "No street 1", "city": "Nowhere", "country": "CH", "timezone": "Europe/Zurich",
}  # fmt: skip


def prepare(creator: Shop, operator: Shop) -> str:
    """Make them, where this operator does not have them yet, and answer the event's id.

    The event is public, as every event on sale is; so its name says what it is, and it takes place in 2099: last in
    every list.

    :param creator: somebody who may create organisers
    :param operator: who will sell; becomes an operator of this organiser and nothing else
    :raises ShopRefused: refused, or no answer
    """
    me = operator.get("me")
    if there := _there(operator, me["memberships"]):
        return there
    organiser_id = creator.post("organisers", {"name": ORGANISER})["organiser_id"]
    creator.put(f"organisers/{organiser_id}/members/{me['person_id']}", {"role": "operator"})
    venue = creator.post(f"organisers/{organiser_id}/venues", dict(_VENUE))
    event = creator.post("events", _event(organiser_id, venue["venue_id"]))
    event_id: str = creator.post(f"events/{event['event_id']}/publish")["event_id"]
    return event_id


def _there(operator: Shop, memberships: Mapping[str, str]) -> str:
    """The event that was made before; nothing else takes place then."""
    found = operator.get(f"events?from={STARTS_AT}&limit=100")["items"] if memberships else []
    mine = (each for each in found if each["name"] == EVENT and each["organiser_id"] in memberships)
    return next((str(each["event_id"]) for each in mine), "")


def _event(organiser_id: str, venue_id: str) -> Json:
    return {
        "organiser_id": organiser_id,
        "venue_id": venue_id,
        "name": EVENT,
        "starts_at": STARTS_AT,
        "ends_at": "2099-12-31T21:00:00Z",
        "pools": [{"name": "Smoke", "capacity": CAPACITY}],
        "ticket_types": [{"name": "Smoke", "price": {"amount_minor": 100, "currency": "EUR"}, "pool": "Smoke"}],
    }
