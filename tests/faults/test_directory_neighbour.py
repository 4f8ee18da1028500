"""The directory fails in every way: what was asked is asked again and exists once, and nobody waits long."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import cache
from typing import Any

import httpx
import pytest
import trustme

from local.emulators.entra.people import object_id_of
from shared.breaker import FAILURES_MAX, Breaker
from shared.directory.graph import PURGES_MAX
from shared.directory.graph_client import Patience
from shared.directory.guarded import GuardedDirectory
from shared.directory.port import Directory, DirectoryBusy, DirectoryRefused, DirectoryUnavailable
from shared.kernel.ids import random_id
from shared.telemetry.metrics import counters
from tests.support.credentials import Credential, Doors
from tests.support.directory import SERVICE, graph, pem_of, service, sign_in_double
from tests.support.fault_proxy import Fault, proxied

pytestmark = pytest.mark.xdist_group("directory-neighbour")  # one double for all

IMPATIENT = Patience(connect_seconds=0.2, answer_seconds=0.3, call_seconds=1.0, pause_seconds=0.05)
PATIENCE_SECONDS = 120.0  # only a hang takes so long
HURRIED = Patience(pause_seconds=0.005)
UMA = "uma@tessera.example"
FIELDS = "id,displayName,mail"


@cache
def credential() -> Credential:
    return Credential()


@cache
def expired() -> Credential:
    return Credential(begins=timedelta(days=-2), ends=timedelta(days=-1))


@pytest.fixture(scope="module")
def doors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Doors]:
    services = [
        service([credential(), expired()]),
        service([credential()], name="reader", roles=["User.Read.All"]),
        service([credential()], name="without-roles", roles=[]),
    ]
    with sign_in_double(tmp_path_factory.mktemp("entra"), *services) as running:
        yield running


@asynccontextmanager
async def trouble(doors: Doors, **fault: Any) -> AsyncIterator[httpx.AsyncClient]:
    """Graph does this meanwhile."""
    async with httpx.AsyncClient(verify=doors.tls(), base_url=doors.tls_url) as http:
        (await http.post("/_emulator/graph-faults", json=fault)).raise_for_status()
        try:
            yield http
        finally:
            await http.delete("/_emulator/graph-faults")


def address() -> str:
    return f"{random_id('new')}@tessera.example"


async def hits(http: httpx.AsyncClient) -> int:
    return int((await http.get("/_emulator/graph-faults")).json()["hits"])


async def accounts_of(doors: Doors, email: str) -> int:
    async with graph(doors, pem_of(credential())) as directory:
        return len((await directory.find(email, limit=10)).items)


@pytest.mark.parametrize("fault", [fault for fault in Fault if fault is not Fault.NONE])
async def test_what_was_asked_of_a_failing_directory_happens_once_when_asked_again(doors: Doors, fault: Fault) -> None:
    email, own, port = address(), pem_of(credential()), int(doors.tls_url.rpartition(":")[2])
    async with (
        asyncio.timeout(PATIENCE_SECONDS),
        proxied(port) as proxy,
        graph(doors, own, port=proxy.port) as patient,
        graph(doors, own, port=proxy.port, patience=IMPATIENT) as impatient,
    ):
        await impatient._client._access.token()
        await proxy.set(fault)
        with pytest.raises(DirectoryUnavailable):
            await impatient.create(email=email, name="Nora New")
        await proxy.set(Fault.NONE)
        user = (await patient.create(email=email, name="Nora New")).user
        assert await accounts_of(doors, email) == 1

        await proxy.set(fault)
        with pytest.raises(DirectoryUnavailable):
            await impatient.delete(user.user_id)
        await proxy.set(Fault.NONE)
        await patient.delete(user.user_id)
        assert await accounts_of(doors, email) == 0


@pytest.mark.parametrize("kind", ["lost", "garbage"])
async def test_a_creation_whose_answer_was_lost_resolves_to_the_account_it_made(doors: Doors, kind: str) -> None:
    email = address()
    async with (
        trouble(doors, kind=kind, method="POST", times=1) as http,
        graph(doors, pem_of(credential())) as directory,
    ):
        before = await hits(http)
        creation = await directory.create(email=email, name="Nora New")
        assert await hits(http) == before + 1

    assert (creation.user.email, creation.user.name, creation.created) == (email, "Nora New", False)
    assert await accounts_of(doors, email) == 1


async def test_an_account_that_lists_do_not_show_yet_is_asked_for_again_later(doors: Doors) -> None:
    email = address()
    async with graph(doors, pem_of(credential())) as directory:
        made = await directory.create(email=email, name="Nora New")
        async with trouble(doors, kind="late", seconds=600):
            with pytest.raises(DirectoryBusy):
                await directory.create(email=email, name="Nora New")
        assert (await directory.create(email=email, name="Nora New")).user.user_id == made.user.user_id


async def kept(doors: Doors, user_id: str) -> bool:
    """Whether an account is where deleted ones are kept; it is deleted there."""
    async with httpx.AsyncClient(verify=doors.tls(), base_url=doors.tls_url) as http:
        claims = {"aud": "https://graph.microsoft.com", "roles": ["User.DeleteRestore.All"]}
        minted = await http.post("/_emulator/tokens", json={"subject": "a-service", "overrides": claims})
        bearer = {"Authorization": f"Bearer {minted.json()['access_token']}"}
        return (await http.delete(f"/v1.0/directory/deletedItems/{user_id}", headers=bearer)).status_code == 204


@pytest.mark.parametrize("asked", [PURGES_MAX - 1, PURGES_MAX + 1], ids=["one deletion", "the next one"])
async def test_a_deleted_account_that_does_not_show_yet_among_the_deleted_is_deleted_there_once_it_does(
    doors: Doors, asked: int, caplog: pytest.LogCaptureFixture
) -> None:
    async with graph(doors, pem_of(credential()), patience=HURRIED) as directory:
        user = (await directory.create(email=address(), name="Nora New")).user
        async with trouble(doors, kind="late", path="deletedItems", seconds=600, times=asked) as http:
            before = await hits(http)
            for _ in range(asked // PURGES_MAX):
                with pytest.raises(DirectoryBusy):
                    await directory.delete(user.user_id)
            await directory.delete(user.user_id)
            assert await hits(http) == before + asked
        assert not await kept(doors, user.user_id)
        await directory.delete(user.user_id)  # nothing is left to look for

    assert "directory_deletion_unseen" not in caplog.text


async def test_an_account_nobody_saw_deleted_for_good_is_told_of(
    doors: Doors, caplog: pytest.LogCaptureFixture
) -> None:
    async with graph(doors, pem_of(credential()), patience=HURRIED) as directory:
        user = (await directory.create(email=address(), name="Nora New")).user
        async with trouble(doors, kind="late", path="deletedItems", seconds=600):
            with pytest.raises(DirectoryBusy):
                await directory.delete(user.user_id)
            counted = counters().get("directory_deletions_unseen", 0)
            await directory.delete(user.user_id)
        assert await kept(doors, user.user_id)

    assert counters().get("directory_deletions_unseen", 0) == counted + 1
    assert user.user_id in next(line.message for line in caplog.records if "directory_deletion_unseen" in line.message)


async def test_a_next_page_on_another_host_is_never_asked_for(doors: Doors) -> None:
    async with graph(doors, pem_of(credential())) as directory, trouble(doors, kind="elsewhere"):
        with pytest.raises(DirectoryUnavailable):
            await directory.find("", limit=1)


async def test_a_redirect_is_not_followed_with_our_token(doors: Doors) -> None:
    async with graph(doors, pem_of(credential())) as directory, trouble(doors, kind="redirect") as http:
        before = await hits(http)
        with pytest.raises(DirectoryUnavailable):
            await directory.get(object_id_of(UMA))
        assert await hits(http) == before + 1


async def test_one_failure_is_not_noticed_and_two_are_no_answer(doors: Doors) -> None:
    async with graph(doors, pem_of(credential())) as directory:
        async with trouble(doors, kind="unavailable", times=1):
            assert (await directory.find(UMA, limit=1)).items
        async with trouble(doors, kind="unavailable", times=2):
            with pytest.raises(DirectoryUnavailable):
                await directory.find(UMA, limit=1)
        async with trouble(doors, kind="reset", times=1):
            assert (await directory.find(UMA, limit=1)).items


async def test_a_token_that_was_revoked_is_fetched_anew(doors: Doors) -> None:
    async with graph(doors, pem_of(credential())) as directory:
        assert (await directory.find(UMA, limit=1)).items
        first = await directory._client._access.token()
        async with trouble(doors, kind="expired", times=1):
            assert (await directory.find(UMA, limit=1)).items
        second = await directory._client._access.token()
        async with trouble(doors, kind="expired"):
            with pytest.raises(DirectoryUnavailable):
                await directory.find(UMA, limit=1)

    assert first != second


@pytest.mark.parametrize(("seconds", "pause"), [(7, 7.0), (0, 1.0), (600, 60.0)])
async def test_a_directory_that_throttles_us_is_asked_again_when_it_says_and_opens_no_breaker(
    doors: Doors, seconds: int, pause: float
) -> None:
    times = FAILURES_MAX * 2
    async with graph(doors, pem_of(credential())) as inner, asyncio.timeout(PATIENCE_SECONDS):
        directory, pauses = GuardedDirectory(inner), set()
        async with trouble(doors, kind="throttle", seconds=seconds) as http:
            before = await hits(http)
            for _ in range(times):
                with pytest.raises(DirectoryBusy) as told:
                    await directory.find(UMA, limit=1)
                pauses.add(told.value.retry_after_seconds)
            asked = await hits(http) - before
        assert (await directory.find(UMA, limit=1)).items

    assert (pauses, asked) == ({pause}, times)  # a whole address is one question


async def test_a_directory_that_is_away_is_left_alone_for_a_while_and_then_tried(doors: Doors) -> None:
    async with (
        asyncio.timeout(PATIENCE_SECONDS),
        proxied(int(doors.tls_url.rpartition(":")[2])) as proxy,
        graph(doors, pem_of(credential()), port=proxy.port, patience=IMPATIENT) as inner,
    ):
        breaker = Breaker("directory", failure=DirectoryUnavailable, answer=DirectoryBusy, open_seconds=2.0)
        directory = GuardedDirectory(inner, breaker)
        await until_answered(inner)
        await proxy.set(Fault.RESET)
        for _ in range(FAILURES_MAX):
            with pytest.raises(DirectoryUnavailable):
                await directory.find(UMA, limit=1)
        await proxy.set(Fault.NONE)
        asked = proxy.connections
        with pytest.raises(DirectoryUnavailable) as refused:
            await directory.find(UMA, limit=1)
        assert (proxy.connections, refused.value.retry_after_seconds) == (asked, 5.0)
        await until_answered(directory)


async def answered(directory: Directory) -> bool:
    try:
        return bool((await directory.find(UMA, limit=1)).items)
    except DirectoryUnavailable:
        return False


async def until_answered(directory: Directory) -> None:
    """Return once it answers; the impatient may have to ask a busy machine many times."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not await answered(directory):  # noqa: ASYNC110 - the proxy is another server
            await asyncio.sleep(0.02)


async def test_a_silent_sign_in_service_holds_nobody_up(doors: Doors) -> None:
    path = doors.authority.removeprefix(doors.tls_url)
    async with asyncio.timeout(PATIENCE_SECONDS), proxied(int(doors.tls_url.rpartition(":")[2])) as proxy:
        authority = f"https://127.0.0.1:{proxy.port}{path}"
        own = pem_of(credential())
        async with graph(doors, own, authority=authority, patience=IMPATIENT, token_patience=IMPATIENT) as directory:
            await proxy.set(Fault.SILENT)
            answers = await asyncio.gather(*(directory.find(UMA, limit=1) for _ in range(10)), return_exceptions=True)
            assert {type(answer) for answer in answers} <= {DirectoryUnavailable}
            await proxy.set(Fault.NONE)
            await until_answered(directory)  # the thread gives up on what the silent service was asked


async def test_many_who_ask_at_once_cause_one_token(doors: Doors) -> None:
    path = doors.authority.removeprefix(doors.tls_url)
    async with proxied(int(doors.tls_url.rpartition(":")[2])) as proxy:
        authority = f"https://127.0.0.1:{proxy.port}{path}"
        async with graph(doors, pem_of(credential()), authority=authority) as directory:
            found = await asyncio.gather(*(directory.find(UMA, limit=1) for _ in range(20)))
            tokens = {await directory._client._access.token() for _ in range(3)}
        assert (len(found), len(tokens), proxy.connections) == (20, 1, 1)


@pytest.mark.parametrize(
    ("certificate", "client_id", "told"),
    [
        (lambda: pem_of(Credential()), SERVICE, "AADSTS700027"),
        (lambda: pem_of(expired()), SERVICE, "AADSTS700027"),
        (lambda: pem_of(credential()), "nobody", "AADSTS700016"),
        (lambda: credential().key_pem + Credential().pem, SERVICE, "no certificate that belongs to its key"),
    ],
    ids=["a stranger's", "expired", "of another app", "not of its key"],
)
async def test_a_credential_that_is_turned_down_is_told_in_the_logs_and_opens_the_breaker(
    doors: Doors, caplog: pytest.LogCaptureFixture, certificate: Any, client_id: str, told: str
) -> None:
    async with graph(doors, certificate(), client_id=client_id) as inner:
        directory = GuardedDirectory(inner)
        for _ in range(FAILURES_MAX + 1):
            with pytest.raises(DirectoryUnavailable):
                await directory.find(UMA, limit=1)

    errors = [record.message for record in caplog.records if record.levelno == logging.ERROR]
    assert [told in message for message in errors] == [True] * FAILURES_MAX
    assert "PRIVATE KEY" not in caplog.text


@pytest.mark.parametrize(("days", "warned"), [(20, True), (400, False)])
async def test_a_certificate_that_ends_soon_is_warned_of(
    doors: Doors, caplog: pytest.LogCaptureFixture, days: int, warned: bool
) -> None:
    async with graph(doors, pem_of(Credential(ends=timedelta(days=days)))) as directory:
        assert not await answered(directory)  # nobody registered it

    assert ("directory_certificate_ends" in caplog.text) is warned


async def test_an_app_without_the_permission_is_told_so_and_changes_nothing(
    doors: Doors, caplog: pytest.LogCaptureFixture
) -> None:
    email = address()
    async with graph(doors, pem_of(credential()), client_id="reader") as reader:
        with pytest.raises(DirectoryRefused) as refused:
            await reader.create(email=email, name="Nora New")
    async with graph(doors, pem_of(credential()), client_id="without-roles") as blind:
        with pytest.raises(DirectoryUnavailable):
            await blind.find(UMA, limit=1)

    assert refused.value.facts == {"code": "Authorization_RequestDenied"}
    assert await accounts_of(doors, email) == 0
    assert caplog.text.count("Authorization_RequestDenied") == 2


async def test_a_server_with_a_certificate_of_somebody_else_is_told_nothing(
    doors: Doors, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(other)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", doors.ca)  # what requests would prefer to the authority we pinned
    async with graph(doors, pem_of(credential()), ca=str(other)) as directory:
        with pytest.raises(DirectoryUnavailable):
            await directory._client._access.token()
    async with graph(doors, pem_of(credential()), graph_ca=str(other)) as directory:
        assert await directory._client._access.token()
        with pytest.raises(DirectoryUnavailable):
            await directory.find(UMA, limit=1)
