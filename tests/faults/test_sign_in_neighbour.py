"""The sign-in service fails in every way: nobody waits long, nobody is let in or turned away wrongly."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta

import httpx
import pytest

from shared.auth.tokens import TokenValidator
from shared.kernel.clock import utc_now
from shared.kernel.errors import DependencyUnavailable
from tests.emulators.processes import Emulator
from tests.support.fault_proxy import Fault, FaultProxy, proxied

pytestmark = pytest.mark.xdist_group("sign-in-neighbour")  # one double for all

AUDIENCE = "api://tessera"
CALLERS = 10
PATIENCE_SECONDS = 120.0  # only a hang takes so long


@pytest.fixture(scope="module")
def issuer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    options = ["--audience", AUDIENCE, "--redirect-uri", "http://127.0.0.1/"]
    with Emulator("entra", tmp_path_factory.mktemp("entra"), *options) as running:
        yield running


@asynccontextmanager
async def validator_through(issuer: Emulator) -> AsyncIterator[tuple[TokenValidator, FaultProxy]]:
    port = issuer.url.rpartition(":")[2]
    async with proxied(int(port)) as proxy:
        yield TokenValidator([issuer.last_word.replace(f":{port}/", f":{proxy.port}/")], AUDIENCE), proxy


def minted(issuer: Emulator, email: str) -> str:
    answer = httpx.post(f"{issuer.url}/_emulator/tokens", json={"email": email})
    token: str = answer.json()["access_token"]
    return token


@pytest.mark.parametrize("fault", [fault for fault in Fault if fault is not Fault.NONE])
async def test_while_no_keys_can_be_had_callers_are_told_to_come_back_and_one_question_is_asked_for_all(
    issuer: Emulator, monkeypatch: pytest.MonkeyPatch, fault: Fault
) -> None:
    monkeypatch.setattr("shared.auth.authorities.FAILED_INTERVAL", timedelta())  # as if they came later than the pause
    token = minted(issuer, "a@tessera.example")
    async with asyncio.timeout(PATIENCE_SECONDS), validator_through(issuer) as (validator, proxy):
        await proxy.set(fault)
        with monkeypatch.context() as meanwhile:  # who is back gets its usual time: the machine may be busy
            meanwhile.setattr("shared.auth.authorities.FETCH_SECONDS_MAX", 0.3)
            asked = [validator.caller(token, utc_now()) for _ in range(CALLERS)]
            answers = await asyncio.gather(*asked, return_exceptions=True)

        assert [type(answer) for answer in answers] == [DependencyUnavailable] * CALLERS
        assert proxy.connections == (0 if fault is Fault.DOWN else 1)
        await proxy.set(Fault.NONE)
        assert (await validator.caller(token, utc_now())).email == "a@tessera.example"


@pytest.mark.parametrize("fault", [Fault.DOWN, Fault.GARBAGE, Fault.WRONG])
async def test_keys_once_had_outlast_a_failing_service(issuer: Emulator, fault: Fault) -> None:
    first, second = (minted(issuer, f"{name}@tessera.example") for name in "ab")
    async with asyncio.timeout(PATIENCE_SECONDS), validator_through(issuer) as (validator, proxy):
        await validator.caller(first, utc_now())
        await proxy.set(fault)

        caller = await validator.caller(second, utc_now() + timedelta(minutes=5))

        assert caller.email == "b@tessera.example"
        assert await validator.ready()
