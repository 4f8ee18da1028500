"""Idempotency keys: the first answer is the answer (https://docs.stripe.com/api/idempotent_requests)."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from local.emulators.database import Database
from local.emulators.stripe.errors import ApiError

KEY_LENGTH_MAX = 255
_KEPT_SECONDS = 24 * 3600


@dataclass(frozen=True)
class Stored:
    """An answer already given."""

    status: int
    body: bytes
    request_id: str


class Keys:
    """Which keys were used, for what, and what they were answered.

    An answer is stored in the transaction of its action, so a crash keeps both or neither.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._running: set[str] = set()

    @contextmanager
    def running(self, key: str) -> Iterator[None]:
        """Hold `key` while its request runs.

        :raises ApiError: 409 while another request with it is running
        """
        if len(key) > KEY_LENGTH_MAX:
            raise ApiError(f"Idempotency keys may have at most {KEY_LENGTH_MAX} characters.", kind="idempotency_error")
        if key in self._running:
            raise ApiError(
                "There is currently another in-progress request using this Idempotent Key (that probably means you "
                f"submitted twice, and the other request is still going through): {key}.",
                status=409,
                code="idempotency_key_in_use",
            )
        self._running.add(key)
        try:
            yield
        finally:
            self._running.remove(key)

    def find(self, key: str, *, endpoint: str, parameters: bytes) -> Stored | None:
        """What `key` was answered before, if it was used.

        :raises ApiError: it was used for something else
        """
        row = self._database.one("SELECT * FROM idempotency WHERE key = ?", key)
        if row is None:
            return None
        if row["endpoint"] != endpoint:
            raise ApiError(
                "Keys for idempotent requests can only be used for the same endpoint they were first used for "
                f"('{endpoint}' vs '{row['endpoint']}'). Try using a key other than '{key}' if you meant to execute a "
                "different request.",
                kind="idempotency_error",
            )
        if row["parameters"] != digest(parameters):
            raise ApiError(
                "Keys for idempotent requests can only be used with the same parameters they were first used with. "
                f"Try using a key other than '{key}' if you meant to execute a different request.",
                kind="idempotency_error",
            )
        return Stored(row["status"], row["body"], row["request_id"])

    def store(self, key: str, *, endpoint: str, parameters: bytes, answer: Stored, now: int) -> None:
        """Keep the answer; call it inside the transaction of the action."""
        self._database.change(
            "INSERT INTO idempotency VALUES (?, ?, ?, ?, ?, ?, ?)",
            key,
            endpoint,
            digest(parameters),
            answer.status,
            answer.body,
            answer.request_id,
            now,
        )

    def forget_old(self, now: int) -> None:
        """Forget keys older than a day, as Stripe may."""
        self._database.change("DELETE FROM idempotency WHERE stored_at < ?", now - _KEPT_SECONDS)


def digest(parameters: bytes) -> bytes:
    """A request's parameters regardless of their order."""
    return hashlib.sha256(b"&".join(sorted(parameters.split(b"&")))).digest()
