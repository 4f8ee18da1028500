"""The people of the directory: who exists, may sign in, and with which password; the token's `oid` is a user's id."""

import sqlite3
import uuid
from dataclasses import dataclass
from typing import Any, Self

import orjson

from local.emulators.database import Database
from local.emulators.entra.people import subject_of

SCHEMA = """
CREATE TABLE IF NOT EXISTS users (
    id TEXT PRIMARY KEY,
    email TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    roles BLOB NOT NULL,
    searched TEXT NOT NULL,
    subject TEXT NOT NULL UNIQUE,
    password BLOB,
    verified INTEGER NOT NULL,
    enabled INTEGER NOT NULL,
    created_at REAL NOT NULL,
    sessions_valid_from REAL NOT NULL
);
DROP TABLE IF EXISTS passwords;
"""
FOUND_MAX = 100


class AddressTaken(Exception):
    """Another user has the mail address."""


class UserUnknown(Exception):
    """No user has the id."""


@dataclass(frozen=True, slots=True)
class User:
    """Somebody in the directory.

    :param id: the `oid` in tokens, and the id in Graph; never changes and is never given again
    :param subject: the `sub` in tokens
    :param verified: whether somebody proved to read the mail address
    :param created_at: seconds since 1970, as all times here
    :param sessions_valid_from: sessions and refresh tokens that began at or before it are over
    """

    id: str
    email: str
    name: str
    roles: tuple[str, ...]
    subject: str
    has_password: bool
    verified: bool
    enabled: bool
    created_at: float
    sessions_valid_from: float

    @classmethod
    def of(cls, row: sqlite3.Row) -> Self:
        """The user in a row of the table."""
        return cls(
            id=row["id"],
            email=row["email"],
            name=row["name"],
            roles=tuple(orjson.loads(row["roles"])),
            subject=row["subject"],
            has_password=row["password"] is not None,
            verified=bool(row["verified"]),
            enabled=bool(row["enabled"]),
            created_at=row["created_at"],
            sessions_valid_from=row["sessions_valid_from"],
        )


class Users:
    """The table of users. Addresses are compared without case, and kept in lower case."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, identity: str) -> User | None:
        """The user of an id, if there is one."""
        return self._found("SELECT * FROM users WHERE id = ?", identity)

    def by_email(self, email: str) -> User | None:
        """The user of a mail address, if there is one."""
        return self._found("SELECT * FROM users WHERE email = ?", normalised(email))

    def find(self, text: str = "", *, limit: int = FOUND_MAX, after: str | None = None) -> list[User]:
        """Users whose address or name contains `text`, in the order of their ids; `after` is the last id of a page."""
        # A literal search: the text may contain what LIKE would take for a pattern.
        query = "SELECT * FROM users WHERE id > ? AND instr(searched, ?) ORDER BY id LIMIT ?"
        rows = self._database.all(query, after or "", normalised(text), min(limit, FOUND_MAX))
        return [User.of(row) for row in rows]

    def every(self) -> list[User]:
        """All users, in the order of their ids."""
        return [User.of(row) for row in self._database.all("SELECT * FROM users ORDER BY id")]

    def add(
        self,
        *,
        email: str,
        name: str,
        now: float,
        roles: tuple[str, ...] = ("user",),
        password: bytes | None = None,
        verified: bool = False,
        identity: str | None = None,
        subject: str | None = None,
    ) -> User:
        """A new user, enabled; without a `password` (a hash) nobody signs in until one is set by a mailed link.

        :raises AddressTaken: somebody has the address
        """
        made, address = identity or str(uuid.uuid4()), normalised(email)
        told = (made, address, name, _searched(address, name), orjson.dumps(roles), subject or subject_of(made))
        insert = """
            INSERT INTO users (id, email, name, searched, roles, subject,
                password, verified, enabled, created_at, sessions_valid_from)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, 1, ?, 0)
        """
        try:
            self._database.change(insert, *told, password, verified, now)
        except sqlite3.IntegrityError as error:
            raise AddressTaken(address) from error
        return self._existing(made)

    def change(self, identity: str, *, name: str | None = None, email: str | None = None) -> User:
        """Another name or address; None leaves it as it is.

        :raises UserUnknown: there is no such user
        :raises AddressTaken: somebody else has the address
        """
        before = self._existing(identity)
        address = before.email if email is None else normalised(email)
        called = before.name if name is None else name
        try:
            self._set(identity, "name = ?, email = ?, searched = ?", called, address, _searched(address, called))
        except sqlite3.IntegrityError as error:
            raise AddressTaken(address) from error
        return self._existing(identity)

    def set_password(self, identity: str, password: bytes, *, now: float) -> None:
        """Another password (a hash); whoever is signed in by the one before is so no more.

        :raises UserUnknown: there is no such user
        """
        self._set(identity, "password = ?, sessions_valid_from = ?", password, now)

    def mark_verified(self, identity: str) -> None:
        """Somebody proved to read the user's mail.

        :raises UserUnknown: there is no such user
        """
        self._set(identity, "verified = 1")

    def set_roles(self, identity: str, roles: tuple[str, ...]) -> None:
        """The application roles that tokens from now on carry.

        :raises UserUnknown: there is no such user
        """
        self._set(identity, "roles = ?", orjson.dumps(roles))

    def set_enabled(self, identity: str, enabled: bool, *, now: float) -> None:
        """Whether the user may sign in; one who may no more is signed out everywhere.

        :raises UserUnknown: there is no such user
        """
        if enabled:
            self._set(identity, "enabled = 1")
        else:
            self._set(identity, "enabled = 0, sessions_valid_from = ?", now)

    def revoke_sessions(self, identity: str, *, now: float) -> None:
        """Sign the user out everywhere: sessions and refresh tokens of until now are over.

        :raises UserUnknown: there is no such user
        """
        self._set(identity, "sessions_valid_from = ?", now)

    def delete(self, identity: str) -> None:
        """Forget the user.

        :raises UserUnknown: there is no such user
        """
        if not self._database.change("DELETE FROM users WHERE id = ?", identity):
            raise UserUnknown(identity)

    def password_of(self, identity: str) -> bytes | None:
        """The hash of the user's password, if one was set."""
        row = self._database.one("SELECT password FROM users WHERE id = ?", identity)
        found: bytes | None = None if row is None else row["password"]
        return found

    def _found(self, query: str, *values: Any) -> User | None:
        row = self._database.one(query, *values)
        return None if row is None else User.of(row)

    def _existing(self, identity: str) -> User:
        user = self.get(identity)
        if user is None:
            raise UserUnknown(identity)
        return user

    def _set(self, identity: str, assignments: str, *values: Any) -> None:
        if not self._database.change(f"UPDATE users SET {assignments} WHERE id = ?", *values, identity):  # noqa: S608
            raise UserUnknown(identity)


def _searched(email: str, name: str) -> str:
    """What a search looks in; SQLite itself knows the case of ASCII only."""
    return f"{email} {normalised(name)}"


def normalised(text: str) -> str:
    """A mail address, or a part of one, as it is kept and compared."""
    return text.strip().lower()
