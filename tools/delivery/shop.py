"""A client of the API, as the smoke test's operator uses it."""

import time
import uuid
from dataclasses import dataclass, field
from typing import Any, Final

import httpx

REQUEST_SECONDS: Final = 30.0  # a first request may start an instance
ATTEMPTS_MAX: Final = 4  # of a request that is not answered, or with 429, 502, 503 or 504
PAUSE_SECONDS_MAX: Final = 10.0
_AGAIN: Final = frozenset({429, 502, 503, 504})

type Json = dict[str, Any]


class ShopRefused(Exception):
    """The API refused, failed or did not answer; the message has its own words and the correlation id."""


class NoAnswer(ShopRefused):
    """Nobody answered, or nobody who knows: what was asked for may have been done all the same.

    A 500 is such an answer too: it may come after the commit, or from a gateway that lost whoever did it.
    """


@dataclass(frozen=True, slots=True)
class Shop:
    """The API, for one bearer of a token.

    :param correlation_id: what all its requests are logged under
    """

    http: httpx.Client
    token: str = field(repr=False)
    correlation_id: str

    def get(self, path: str) -> Json:
        """GET below `/api/`.

        :raises ShopRefused: refused, or no answer
        """
        return self._ask("GET", path)

    def post(self, path: str, body: Json | None = None, *, key: str = "") -> Json:
        """POST below `/api/`, under one Idempotency-Key however often it takes.

        :param key: that key, for who asks again; empty: a new one
        :raises NoAnswer: nobody who knows whether it was done
        :raises ShopRefused: refused
        """
        return self._ask("POST", path, json=body or {}, headers={"idempotency-key": key or uuid.uuid4().hex})

    def put(self, path: str, body: Json) -> Json:
        """PUT below `/api/`.

        :raises ShopRefused: refused, or no answer
        """
        return self._ask("PUT", path, json=body)

    def _ask(self, method: str, path: str, **more: Any) -> Json:
        headers = {"x-correlation-id": self.correlation_id, **more.pop("headers", {})}
        if self.token:
            headers["authorization"] = f"Bearer {self.token}"
        trouble, pause = "", 1.0
        for attempt in range(1, ATTEMPTS_MAX + 1):
            try:
                answer = self.http.request(method, f"/api/{path}", headers=headers, **more)
            except httpx.HTTPError as error:
                trouble = f"{self.http.base_url} does not answer: {str(error) or type(error).__name__}"
            else:
                if answer.is_success and (found := document(answer)) is not None:
                    return found
                trouble = f"{method} /api/{path}: {problem(answer)}"
                if answer.status_code not in _AGAIN:
                    raise ShopRefused(trouble) if answer.is_client_error else NoAnswer(trouble)
                pause = _seconds(answer.headers.get("retry-after", ""))
            if attempt < ATTEMPTS_MAX:
                time.sleep(min(pause, PAUSE_SECONDS_MAX))
        raise NoAnswer(trouble)


def document(answer: httpx.Response) -> Json | None:
    """The JSON object that an answer is; None: it is something else."""
    try:
        found = answer.json()
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def problem(answer: httpx.Response) -> str:
    """What an answer says that is not the one wanted: its problem document, or its first characters."""
    found = document(answer)
    if found is None:
        return f"{answer.status_code} {answer.text[:200]}"
    errors = "; ".join(f"{each['field']} {each['reason']}".strip() for each in found.get("errors", []))
    told = " ".join(part for part in (str(found.get("detail", found)), errors) if part)
    return f"{answer.status_code} {told} (correlation id {found.get('correlation_id', 'none')})"


def _seconds(retry_after: str) -> float:
    return float(retry_after) if retry_after.isdecimal() else 1.0
