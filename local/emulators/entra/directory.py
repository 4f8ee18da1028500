"""Who may sign in: passwords as hashes, tries counted, and the file that tells the launcher what to show."""

import asyncio
import json
import os
import time
from pathlib import Path

from local.emulators.database import PRIVATE_FILE, Database
from local.emulators.entra.people import PEOPLE, Person, subject_of
from local.emulators.entra.secrets import hashed, matches, random_text

SCHEMA = """
CREATE TABLE IF NOT EXISTS passwords (email TEXT PRIMARY KEY, hash BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS tries (email TEXT NOT NULL, at REAL NOT NULL);
CREATE INDEX IF NOT EXISTS tries_by_email ON tries (email, at);
"""
TRIES_MAX = 5
TRIES_WINDOW_SECONDS = 60
_PASSWORD_BYTES = 9


class Throttled(Exception):
    """Too many wrong passwords for an address in the last minute."""


class Directory:
    """The people and their passwords."""

    def __init__(self, database: Database, file: Path, password: str | None) -> None:
        """Give everybody `password`, or one of their own at first start; `file` lists them for the launcher."""
        self._database = database
        self._people = {person.email: person for person in PEOPLE}
        self._decoy = hashed(random_text(_PASSWORD_BYTES))
        known = {row["email"] for row in database.all("SELECT email FROM passwords")}
        if password is not None or not file.exists() or known != set(self._people):
            self._seed(file, {email: password or random_text(_PASSWORD_BYTES) for email in self._people})

    async def sign_in(self, email: str, password: str) -> Person | None:
        """The person, or None: for a wrong password and an unknown address alike, after the same work.

        :raises Throttled: the address had `TRIES_MAX` failures within `TRIES_WINDOW_SECONDS`
        """
        address = email.strip().lower()
        self._count_try(address)
        row = self._database.one("SELECT hash FROM passwords WHERE email = ?", address)
        stored = self._decoy if row is None else row["hash"]
        if not await asyncio.to_thread(matches, password, stored) or row is None:
            return None
        self._database.change("DELETE FROM tries WHERE email = ?", address)
        return self._people[address]

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

    def _seed(self, file: Path, passwords: dict[str, str]) -> None:
        shown = [
            {**person._asdict(), "subject": subject_of(person.email), "password": passwords[person.email]}
            for person in PEOPLE
        ]
        with self._database.transaction():
            self._database.change("DELETE FROM passwords")
            for email, password in passwords.items():
                self._database.change("INSERT INTO passwords VALUES (?, ?)", email, hashed(password))
            # Inside the transaction: a crash between the two would leave passwords nobody knows.
            unfinished = file.with_suffix(".new")
            unfinished.unlink(missing_ok=True)
            with open(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_FILE), "w") as out:
                json.dump({"people": shown}, out, indent=2)
            unfinished.replace(file)
