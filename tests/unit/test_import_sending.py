"""What the importer does when it is not known yet, or no longer, as the owner of an organiser."""

import httpx
import pytest

from local.importer import sending
from local.importer.client import Client
from local.importer.documents import EventDocument
from local.importer.sending import Result, Sender
from tests.factories.documents import document


class Forgetful:
    """A server some of whose processes do not know who owns what.

    :param knows: for each request after an organiser was made, whether its process knows; afterwards all do, or none
    """

    def __init__(self, *knows: bool) -> None:
        self._knows = list(knows)
        self.asked: list[str] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """An organiser; then refusals, or a venue and no event."""
        path = request.url.path.removeprefix("/api/")
        self.asked.append(path)
        if path == "organisers":
            return httpx.Response(201, json={"organiser_id": "org_a"})
        if not (self._knows.pop(0) if len(self._knows) > 1 else self._knows[0]):
            return httpx.Response(404, json={"detail": "There is no such thing."})
        return httpx.Response(201, json={"venue_id": "ven_a"}) if path.endswith("venues") else httpx.Response(409)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three looks instead of thirty-five, without waiting in between."""
    monkeypatch.setattr(sending, "OWNERSHIP_SECONDS", 3)
    monkeypatch.setattr("local.importer.sending.time.sleep", lambda _: None)


def sender(server: Forgetful) -> Sender:
    return Sender(Client("http://localhost", lambda: "token", transport=httpx.MockTransport(server)))


def documents(number: int, **organiser: str) -> list[EventDocument]:
    given = [document(str(each)) for each in range(number)]
    for each in given:
        each["organiser"] = organiser or each["organiser"]
        each["venue"]["name"] = f"Venue {each['external_id']}"
    return [EventDocument.model_validate(each) for each in given]


def test_a_new_organisers_owner_is_waited_for() -> None:
    server = Forgetful(False, True, False, False, True)

    sender(server).send(documents(1)[0])

    assert server.asked == ["organisers", *["organisers/org_a/venues"] * 2, *["events"] * 3]


def test_who_is_no_owner_is_waited_for_once_and_not_for_every_document() -> None:
    server = Forgetful(False)
    sending_all = sender(server)

    outcomes = [sending_all.send(each) for each in documents(3)]

    assert [outcome.result for outcome in outcomes] == [Result.REFUSED] * 3
    assert server.asked.count("organisers/org_a/venues") == 4 + 1 + 1


def test_of_an_organiser_given_by_its_id_a_refusal_is_final() -> None:
    server = Forgetful(False)

    sender(server).send(documents(1, organiser_id="org_" + "a" * 26)[0])

    assert len(server.asked) == 1
