"""The timer trigger on a laptop: NCRONTAB in UTC, each occurrence once across all worker processes."""

import asyncio
import logging
from datetime import datetime, timedelta

import orjson

from local.host.claims import HOLD_SECONDS, Claims
from local.host.runtime import Datum, Outcome, Runtime
from local.host.stopping import Stop, keep_doing
from local.host.triggers import TimerFunction
from shared.kernel.clock import utc_now

log = logging.getLogger("local.host.timers")

# The event loop wakes within milliseconds; more than this means the machine slept or the host was down.
_LATE = timedelta(seconds=5)


class TimerPump:
    """Runs one function by the clock.

    :param owner: unique to this process
    :param started_at: when the host (not this worker) started; `runOnStartup` runs once per such moment
    """

    def __init__(
        self, function: TimerFunction, claims: Claims, runtime: Runtime, *, owner: str, started_at: datetime, stop: Stop
    ) -> None:
        self._function = function
        self._claims = claims
        self._runtime = runtime
        self._owner = owner
        self._started_at = started_at
        self._stop = stop
        self._caught_up = False

    async def run(self) -> None:
        """Run until a stop is requested; an invocation in hand is finished."""
        await keep_doing(f"Timer {self._function.name}", self._step, self._stop)

    async def _catch_up(self) -> None:
        """`runOnStartup`, and the run missed while no host was up.

        As on Azure, runs are missed only by schedules with intervals of a minute or more.
        """
        now = utc_now()
        if self._function.run_on_startup:
            await self._run_once(self._started_at, name=f"{self._function.name}#startup", past_due=False)
        last = await self._claims.last(self._function.name) if self._function.monitored else None
        if last is not None and (missed := self._function.schedule.last_before(now)) > last:
            await self._run_once(missed, name=self._function.name, past_due=True)

    async def _step(self) -> None:
        if not self._caught_up:
            await self._catch_up()
            self._caught_up = True
        now = utc_now()
        occurrence = self._function.schedule.next_after(now)
        await self._stop.sleep((occurrence - now).total_seconds())
        if self._stop.requested or utc_now() < occurrence:
            return
        await self._run_once(occurrence, name=self._function.name, past_due=utc_now() - occurrence > _LATE)

    async def _run_once(self, occurrence: datetime, *, name: str, past_due: bool) -> None:
        if not await self._claims.claim(name, occurrence, owner=self._owner, now=utc_now()):
            return
        holding = asyncio.create_task(self._keep_holding(name, occurrence))
        try:
            await self._attempts(occurrence, past_due=past_due)
        finally:
            holding.cancel()
            await asyncio.gather(holding, return_exceptions=True)
            await self._claims.hold(name, occurrence, until=utc_now())

    async def _attempts(self, occurrence: datetime, *, past_due: bool) -> None:
        value = self._value(occurrence, past_due=past_due)
        retry, failures, error = self._function.retry, 0, None
        while True:
            outcome = await self._runtime.invoke(self._function, value, {}, retry_count=failures, retry_error=error)
            if outcome.ok:
                return
            failures, error = failures + 1, outcome.error
            self._report(outcome, occurrence, failures)
            if retry is None or not retry.allows(failures):
                return
            await self._stop.sleep(retry.delay_seconds(failures))
            if self._stop.requested:
                return

    async def _keep_holding(self, name: str, occurrence: datetime) -> None:
        while True:
            await asyncio.sleep(HOLD_SECONDS / 3)
            await self._claims.hold(name, occurrence, until=utc_now() + timedelta(seconds=HOLD_SECONDS))

    def _value(self, occurrence: datetime, *, past_due: bool) -> Datum:
        """`TimerInfo` as the host serialises it."""
        status = {
            "Last": occurrence.isoformat(),
            "Next": self._function.schedule.next_after(occurrence).isoformat(),
            "LastUpdated": occurrence.isoformat(),
        }
        info = {"Schedule": {"AdjustForDST": True}, "ScheduleStatus": status, "IsPastDue": past_due}
        return Datum(orjson.dumps(info).decode(), "json")

    def _report(self, outcome: Outcome, occurrence: datetime, failures: int) -> None:
        log.error(
            "Function %s failed: %s",
            self._function.name,
            outcome.error,
            extra={
                "function": self._function.name,
                "invocation_id": outcome.invocation.id,
                "occurrence": occurrence.isoformat(),
                "failures": failures,
                "traceback": outcome.traceback,
            },
        )
