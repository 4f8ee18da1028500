"""Asking Microsoft Graph: with a token, within named times, once more where no answer came.

Everything that is asked here may be repeated: what is set is set, what is deleted is deleted, and an address has one
account however often it is created.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import orjson

from shared.directory.access import Access
from shared.directory.port import DirectoryBusy, DirectoryUnavailable
from shared.telemetry import Log

if TYPE_CHECKING:
    import aiohttp

TRIES_AGAIN_MAX: Final = 1  # where nothing was answered, or 5xx
PAUSE_SECONDS_MAX: Final = 60.0  # whatever Retry-After says
CONNECTIONS_MAX: Final = 8
type Method = Literal["GET", "POST", "PATCH", "DELETE"]

_log = Log("directory")


@dataclass(frozen=True, slots=True)
class Patience:
    """How long Graph is waited for.

    :param connect_seconds: for a connection
    :param answer_seconds: for a whole answer, connecting included
    :param call_seconds: for all tries together, fetching a token included
    :param pause_seconds: between tries
    """

    connect_seconds: float = 3.0
    answer_seconds: float = 8.0
    call_seconds: float = 18.0
    pause_seconds: float = 0.5


@dataclass(frozen=True, slots=True)
class Answer:
    """What Graph said: a JSON object, empty where there was nothing to say."""

    status: int
    data: Mapping[str, Any]
    pause_seconds: float


class GraphClient:
    """Asks Graph.

    :param base: `https://graph.microsoft.com/v1.0`, or another cloud's
    :param ca: the only authority its server's certificate may come from; None: those of the machine
    """

    def __init__(self, base: str, access: Access, *, ca: Path | None = None, patience: Patience = Patience()) -> None:
        self.base = base
        self._access = access
        self._ca = ca
        self._patience = patience

    @property
    def pause_seconds(self) -> float:
        """Between tries."""
        return self._patience.pause_seconds

    async def close(self) -> None:
        """Give connections and the token's thread up."""
        self._access.close()
        if "_session" in self.__dict__:
            await self._session.close()

    async def ask(self, method: Method, path: str, body: bytes | None = None) -> Answer:
        """What Graph answers, refusals (4xx) included.

        :param path: below the base, its query encoded
        :raises DirectoryUnavailable: nothing, garbage, 5xx, or our token is turned down
        :raises DirectoryBusy: 429
        """
        try:
            async with asyncio.timeout(self._patience.call_seconds):
                return await self._with_tries(method, path, body)
        except TimeoutError as error:
            raise DirectoryUnavailable("The directory does not answer; try again shortly.") from error

    async def _with_tries(self, method: Method, path: str, body: bytes | None) -> Answer:
        for _ in range(TRIES_AGAIN_MAX):
            try:
                return await self._with_token(method, path, body)
            except DirectoryBusy:
                raise
            except DirectoryUnavailable as error:
                if not isinstance(error, _NoAnswer):
                    raise
            await asyncio.sleep(self._patience.pause_seconds)
        return await self._with_token(method, path, body)

    async def _with_token(self, method: Method, path: str, body: bytes | None) -> Answer:
        answer = await self._once(method, path, body, await self._access.token())
        if (
            answer.status == 401
        ):  # revoked meanwhile: https://learn.microsoft.com/entra/identity-platform/claims-challenge
            await self._access.forget()
            answer = await self._once(method, path, body, await self._access.token())
        if answer.status == 401:
            _log.error("directory_token_refused", path=path.partition("?")[0])
            raise DirectoryUnavailable("The directory turns our token down; those who run this platform can tell.")
        if answer.status == 429:
            busy = DirectoryBusy("The directory is asked too often; try again shortly.")
            busy.retry_after_seconds = max(answer.pause_seconds, DirectoryBusy.retry_after_seconds)
            raise busy
        if 300 <= answer.status < 400:  # Graph sends nobody elsewhere, and our token is for Graph alone
            raise DirectoryUnavailable("The directory sends us elsewhere; try again shortly.")
        if answer.status >= 500:
            raise _NoAnswer(f"The directory is in trouble ({answer.status}); try again shortly.")
        return answer

    async def _once(self, method: Method, path: str, body: bytes | None, token: str) -> Answer:
        import aiohttp
        from yarl import URL

        headers = {
            "Authorization": f"Bearer {token}",
            "ConsistencyLevel": "eventual",  # what $search and $count want, on every page
            **({"Content-Type": "application/json"} if body is not None else {}),
        }
        url = URL(f"{self.base}{path}", encoded=True)
        try:
            async with self._session.request(method, url, data=body, headers=headers, allow_redirects=False) as found:
                said = await found.read()
                pause = _seconds(found.headers.get("Retry-After", ""))
                return Answer(found.status, _object(said), pause)
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise _NoAnswer("The directory does not answer; try again shortly.") from error

    @cached_property
    def _session(self) -> "aiohttp.ClientSession":
        import aiohttp

        patience = self._patience
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=CONNECTIONS_MAX, ssl=self._tls()),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=patience.answer_seconds, sock_connect=patience.connect_seconds),
        )

    def _tls(self) -> "Any":
        import ssl

        return True if self._ca is None else ssl.create_default_context(cafile=self._ca)


class _NoAnswer(DirectoryUnavailable):
    """Nothing that could be made out; asking once more may help."""


def _object(said: bytes) -> Mapping[str, Any]:
    found = orjson.loads(said) if said else {}
    if not isinstance(found, dict):
        raise ValueError("no JSON object")  # noqa: TRY004 - of the answer, not of a caller of ours
    return found


def _seconds(text: str) -> float:
    return min(float(text), PAUSE_SECONDS_MAX) if text.isascii() and text.isdecimal() else 0.0
