"""What the demo shows: two organisers, their venues, and events from a school concert to an arena."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any


@dataclass(frozen=True, slots=True)
class DemoEvent:
    """An event of the demo.

    :param days: from today until it takes place
    :param hour: when it begins, UTC
    :param pools: name, capacity and expected orders a second
    :param types: name, price in minor units, pool, maximum per order
    """

    name: str
    description: str
    category: str
    days: int
    hour: int
    hours: int
    pools: list[tuple[str, int, int]]
    types: list[tuple[str, int, str, int]]
    currency: str = "EUR"

    def body(self, organiser_id: str, venue_id: str, today: datetime) -> dict[str, Any]:
        """The request that creates it."""
        starts = (today + timedelta(days=self.days)).replace(hour=self.hour, minute=0, second=0, microsecond=0)
        return {
            "organiser_id": organiser_id,
            "venue_id": venue_id,
            "name": self.name,
            "description": self.description,
            "category": self.category,
            "starts_at": starts.isoformat(),
            "ends_at": (starts + timedelta(hours=self.hours)).isoformat(),
            "pools": [{"name": n, "capacity": c, "expected_demand": d} for n, c, d in self.pools],
            "ticket_types": [
                {
                    "name": n,
                    "price": {"amount_minor": p, "currency": self.currency},
                    "pool": pool,
                    "maximum_per_order": m,
                }
                for n, p, pool, m in self.types
            ],
        }


@dataclass(frozen=True, slots=True)
class DemoOrganiser:
    """An organiser of the demo, its venue, its people (by mail address) and its events."""

    name: str
    owner: str
    operator: str
    venue: dict[str, str]
    events: list[DemoEvent] = field(default_factory=list)


ORGANISERS = [
    DemoOrganiser(
        name="Riverside Concerts",
        owner="clara@tessera.example",
        operator="oscar@tessera.example",
        venue={
            "name": "Riverside Hall", "address": "Quay Street 12", "city": "Zurich", "country": "CH",
            "timezone": "Europe/Zurich",
        },
        events=[
            DemoEvent(
                "An Evening of Chamber Music", "Quartets by Haydn, Ravel and Shostakovich, played by candle light.",
                "music", 12, 18, 2, [("Hall", 240, 1)],
                [("Adult", 3500, "Hall", 10), ("Student", 1500, "Hall", 4)],
            ),
            DemoEvent(
                "The Long Night of Jazz", "Six bands on two stages, until the last tram and after.", "music", 26, 19, 7,
                [("Floor", 800, 50), ("Balcony", 120, 5)],
                [("Floor", 4200, "Floor", 8), ("Balcony", 6800, "Balcony", 4)],
            ),
            DemoEvent(
                "Meridian: World Tour", "One night only. Doors open two hours before.", "music", 90, 18, 3,
                [("Arena", 12000, 1500)], [("Standing", 8900, "Arena", 6), ("Early entry", 12900, "Arena", 4)],
            ),
            DemoEvent(
                "Open Rehearsal", "Come and listen while we work. Admission is free, places are few.", "music", 5, 9, 2,
                [("Hall", 60, 1)], [("Free place", 0, "Hall", 2)],
            ),
        ],
    ),
    DemoOrganiser(
        name="Hillview School",
        owner="other-clara@tessera.example",
        operator="other-oscar@tessera.example",
        venue={
            "name": "School Gym", "address": "Hill Road 3", "city": "Lausanne", "country": "CH",
            "timezone": "Europe/Zurich",
        },
        events=[
            DemoEvent(
                "Winter Concert", "The choir, the orchestra, and the little ones with their triangles.", "school", 19,
                17, 2, [("Gym", 180, 1)], [("Adult", 800, "Gym", 6), ("Child", 300, "Gym", 6)], "CHF",
            ),
        ],
    ),
]  # fmt: skip
