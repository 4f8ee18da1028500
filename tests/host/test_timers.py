"""Timers across real worker processes, and the reading of schedules."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from local.host.claims import Claims
from local.host.process import HostProcess
from local.host.schedule import Schedule, ScheduleRefused
from tests.host.apps.recording import records

APP = Path(__file__).parent / "apps" / "timers"
NOW = datetime(2026, 3, 5, 10, 0, 0, tzinfo=UTC)


def test_an_occurrence_runs_once_across_three_workers(tmp_path: Path) -> None:
    record = tmp_path / "record"
    missed = datetime.now(UTC) - timedelta(hours=1)
    asyncio.run(Claims(tmp_path / "host.db").claim("every_five_minutes", missed, owner="x", now=missed))

    with HostProcess.start(
        app=APP, data=tmp_path, workers=3, environment={"RECORD": str(record), "EVERY_SECOND": "* * * * * *"}
    ) as host:
        host.wait_until(lambda: len(records(record, "every_second")) >= 3, "three seconds")
        host.wait_until(lambda: len(records(record, "long done")) >= 1, "a long run")
        assert host.stop() == 0

    occurrences = [entry["last"] for entry in records(record, "every_second")]
    assert len(occurrences) == len(set(occurrences))
    assert [entry["past_due"] for entry in records(record, "at_startup")] == [False]
    assert [entry["past_due"] for entry in records(record, "every_five_minutes")] in ([True], [True, False])
    running = 0
    for entry in records(record):
        running += {"long begun": 1, "long done": -1}.get(entry["what"], 0)
        assert running in (0, 1), "two runs of one timer overlap"


async def test_without_the_claim_three_workers_would_all_run(tmp_path: Path) -> None:
    separate = [Claims(tmp_path / f"host-{number}.db") for number in range(3)]
    shared = [Claims(tmp_path / "host.db") for _ in range(3)]

    async def winners(claims: list[Claims]) -> int:
        taken = [each.claim("t", NOW, owner=str(number), now=NOW) for number, each in enumerate(claims)]
        return sum(await asyncio.gather(*taken))

    assert await winners(separate) == 3  # the control: nothing but the shared row keeps them apart
    assert await winners(shared) == 1


async def test_a_running_timer_is_not_claimed_until_it_ends_or_its_process_is_gone(tmp_path: Path) -> None:
    claims = Claims(tmp_path / "host.db")
    later = NOW + timedelta(seconds=1)

    assert await claims.claim("t", NOW, owner="a", now=NOW)
    assert not await claims.claim("t", later, owner="b", now=later)
    await claims.hold("t", NOW, until=later)
    assert await claims.claim("t", later, owner="b", now=later)
    gone = later + timedelta(minutes=1)
    assert await claims.claim("t", gone, owner="c", now=gone)
    assert not await claims.claim("t", later, owner="d", now=gone + timedelta(minutes=1))
    assert await claims.last("t") == gone


async def test_old_claims_are_forgotten_but_the_newest(tmp_path: Path) -> None:
    claims = Claims(tmp_path / "host.db")
    for day in (0, 1, 90):
        moment = NOW + timedelta(days=day)
        assert await claims.claim("t", moment, owner="a", now=moment)

    assert await claims.last("t") == NOW + timedelta(days=90)
    # Forgotten, so it would be claimable again, were there not the newer one.
    assert not await claims.claim("t", NOW, owner="a", now=NOW + timedelta(days=91))


@pytest.mark.parametrize(
    ("expression", "following"),
    [
        ("*/15 * * * * *", "2026-03-05T10:00:15+00:00"),
        ("0 */5 * * * *", "2026-03-05T10:05:00+00:00"),
        ("*/5 * * * *", "2026-03-05T10:05:00+00:00"),
        ("0 30 9 * * 1-5", "2026-03-06T09:30:00+00:00"),
        ("0 0 0 13 * 5", "2026-03-13T00:00:00+00:00"),  # both: Friday the thirteenth
        ("0 0 0 14 * 5", "2026-08-14T00:00:00+00:00"),
        ("0 0 0 1 Jan *", "2027-01-01T00:00:00+00:00"),
    ],
)
def test_the_next_occurrence(expression: str, following: str) -> None:
    assert Schedule(expression).next_after(NOW).isoformat() == following


def test_the_last_occurrence_is_the_one_missed() -> None:
    assert Schedule("0 */5 * * * *").last_before(NOW + timedelta(minutes=14)) == NOW + timedelta(minutes=10)
    assert Schedule("0 0 0 13 * 5").last_before(NOW).isoformat() == "2026-02-13T00:00:00+00:00"


@pytest.mark.parametrize("expression", ["", "hello", "00:05:00", "60 * * * * *", "0 0 0 31 2 *", "* * *"])
def test_what_is_no_schedule_is_refused(expression: str) -> None:
    with pytest.raises(ScheduleRefused, match="schedule"):
        Schedule(expression)


def test_reading_a_schedule_is_quick() -> None:
    began = time.process_time()  # its own work, however busy the machine is with other's
    Schedule("0 0 0 29 2 *")
    assert time.process_time() - began < 1
