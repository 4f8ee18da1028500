"""Event documents to import."""

from typing import Any

from tests.support.api import type_body, venue_body


def document(external_id: str = "one", *, publish: bool = False, **changes: Any) -> dict[str, Any]:
    """A boring document; `changes` are of its event."""
    return {
        "external_id": external_id,
        "organiser": {"name": "Importing"},
        "venue": venue_body(),
        "event": {
            "name": f"Event {external_id}",
            "starts_at": "2100-05-01T18:00:00Z",
            "ends_at": "2100-05-01T21:00:00+00:00",
            "pools": [{"name": "Hall", "capacity": 10}],
            "ticket_types": [type_body()],
            **changes,
        },
        "publish": publish,
    }
