"""Authorization requests and the codes they end in; each is used once."""

import time
from dataclasses import asdict, dataclass

import orjson

from local.emulators.database import Database
from local.emulators.entra.secrets import random_text
from local.emulators.replies import Json

SCHEMA = """
CREATE TABLE IF NOT EXISTS grants (
    id TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    expires_at REAL NOT NULL,
    document BLOB NOT NULL
);
"""
_SIGN_IN_SECONDS = 600
_CODE_SECONDS = 60


@dataclass(frozen=True)
class Asked:
    """What a client asked for when it sent somebody to sign in."""

    client_id: str
    redirect_uri: str
    scope: str
    challenge: str
    response_mode: str
    state: str | None
    nonce: str | None
    login_hint: str | None


@dataclass(frozen=True)
class Granted:
    """What a code stands for."""

    user_id: str
    asked: Asked


class Grants:
    """Open sign-ins and unspent codes."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def begin(self, asked: Asked) -> str:
        """Remember a request while its page is shown."""
        return self._keep("sign-in", asdict(asked), _SIGN_IN_SECONDS)

    def pending(self, identity: str) -> Asked | None:
        """The request behind a sign-in page, unless it is over or too old."""
        row = self._database.one(
            "SELECT document FROM grants WHERE id = ? AND kind = 'sign-in' AND expires_at > ?", identity, time.time()
        )
        return None if row is None else Asked(**orjson.loads(row["document"]))

    def grant(self, identity: str, user_id: str) -> str | None:
        """Turn an open sign-in into a code; None if it was over already."""
        with self._database.transaction():
            asked = self._take(identity, "sign-in")
            return None if asked is None else self._keep("code", {"user_id": user_id, "asked": asked}, _CODE_SECONDS)

    def redeem(self, code: str) -> Granted | None:
        """Spend a code, once; None if it is unknown, spent or too old."""
        with self._database.transaction():
            found = self._take(code, "code")
        return None if found is None else Granted(found["user_id"], Asked(**found["asked"]))

    def _keep(self, kind: str, document: Json, seconds: int) -> str:
        now = time.time()
        identity = random_text(32)
        self._database.change("DELETE FROM grants WHERE expires_at < ?", now)
        self._database.change(
            "INSERT INTO grants VALUES (?, ?, ?, ?)", identity, kind, now + seconds, orjson.dumps(document)
        )
        return identity

    def _take(self, identity: str, kind: str) -> Json | None:
        row = self._database.one(
            "DELETE FROM grants WHERE id = ? AND kind = ? AND expires_at > ? RETURNING document",
            identity,
            kind,
            time.time(),
        )
        return None if row is None else orjson.loads(row["document"])
