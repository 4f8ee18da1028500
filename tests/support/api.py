"""A client of the API, as tests use it: people with tokens, whole answers, and a record of every status seen."""

import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import httpx

from local.layout import stack_secrets
from local.stack import Stack
from tests.support.leaks import secrets_in

PATIENCE_SECONDS = 60.0  # only what never comes takes so long
type Json = dict[str, Any]
type Seen = set[tuple[str, str, int]]


def soon[T](look: Callable[[], T | None], what: str) -> T:
    """What `look` finds, as soon as it finds something: read models and mails follow a little later."""
    give_up = time.monotonic() + PATIENCE_SECONDS
    while (found := look()) is None:
        assert time.monotonic() < give_up, f"not after {PATIENCE_SECONDS:.0f} s: {what}"
        time.sleep(0.03)
    return found


def problem(answer: httpx.Response) -> Json:
    """The members of a problem document, without the correlation id, which is checked against its header."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    members: Json = answer.json()
    assert members.pop("correlation_id") == answer.headers["x-correlation-id"]
    assert members["status"] == answer.status_code
    return members


def refusal(answer: httpx.Response) -> tuple[int, str]:
    """Status and problem name, e.g. `(409, "pool-short")`."""
    return answer.status_code, problem(answer)["type"].removeprefix("urn:tessera:problem:")


def fields(answer: httpx.Response) -> list[str]:
    """The fields a 400 names."""
    assert refusal(answer) == (400, "request-refused"), answer.text
    return [error["field"] for error in answer.json()["errors"]]


@dataclass
class Person:
    """Somebody with a token (or another bearer, or none)."""

    api: "Api"
    token: str
    email: str = ""

    def get(self, path: str, **params: Any) -> httpx.Response:
        """GET below `/api/`."""
        return self.ask("GET", path, params=params)

    def post(self, path: str, body: Any = None, *, key: str | None = None) -> httpx.Response:
        """POST a JSON body below `/api/`."""
        headers = {} if key is None else {"idempotency-key": key}
        return self.ask("POST", path, json=body, headers=headers) if body is not None else self.ask(
            "POST", path, headers=headers
        )  # fmt: skip

    def put(self, path: str, body: Any) -> httpx.Response:
        """PUT a JSON body below `/api/`."""
        return self.ask("PUT", path, json=body)

    def delete(self, path: str) -> httpx.Response:
        """DELETE below `/api/`."""
        return self.ask("DELETE", path)

    def ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        """Any request below `/api/`; its status is remembered."""
        headers = {**more.pop("headers", {})}
        if self.token:
            headers["authorization"] = f"Bearer {self.token}"
        answer = self.api.http.request(method, f"/api/{path}", headers=headers, **more)
        self.api.seen.add((method, answer.request.url.path, answer.status_code))
        assert secrets_in(answer.text, self.api.stack.data) == []
        return answer

    @cached_property
    def id(self) -> str:
        """Their `person_id`."""
        found: str = self.get("me").json()["person_id"]
        return found

    def order(self, event: Json, quantity: int = 1, *, key: str | None = None, **more: Any) -> httpx.Response:
        """Place an order for the event's first ticket type."""
        body = order_body(event, quantity, **more)
        return self.post("orders", body, key=key or new_key())

    def paid(self, event: Json, quantity: int = 1) -> Json:
        """A desk order: paid at once."""
        answer = self.order(event, quantity, method="desk")
        assert answer.status_code == 201, answer.text
        found: Json = answer.json()
        return found


@dataclass
class Organiser:
    """An organiser with its people and its venue."""

    id: str
    venue: Json
    owner: Person
    creator: Person
    operator: Person

    def event_body(self, **changes: Any) -> Json:
        """A boring event: one pool of 10, one type at EUR 25.00."""
        return event_body(**{"organiser_id": self.id, "venue_id": self.venue["venue_id"], **changes})

    def draft(self, **changes: Any) -> Json:
        """A draft event."""
        answer = self.owner.post("events", self.event_body(**changes))
        assert answer.status_code == 201, answer.text
        found: Json = answer.json()
        return found

    def event(self, **changes: Any) -> Json:
        """A published event."""
        answer = self.owner.post(f"events/{self.draft(**changes)['event_id']}/publish")
        assert answer.status_code == 200, answer.text
        found: Json = answer.json()
        return found


@dataclass
class Api:
    """A running Tessera, seen from outside."""

    stack: Stack
    http: httpx.Client
    seen: Seen = field(default_factory=set)

    def token(self, **wanted: Any) -> str:
        """A token of the sign-in double (`local/emulators/entra/controls.py`)."""
        answer = httpx.post(f"{self.stack.entra_url}/_emulator/tokens", json=wanted)
        answer.raise_for_status()
        found: str = answer.json()["access_token"]
        return found

    def person(self, *roles: str, email: str | None = None, **wanted: Any) -> Person:
        """Somebody new, or the seeded person behind `email`."""
        address = email or f"p-{uuid.uuid4().hex[:12]}@tessera.example"
        if roles:
            wanted["roles"] = list(roles)
        return Person(self, self.token(email=address, **wanted), address)

    def bearer(self, token: str) -> Person:
        """Whoever bears this token."""
        return Person(self, token)

    @property
    def nobody(self) -> Person:
        """Somebody who is not signed in."""
        return Person(self, "")

    @property
    def insights(self) -> Person:
        """The aggregation service's client."""
        return Person(self, stack_secrets(self.stack.data)["insights_api_key"])

    def organiser(self, name: str = "Riverside") -> Organiser:
        """A new organiser with owner, creator, operator and venue."""
        owner, creator, operator = self.person("creator"), self.person("user"), self.person("user")
        created = owner.post("organisers", {"name": name})
        assert created.status_code == 201, created.text
        organiser_id = created.json()["organiser_id"]
        for person, role in ((creator, "creator"), (operator, "operator")):
            member = owner.put(f"organisers/{organiser_id}/members/{person.id}", {"role": role})
            assert member.status_code == 200, member.text
        venue = owner.post(f"organisers/{organiser_id}/venues", venue_body())
        assert venue.status_code == 201, venue.text
        return Organiser(organiser_id, venue.json(), owner, creator, operator)

    def pay(self, checkout_url: str, number: str = "4242424242424242") -> httpx.Response:
        """Type a card into the hosted page."""
        card = {"card_number": number, "card_expiry": "12/34", "card_cvc": "123", "card_name": "Uma User"}
        return httpx.post(checkout_url, data=card)

    def mails(self, order_id: str, kind: str = "confirmation") -> list[Json]:
        """The mails of a kind about an order."""
        found = httpx.get(
            f"{self.stack.mailbox_url}/api/messages",
            params={"message_id": f"<{kind}.{order_id}@tessera.example>"},
        )
        messages: list[Json] = found.raise_for_status().json()["messages"]
        return messages

    def mail(self, order: Json, kind: str = "confirmation") -> Json:
        """The one mail of a kind about an order, whole, as soon as it is there."""
        [summary] = soon(lambda: self.mails(order["order_id"], kind) or None, f"the mail {kind}")
        found: Json = httpx.get(f"{self.stack.mailbox_url}/api/messages/{summary['id']}").json()
        return found

    def logged(self, correlation_id: str) -> list[Json]:
        """The host's log lines that carry this correlation id."""
        assert self.stack.host is not None
        return [entry for entry in self.stack.host.log_entries() if correlation_id in str(entry)]


def new_key() -> str:
    """A fresh Idempotency-Key."""
    return uuid.uuid4().hex


def venue_body(**changes: Any) -> Json:
    """A boring venue."""
    return {
        "name": "Hall", "address": "Quay Street 12", "city": "Zurich", "country": "CH", "timezone": "Europe/Zurich",
        **changes,
    }  # fmt: skip


def type_body(**changes: Any) -> Json:
    """A boring ticket type at EUR 25.00."""
    return {"name": "Adult", "price": {"amount_minor": 2500, "currency": "EUR"}, "pool": "Hall", **changes}


def event_body(*, organiser_id: str, venue_id: str, capacity: int = 10, **changes: Any) -> Json:
    """A boring event in the far future."""
    return {
        "organiser_id": organiser_id,
        "venue_id": venue_id,
        "name": "Concert",
        "starts_at": "2100-05-01T18:00:00Z",
        "ends_at": "2100-05-01T21:00:00Z",
        "pools": [{"name": "Hall", "capacity": capacity}],
        "ticket_types": [type_body()],
        **changes,
    }


def order_body(event: Json, quantity: int = 1, **more: Any) -> Json:
    """An order for the event's first ticket type."""
    line = {"ticket_type_id": event["ticket_types"][0]["ticket_type_id"], "quantity": quantity}
    return {"event_id": event["event_id"], "lines": [line], **more}
