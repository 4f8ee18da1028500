"""The demo's seed, through the API."""

from datetime import timedelta

from local.seed.seed import Seeder
from shared.kernel.clock import utc_now
from tests.functions.browsing import listed
from tests.support.api import Api, Json, soon


def test_seeding_again_on_another_day_changes_nothing(api: Api) -> None:
    seeder, today = Seeder(api.stack.url, api.stack.entra_url), utc_now()
    number = seeder.seed(today)
    clara, other = (api.person(email=f"{name}@tessera.example") for name in ("clara", "other-clara"))

    def events() -> list[Json] | None:
        homes = [(person, person.get("me").json()["memberships"]) for person in (clara, other)]
        found = [
            event for person, home in homes for id_ in home for event in listed(person, f"organisers/{id_}/events")
        ]
        return found if [event["state"] for event in found] == ["published"] * number else None

    before = soon(events, "the demo's events")
    assert seeder.seed(today) == number
    assert seeder.seed(today + timedelta(days=3)) == number
    assert events() == before
