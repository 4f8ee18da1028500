"""Reading lists, as the tests of the catalog do."""

from tests.support.api import (
    Json,
    Organiser,
    Person,
    soon,
)


def listed(person: Person, path: str, *, limit: int = 100) -> list[Json]:
    """All items of a list, page by page."""
    items: list[Json] = []
    continuation: dict[str, str] = {}
    while True:
        page = person.get(path, limit=limit, **continuation).json()
        assert len(page["items"]) <= limit
        items += page["items"]
        if "continuation" not in page:
            return items
        continuation = {"continuation": page["continuation"]}


def all_of(house: Organiser, number: int) -> list[Json]:
    """The organiser's own list, once it has `number` events."""

    def look() -> list[Json] | None:
        found = listed(house.owner, f"organisers/{house.id}/events")
        return found if len(found) == number else None

    return soon(look, f"{number} events in the organiser's list")
