"""The SQLite writer: what it groups, what it undoes, whom it tells, and how it outlives event loops."""

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from shared.sqlite.group_commit import GROUP_MAX, GroupCommit, WriterBusy, WriterFailed
from shared.sqlite.turnstile import Turnstile

SCHEMA = "CREATE TABLE IF NOT EXISTS notes (text TEXT PRIMARY KEY)"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "notes.db"


@pytest.fixture
def commits(path: Path) -> Iterator[GroupCommit]:
    opened = GroupCommit(path, schema=SCHEMA)
    yield opened
    opened.close()


def note(text: str) -> Callable[[sqlite3.Connection], str]:
    def work(writer: sqlite3.Connection) -> str:
        writer.execute("INSERT INTO notes VALUES (?)", (text,))
        return text

    return work


def note_then_fail(text: str) -> Callable[[sqlite3.Connection], str]:
    def work(writer: sqlite3.Connection) -> str:
        note(text)(writer)
        raise LookupError(text)

    return work


def notes(commits: GroupCommit) -> list[str]:
    return [text for (text,) in commits.reader.execute("SELECT text FROM notes ORDER BY text")]


async def test_simultaneous_work_shares_commits_and_single_work_does_not(commits: GroupCommit) -> None:
    for n in range(20):
        await commits.run(note(f"single-{n}"))
    alone = commits.groups_committed

    await asyncio.gather(*(commits.run(note(f"many-{n}")) for n in range(10 * GROUP_MAX)))

    assert alone == 20
    assert commits.groups_committed - alone == 10


async def test_every_commit_is_made_durable_by_a_full_sync(commits: GroupCommit) -> None:
    pragmas = await commits.run(
        lambda writer: [
            writer.execute("PRAGMA journal_mode").fetchone()[0],
            writer.execute("PRAGMA synchronous").fetchone()[0],
        ]
    )

    assert pragmas == ["wal", 2]


async def test_work_that_raises_is_undone_alone(commits: GroupCommit) -> None:
    results = await asyncio.gather(
        commits.run(note("a")),
        commits.run(note_then_fail("b")),
        commits.run(note("a")),
        commits.run(note("c")),
        return_exceptions=True,
    )

    assert (results[0], results[3]) == ("a", "c")
    assert isinstance(results[1], LookupError)
    assert isinstance(results[2], sqlite3.IntegrityError)
    assert notes(commits) == ["a", "c"]
    assert commits.groups_committed == 1


async def test_work_that_changes_nothing_costs_no_commit(commits: GroupCommit) -> None:
    assert await commits.run(lambda writer: writer.execute("SELECT 1").fetchone()) == (1,)

    assert commits.groups_committed == 0


async def test_nothing_can_be_read_before_it_is_durable(commits: GroupCommit) -> None:
    seen: list[list[str]] = []
    task = asyncio.create_task(commits.run(note("a")))
    while not task.done():
        seen.append(notes(commits))
        await asyncio.sleep(0)
        if commits.groups_committed == 0 and not task.done():
            # The statement may have run; only a finished COMMIT may show it, and then the awaiter is about to know.
            assert seen[-1] in ([], ["a"])
    assert seen[0] == []
    assert notes(commits) == ["a"]


async def test_a_cancelled_awaiter_harms_nobody(commits: GroupCommit) -> None:
    tasks = [asyncio.create_task(commits.run(note(f"{n:02}"))) for n in range(40)]
    await asyncio.sleep(0)
    for task in tasks[:10]:
        task.cancel()
    await asyncio.sleep(0)
    for task in tasks[10:20]:
        task.cancel()

    results = await asyncio.gather(*tasks, return_exceptions=True)

    assert results[20:] == [f"{n:02}" for n in range(20, 40)]
    assert set(notes(commits)) >= {f"{n:02}" for n in range(20, 40)}
    assert await commits.run(note("after")) == "after"


def test_one_loop_after_another_may_write_even_if_one_stopped_in_mid_commit(commits: GroupCommit) -> None:
    async def leave_unfinished(n: int, turns: int) -> asyncio.Task[str]:
        task = asyncio.create_task(commits.run(note(f"unfinished-{n}-{turns}")))
        for _ in range(turns):
            await asyncio.sleep(0)
        return task

    async def write(text: str) -> str:
        async with asyncio.timeout(60):
            return await commits.run(note(text))

    for n, turns in enumerate([0, 1, 2, 3, 5, 8]):
        task = asyncio.run(leave_unfinished(n, turns))
        assert task.done()
        assert asyncio.run(write(f"after-{n}")) == f"after-{n}"
    assert {text for text in notes(commits) if text.startswith("after")} == {f"after-{n}" for n in range(6)}


def test_two_running_loops_are_refused(commits: GroupCommit) -> None:
    async def both() -> None:
        await commits.run(note("mine"))
        refused: list[BaseException] = []

        def other_thread() -> None:
            try:
                asyncio.run(commits.run(note("theirs")))
            except RuntimeError as error:
                refused.append(error)

        thread = threading.Thread(target=other_thread)
        thread.start()
        await asyncio.to_thread(thread.join)
        assert [str(error) for error in refused] == ["A running event loop already writes through this object."]

    asyncio.run(both())
    assert notes(commits) == ["mine"]


async def test_who_waits_too_long_for_its_turn_is_told_and_nothing_happened(path: Path) -> None:
    commits = GroupCommit(path, schema=SCHEMA, turn_seconds_max=0.1)
    other = Turnstile(path)
    other.enter()

    with pytest.raises(WriterBusy):
        await commits.run(note("a"))
    with pytest.raises(WriterBusy):
        await commits.run(note("b"))
    assert notes(commits) == []

    other.leave()
    async with asyncio.timeout(60):
        await asyncio.to_thread(other.enter)  # the turn that came too late was given back
    other.leave()
    assert await commits.run(note("c")) == "c"
    other.close()
    commits.close()


async def test_a_writer_outside_the_turnstile_is_waited_for_without_blocking_the_loop(
    path: Path, commits: GroupCommit
) -> None:
    shell = sqlite3.connect(path, isolation_level=None)
    shell.execute("BEGIN IMMEDIATE")
    task = asyncio.create_task(commits.run(note("a")))
    async with asyncio.timeout(2):
        await asyncio.sleep(0.1)
    assert not task.done()

    shell.execute("COMMIT")
    shell.close()

    assert await task == "a"


async def test_a_database_that_gives_up_mid_transaction_fails_the_whole_group(path: Path, commits: GroupCommit) -> None:
    await commits.run(note("before"))
    pages = await commits.run(lambda writer: writer.execute("PRAGMA page_count").fetchone()[0])
    await commits.run(lambda writer: writer.execute(f"PRAGMA max_page_count = {pages}").fetchone())

    results = await asyncio.gather(
        commits.run(note("small")),
        commits.run(note("x" * 100_000)),
        return_exceptions=True,
    )

    await commits.run(lambda writer: writer.execute("PRAGMA max_page_count = 1000000").fetchone())
    assert isinstance(results[1], WriterFailed | sqlite3.OperationalError)
    assert notes(commits) == (["before"] if isinstance(results[0], WriterFailed) else ["before", "small"])
    assert await commits.run(note("after")) == "after"


async def test_a_closed_writer_refuses_and_whoever_waited_is_released(path: Path) -> None:
    commits = GroupCommit(path, schema=SCHEMA)
    task = asyncio.create_task(commits.run(note("a")))
    await asyncio.sleep(0)

    commits.close()
    commits.close()

    async with asyncio.timeout(60):
        await asyncio.gather(task, return_exceptions=True)
    with pytest.raises(WriterFailed):
        await commits.run(note("b"))
