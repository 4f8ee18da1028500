"""Health: alive means the process answers; ready means what it stands on answers too.

Whoever asks, however often: the checks are made one at a time, and what they found is remembered for some seconds.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from shared.breaker import GAUGE
from shared.telemetry import Log, gauges

type Check = Callable[[datetime], Awaitable[bool]]
type Warnings = Callable[[], Sequence[str]]

REMEMBERED: Final = timedelta(seconds=5)  # everybody may ask, and what we stand on should not notice
CHECK_SECONDS_MAX: Final = 6.0  # a little longer than sign-in keys may take, or a slow issuer's would never be had
_log = Log("health")


@dataclass(frozen=True, slots=True)
class Readiness:
    """What answers just now, and what somebody should look at though we can be asked.

    :param checks: name → whether it answers, of what we cannot do without
    """

    checks: Mapping[str, bool]
    warnings: Sequence[str]


class Health:
    """Asks what we stand on, at most once each `REMEMBERED`.

    :param checks: name → whether it answers; without one of these we are not ready
    :param warnings: what gives reasons to worry; they cost nothing to ask, and are asked each time
    :param spared: name → whether it answers; without one of these we go on, with a warning
    """

    def __init__(
        self, checks: Mapping[str, Check], warnings: Sequence[Warnings], *, spared: Mapping[str, Check] | None = None
    ) -> None:
        self._checks = checks
        self._warnings = warnings
        self._spared = spared or {}
        self._asking = asyncio.Lock()
        self._answered: Mapping[str, bool] = {}
        self._asked_at: datetime | None = None

    async def ready(self, now: datetime) -> Readiness:
        """How things stand; a check that fails in any way, or takes too long, is a no, and logged."""
        async with self._asking:
            if self._asked_at is None or not self._asked_at <= now < self._asked_at + REMEMBERED:
                self._answered = await self._ask(now)
                self._asked_at = now
            answered = self._answered
        silent = [f"{name.capitalize()}: does not answer." for name in self._spared if not answered[name]]
        told = [warning for warnings in self._warnings for warning in warnings()]
        return Readiness({name: answered[name] for name in self._checks}, silent + told)

    async def _ask(self, now: datetime) -> Mapping[str, bool]:
        asked = {**self._checks, **self._spared}
        answers = await asyncio.gather(*(self._answers(name, check, now) for name, check in asked.items()))
        return dict(zip(asked, answers, strict=True))

    async def _answers(self, name: str, check: Check, now: datetime) -> bool:
        try:
            async with asyncio.timeout(CHECK_SECONDS_MAX):
                return await check(now)
        except Exception as error:  # whatever is wrong, the answer is “not ready”
            _log.error("not_ready", error=error, check=name)
            return False


def breaker_warnings() -> Sequence[str]:
    """A sentence for each neighbour whose circuit breaker is not closed."""
    return [
        f"{name.removeprefix(GAUGE).capitalize()}: has not answered lately, and is asked only now and then."
        for name, value in sorted(gauges().items())
        if name.startswith(GAUGE) and value
    ]
