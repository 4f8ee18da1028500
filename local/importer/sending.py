"""Bringing one event document into Tessera: organiser, venue, event, publication. Doing it again changes nothing."""

import hashlib
import time
from dataclasses import dataclass
from enum import StrEnum, unique
from typing import Any, Final

from functions.catalog.wire import EventView, PlannedEvent
from local.importer.client import Client, Json, Refused
from local.importer.documents import EventDocument, ImportedOrganiser

OWNERSHIP_SECONDS: Final = 35  # other processes of Tessera may not know for 30 seconds who owns a new organiser


@unique
class Result(StrEnum):
    """What became of a document."""

    PUBLISHED = "published"
    DRAFT = "draft"
    CHANGED = "changed draft"
    UNCHANGED = "unchanged"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a document, and of which event.

    :param why: for a refusal, in words
    :param overwrote: the fields of a draft that were not as the document has them, and now are
    """

    result: Result
    event_id: str = ""
    why: str = ""
    overwrote: tuple[str, ...] = ()


class Sender:
    """Sends documents; an organiser or venue that several have in common is asked for once."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._organisers: dict[str, str] = {}
        self._venues: dict[str, str] = {}
        self._patience_seconds: dict[str, int] = {}
        self._sent: set[tuple[str, str]] = set()

    def send(self, document: EventDocument) -> Outcome:
        """Bring the document in, as far as Tessera lets us.

        :raises Unreachable: Tessera does not answer
        """
        try:
            organiser_id = self._organiser(document.organiser)
            # Checking the file finds this only where both name the organiser, or both give its id.
            if (organiser_id, document.external_id) in self._sent:
                return Outcome(Result.REFUSED, why="a document before has this external_id, for the same organiser")
            self._sent.add((organiser_id, document.external_id))
            venue_id = self._venue(organiser_id, document)
            return self._event(organiser_id, venue_id, document)
        except Refused as refusal:
            return Outcome(Result.REFUSED, why=str(refusal))

    def _organiser(self, wanted: ImportedOrganiser) -> str:
        if wanted.organiser_id is not None:
            return wanted.organiser_id
        assert wanted.name is not None, "an organiser has an id or a name"
        if wanted.name not in self._organisers:
            made = self._client.ask("POST", "organisers", {"name": wanted.name}, key=_key("organiser", wanted.name))
            self._organisers[wanted.name] = made["organiser_id"]
            self._patience_seconds[made["organiser_id"]] = OWNERSHIP_SECONDS
        return self._organisers[wanted.name]

    def _venue(self, organiser_id: str, document: EventDocument) -> str:
        body = document.venue.model_dump(mode="json")
        key = _key("venue", organiser_id, document.venue.model_dump_json())
        if key not in self._venues:
            made = self._own(organiser_id, "POST", f"organisers/{organiser_id}/venues", body, key=key)
            self._venues[key] = made["venue_id"]
        return self._venues[key]

    def _own(self, organiser_id: str, method: str, path: str, body: Json | None = None, *, key: str = "") -> Json:
        """The answer about an organiser's own things, asked again each second until we are known as its owner."""
        for _ in range(self._patience_seconds.get(organiser_id, 0)):
            try:
                return self._client.ask(method, path, body, key=key)
            except Refused as refusal:
                if refusal.status not in {403, 404}:
                    raise
                self._patience_seconds[organiser_id] -= 1
                time.sleep(1)
        return self._client.ask(method, path, body, key=key)

    def _event(self, organiser_id: str, venue_id: str, document: EventDocument) -> Outcome:
        details = {"venue_id": venue_id, **document.event.model_dump(mode="json")}
        event, as_created = self._created({"organiser_id": organiser_id, **details}, document.external_id)
        if event.state == "draft":
            overwrote = tuple(differences(event, document.event, venue_id))
            # The API does not show `expected_demand`: where the document is not the one the draft was made from, it may
            # be another.
            if overwrote or not as_created:
                event = _view(self._own(organiser_id, "PUT", f"events/{event.event_id}", details))
            if document.publish:
                published = self._published(organiser_id, event.event_id)
                return Outcome(Result.PUBLISHED, published.event_id, overwrote=overwrote)
            return Outcome(Result.CHANGED if overwrote else Result.DRAFT, event.event_id, overwrote=overwrote)
        differs = differences(event, document.event, venue_id)
        if differs:
            why = f"the event is {event.state}, and what people bought must not change under them: {', '.join(differs)}"
            return Outcome(Result.REFUSED, event.event_id, why)
        if event.state == "cancelled" and document.publish:
            return Outcome(Result.REFUSED, event.event_id, "the event was cancelled and cannot be published again")
        return Outcome(Result.UNCHANGED, event.event_id)

    def _created(self, body: Json, external_id: str) -> tuple[EventView, bool]:
        """The event of this external id, and whether it was created from this very request, now or before."""
        organiser_id = body["organiser_id"]
        key = _key("event", organiser_id, external_id)
        try:
            return _view(self._own(organiser_id, "POST", "events", body, key=key)), True
        except Refused as refusal:
            if refusal.code != "key-reused":
                raise
            return _view(self._own(organiser_id, "GET", f"events/{refusal.problem['existing_id']}")), False

    def _published(self, organiser_id: str, event_id: str) -> EventView:
        try:
            return _view(self._own(organiser_id, "POST", f"events/{event_id}/publish"))
        except Refused as refusal:
            event = _view(self._own(organiser_id, "GET", f"events/{event_id}"))
            if refusal.code == "event-state-refused" and event.state == "published":
                return event  # an answer was lost and the request repeated
            raise


def differences(event: EventView, wanted: PlannedEvent, venue_id: str) -> list[str]:
    """The fields in which an event is not as a document wants it."""
    is_now: dict[str, Any] = event.model_dump(
        include={"name", "description", "category", "image_url", "starts_at", "ends_at"}
    )
    is_now["venue"] = event.venue.venue_id
    is_now["pools"] = [(pool.name, pool.capacity) for pool in event.pools]
    is_now["ticket_types"] = [each.model_dump(exclude={"ticket_type_id", "available"}) for each in event.ticket_types]
    should_be: dict[str, Any] = wanted.model_dump(exclude={"pools", "ticket_types"})
    should_be["venue"] = venue_id
    should_be["pools"] = [(pool.name, pool.capacity) for pool in wanted.pools]
    should_be["ticket_types"] = [each.model_dump() for each in wanted.ticket_types]
    assert is_now.keys() == should_be.keys(), "both have every detail of an event"
    return [name for name in is_now if is_now[name] != should_be[name]]


def _view(answer: Json) -> EventView:
    return EventView.model_validate(answer)


def _key(kind: str, *parts: str) -> str:
    """The Idempotency-Key that always follows from what is meant."""
    digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()
    return f"import-{kind}-{digest[:48]}"
