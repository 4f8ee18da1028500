"""Load on loopback: a number of clients, each sending its next request when the last one was answered."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import aiohttp
import orjson

CLIENTS: Final = 32
SECONDS: Final = 10.0

type Action = Callable[[int, int], Awaitable[bool]]


@dataclass(slots=True)
class Run:
    """What one run of load did.

    :param latencies: of the successes, seconds
    :param seconds: until the last success
    """

    latencies: list[float] = field(default_factory=list)
    failures: int = 0
    seconds: float = 0.0

    @property
    def rate(self) -> float:
        """Successes a second."""
        return len(self.latencies) / self.seconds if self.seconds else 0.0

    def percentile_ms(self, share: float) -> float:
        """The latency that `share` of the successes stayed under, milliseconds."""
        if not self.latencies:
            return 0.0
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1000


class Api:
    """A client of the API: as many connections as there are requests at once."""

    def __init__(self, url: str, tokens: Sequence[str]) -> None:
        self._url = url
        self._headers = [{"authorization": f"Bearer {token}"} for token in tokens]
        self._http = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))

    async def get(self, path: str, who: int = 0) -> tuple[int, Any]:
        """Status and answer of a GET."""
        async with self._http.get(f"{self._url}{path}", headers=self._headers[who % len(self._headers)]) as answer:
            return answer.status, orjson.loads(await answer.read())

    async def post(self, path: str, body: Any, who: int = 0, key: str = "") -> tuple[int, Any]:
        """Status and answer of a POST."""
        headers = {**self._headers[who % len(self._headers)], "content-type": "application/json"}
        if key:
            headers["idempotency-key"] = key
        data = orjson.dumps(body)
        async with self._http.post(f"{self._url}{path}", headers=headers, data=data) as answer:
            raw = await answer.read()
            return answer.status, orjson.loads(raw) if raw else None

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()


async def drive(action: Action, *, seconds: float = SECONDS, clients: int = CLIENTS) -> Run:
    """Run `action(client, round)` in every client over and over; an action says whether it succeeded.

    A client stops when the time is over, or after 20 failures in a row (the tickets are gone).
    """
    run = Run()
    began = time.perf_counter()

    async def client(number: int) -> None:
        failed = 0
        for round_ in range(10_000_000):
            started = time.perf_counter()
            if started - began > seconds or failed >= 20:
                return
            if await action(number, round_):
                ended = time.perf_counter()
                run.latencies.append(ended - started)
                run.seconds = max(run.seconds, ended - began)
                failed = 0
            else:
                run.failures += 1
                failed += 1

    await asyncio.gather(*(client(number) for number in range(clients)))
    return run


def cpu_seconds(pids: Sequence[int]) -> float:
    """User and system time of processes so far, from /proc (man 5 proc)."""
    import os

    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")
