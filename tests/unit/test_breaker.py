"""Circuit breakers: when they open, who tries again, and what does not concern them."""

import asyncio
import time
import traceback
from collections.abc import Awaitable, Callable

import pytest

from shared.breaker import FAILURES_MAX, Breaker, BreakerOpen
from shared.mail.guarded import GuardedMailer
from shared.mail.port import Mail, MailRefused, MailUnavailable
from shared.payments.guarded import GuardedPayments
from shared.payments.port import PaymentsRefused, PaymentsUnavailable, Session
from shared.telemetry import gauges
from tests.doubles.provider import Provider

OPEN_SECONDS = 60.0  # by a clock that moves when it is told to


class Away(Exception):
    """A neighbour in trouble."""


class Neighbour:
    """Counts who asks it, and answers as it is told to."""

    def __init__(self, error: Exception | None) -> None:
        self.error = error
        self.asked = 0
        self.slowness = asyncio.Event()
        self.slowness.set()

    async def ask(self) -> str:
        self.asked += 1
        await self.slowness.wait()
        if self.error is not None:
            raise self.error
        return "an answer"


def breaker() -> Breaker:
    return Breaker("test", failure=Away, open_seconds=OPEN_SECONDS)


@pytest.fixture
def pass_time(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Moves the wall clock on by so many seconds, or back."""
    real, moved = time.time, 0.0

    def by(seconds: float) -> None:
        nonlocal moved
        moved += seconds

    monkeypatch.setattr(time, "time", lambda: real() + moved)
    return by


async def fail(ask: Callable[[], Awaitable[object]], times: int, error: type[Exception] = Away) -> None:
    for _ in range(times):
        async with asyncio.timeout(30):  # whoever must not wait fails here instead of waiting for ever
            with pytest.raises(error):
                await ask()


async def test_after_so_many_failures_in_a_row_the_neighbour_is_left_alone() -> None:
    guard, away = breaker(), Neighbour(Away())

    await fail(lambda: guard.call(away.ask), FAILURES_MAX)
    assert gauges()["breaker.test"] == 2
    await fail(lambda: guard.call(away.ask), 3, BreakerOpen)

    assert away.asked == FAILURES_MAX


async def test_one_answer_in_between_begins_the_count_anew() -> None:
    guard, away = breaker(), Neighbour(Away())

    await fail(lambda: guard.call(away.ask), FAILURES_MAX - 1)
    assert await guard.call(Neighbour(None).ask) == "an answer"
    await fail(lambda: guard.call(away.ask), FAILURES_MAX - 1)

    assert await guard.call(Neighbour(None).ask) == "an answer"
    assert gauges()["breaker.test"] == 0


async def test_a_refusal_is_an_answer() -> None:
    guard, refusing = breaker(), Neighbour(KeyError("no"))

    await fail(lambda: guard.call(refusing.ask), FAILURES_MAX * 2, KeyError)

    assert gauges()["breaker.test"] == 0


async def test_after_its_time_one_caller_tries_and_the_others_do_not_wait_for_it(
    pass_time: Callable[[float], None],
) -> None:
    guard, neighbour = breaker(), Neighbour(Away())
    await fail(lambda: guard.call(neighbour.ask), FAILURES_MAX)
    pass_time(OPEN_SECONDS * 1.5)
    neighbour.error = None
    neighbour.slowness.clear()

    trial = asyncio.create_task(guard.call(neighbour.ask))
    await asyncio.sleep(0)
    await fail(lambda: guard.call(neighbour.ask), 3, BreakerOpen)
    neighbour.slowness.set()

    assert await trial == "an answer"
    assert neighbour.asked == FAILURES_MAX + 1
    assert await guard.call(neighbour.ask) == "an answer"
    assert gauges()["breaker.test"] == 0


async def test_a_try_that_fails_leaves_it_open(pass_time: Callable[[float], None]) -> None:
    guard, away = breaker(), Neighbour(Away())
    await fail(lambda: guard.call(away.ask), FAILURES_MAX)
    pass_time(OPEN_SECONDS * 1.5)

    await fail(lambda: guard.call(away.ask), 1)
    await fail(lambda: guard.call(away.ask), 1, BreakerOpen)

    assert away.asked == FAILURES_MAX + 1


async def test_a_try_that_was_called_off_says_nothing_good(pass_time: Callable[[float], None]) -> None:
    guard, neighbour = breaker(), Neighbour(Away())
    await fail(lambda: guard.call(neighbour.ask), FAILURES_MAX)
    pass_time(OPEN_SECONDS * 1.5)
    neighbour.slowness.clear()
    trial = asyncio.create_task(guard.call(neighbour.ask))
    await asyncio.sleep(0)

    trial.cancel()
    with pytest.raises(asyncio.CancelledError):
        await trial

    await fail(lambda: guard.call(neighbour.ask), 1, BreakerOpen)


async def test_callers_who_were_called_off_open_nothing_and_close_nothing() -> None:
    guard, slow, away = breaker(), Neighbour(None), Neighbour(Away())
    slow.slowness.clear()

    async def called_off() -> None:
        call = asyncio.create_task(guard.call(slow.ask))
        await asyncio.sleep(0)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call

    for _ in range(FAILURES_MAX + 1):
        await called_off()
    assert gauges()["breaker.test"] == 0

    await fail(lambda: guard.call(away.ask), FAILURES_MAX - 1)
    await called_off()
    await fail(lambda: guard.call(away.ask), 1)
    await fail(lambda: guard.call(away.ask), 1, BreakerOpen)


async def test_a_refusal_is_as_short_after_a_thousand_as_it_was_at_first() -> None:
    guard, away = breaker(), Neighbour(Away())
    await fail(lambda: guard.call(away.ask), FAILURES_MAX)

    async def refusal() -> str:
        try:
            await guard.call(away.ask)
        except BreakerOpen as refused:
            seen: BaseException | None = refused
            frames = 0
            while seen is not None:  # what it came from is kept with it, and with that its frames
                frames += len(traceback.extract_tb(seen.__traceback__))
                seen = seen.__cause__ or seen.__context__
            return f"{frames} frames, told in {len(traceback.format_exception(refused))} parts"
        raise AssertionError("It was asked.")

    first = await refusal()
    await fail(lambda: guard.call(away.ask), 1_000, BreakerOpen)

    assert await refusal() == first


async def test_a_call_of_before_it_opened_says_nothing_of_the_trial(pass_time: Callable[[float], None]) -> None:
    guard, neighbour, late = breaker(), Neighbour(Away()), Neighbour(Away())
    late.slowness.clear()
    early = asyncio.create_task(guard.call(late.ask))
    await asyncio.sleep(0)
    await fail(lambda: guard.call(neighbour.ask), FAILURES_MAX)
    pass_time(OPEN_SECONDS * 1.5)
    neighbour.error = None
    neighbour.slowness.clear()

    trial = asyncio.create_task(guard.call(neighbour.ask))
    await asyncio.sleep(0)
    late.slowness.set()
    with pytest.raises(Away):
        await early
    assert gauges()["breaker.test"] == 1  # the trial is still to decide
    neighbour.slowness.set()

    assert await trial == "an answer"
    assert await guard.call(neighbour.ask) == "an answer"
    assert gauges()["breaker.test"] == 0


async def test_an_answer_to_a_call_of_before_it_opened_does_not_close_it(pass_time: Callable[[float], None]) -> None:
    guard, neighbour, late = breaker(), Neighbour(Away()), Neighbour(None)
    late.slowness.clear()
    early = asyncio.create_task(guard.call(late.ask))
    await asyncio.sleep(0)
    await fail(lambda: guard.call(neighbour.ask), FAILURES_MAX)
    pass_time(OPEN_SECONDS * 1.5)
    neighbour.slowness.clear()
    trial = asyncio.create_task(guard.call(neighbour.ask))
    await asyncio.sleep(0)

    late.slowness.set()
    assert await early == "an answer"
    neighbour.slowness.set()
    with pytest.raises(Away):
        await trial

    await fail(lambda: guard.call(neighbour.ask), 1, BreakerOpen)


async def test_a_clock_that_is_set_back_keeps_it_open_no_longer(pass_time: Callable[[float], None]) -> None:
    guard, neighbour = breaker(), Neighbour(Away())
    await fail(lambda: guard.call(neighbour.ask), FAILURES_MAX)
    pass_time(-3_600)

    await fail(lambda: guard.call(neighbour.ask), 1, BreakerOpen)
    pass_time(OPEN_SECONDS * 1.5)
    neighbour.error = None

    assert await guard.call(neighbour.ask) == "an answer"
    assert gauges()["breaker.test"] == 0


class Sick(Provider):
    """A provider whose every answer is this error."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error
        self.asked = 0

    async def session(self, session_id: str) -> Session:
        """See `Payments.session`."""
        self.asked += 1
        raise self.error


async def test_a_provider_that_does_not_answer_is_left_alone_and_who_asks_is_told_when_to_come_back() -> None:
    sick = Sick(PaymentsUnavailable("silence"))
    payments = GuardedPayments(sick)

    await fail(lambda: payments.session("cs_1"), FAILURES_MAX, PaymentsUnavailable)
    with pytest.raises(PaymentsUnavailable) as told:
        await payments.session("cs_1")

    assert sick.asked == FAILURES_MAX
    assert told.value.retry_after_seconds == 5.0


async def test_a_provider_that_refuses_is_asked_on() -> None:
    sick = Sick(PaymentsRefused("no", "resource_missing", nothing_done=True))
    payments = GuardedPayments(sick)

    await fail(lambda: payments.session("cs_1"), FAILURES_MAX * 2, PaymentsRefused)

    assert sick.asked == FAILURES_MAX * 2


class SickMailer:
    """A mail server whose every answer is this error."""

    def __init__(self, error: Exception) -> None:
        self.error = error
        self.asked = 0

    async def send(self, mail: Mail) -> None:
        """See `Mailer.send`."""
        self.asked += 1
        raise self.error


async def test_a_mail_server_that_is_left_alone_certainly_has_not_got_the_mail() -> None:
    sick = SickMailer(MailUnavailable("silence", not_taken=False))
    mailer, mail = GuardedMailer(sick), Mail("m", "Uma", "uma@tessera.example", "s", "t", "<p>t</p>")

    await fail(lambda: mailer.send(mail), FAILURES_MAX, MailUnavailable)
    with pytest.raises(MailUnavailable) as waiting:
        await mailer.send(mail)

    assert sick.asked == FAILURES_MAX
    assert waiting.value.not_taken
    sick.error = MailRefused("no such mailbox")
    refused = GuardedMailer(sick)
    await fail(lambda: refused.send(mail), FAILURES_MAX * 2, MailRefused)
    assert sick.asked == FAILURES_MAX * 3
