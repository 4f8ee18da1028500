"""Authorization requests and the codes they end in; each is used once."""

from dataclasses import asdict, dataclass
from typing import Final

import orjson

from local.emulators.database import Database
from local.emulators.entra.secrets import CODE, digest, random_text

SCHEMA = """
DROP TABLE IF EXISTS grants;
CREATE TABLE IF NOT EXISTS requests (
    hash TEXT PRIMARY KEY, visit TEXT NOT NULL, asked BLOB NOT NULL, expires_at REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS codes (
    hash TEXT PRIMARY KEY,
    user_id TEXT NOT NULL,
    session TEXT NOT NULL,
    asked BLOB NOT NULL,
    made_at REAL NOT NULL,
    spent INTEGER NOT NULL,
    family TEXT
);
"""
REQUEST_SECONDS: Final = 600
CODE_SECONDS: Final = 60
_REMEMBERED_SECONDS: Final = 86_400  # a spent code is known this long, so that its replay is seen for what it is


@dataclass(frozen=True)
class Asked:
    """What a client asked for when it sent somebody to sign in; without a client the provider's own profile page."""

    client_id: str = ""
    issuer: str = ""
    redirect_uri: str = ""
    scope: str = ""
    challenge: str = ""
    response_mode: str = "query"
    state: str | None = None
    nonce: str | None = None
    login_hint: str | None = None
    prompts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Granted:
    """What a code stands for.

    :param made_at: when its person was found to be signed in
    """

    user_id: str
    session: str
    asked: Asked
    made_at: float


class CodeReplayed(Exception):
    """A code came again; `family` is the refresh family it gave, if any."""

    def __init__(self, family: str | None) -> None:
        super().__init__("the code was redeemed before")
        self.family = family


class Grants:
    """Open sign-ins and codes."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def begin(self, asked: Asked, visit: str, *, now: float) -> str:
        """Remember a request while its pages are shown to the browser of `visit`, and to no other."""
        identity = random_text()
        self._database.change("DELETE FROM requests WHERE expires_at < ?", now)
        values = (digest(identity), digest(visit), orjson.dumps(asdict(asked)), now + REQUEST_SECONDS)
        self._database.change("INSERT INTO requests VALUES (?, ?, ?, ?)", *values)
        return identity

    def pending(self, identity: str, visit: str, *, now: float) -> Asked | None:
        """The request behind a page, unless it is over, too old or another browser's."""
        query = "SELECT asked FROM requests WHERE hash = ? AND visit = ? AND expires_at > ?"
        row = self._database.one(query, digest(identity), digest(visit), now)
        return None if row is None else Asked(**orjson.loads(row["asked"]))

    def finish(self, identity: str) -> bool:
        """End a request; False if it was over already."""
        return self._database.change("DELETE FROM requests WHERE hash = ?", digest(identity)) == 1

    def grant(self, asked: Asked, user_id: str, session: str, *, now: float) -> str:
        """A code for what was asked."""
        code = CODE + random_text()
        self._database.change("DELETE FROM codes WHERE made_at < ?", now - _REMEMBERED_SECONDS)
        values = (digest(code), user_id, session, orjson.dumps(asdict(asked)), now)
        self._database.change("INSERT INTO codes VALUES (?, ?, ?, ?, ?, 0, NULL)", *values)
        return code

    def redeem(self, code: str, *, now: float) -> Granted | None:
        """Spend a code; None if it is unknown or too old. Inside the caller's transaction.

        :raises CodeReplayed: it was spent before
        """
        row = self._database.one("SELECT * FROM codes WHERE hash = ?", digest(code))
        if row is None:
            return None
        if row["spent"]:
            raise CodeReplayed(row["family"])
        self._database.change("UPDATE codes SET spent = 1 WHERE hash = ?", row["hash"])
        if now - row["made_at"] > CODE_SECONDS:
            return None
        return Granted(row["user_id"], row["session"], Asked(**orjson.loads(row["asked"])), row["made_at"])

    def gave(self, code: str, family: str) -> None:
        """Remember which refresh family a code gave."""
        self._database.change("UPDATE codes SET family = ? WHERE hash = ?", family, digest(code))

    def forget_session(self, session: str) -> None:
        """Make the codes of a session that was signed out void."""
        self._database.change("DELETE FROM codes WHERE session = ? AND NOT spent", session)
