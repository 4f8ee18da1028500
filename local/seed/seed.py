"""Fill the demo through the API, as its people would. Doing it again changes nothing: every request has its key."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import httpx

from local.seed.catalogue import ORGANISERS, DemoOrganiser


class SeedRefused(Exception):
    """The API refused a seeding request; the message quotes its answer."""


@dataclass(slots=True)
class Seeder:
    """Seeds a running Tessera.

    :param api: its base URL
    :param tokens: where the sign-in double mints tokens
    """

    api: str
    tokens: str

    def seed(self, today: datetime) -> int:
        """Create and publish the demo's events; how many there are."""
        with httpx.Client(timeout=30) as http:
            for organiser in ORGANISERS:
                self._organiser(http, organiser, today)
        return sum(len(organiser.events) for organiser in ORGANISERS)

    def _organiser(self, http: httpx.Client, demo: DemoOrganiser, today: datetime) -> None:
        owner, operator = self._token(http, demo.owner), self._token(http, demo.operator)
        organiser = self._post(http, owner, "organisers", {"name": demo.name}, key=f"seed-{demo.name}")
        organiser_id = organiser["organiser_id"]
        person_id = http.get(f"{self.api}/api/me", headers=_bearer(operator)).raise_for_status().json()["person_id"]
        member = http.put(
            f"{self.api}/api/organisers/{organiser_id}/members/{person_id}",
            headers=_bearer(owner),
            json={"role": "operator"},
        )
        _check(member)
        venue = self._post(http, owner, f"organisers/{organiser_id}/venues", demo.venue, key=f"seed-{demo.name}")
        for event in demo.events:
            body = event.body(organiser_id, venue["venue_id"], today)
            answer = self._ask(http, owner, "events", body, key=f"seed-{demo.name}-{event.name}")
            if answer.status_code == httpx.codes.UNPROCESSABLE_ENTITY:
                continue  # seeded on another day, when “in twelve days” was another date
            created = _check(answer).json()
            if created["state"] == "draft":
                self._post(http, owner, f"events/{created['event_id']}/publish", {}, key="")

    def _post(self, http: httpx.Client, token: str, path: str, body: dict[str, Any], *, key: str) -> Any:
        return _check(self._ask(http, token, path, body, key=key)).json()

    def _ask(self, http: httpx.Client, token: str, path: str, body: dict[str, Any], *, key: str) -> httpx.Response:
        slug = "".join(c if c.isalnum() else "-" for c in key)
        headers = _bearer(token) | ({"idempotency-key": slug} if key else {})
        return http.post(f"{self.api}/api/{path}", headers=headers, json=body)

    def _token(self, http: httpx.Client, email: str) -> str:
        return str(_check(http.post(f"{self.tokens}/_emulator/tokens", json={"email": email})).json()["access_token"])


def _bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def _check(answer: httpx.Response) -> httpx.Response:
    if answer.is_error:
        raise SeedRefused(f"{answer.request.method} {answer.request.url}: {answer.status_code} {answer.text}")
    return answer
