"""Who may use the emulator: shared access signatures, Entra's tokens, and TLS, as Azure's SDK presents them.

https://learn.microsoft.com/azure/service-bus-messaging/service-bus-sas
https://learn.microsoft.com/azure/service-bus-messaging/authenticate-application
"""

import ssl
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
import trustme
from azure.core.credentials import AccessToken
from azure.servicebus import ServiceBusMessage, TransportType
from azure.servicebus.aio import ServiceBusClient
from azure.servicebus.exceptions import ServiceBusAuthenticationError
from cryptography.hazmat.primitives.asymmetric import rsa

from local.emulators.servicebus.tokens import AUDIENCES, Authority, TokenRefused, Tokens
from shared.bus.port import Message
from shared.bus.servicebus import ServiceBus
from shared.topology import topology
from tests.contract.servicebus import connection_string
from tests.emulators.servicebus import HOST, Namespace, namespace, signature
from tests.support.amqp import RawClient

KEY = "the key"
NOW = datetime(2026, 5, 1, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)
ISSUER = "https://login.example/tenant/v2.0"
PRIVATE = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PAYMENTS = f"{HOST}/payments"


def authority() -> Authority:
    key = jwt.algorithms.RSAAlgorithm.to_jwk(PRIVATE.public_key(), as_dict=True)
    return Authority(ISSUER, jwt.PyJWKSet.from_dict({"keys": [key | {"kid": "k1", "alg": "RS256", "use": "sig"}]}))


def entra(kid: str = "k1", **claims: Any) -> str:
    facts = {"iss": ISSUER, "aud": AUDIENCES[0], "exp": int(time.time()) + 3600} | claims
    return jwt.encode({name: each for name, each in facts.items() if each is not None}, PRIVATE, "RS256", {"kid": kid})


@pytest.mark.parametrize("resource", [PAYMENTS, HOST, f"{HOST}/PAYMENTS/"])
def test_a_signature_is_good_for_its_resource_and_what_lies_below(resource: str) -> None:
    until = Tokens(KEY).check("jwt", signature(KEY, resource, expires=LATER), f"{HOST}:5672/payments", NOW)

    assert until == LATER


@pytest.mark.parametrize(
    "token",
    [
        signature("another key", PAYMENTS, expires=LATER),
        signature(KEY, PAYMENTS, expires=NOW),
        signature(KEY, f"{HOST}/pay", expires=LATER),
        signature(KEY, f"{HOST}/expiries", expires=LATER),
        signature(KEY, PAYMENTS, expires=LATER, key_name="Another"),
        signature(KEY, PAYMENTS, expires=LATER).replace("&se=", "&xx="),
        signature(KEY, PAYMENTS, expires=LATER).replace("&se=1", "&se=2"),
        "SharedAccessSignature nonsense",
        "nonsense",
        entra(),
    ],
)
def test_a_signature_that_is_not_good_grants_nothing(token: str) -> None:
    with pytest.raises(TokenRefused):
        Tokens(KEY).check("jwt", token, PAYMENTS, NOW)


def test_tokens_of_an_unknown_type_grant_nothing() -> None:
    with pytest.raises(TokenRefused):
        Tokens(KEY).check("saml", signature(KEY, PAYMENTS, expires=LATER), PAYMENTS, NOW)


@pytest.mark.parametrize("audience", AUDIENCES)
def test_entras_token_is_good_where_its_authority_is_known(audience: str) -> None:
    token = entra(aud=audience)

    assert Tokens(KEY, authority=authority()).check("jwt", token, PAYMENTS, NOW) > datetime.now(UTC)


@pytest.mark.parametrize(
    "token",
    [
        entra(iss="https://elsewhere.example"),
        entra(aud="https://graph.microsoft.com"),
        entra(exp=int(time.time()) - 60),
        entra(exp=None),
        entra(kid="k2"),
        entra()[:-8] + "AAAAAAAA",
        jwt.encode(
            {"iss": ISSUER, "aud": AUDIENCES[0], "exp": int(time.time()) + 60}, "x" * 32, "HS256", {"kid": "k1"}
        ),
    ],
)
def test_entras_token_that_is_not_good_grants_nothing(token: str) -> None:
    with pytest.raises(TokenRefused):
        Tokens(KEY, authority=authority()).check("jwt", token, PAYMENTS, NOW)


@pytest.fixture
async def space(tmp_path: Path) -> AsyncIterator[Namespace]:
    async with namespace(tmp_path, authority=authority()) as found:
        yield found


async def test_a_refused_token_is_answered_with_401_and_opens_no_link(space: Namespace) -> None:
    client = await RawClient.signed_in(space.port)

    assert await client.put_token(signature("another", PAYMENTS), PAYMENTS) == 401

    assert (await client.attach("payments", 1))[5] is None
    await client.close()


async def test_the_sdk_says_that_a_wrong_key_is_refused(space: Namespace) -> None:
    sdk = ServiceBusClient.from_connection_string(connection_string(space.port, "wrong"), keep_alive=0, retry_total=0)
    async with sdk:
        sender = sdk.get_queue_sender("payments")
        with pytest.raises(ServiceBusAuthenticationError) as refused:
            await sender.send_messages(ServiceBusMessage(b"{}"))

    # The SDK's own message says `amqp:client-error`; what the bus answered is in the error inside.
    assert "The signature is not of this namespace's key." in str(refused.value.inner_exception)


class Credential:
    """A token credential as azure-identity's are, with tokens of our own authority."""

    async def get_token(self, *scopes: str, **_: Any) -> AccessToken:
        assert scopes == ("https://servicebus.azure.net//.default",)
        return AccessToken(entra(), int(time.time()) + 3600)

    async def close(self) -> None:
        """Nothing is open."""

    async def __aenter__(self) -> "Credential":
        return self

    async def __aexit__(self, *_: object) -> None:
        """Nothing is open."""


async def test_a_credential_reaches_the_emulator_over_tls(tmp_path: Path) -> None:
    """Everything a managed identity needs on Azure, but the name: TLS, a token for the namespace's audience."""
    authority_of_names = trustme.CA()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority_of_names.issue_cert("127.0.0.1").configure_cert(server)
    trusted = tmp_path / "ca.pem"
    authority_of_names.cert_pem.write_to_path(str(trusted))
    async with namespace(tmp_path, authority=authority(), tls=server) as space:
        bus = ServiceBus.connect(
            topology(),
            namespace="tessera.servicebus.windows.net",
            credential=Credential,
            keep_alive_seconds=0,
            custom_endpoint_address=f"sb://127.0.0.1:{space.port}",
            connection_verify=str(trusted),
            transport_type=TransportType.Amqp,
        )

        await bus.publish("payments", [Message("m", "T", b"{}")])

        await bus.close()
        assert (await space.broker.engine.counts("payments"))["active"] == 1
