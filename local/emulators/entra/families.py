"""Refresh tokens: each is used once and followed by another; all that follow from one sign-in are a family.

A used token that comes again was stolen, by whoever sent it or by whoever used it before: the family is over (RFC 9700
section 4.14.2). But an answer may be lost, and a browser's windows ask at once: for `GRACE_SECONDS` after its use a
token is answered as the first time, with the same successor, unless that was used already. So a family never has more
than one token that works. Nothing of a token is kept but its digest: the successor is worked out from token and secret.
"""

import sqlite3
import uuid
from collections.abc import Callable
from dataclasses import dataclass

from local.emulators.database import Database
from local.emulators.entra.secrets import REFRESH, OwnSecret, digest, random_text

SCHEMA = """
CREATE TABLE IF NOT EXISTS families (
    id TEXT PRIMARY KEY,
    issuer TEXT NOT NULL,
    client_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    session TEXT NOT NULL,
    scope TEXT NOT NULL,
    began_at REAL NOT NULL,
    used_at REAL NOT NULL,
    revoked TEXT
);
CREATE INDEX IF NOT EXISTS families_by_session ON families (session);
CREATE TABLE IF NOT EXISTS refresh_tokens (
    hash TEXT PRIMARY KEY,
    family TEXT NOT NULL REFERENCES families (id) ON DELETE CASCADE,
    rotated_at REAL
);
CREATE INDEX IF NOT EXISTS refresh_tokens_by_family ON refresh_tokens (family);
"""
GRACE_SECONDS = 10
IDLE_SECONDS_MAX = 14 * 86_400
LIFE_SECONDS_MAX = 90 * 86_400


class RefreshRefused(Exception):
    """The token is unknown, for another client, expired, revoked or used already."""


@dataclass(frozen=True, slots=True)
class Family:
    """What every token of a family stands for."""

    id: str
    issuer: str
    client_id: str
    user_id: str
    session: str
    scope: str
    began_at: float


class Families:
    """The refresh tokens there are."""

    def __init__(self, database: Database, secret: OwnSecret) -> None:
        self._database = database
        self._secret = secret

    def begin(
        self, *, issuer: str, client_id: str, user_id: str, session: str, scope: str, now: float
    ) -> tuple[Family, str]:
        """A new family and its first token; inside the caller's transaction."""
        self._database.change(
            "DELETE FROM refresh_tokens WHERE family IN (SELECT id FROM families WHERE began_at < ?)",
            now - LIFE_SECONDS_MAX,
        )
        self._database.change("DELETE FROM families WHERE began_at < ?", now - LIFE_SECONDS_MAX)
        family = Family(str(uuid.uuid4()), issuer, client_id, user_id, session, scope, now)
        insert = """
            INSERT INTO families (id, issuer, client_id, user_id, session, scope, began_at, used_at)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?)
        """
        told = (family.id, issuer, client_id, user_id, session, scope)
        self._database.change(insert, *told, now, now)
        token = REFRESH + random_text()
        self._add(token, family.id)
        return family, token

    def rotate(
        self, token: str, *, issuer: str, client_id: str, may: Callable[[Family], bool], now: float
    ) -> tuple[Family, str]:
        """Use a token up; its family and the token that follows it.

        :param may: whether the family's user may still be signed in by it
        :raises RefreshRefused: it is not worth anything, or is so no more
        """
        with self._database.transaction():
            row = self._database.one("SELECT * FROM refresh_tokens WHERE hash = ?", digest(token))
            kept = None if row is None else self._kept(row["family"])
            if row is None or kept is None or (kept["issuer"], kept["client_id"]) != (issuer, client_id):
                raise RefreshRefused("The refresh token is not known.")
            family = _family(kept)
            _refuse_dead(kept, now)
            if not may(family):
                raise RefreshRefused("The user is signed out, disabled or deleted.")
            successor = REFRESH + self._secret.text("refresh", token)
            if row["rotated_at"] is None:
                self._use(token, successor, family.id, now)
                return family, successor
            if self._in_grace(row["rotated_at"], successor, now):
                return family, successor
            self._revoke(family.id, "reused")
        # Outside the block, which would take the revocation back.
        raise RefreshRefused("The refresh token was used already; all that followed from its sign-in is revoked.")

    def revoke(self, family: str, reason: str) -> None:
        """End a family."""
        self._revoke(family, reason)

    def revoke_session(self, session: str) -> None:
        """End the families of an issuer's session that was signed out."""
        self._database.change(
            "UPDATE families SET revoked = 'signed out' WHERE session = ? AND revoked IS NULL", session
        )

    def live(self, family: str) -> int:
        """How many tokens of a family work."""
        row = self._database.one(
            """
            SELECT count(*) AS number FROM refresh_tokens JOIN families ON families.id = family
            WHERE family = ? AND rotated_at IS NULL AND revoked IS NULL
            """,
            family,
        )
        assert row is not None
        return int(row["number"])

    def _use(self, token: str, successor: str, family: str, now: float) -> None:
        self._database.change("UPDATE refresh_tokens SET rotated_at = ? WHERE hash = ?", now, digest(token))
        self._add(successor, family)
        self._database.change("UPDATE families SET used_at = ? WHERE id = ?", now, family)

    def _in_grace(self, rotated_at: float, successor: str, now: float) -> bool:
        row = self._database.one("SELECT rotated_at FROM refresh_tokens WHERE hash = ?", digest(successor))
        return now - rotated_at <= GRACE_SECONDS and row is not None and row["rotated_at"] is None

    def _add(self, token: str, family: str) -> None:
        self._database.change("INSERT INTO refresh_tokens VALUES (?, ?, NULL)", digest(token), family)

    def _kept(self, family: str) -> sqlite3.Row | None:
        return self._database.one("SELECT * FROM families WHERE id = ?", family)

    def _revoke(self, family: str, reason: str) -> None:
        self._database.change("UPDATE families SET revoked = ? WHERE id = ? AND revoked IS NULL", reason, family)


def _refuse_dead(kept: sqlite3.Row, now: float) -> None:
    if kept["revoked"] is not None:
        raise RefreshRefused(f"The refresh token is revoked ({kept['revoked']}).")
    if now - kept["used_at"] > IDLE_SECONDS_MAX or now - kept["began_at"] > LIFE_SECONDS_MAX:
        raise RefreshRefused("The refresh token has expired.")


def _family(row: sqlite3.Row) -> Family:
    return Family(**{name: row[name] for name in Family.__slots__})
