"""The API as the importer uses it: signed in, patient with what is busy, each refusal in words."""

import re
import time
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlsplit

import httpx

ATTEMPTS_MAX: Final = 6
PAUSE_SECONDS_MAX: Final = 30.0
TIMEOUT_SECONDS: Final = 30.0
_AGAIN: Final = frozenset({429, 502, 503, 504})

type Json = dict[str, Any]


class Unreachable(Exception):
    """Tessera or its sign-in does not answer, or does not let us in."""


class Refused(Exception):
    """Tessera refused a request.

    :param problem: the problem document, or an empty one where the answer was none
    """

    def __init__(self, status: int, problem: Json, text: str) -> None:
        errors = "; ".join(
            f"{each.get('field')}: {each.get('reason')}"
            + (f" (allowed: {each['allowed']})" if each.get("allowed") else "")
            for each in problem.get("errors", ())
        )
        detail = problem.get("detail", text[:200])
        told = f"{detail} {errors}".strip()
        super().__init__(f"{status}: {told} [correlation id {problem.get('correlation_id', 'unknown')}]")
        self.status = status
        self.problem = problem
        self.code = str(problem.get("type", "")).removeprefix("urn:tessera:problem:")


class Client:
    """Requests to one Tessera. Every one of them may be sent twice, and is when no answer came.

    :param bearer: gives an access token, a fresh one when asked again
    """

    def __init__(self, url: str, bearer: Callable[[], str], *, transport: httpx.BaseTransport | None = None) -> None:
        self._http = httpx.Client(base_url=url, timeout=TIMEOUT_SECONDS, transport=transport)
        self._bearer = bearer
        self._token = bearer()

    def ask(self, method: str, path: str, body: Json | None = None, *, key: str = "") -> Json:
        """The answer to a request below `/api/`.

        :param key: of the request, where it creates something
        :raises Refused: it was refused
        :raises Unreachable: no answer after `ATTEMPTS_MAX` attempts, or not let in
        """
        trouble, renewed, pause = "", False, 0.0
        for attempt in range(ATTEMPTS_MAX):
            time.sleep(pause)
            try:
                answer = self._once(method, path, body, key)
            except httpx.TransportError as error:
                trouble, pause = f"no answer: {error!r}", 2.0**attempt / 4
            else:
                if answer.status_code == httpx.codes.UNAUTHORIZED:
                    if renewed:
                        raise Unreachable(f"{method} {path}: the token was refused: {answer.text[:300]}")
                    trouble, pause = f"the token was refused: {answer.text[:300]}", 0.0
                    if attempt + 1 < ATTEMPTS_MAX:
                        self._token, renewed = self._bearer(), True
                    continue
                if answer.status_code not in _AGAIN:
                    return _value(answer)
                trouble, pause = f"{answer.status_code} {answer.text[:200]}", _pause(answer, attempt)
        raise Unreachable(f"{method} {path}: {trouble}")

    def close(self) -> None:
        """Give the connections up."""
        self._http.close()

    def _once(self, method: str, path: str, body: Json | None, key: str) -> httpx.Response:
        headers = {"authorization": f"Bearer {self._token}"} | ({"idempotency-key": key} if key else {})
        return self._http.request(method, f"/api/{path}", json=body, headers=headers)


def wrong_with_url(url: str) -> str:
    """What is wrong with the address of a server, in words; empty when nothing is."""
    try:
        host, parts = httpx.URL(url).host, urlsplit(url)
        host.encode("idna")  # the resolver does so, and raises where this does
        _ = parts.port  # reading it checks it
    except (httpx.InvalidURL, ValueError) as error:
        return f"{url!r} is no address: {error}"
    if parts.scheme not in {"http", "https"} or not host:
        return f"{url!r} is no address: it must begin with http:// or https:// and name a host"
    return ""


def wrong_with_token(token: str) -> str:
    """What is wrong with an access token, in words that do not tell it; empty when nothing is."""
    if re.fullmatch(r"[!-~]*", token):
        return ""
    return "The token is none: it may have no blanks, and nothing but ASCII characters."


def minted_token(sign_in: str, email: str) -> str:
    """A token of the local sign-in double.

    :raises Unreachable: it does not answer, or not with a token
    """
    try:
        answer = httpx.post(f"{sign_in}/_emulator/tokens", json={"email": email}, timeout=TIMEOUT_SECONDS)
        return str(answer.raise_for_status().json()["access_token"])
    except (httpx.HTTPError, ValueError, KeyError) as error:
        raise Unreachable(f"no token for {email} from {sign_in}: {error}") from error


def _value(answer: httpx.Response) -> Json:
    try:
        value = answer.json()
    except ValueError:
        value = None
    if answer.is_success and isinstance(value, dict):
        return value
    raise Refused(answer.status_code, value if isinstance(value, dict) else {}, answer.text)


def _pause(answer: httpx.Response, attempt: int) -> float:
    told = answer.headers.get("retry-after", "")
    return min(float(told) if told.isdecimal() else 2.0**attempt / 4, PAUSE_SECONDS_MAX)
