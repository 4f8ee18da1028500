"""The directory's store of people: who is in it, and what changing somebody does."""

import asyncio
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from string import Formatter

import pytest

from local.emulators import entra
from local.emulators.database import Database
from local.emulators.entra.clock import Clock
from local.emulators.entra.directory import SCHEMA, Directory
from local.emulators.entra.passwords import hashed, matches
from local.emulators.entra.people import PEOPLE, object_id_of, subject_of
from local.emulators.entra.tenant import Registered, Tenant
from local.emulators.entra.texts import LANGUAGES
from local.emulators.entra.users import AddressTaken, User, Users, UserUnknown

NOW = 1_800_000_000.0


@pytest.fixture
def users(tmp_path: Path) -> Iterator[Users]:
    database = Database(tmp_path / "entra.sqlite", SCHEMA)
    yield Users(database)
    database.close()


def test_an_added_user_is_found_by_id_address_and_parts_of_name_whatever_the_case(users: Users) -> None:
    added = users.add(email=" Zoe@Example.ORG", name="Zoë Ångström", now=NOW)

    assert added == User(
        id=added.id,
        email="zoe@example.org",
        name="Zoë Ångström",
        roles=("user",),
        subject=subject_of(added.id),
        has_password=False,
        verified=False,
        enabled=True,
        created_at=NOW,
        sessions_valid_from=0,
    )
    assert users.get(added.id) == users.by_email("ZOE@example.org") == added
    assert users.find("ÅNGS") == users.find("zoe@") == users.find() == [added]
    assert users.find("%") == users.find("_") == []


def test_pages_of_users_follow_each_other_without_gap_or_repeat(users: Users) -> None:
    added = {users.add(email=f"u{number}@example.org", name="U", now=NOW).id for number in range(7)}

    pages, after = [], None
    while page := users.find(limit=3, after=after):
        pages.append([user.id for user in page])
        after = page[-1].id

    assert [len(page) for page in pages] == [3, 3, 1]
    assert {identity for page in pages for identity in page} == added


def test_an_address_belongs_to_one_user(users: Users) -> None:
    first = users.add(email="one@example.org", name="One", now=NOW)
    second = users.add(email="two@example.org", name="Two", now=NOW)

    with pytest.raises(AddressTaken):
        users.add(email="ONE@example.org", name="Another", now=NOW)
    with pytest.raises(AddressTaken):
        users.change(second.id, name="Changed", email="one@example.org")

    assert (users.get(first.id), users.get(second.id)) == (first, second)


def test_a_changed_user_keeps_id_and_subject(users: Users) -> None:
    added = users.add(email="one@example.org", name="One", now=NOW)

    changed = users.change(added.id, name="Uno", email="uno@example.org")

    assert (changed.id, changed.subject) == (added.id, added.subject)
    assert (changed.name, changed.email) == ("Uno", "uno@example.org")
    assert (users.by_email("one@example.org"), users.find("one@")) == (None, [])
    assert users.find("uno@") == [changed]


def test_disabling_ends_sessions_and_enabling_brings_none_back(users: Users) -> None:
    added = users.add(email="one@example.org", name="One", now=NOW)

    users.set_enabled(added.id, False, now=NOW + 5)
    disabled = users.get(added.id)
    users.set_enabled(added.id, True, now=NOW + 9)
    enabled = users.get(added.id)

    assert disabled is not None
    assert enabled is not None
    assert [(user.enabled, user.sessions_valid_from) for user in (disabled, enabled)] == [
        (False, NOW + 5),
        (True, NOW + 5),
    ]


def test_of_a_deleted_user_nothing_is_left_and_nothing_can_be_changed(users: Users) -> None:
    added = users.add(email="one@example.org", name="One", now=NOW, password=b"a hash")

    users.delete(added.id)

    assert (users.get(added.id), users.by_email(added.email), users.find()) == (None, None, [])
    assert users.password_of(added.id) is None
    for change in (
        lambda: users.delete(added.id),
        lambda: users.change(added.id, name="Other"),
        lambda: users.set_password(added.id, b"a hash", now=NOW),
        lambda: users.set_enabled(added.id, False, now=NOW),
        lambda: users.revoke_sessions(added.id, now=NOW),
        lambda: users.mark_verified(added.id),
    ):
        with pytest.raises(UserUnknown):
            change()
    assert users.add(email="one@example.org", name="One again", now=NOW).id != added.id


async def test_the_people_of_the_start_come_once_and_keep_their_ids(tmp_path: Path) -> None:
    database = Database(tmp_path / "entra.sqlite", SCHEMA)
    first = Directory(database, tmp_path / "people.json", "the password of all", Clock())
    ids = {user.email: user.id for user in first.users.find()}
    first.users.delete(object_id_of("una@tessera.example"))

    again = Directory(database, tmp_path / "people.json", "another password", Clock())
    found = {user.email for user in again.users.find()}
    uma = await again.sign_in("uma@tessera.example", "another password", "127.0.0.1")
    una = await again.sign_in("una@tessera.example", "another password", "127.0.0.1")
    database.close()

    assert ids == {person.email: object_id_of(person.email) for person in PEOPLE}
    assert found == {person.email for person in PEOPLE} - {"una@tessera.example"}
    assert (uma is not None, una) == (True, None)


def test_every_character_of_a_long_password_counts_and_accents_are_the_same_however_typed() -> None:
    kept = hashed("ж" * 80 + "é")

    assert matches("ж" * 80 + "e\u0301", kept)
    assert not matches("ж" * 80 + "e", kept)
    assert not matches("ж" * 81, kept)
    assert hashed("with a \0 zero") != hashed("with a \0 zero")
    assert not matches("with a \0 other", hashed("with a \0 zero"))


async def test_somebody_disabled_or_without_a_password_is_answered_as_nobody(tmp_path: Path) -> None:
    database = Database(tmp_path / "entra.sqlite", SCHEMA)
    directory = Directory(database, tmp_path / "people.json", "the password of all", Clock())
    invited = directory.users.add(email="invited@example.org", name="Invited", now=NOW)
    uma = object_id_of("uma@tessera.example")
    before = await directory.sign_in("uma@tessera.example", "the password of all", "127.0.0.1")
    directory.users.set_enabled(uma, False, now=NOW)

    asked = [("uma@tessera.example", "the password of all"), (invited.email, ""), ("nobody@example.org", "")]
    answers = [await directory.sign_in(email, password, "127.0.0.1") for email, password in asked]
    database.close()

    assert before is not None
    assert answers == [None, None, None]


def test_both_languages_have_the_same_texts_with_the_same_facts() -> None:
    texts = json.loads((Path(entra.__file__).parent / "texts.json").read_text())
    facts = {
        language: {key: {name for _, name, _, _ in Formatter().parse(text) if name} for key, text in found.items()}
        for language, found in texts.items()
    }

    assert set(texts) == set(LANGUAGES)
    assert facts["en"] == facts["fr"]
    assert [key for key in texts["en"] if "." in key and texts["en"][key] == texts["fr"][key]] == ["untrusted.text"]


def test_a_folder_of_the_version_before_is_taken_over_with_new_passwords(tmp_path: Path) -> None:
    """What it had were scrypt hashes; the people get passwords anew, and the file tells them."""
    old = sqlite3.connect(tmp_path / "entra.sqlite")
    old.executescript(
        """
        CREATE TABLE passwords (email TEXT PRIMARY KEY, hash BLOB NOT NULL);
        CREATE TABLE tries (email TEXT NOT NULL, at REAL NOT NULL);
        CREATE TABLE grants (id TEXT PRIMARY KEY, kind TEXT NOT NULL, expires_at REAL NOT NULL, document BLOB NOT NULL);
        CREATE TABLE keys (kid TEXT PRIMARY KEY, pem BLOB NOT NULL, made_at REAL NOT NULL);
        """
    )
    old.close()
    (tmp_path / "people.json").write_text('{"people": []}')

    tenant = Tenant(tmp_path, Registered("t", "api://tessera", "site", ()), None)
    told = json.loads((tmp_path / "people.json").read_text())["people"]
    tables = {row["name"] for row in tenant.database.all("SELECT name FROM sqlite_master WHERE type = 'table'")}
    tenant.database.close()

    assert [person["email"] for person in told] == [person.email for person in PEOPLE]
    assert not tables & {"passwords", "tries", "grants", "keys"}


@pytest.mark.parametrize("how", ["disabled", "new password", "deleted"])
async def test_a_sign_in_is_void_if_the_user_changes_while_the_password_is_compared(tmp_path: Path, how: str) -> None:
    database = Database(tmp_path / "entra.sqlite", SCHEMA)
    directory = Directory(database, tmp_path / "people.json", "the password of all", Clock())
    uma = object_id_of("uma@tessera.example")

    comparing = asyncio.create_task(directory.sign_in("uma@tessera.example", "the password of all", "127.0.0.1"))
    await asyncio.sleep(0)  # it has read the user and hands the password to a thread, whose answer it has not seen
    if how == "disabled":
        directory.users.set_enabled(uma, False, now=NOW)
    elif how == "deleted":
        directory.users.delete(uma)
    else:
        directory.users.set_password(uma, hashed("another password"), now=NOW)
    came_in = await comparing
    database.close()

    assert came_in is None


def test_people_of_a_newer_version_join_those_there_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    database, file = Database(tmp_path / "entra.sqlite", SCHEMA), tmp_path / "people.json"
    monkeypatch.setattr("local.emulators.entra.directory.PEOPLE", PEOPLE[:3])
    users = Directory(database, file, None, Clock()).users
    before = users.find()
    own = users.add(email=PEOPLE[3].email, name="Came by herself", now=NOW)
    monkeypatch.setattr("local.emulators.entra.directory.PEOPLE", PEOPLE)
    after = Directory(database, file, None, Clock()).users.find()
    database.close()

    told = [person["email"] for person in json.loads(file.read_text())["people"]]
    assert {own.id, *(user.id for user in before)} < {user.id for user in after}
    assert told == [person.email for person in (*PEOPLE[:3], *PEOPLE[4:])]
