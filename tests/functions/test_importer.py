"""Event documents imported into a running Tessera, by the command that `make import` calls."""

import subprocess
import sys
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.factories.documents import document
from tests.functions.browsing import listed
from tests.support.api import Api, Json, Organiser, Person, soon, type_body, venue_body

SAMPLE = Path(__file__).parents[2] / "docs" / "samples" / "events.json"


@dataclass
class Importer:
    """The command, with a token of somebody's."""

    person: Person
    folder: Path

    def __call__(self, file: Path, *options: str, token: str | None = None) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "local.importer", str(file), "--url", str(self.person.api.http.base_url)]
        command += ["--token", self.person.token if token is None else token, *options]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert "Traceback" not in done.stderr
        return done

    def file(self, *documents: Any, name: str = "events.json") -> Path:
        """A file of these documents."""
        path = self.folder / name
        lines = name.endswith(".jsonl")
        path.write_bytes(b"\n".join(map(orjson.dumps, documents)) if lines else orjson.dumps(list(documents)))
        return path

    def events(self, number: int) -> list[Json]:
        """The events of all organisers the person belongs to, once their lists have `number`, each as it is by now."""

        def look() -> list[Json] | None:
            organisers = self.person.get("me").json()["memberships"]
            found = [event for each in organisers for event in listed(self.person, f"organisers/{each}/events")]
            return found if len(found) == number and all(map(self._is_up_to_date, found)) else None

        return soon(look, f"{number} events")

    def _is_up_to_date(self, listing: Json) -> bool:
        event: Json = self.person.get(f"events/{listing['event_id']}").json()
        return {name: listing[name] for name in ("state", "name", "starts_at")} == {
            name: event[name] for name in ("state", "name", "starts_at")
        }

    def nothing_sent(self) -> bool:
        """Whether the person has no organiser, which is what an import begins with."""
        found: Json = self.person.get("me").json()
        return bool(found["memberships"] == {})


@pytest.fixture
def importer(api: Api, tmp_path: Path) -> Importer:
    return Importer(api.person("creator"), tmp_path)


def test_the_sample_in_the_docs_is_imported_once_however_often_it_is_sent(importer: Importer) -> None:
    first = importer(SAMPLE)
    before = importer.events(3)
    second = importer(SAMPLE)

    assert (first.returncode, first.stdout, first.stderr) == (0, f"{SAMPLE}: 2 published, 1 draft.\n", "")
    assert (second.returncode, second.stdout) == (0, f"{SAMPLE}: 1 draft, 2 unchanged.\n")
    assert importer.events(3) == before
    assert {event["name"]: event["state"] for event in before} == {
        "Midsommar på kajen": "published",
        "Open rehearsal": "published",
        "Winter programme (to be announced)": "draft",
    }
    (midsommar,) = [event for event in before if event["name"].startswith("Mid")]
    shown = importer.person.get(f"events/{midsommar['event_id']}").json()
    assert shown["pools"] == [{"name": "Quay", "capacity": 600}, {"name": "Tables", "capacity": 40}]
    assert [(each["name"], each["price"]["amount_minor"]) for each in shown["ticket_types"]] == [
        ("Standing", 24000), ("Child", 6000), ("Table for one", 52000),
    ]  # fmt: skip
    assert shown["venue"]["city"] == "Göteborg"
    assert shown["ticket_types"][2]["on_sale_until"] == "2030-06-14T16:00:00.000000Z"


def test_a_changed_document_changes_a_draft(importer: Importer) -> None:
    importer(importer.file(document()))
    (created,) = importer.events(1)

    changed = importer(importer.file(document(name="Another name", pools=[{"name": "Hall", "capacity": 12}])))
    back = importer(importer.file(document(publish=True)))

    assert (changed.returncode, changed.stdout.split(": ")[1]) == (0, "1 changed draft.\n")
    assert (back.returncode, back.stdout.split(": ")[1]) == (0, "1 published.\n")
    shown = importer.person.get(f"events/{created['event_id']}").json()
    assert (shown["name"], shown["capacity"], shown["state"]) == ("Event one", 10, "published")
    assert len(importer.events(1)) == 1


def test_a_draft_edited_by_hand_becomes_what_the_file_says_once_and_its_fields_are_named(importer: Importer) -> None:
    file = importer.file(document())
    importer(file)
    (created,) = importer.events(1)
    path = f"events/{created['event_id']}"
    by_hand = {"venue_id": importer.person.get(path).json()["venue"]["venue_id"], **document()["event"]}
    edited = importer.person.put(path, by_hand | {"name": "By hand", "description": "Mine."})

    first = importer(file)
    after = importer.person.get(path).json()
    second = importer(file)

    assert edited.status_code == 200
    assert (first.returncode, first.stdout.split(": ")[1]) == (0, "1 changed draft.\n")
    assert first.stderr == (
        "document 1: one: the draft was different and is now as the file has it: name, description\n"
    )
    assert (after["name"], after["description"], after["version"]) == ("Event one", "", 3)
    assert (second.returncode, second.stdout.split(": ")[1], second.stderr) == (0, "1 draft.\n", "")
    assert importer.person.get(path).json() == after


def test_a_changed_demand_which_cannot_be_seen_is_written(importer: Importer) -> None:
    importer(importer.file(document()))
    (created,) = importer.events(1)

    done = importer(importer.file(document(pools=[{"name": "Hall", "capacity": 10, "expected_demand": 500}])))

    assert (done.returncode, done.stdout.split(": ")[1], done.stderr) == (0, "1 draft.\n", "")
    assert importer.person.get(f"events/{created['event_id']}").json()["version"] == 2


def test_the_same_event_by_its_organisers_name_and_id_is_refused_the_second_time(importer: Importer) -> None:
    importer(importer.file(document()))
    (created,) = importer.events(1)
    by_id = document(name="Another name") | {"organiser": {"organiser_id": created["organiser_id"]}}

    done = importer(importer.file(document(), by_id))

    assert (done.returncode, done.stdout.split(": ")[1]) == (1, "1 draft, 1 refused.\n")
    assert done.stderr == "document 2: one: a document before has this external_id, for the same organiser\n"
    assert importer.events(1) == [created]


@pytest.mark.parametrize(
    ("option", "value"),
    [("--url", "http://127.0.0.1:abc"), ("--url", "http://[::1"), ("--url", "localhost:7071"),
     ("--sign-in", "http://127.0.0.1:abc"), ("--token", "tokén")],
)  # fmt: skip
def test_an_option_that_cannot_be_right_is_told_before_anything_is_sent(
    importer: Importer, option: str, value: str
) -> None:
    done = importer(SAMPLE, option, value)

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"{option}: ")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"name": "X"}, "name"),
        ({"starts_at": "2100-05-01T18:00:01Z"}, "starts_at"),
        ({"pools": [{"name": "Hall", "capacity": 11}]}, "pools"),
        ({"ticket_types": [type_body(maximum_per_order=9)]}, "ticket_types"),
        ({"venue": venue_body(city="Bern")}, "venue"),
    ],
)
def test_what_is_published_is_not_changed_and_the_field_is_named(importer: Importer, changes: Json, named: str) -> None:
    importer(importer.file(document(publish=True), document("two", publish=True)))
    before = importer.events(2)
    other = document(publish=True, **{name: value for name, value in changes.items() if name != "venue"})
    other["venue"] = changes.get("venue", other["venue"])

    done = importer(importer.file(other, document("two", publish=True)))

    assert done.returncode == 1
    assert done.stdout.endswith("1 unchanged, 1 refused.\n")
    assert done.stderr.startswith("document 1: one: the event is published")
    assert done.stderr.rstrip().endswith(f": {named}")
    assert importer.events(2) == before


def test_a_cancelled_event_stays_cancelled(importer: Importer) -> None:
    importer(importer.file(document(publish=True)))
    (event,) = importer.events(1)
    importer.person.post(f"events/{event['event_id']}/cancel")

    done = importer(importer.file(document(publish=True)))

    assert done.returncode == 1
    assert "was cancelled" in done.stderr
    assert importer.person.get(f"events/{event['event_id']}").json()["state"] == "cancelled"


def test_of_a_file_with_mistakes_nothing_is_sent(importer: Importer) -> None:
    file = importer.file(document(), {"external_id": "two"}, [], document("one"), name="events.jsonl")

    done = importer(file)

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines() == [
        "line 2: organiser: Field required (allowed: a value: it cannot be left out)",
        "line 2: venue: Field required (allowed: a value: it cannot be left out)",
        "line 2: event: Field required (allowed: a value: it cannot be left out)",
        "line 3: not a JSON object (allowed: an event document, see docs/importing.md)",
        "line 4: external_id: “one” is on line 1 too (allowed: each once for an organiser)",
        f"{file}: 5 mistakes; nothing was sent.",
    ]
    assert importer.nothing_sent()


def test_with_keep_going_what_is_right_is_imported(importer: Importer) -> None:
    file = importer.file(document(), {"external_id": "two"}, document("three"), name="events.jsonl")

    done = importer(file, "--keep-going")

    assert (done.returncode, done.stdout) == (1, f"{file}: 2 draft.\n")
    assert done.stderr.startswith("line 2: organiser: Field required (allowed: a value: it cannot be left out)")
    assert sorted(event["name"] for event in importer.events(2)) == ["Event one", "Event three"]


def test_a_dry_run_sends_nothing(importer: Importer) -> None:
    done = importer(SAMPLE, "--dry-run")

    assert (done.returncode, done.stdout) == (0, f"{SAMPLE}: 3 documents are right; nothing was sent.\n")
    assert importer.nothing_sent()


def test_one_document_alone_goes_to_an_organiser_there_is(api: Api, house: Organiser, tmp_path: Path) -> None:
    importer = Importer(house.creator, tmp_path)
    file = tmp_path / "one.json"
    file.write_bytes(orjson.dumps(document() | {"organiser": {"organiser_id": house.id}}))

    assert importer(file).returncode == 0
    assert [event["organiser_id"] for event in importer.events(1)] == [house.id]


def test_what_tessera_refuses_is_told_with_its_correlation_id_and_the_rest_goes_on(
    importer: Importer, house: Organiser
) -> None:
    foreign = document("foreign") | {"organiser": {"organiser_id": house.id}}
    over = document("over", publish=True, starts_at="2020-01-01T00:00:00Z", ends_at="2020-01-02T00:00:00Z")

    done = importer(importer.file(document(), foreign, over))

    first, second = done.stderr.splitlines()
    assert done.returncode == 1
    assert first.startswith("document 2: foreign: 404: ")
    assert second.startswith("document 3: over: 409: The event ended")
    assert "[correlation id " in first
    assert sorted((event["name"], event["state"]) for event in importer.events(2)) == [
        ("Event one", "draft"), ("Event over", "draft"),
    ]  # fmt: skip
    assert done.stdout.endswith("1 draft, 2 refused.\n")


def test_who_is_not_let_in_or_finds_nobody_is_told_so(importer: Importer) -> None:
    refused = importer(SAMPLE, token="not.a.token")
    elsewhere = importer(SAMPLE, "--url", "https://tickets.example", token="")
    nowhere = importer(importer.folder / "missing.json")

    assert (refused.returncode, "the token was refused" in refused.stderr) == (3, True)
    assert (elsewhere.returncode, elsewhere.stderr) == (
        2, "For a Tessera that is not on this machine give --token or TESSERA_TOKEN.\n",
    )  # fmt: skip
    assert (nowhere.returncode, nowhere.stderr) == (
        2, f"{importer.folder}/missing.json cannot be read: No such file or directory\n",
    )  # fmt: skip


def test_without_a_token_the_local_sign_in_gives_one(api: Api, tmp_path: Path) -> None:
    email = f"i-{uuid.uuid4().hex[:12]}@tessera.example"
    importer = Importer(api.person(email=email), tmp_path)

    done = importer(importer.file(document()), "--sign-in", api.stack.entra_url, "--as", email, token="")

    assert done.returncode == 1
    assert "403" in done.stderr, "somebody without the role of a creator cannot make an organiser"
