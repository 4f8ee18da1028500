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

    An event that is sold out, by sales that nobody could give back, is cancelled and followed by another one.

    The event is public, as every event on sale is; so its name says what it is, and it takes place in 2099: last in
    every list.

    :param creator: somebody who may create organisers; asked again, who made this one
    :param operator: who will sell; becomes an operator of this organiser and nothing else
    :raises ShopRefused: refused, or no answer
    """
    me = operator.get("me")
    there = _there(operator, me["memberships"])
    if not any(event["available"] for event in there):  # the list that everybody sees may be some seconds late
        there = _owned(creator, operator, me["memberships"])
    event_id = next((str(event["event_id"]) for event in there if event["available"]), "")
    if not event_id:
        event_id = _made(creator, *_place(creator, me))
    for event in there:  # in every call, since one may have died before this
        if not event["available"]:
            creator.post(f"events/{event['event_id']}/cancel")
    return event_id


def _place(creator: Shop, me: Json) -> tuple[str, str]:
    """The organiser whose operator this is already, or another one; and its venue."""
    for organiser_id in me["memberships"]:
        for venue in creator.get(f"organisers/{organiser_id}/venues")["items"]:
            if venue["name"] == _VENUE["name"]:
                return organiser_id, venue["venue_id"]
    organiser_id = creator.post("organisers", {"name": ORGANISER})["organiser_id"]
    venue = creator.post(f"organisers/{organiser_id}/venues", dict(_VENUE))
    creator.put(f"organisers/{organiser_id}/members/{me['person_id']}", {"role": "operator"})
    return organiser_id, venue["venue_id"]


def _made(creator: Shop, organiser_id: str, venue_id: str) -> str:
    event = creator.post("events", _event(organiser_id, venue_id))
    event_id: str = creator.post(f"events/{event['event_id']}/publish")["event_id"]
    return event_id


def _there(operator: Shop, memberships: Mapping[str, str]) -> list[Json]:
    """The events that were made before, as everybody sees them; nothing else takes place then."""
    found = operator.get(f"events?from={STARTS_AT}&limit=100")["items"] if memberships else []
    return _seen(operator, [each for each in found if each["organiser_id"] in memberships])


def _owned(creator: Shop, operator: Shop, memberships: Mapping[str, str]) -> list[Json]:
    """The events that were made before, as their organiser sees them."""
    lists = [creator.get(f"organisers/{each}/events?limit=100")["items"] for each in memberships]
    return _seen(operator, [each for found in lists for each in found if each["state"] == "published"])


def _seen(operator: Shop, found: list[Json]) -> list[Json]:
    """What is left of those that are the smoke test's."""
    return [operator.get(f"events/{each['event_id']}") for each in found if each["name"] == EVENT]


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
