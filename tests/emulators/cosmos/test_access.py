"""Who may ask: the account's key, or an Entra token; each rule with its page."""

import hashlib
import hmac
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import trustme
from azure.core.exceptions import ServiceRequestError
from azure.cosmos.aio import CosmosClient
from azure.cosmos.exceptions import CosmosHttpResponseError
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from local.emulators.cosmos.app import build
from local.emulators.cosmos.errors import Refused
from local.emulators.cosmos.identities import AUDIENCE, Identities
from local.emulators.cosmos.requests import read
from local.emulators.cosmos.signatures import Gate
from local.emulators.serving import Tls, served
from shared.topology import topology
from tests.emulators.cosmos.authority import ISSUER, PRINCIPAL, Authority, authority, new_key
from tests.emulators.cosmos.rest import LISTINGS, Rest

KEYS = "https://learn.microsoft.com/rest/api/cosmos-db/access-control-on-cosmosdb-resources"
STATUSES = "https://learn.microsoft.com/rest/api/cosmos-db/http-status-codes-for-cosmosdb"
ROLES = "https://learn.microsoft.com/azure/cosmos-db/how-to-connect-role-based-access-control"
A = {"id": "a", "list_id": "public"}


@pytest.fixture
async def entra() -> AsyncIterator[Authority]:
    async with authority() as running:
        yield running


@pytest.fixture
def tls(tmp_path: Path) -> Tls:
    """A certificate for loopback from a CA made for this test."""
    certificate = trustme.CA().issue_cert("127.0.0.1", "localhost")
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    chain.write_bytes(b"".join(part.bytes() for part in certificate.cert_chain_pems))
    certificate.private_key_pem.write_to_path(key)
    return Tls(chain, key)


@pytest.fixture
async def keyless(tmp_path: Path, entra: Authority, tls: Tls) -> AsyncIterator[str]:
    """An account without keys, as `disableLocalAuth` makes it, over https."""
    gate = Gate(None, Identities(entra.url, audiences=[AUDIENCE], principals=[PRINCIPAL]))
    async with served(build(tmp_path / "cosmos.sqlite", gate, topology=topology()), tls=tls) as url:
        yield url


async def test_a_request_signed_for_something_else_is_refused(rest: Rest) -> None:
    """access-control-on-cosmosdb-resources: verb, kind, address and date are signed; 401 by the page of statuses."""
    date = "x-ms-date"
    moment = (await rest.ask("GET", LISTINGS)).request.headers[date]
    signed = {
        "verb": rest.authorization("DELETE", f"{LISTINGS}/docs", moment),
        "kind": rest.authorization("POST", f"{LISTINGS}/pkranges", moment),
        "address": rest.authorization("POST", "dbs/tessera/colls/orders/docs", moment),
        "date": rest.authorization("POST", f"{LISTINGS}/docs", "Mon, 01 Jan 2024 00:00:00 GMT"),
        "key": Rest(rest.http, rest.url, "Zm9yZ2VkIGtleQ==").authorization("POST", f"{LISTINGS}/docs", moment),
        "garbage": "type%3Dmaster%26ver%3D1.0%26sig%3Dgarbage",
        "nothing": "",
    }

    answers = {
        name: await rest.create(A, authorization=authorization, **{date: moment})
        for name, authorization in signed.items()
    }

    assert {name: answer.status_code for name, answer in answers.items()} == dict.fromkeys(signed, 401), STATUSES
    assert (await rest.ask("GET", f"{LISTINGS}/docs/a", partition="public")).status_code == 404


@pytest.mark.parametrize(("minutes", "status"), [(0, 201), (14, 201), (-14, 201), (16, 403), (-16, 403)])
async def test_a_signature_is_good_for_a_quarter_of_an_hour(rest: Rest, minutes: int, status: int) -> None:
    """concepts-limits: maximum clock skew 15 min; 403 when the token has expired, by the page of statuses."""
    moment = datetime.now(UTC) + timedelta(minutes=minutes)

    answer = await rest.ask("POST", f"{LISTINGS}/docs", A, partition="public", at=moment)

    assert answer.status_code == status, STATUSES


async def test_an_account_with_keys_only_takes_no_tokens(rest: Rest, entra: Authority) -> None:
    answer = await rest.create(A, authorization=f"type=aad&ver=1.0&sig={entra.token()}")

    assert answer.status_code == 401, KEYS


async def test_an_identity_reads_and_writes_through_the_sdk(keyless: str, entra: Authority) -> None:
    """No option is needed over https on loopback, where the SDK does not check certificates."""
    async with CosmosClient(keyless, entra) as client:
        listings = client.get_database_client("tessera").get_container_client("listings")
        created = await listings.create_item({**A, "n": 1})
        await listings.execute_item_batch([("patch", ("a", [{"op": "incr", "path": "/n", "value": 1}]))], "public")
        found = [row["n"] async for row in listings.query_items("SELECT * FROM c", partition_key="public")]
        changed = [row["id"] async for row in listings.query_items_change_feed(start_time="Beginning")]
        await listings.delete_item("a", "public")

    assert created["_etag"]
    assert (found, changed) == ([2], ["a"])
    assert set(entra.scopes) == {"https://127.0.0.1/.default"}


async def test_no_identity_may_make_or_remove_containers(keyless: str, entra: Authority) -> None:
    """how-to-connect-role-based-access-control: management operations cannot be given by a data-plane role."""
    async with CosmosClient(keyless, entra) as client:
        database = client.get_database_client("tessera")
        with pytest.raises(CosmosHttpResponseError) as caught:
            await database.delete_container("listings")
        remaining = [found["id"] async for found in database.list_containers()]

    assert (caught.value.status_code, caught.value.sub_status) == (403, 5300), ROLES
    assert "listings" in remaining


async def test_the_sdk_sends_no_identity_without_tls(url: str, entra: Authority) -> None:
    client = CosmosClient(url, entra, retry_connect=0)
    with pytest.raises(ServiceRequestError, match="not permitted for non-TLS"):
        await client.__aenter__()
    await client.close()

    assert entra.scopes == []


@pytest.mark.parametrize(
    ("claims", "status"),
    [
        ({}, 201),
        ({"aud": f"{AUDIENCE}/"}, 201),
        ({"aud": "https://elsewhere.example"}, 401),
        ({"iss": "https://elsewhere.example"}, 401),
        ({"exp": 1}, 401),
        ({"nbf": 4_000_000_000}, 401),
        ({"oid": "somebody else"}, 403),
        ({"key": "another"}, 401),
        ({"algorithm": "none"}, 401),
    ],
)
async def test_which_tokens_count(keyless: str, entra: Authority, claims: dict[str, Any], status: int) -> None:
    """401 for a token that is not valid, 403 with substatus 5300 for a principal without a role assignment."""
    token = entra.token(**{**claims, **({"key": new_key()} if "key" in claims else {})})
    headers = {"authorization": f"type=aad&ver=1.0&sig={token}", "x-ms-documentdb-partitionkey": '["public"]'}
    async with httpx.AsyncClient(verify=False) as http:  # noqa: S501 - the CA is this test's own
        answer = await http.post(f"{keyless}/{LISTINGS}/docs", json=A, headers=headers)

    assert answer.status_code == status, ROLES
    assert answer.headers.get("x-ms-substatus") == ("5300" if status == 403 else None)
    assert ISSUER not in answer.text


async def test_a_token_forged_with_the_public_key_does_not_count(keyless: str, entra: Authority) -> None:
    """Algorithm confusion: HS256 with the published key as its secret, made by hand since PyJWT refuses to."""
    pem = entra.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    claims = entra.token().split(".")[1]
    head = urlsafe_b64encode(b'{"alg":"HS256","kid":"one","typ":"JWT"}').rstrip(b"=").decode()
    digest = hmac.new(pem, f"{head}.{claims}".encode(), hashlib.sha256).digest()
    token = f"{head}.{claims}.{urlsafe_b64encode(digest).rstrip(b'=').decode()}"
    async with httpx.AsyncClient(verify=False) as http:  # noqa: S501 - the CA is this test's own
        answer = await http.get(f"{keyless}/{LISTINGS}", headers={"authorization": f"type=aad&ver=1.0&sig={token}"})

    assert answer.status_code == 401


async def test_a_date_without_a_time_zone_is_refused(rest: Rest) -> None:
    """access-control-on-cosmosdb-resources: the date has the format of RFC 1123; there it ends in GMT."""
    date = "Sat, 21 Nov 2026 20:00:00 -0000"
    headers = {"authorization": rest.authorization("GET", LISTINGS, date), "x-ms-date": date}

    assert (await rest.ask("GET", LISTINGS, headers=headers)).status_code == 401, KEYS


def test_a_path_of_other_bytes_than_addresses_have_is_refused_before_anybody_signed_in() -> None:
    """Whatever the server in front lets through; httptools does not."""
    with pytest.raises(Refused) as refused:
        read("GET", b"/dbs/\xc3\xa4", {}, b"")

    assert refused.value.status == 400
