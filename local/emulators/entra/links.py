"""Links in mails: whoever follows one proves to read the mail; each is good once, for a while, and only the newest."""

import sqlite3
from dataclasses import dataclass
from enum import StrEnum

from local.emulators.database import Database
from local.emulators.entra.secrets import LINK, digest, random_text

SCHEMA = """
CREATE TABLE IF NOT EXISTS links (
    hash TEXT PRIMARY KEY,
    purpose TEXT NOT NULL,
    email TEXT NOT NULL,
    request TEXT NOT NULL,
    expires_at REAL NOT NULL
);
CREATE INDEX IF NOT EXISTS links_by_email ON links (email, purpose);
"""


class Purpose(StrEnum):
    """What a link is good for."""

    SIGN_UP = "sign-up"
    RESET = "reset"


LIFE_SECONDS = {Purpose.SIGN_UP: 24 * 3600, Purpose.RESET: 30 * 60}


@dataclass(frozen=True, slots=True)
class Link:
    """What was mailed.

    :param request: the sign-in it began with, which may be over; empty: none
    """

    email: str
    request: str


class Links:
    """The links that are out."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def make(self, purpose: Purpose, email: str, request: str, *, now: float) -> str:
        """The secret of a new link; those mailed before for the same are void."""
        secret = LINK + random_text()
        with self._database.transaction():
            self._database.change("DELETE FROM links WHERE expires_at < ?", now)
            self.forget(purpose, email)
            values = (digest(secret), purpose, email, request, now + LIFE_SECONDS[purpose])
            self._database.change("INSERT INTO links VALUES (?, ?, ?, ?, ?)", *values)
        return secret

    def look(self, purpose: Purpose, secret: str, *, now: float) -> Link | None:
        """What a link stands for, without using it up: programs look at links in mails before people do."""
        query = "SELECT * FROM links WHERE hash = ? AND purpose = ? AND expires_at > ?"
        return _link(self._database.one(query, digest(secret), purpose, now))

    def spend(self, purpose: Purpose, secret: str, *, now: float) -> Link | None:
        """Use a link up; None if it is unknown, used or too old."""
        query = "DELETE FROM links WHERE hash = ? AND purpose = ? AND expires_at > ? RETURNING *"
        return _link(self._database.one(query, digest(secret), purpose, now))

    def forget(self, purpose: Purpose, email: str) -> None:
        """Make what was mailed to somebody void."""
        self._database.change("DELETE FROM links WHERE email = ? AND purpose = ?", email, purpose)


def _link(row: sqlite3.Row | None) -> Link | None:
    return None if row is None else Link(row["email"], row["request"])
