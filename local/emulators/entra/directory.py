"""Signing in by password: the people of the start, tries counted, and the file that tells the launcher about them."""

import asyncio
import json
import os
import time
from pathlib import Path

from local.emulators.database import PRIVATE_FILE, Database
from local.emulators.entra import users
from local.emulators.entra.passwords import hashed, matches
from local.emulators.entra.people import PEOPLE, Person, object_id_of, subject_of
from local.emulators.entra.secrets import random_text
from local.emulators.entra.users import User, Users, normalised

SCHEMA = (
    users.SCHEMA
    + """
CREATE TABLE IF NOT EXISTS seeded (at REAL NOT NULL);
CREATE TABLE IF NOT EXISTS tries (email TEXT NOT NULL, at REAL NOT NULL);
CREATE INDEX IF NOT EXISTS tries_by_email ON tries (email, at);
"""
)
TRIES_MAX = 5
TRIES_WINDOW_SECONDS = 60
_PASSWORD_BYTES = 9


class Throttled(Exception):
    """Too many wrong passwords for an address in the last minute."""


class Directory:
    """Signing in by password."""

    def __init__(self, database: Database, file: Path, password: str | None) -> None:
        """Give everybody `password`, or one of their own at first start; `file` lists them for the launcher."""
        self._database = database
        self.users = Users(database)
        self._decoy = hashed(random_text(_PASSWORD_BYTES))
        if password is not None or not file.exists() or database.one("SELECT * FROM seeded") is None:
            self._seed(file, password)

    async def sign_in(self, email: str, password: str) -> User | None:
        """The user, or None: for a wrong password and an unknown address alike, after the same work.

        :raises Throttled: the address had `TRIES_MAX` failures within `TRIES_WINDOW_SECONDS`
        """
        address = normalised(email)
        self._count_try(address)
        user = self.users.by_email(address)
        stored = None if user is None else self.users.password_of(user.id)
        right = await asyncio.to_thread(matches, password, stored or self._decoy)
        if user is None or stored is None or not right or not user.enabled:
            return None
        self._database.change("DELETE FROM tries WHERE email = ?", address)
        return user

    def _count_try(self, address: str) -> None:
        """Counted before the password is looked at, so that parallel guesses count too; success takes them back."""
        now = time.time()
        with self._database.transaction():
            self._database.change("DELETE FROM tries WHERE at < ?", now - TRIES_WINDOW_SECONDS)
            row = self._database.one("SELECT count(*) AS number FROM tries WHERE email = ?", address)
            assert row is not None
            if row["number"] >= TRIES_MAX:
                raise Throttled(address)
            self._database.change("INSERT INTO tries VALUES (?, ?)", address, now)

    def _seed(self, file: Path, password: str | None) -> None:
        """Add the people of the start, once; whom somebody deleted since stays away. The rest get passwords anew."""
        now, shown = time.time(), []
        with self._database.transaction():
            if self._database.one("SELECT * FROM seeded") is None:
                for person in PEOPLE:
                    self._add(person, now)
                self._database.change("INSERT INTO seeded VALUES (?)", now)
            for person in PEOPLE:
                user = self.users.get(object_id_of(person.email))
                if user is None:
                    continue
                chosen = password or random_text(_PASSWORD_BYTES)
                self.users.set_password(user.id, hashed(chosen), now=now)
                told = {"id": user.id, "subject": user.subject, "email": user.email, "name": user.name}
                shown.append(told | {"role": person.role, "password": chosen})
            # Inside the transaction: a crash between the two would leave passwords nobody knows.
            _write(file, {"people": shown})

    def _add(self, person: Person, now: float) -> None:
        self.users.add(
            email=person.email,
            name=person.name,
            roles=(person.role,),
            verified=True,
            identity=object_id_of(person.email),
            subject=subject_of(person.email),
            now=now,
        )


def _write(file: Path, content: dict[str, list[dict[str, str]]]) -> None:
    unfinished = file.with_suffix(".new")
    unfinished.unlink(missing_ok=True)
    with open(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_FILE), "w") as out:
        json.dump(content, out, indent=2)
    unfinished.replace(file)
