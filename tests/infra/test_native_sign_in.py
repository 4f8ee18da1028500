"""The smoke test's operator signs in without a browser, by the published protocol."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from local.emulators.serving import served
from tests.doubles.native_sign_in import CLIENT_ID, tenant
from tests.infra.cloud import Cloud
from tools.delivery.signing_in import Operator, SignInFailed

PASSWORDS = {"smoke@tessera.example": "a long password"}
OPERATOR = Operator("", CLIENT_ID, "api://tessera/tickets.use", "smoke@tessera.example", "a long password")


async def token(operator: Operator, *, allowed: bool = True, second_factor: bool = False) -> str:
    async with served(tenant(PASSWORDS, allowed=allowed, second_factor=second_factor)) as url:
        return await asyncio.to_thread(replace(operator, authority=f"{url}/tenant").token)


async def test_an_operator_gets_a_token_for_the_api() -> None:
    assert await token(OPERATOR) == "token of smoke@tessera.example for openid api://tessera/tickets.use"


async def test_a_wrong_password_is_told_in_the_services_words_without_it() -> None:
    with pytest.raises(SignInFailed, match="token: 400 invalid_grant AADSTS50126") as refused:
        await token(replace(OPERATOR, password="another one"))
    assert "another one" not in str(refused.value)


async def test_an_unknown_operator_is_refused() -> None:
    with pytest.raises(SignInFailed, match="initiate: 400 user_not_found"):
        await token(replace(OPERATOR, username="nobody@tessera.example"))


async def test_an_app_that_sends_people_to_a_browser_is_told_so() -> None:
    with pytest.raises(SignInFailed, match="native authentication is not allowed for this app or user: redirect"):
        await token(OPERATOR, allowed=False)


async def test_an_operator_with_a_second_factor_cannot_be_a_machine() -> None:
    with pytest.raises(SignInFailed, match="more than a password: oob"):
        await token(OPERATOR, second_factor=True)


def test_a_tenant_that_does_not_answer_is_told() -> None:
    with pytest.raises(SignInFailed, match=r"http://127\.0\.0\.1:9/tenant does not answer"):
        replace(OPERATOR, authority="http://127.0.0.1:9/tenant").token()


def test_the_password_is_not_in_what_is_shown_of_an_operator() -> None:
    assert "a long password" not in repr(OPERATOR)


async def test_the_command_prints_a_token_and_nothing_else(tmp_path: Path) -> None:
    async with served(tenant(PASSWORDS)) as url:
        code, text = await asyncio.to_thread(
            Cloud.make(tmp_path).command, "token", "--user", OPERATOR.username, TESSERA_PASSWORD=OPERATOR.password,
            AUTH_AUTHORITIES=f"{url}/tenant/v2.0, https://another.example", TESSERA_SMOKE_CLIENT_ID=CLIENT_ID,
            AUTH_AUDIENCE="api-id",
        )  # fmt: skip

    assert (code, text) == (0, "token of smoke@tessera.example for openid api-id/tickets.use\n")
