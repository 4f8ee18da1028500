"""What the smoke test needs, once an environment: an organiser, an event of it, an operator who may sell."""

from typing import Final

from tools.delivery.shop import Json, Shop

ORGANISER: Final = "Smoke test"
CAPACITY: Final = 10
_VENUE: Final = {
    "name": "Nowhere", "address": "No street 1", "city": "Nowhere", "country": "CH", "timezone": "Europe/Zurich",
}  # fmt: skip


def prepare(creator: Shop, operator: Shop) -> str:
    """Make them, and answer the event's id.

    The event is public, as every event on sale is; so its name says what it is, and it takes place in 2099: last in
    every list.

    :param creator: somebody who may create organisers
    :param operator: who will sell; becomes an operator of this organiser and nothing else
    :raises ShopRefused: refused, or no answer
    """
    organiser_id = creator.post("organisers", {"name": ORGANISER})["organiser_id"]
    person_id = operator.get("me")["person_id"]
    creator.put(f"organisers/{organiser_id}/members/{person_id}", {"role": "operator"})
    venue = creator.post(f"organisers/{organiser_id}/venues", dict(_VENUE))
    event = creator.post("events", _event(organiser_id, venue["venue_id"]))
    event_id: str = creator.post(f"events/{event['event_id']}/publish")["event_id"]
    return event_id


def _event(organiser_id: str, venue_id: str) -> Json:
    return {
        "organiser_id": organiser_id,
        "venue_id": venue_id,
        "name": "Smoke test, not for sale",
        "starts_at": "2099-12-31T20:00:00Z",
        "ends_at": "2099-12-31T21:00:00Z",
        "pools": [{"name": "Smoke", "capacity": CAPACITY}],
        "ticket_types": [{"name": "Smoke", "price": {"amount_minor": 100, "currency": "EUR"}, "pool": "Smoke"}],
    }
