"""Clients that are slow, half gone, many, or take nothing: they are cut off in a named time, others are answered."""

import asyncio
import json
import resource
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from local.host.limits import ANSWER_SECONDS, BODY_GRACE_SECONDS, HEAD_SECONDS
from tests.misuse.probes import LIVE, chunked, head, still_answers
from tests.support.api import Api, Json, Organiser, venue_body
from tests.support.wire import PATIENCE_SECONDS, Line, asked, connected, request

pytestmark = pytest.mark.xdist_group("misuse")  # one Tessera for all of them

VENUE = json.dumps(venue_body()).encode()
SLOW_CLIENTS = 200
IDLE_CLIENTS = 2_000


@pytest.fixture(scope="module")
def house(api: Api) -> Organiser:
    return api.organiser("Slow")


def venues(house: Organiser) -> list[Json]:
    found: list[Json] = house.owner.get(f"organisers/{house.id}/venues").json()["items"]
    return found


def venue_request(house: Organiser, **headers: str) -> bytes:
    """A right request that makes a venue."""
    return request("POST", f"/api/organisers/{house.id}/venues", headers, token=house.owner.token, body=VENUE)


@asynccontextmanager
async def many(url: str, number: int) -> AsyncIterator[list[Line]]:
    """So many connections."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(connected(url)) for _ in range(number)]


# --- half-closed


async def test_who_closes_its_sending_side_after_a_whole_request_is_answered(api: Api, house: Organiser) -> None:
    before = len(venues(house))

    async with connected(api.stack.url) as line:
        await line.send(venue_request(house))
        line.writer.write_eof()
        answer = await line.answer()

        assert answer is not None
        assert answer.status == 201
        assert await line.ended()
    assert len(venues(house)) == before + 1


async def test_who_closes_its_sending_side_is_answered_all_it_asked_in_order(api: Api) -> None:
    async with connected(api.stack.url) as line:
        await line.send(request("GET", LIVE) + request("GET", "/api/me") + request("GET", LIVE))
        line.writer.write_eof()
        answers = [await line.answer() for _ in range(3)]

        assert [answer.status for answer in answers if answer is not None] == [200, 401, 200]
        assert await line.ended()


@pytest.mark.parametrize("missing", [1, len(VENUE), len(VENUE) + 2], ids=["a byte", "the body", "part of the head"])
async def test_a_request_that_ends_before_it_is_whole_does_nothing(api: Api, house: Organiser, missing: int) -> None:
    before = venues(house)

    assert await asked(api.stack.url, venue_request(house)[:-missing], half_close=True) is None

    assert venues(house) == before
    await still_answers(api.stack.url)


async def test_a_chunked_body_without_its_end_does_nothing(api: Api, house: Organiser) -> None:
    before, path = venues(house), f"/api/organisers/{house.id}/venues"
    headers = {"content-type": "application/json", "transfer-encoding": "chunked"}
    data = request("POST", path, headers, token=house.owner.token) + chunked(VENUE)

    assert await asked(api.stack.url, data[: -len(b"0\r\n\r\n")], half_close=True) is None

    assert venues(house) == before


async def test_http_1_0_is_answered_and_closed_and_needs_no_host(api: Api) -> None:
    async with connected(api.stack.url) as line:
        await line.send(head(b"GET /api/health/live HTTP/1.0"))
        answer = await line.answer()

        assert answer is not None
        assert (answer.status, answer.headers["connection"]) == (200, "close")
        assert await line.ended()


# --- one after the other


async def test_pipelined_requests_are_answered_in_order(api: Api, house: Organiser) -> None:
    async with connected(api.stack.url) as line:
        await line.send((request("GET", LIVE) + request("GET", "/api/nowhere")) * 100 + venue_request(house))
        answers = [await line.answer() for _ in range(201)]

    assert [answer.status for answer in answers if answer is not None] == [200, 404] * 100 + [201]


async def test_garbage_behind_a_request_does_not_take_its_answer(api: Api, house: Organiser) -> None:
    async with connected(api.stack.url) as line:
        await line.send(venue_request(house) + b"\x00garbage\r\n\r\n" + venue_request(house))
        answer = await line.answer()

        assert answer is not None
        assert answer.status == 201
        assert await line.ended()


async def test_a_broken_body_behind_a_request_does_not_take_its_answer(api: Api, house: Organiser) -> None:
    before = len(venues(house))
    broken = head(b"POST /api/organisers HTTP/1.1", b"Host: a", b"Transfer-Encoding: chunked") + b"zz\r\n"

    async with connected(api.stack.url) as line:
        await line.send(venue_request(house) + request("GET", LIVE) + broken)
        answers = [await line.answer() for _ in range(2)]

        assert [answer.status for answer in answers if answer is not None] == [201, 200]
        assert await line.ended()
    assert len(venues(house)) == before + 1


async def test_a_broken_end_takes_no_answer_from_who_has_closed_its_sending_side(api: Api, house: Organiser) -> None:
    for end in (b"\x00garbage\r\n\r\n", venue_request(house)[:-1], venue_request(house)[: -len(VENUE) - 5]):
        async with connected(api.stack.url) as line:
            await line.send(venue_request(house) + request("GET", LIVE) + end)
            line.writer.write_eof()
            answers = [await line.answer() for _ in range(2)]

            assert [answer.status for answer in answers if answer is not None] == [201, 200]
            assert await line.ended()


async def test_what_a_trailer_says_is_not_taken_for_a_header(api: Api, house: Organiser) -> None:
    before, path = venues(house), f"/api/organisers/{house.id}/venues"
    bearer = f"Authorization: Bearer {house.owner.token}".encode()
    headers = {"content-type": "application/json", "transfer-encoding": "chunked"}

    answer = await asked(api.stack.url, request("POST", path, headers) + chunked(VENUE, bearer))

    assert answer is not None
    assert (answer.status, answer.problem()["reason"]) == (401, "TokenNotPresent")
    assert venues(house) == before


async def test_more_body_than_declared_is_the_next_request_and_refused_as_such(api: Api, house: Organiser) -> None:
    async with connected(api.stack.url) as line:
        await line.send(venue_request(house) + b"more of it")
        answer = await line.answer()

        assert answer is not None
        assert answer.status == 201
        assert await line.ended()


async def test_who_expects_to_be_asked_for_the_body_is_asked_only_if_it_is_wanted(api: Api, house: Organiser) -> None:
    head_only = venue_request(house, expect="100-continue")[: -len(VENUE)]
    unwanted = head(b"POST /api/nowhere HTTP/1.1", b"Host: a", b"Expect: 100-continue", b"Content-Length: 9")

    async with connected(api.stack.url) as line:
        await line.send(head_only)
        go_on = await line.answer()
        await line.send(VENUE)
        made = await line.answer()
    async with connected(api.stack.url) as line:
        await line.send(unwanted)
        refused = await line.answer()
        closed = await line.ended()

    assert go_on is not None
    assert made is not None
    assert refused is not None
    assert (go_on.status, made.status, refused.status, closed) == (100, 201, 404, True)


async def test_a_body_beyond_all_limits_is_refused_before_it_is_sent(api: Api, house: Organiser) -> None:
    path, headers = f"/api/organisers/{house.id}/venues", {"content-length": str(2**40)}

    async with connected(api.stack.url) as line:
        await line.send(request("POST", path, headers, token=house.owner.token))
        answer = await line.answer()

        assert answer is not None
        assert answer.problem()["status"] == 413
        await line.send(b"x" * 2_000_000)
        assert await line.ended()


# --- slow


async def slow_heads(url: str) -> list[int]:
    """Statuses of many who send a header byte by byte."""
    async with many(url, SLOW_CLIENTS) as lines:
        drips = [asyncio.create_task(line.drip(request("GET", LIVE, {"x-a": "b" * 100}))) for line in lines]
        answers = [await line.answer() for line in lines]
        await asyncio.gather(*drips)
    return [answer.problem()["status"] for answer in answers if answer is not None]


async def slow_body(url: str, data: bytes, slowly: bytes) -> int:
    """The status of somebody who sends the end of a request byte by byte."""
    async with connected(url) as line:
        await line.send(data)
        drip = asyncio.create_task(line.drip(slowly))
        answer = await line.answer()
        ended = await line.ended()
        await drip
    assert answer is not None
    assert ended
    answer.problem()
    return answer.status


async def endless(url: str, data: bytes) -> bool:
    """Whether somebody who goes on sending this without end, and gets no answer, is cut off."""
    async with connected(url) as line:
        drip = asyncio.create_task(line.drip(data * 200, seconds=0.2))
        answer = await line.answer()
        await drip
    return answer is None or answer.status == 408


async def silent(url: str) -> bool:
    """Whether a connection without a request is closed without a word."""
    async with connected(url) as line:
        return await line.ended()


async def old(url: str) -> int:
    """The status of somebody who speaks HTTP/0.9, which has no head that could be whole."""
    answer = await asked(url, b"GET /api/health/live\r\n")
    return answer.status if answer is not None else 0


async def unread(url: str) -> bool:
    """Whether somebody who goes on asking and never reads an answer is cut off."""
    parts = urlsplit(url)
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        client.connect((parts.hostname, parts.port))
        client.setblocking(False)
        left = request("GET", "/api/openapi.json") * 1_000
        while not client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            with suppress(BlockingIOError):
                left = left[client.send(left) :]
            await asyncio.sleep(0.1)
    return True


async def watched(url: str, until: asyncio.Task[object]) -> int:
    """How many ordinary requests were answered meanwhile, each on a connection of its own."""
    answered = 0
    while not until.done():
        await still_answers(url)
        answered += 1
        await asyncio.sleep(0.1)
    return answered


async def test_the_slow_are_cut_off_and_do_nothing_while_others_are_answered(api: Api, house: Organiser) -> None:
    """All at once: what takes time is the limits themselves."""
    url, before = api.stack.url, venues(house)
    posted = request("POST", f"/api/organisers/{house.id}/venues", {"content-type": "application/json",
                     "transfer-encoding": "chunked"}, token=house.owner.token)  # fmt: skip

    async with asyncio.timeout(PATIENCE_SECONDS), asyncio.TaskGroup() as group:
        heads = group.create_task(slow_heads(url))
        body = group.create_task(slow_body(url, venue_request(house)[: -len(VENUE)], VENUE))
        extension = group.create_task(slow_body(url, posted + b"5;", b"a" * 100))
        empty_lines = group.create_task(endless(url, b"\r\n"))
        nothing = group.create_task(silent(url))
        ancient = group.create_task(old(url))
        unwilling = group.create_task(unread(url))
        others = group.create_task(watched(url, heads))

    assert heads.result() == [408] * SLOW_CLIENTS, f"in {HEAD_SECONDS} s"
    assert (body.result(), extension.result()) == (408, 408), f"in {BODY_GRACE_SECONDS} s"
    assert (empty_lines.result(), nothing.result(), ancient.result()) == (True, True, 408)
    assert unwilling.result(), f"in {ANSWER_SECONDS} s"
    assert others.result() > 10
    assert venues(house) == before


# --- many


async def test_thousands_of_idle_connections_keep_nobody_from_being_answered(api: Api) -> None:
    async with many(api.stack.url, IDLE_CLIENTS) as lines:
        await still_answers(api.stack.url)
        await lines[-1].send(request("GET", LIVE))
        answer = await lines[-1].answer()

    assert answer is not None
    assert answer.status == 200


def held_by(port: int) -> int:
    """How many connections the server on a port holds: established, or closed by their clients alone."""
    found = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(int(own.rpartition(":")[2], 16) == port and state in {"01", "08"} for _, own, _, state, *_ in found)


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="only Linux changes another process' limits")
async def test_beyond_half_of_its_files_the_host_turns_clients_away_and_goes_on(api: Api) -> None:
    assert api.stack.host is not None
    [worker] = api.stack.host.worker_pids()
    before = resource.prlimit(worker, resource.RLIMIT_NOFILE)
    async with asyncio.timeout(PATIENCE_SECONDS):
        while held_by(api.stack.ports.host) > 5:  # noqa: ASYNC110 - the host lets go of what earlier tests left
            await asyncio.sleep(0.05)
    resource.prlimit(worker, resource.RLIMIT_NOFILE, (400, before[1]))
    try:
        async with many(api.stack.url, 300) as lines:
            for line in lines:
                await line.send(request("GET", LIVE))
            answers = [await line.answer() for line in lines]
        await still_answers(api.stack.url)
    finally:
        resource.prlimit(worker, resource.RLIMIT_NOFILE, before)

    assert 90 <= answers.count(None) <= 110
    assert any("Clients are turned away" in entry.get("message", "") for entry in api.stack.host.log_entries())
