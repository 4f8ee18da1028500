"""Services that sign in themselves: the real msal with a certificate, by TLS, and every assertion that is refused."""

import json
import ssl
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import jwt
import msal
import pytest
from cryptography.hazmat.primitives import hashes

from tests.emulators.entra_browser import REDIRECT_URI
from tests.emulators.processes import Emulator
from tests.support.credentials import Credential, Doors

SERVICE = "tessera-directory"
GRAPH = "https://graph.microsoft.com"
TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


@cache
def own() -> Credential:
    return Credential()


@cache
def strangers() -> Credential:
    return Credential()


@cache
def expired() -> Credential:
    return Credential(begins=timedelta(days=-2), ends=timedelta(days=-1))


@pytest.fixture(scope="module")
def doors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Doors]:
    data = tmp_path_factory.mktemp("entra")
    file = data / "applications.json"
    roles = {GRAPH: ["User.ReadWrite.All"]}
    registered = [
        {"id": SERVICE, "certificates": [own().pem, expired().pem], "roles": roles},
        {"id": "another", "certificates": [strangers().pem]},
    ]
    file.write_text(json.dumps(registered))
    options = ["--redirect-uri", REDIRECT_URI, "--tls-port", "0", "--applications", str(file)]
    with Emulator("entra", data, *options) as running:
        yield Doors(running, data)


def asked(doors: Doors, by: Callable[[], Credential] = own, **changes: Any) -> httpx.Response:
    """A request for a token of Graph; `changes` are claims, or None for one to leave out."""
    now = int(time.time())
    claims = {
        "iss": SERVICE,
        "sub": SERVICE,
        "aud": doors.token_endpoint,
        "jti": "1",
        "iat": now,
        "exp": now + 300,
    } | changes
    kept = {name: claim for name, claim in claims.items() if claim is not None}
    assertion = jwt.encode(kept, by().private, algorithm="PS256", headers={"x5t#S256": by().thumbprint()})
    return sent(doors, client_assertion=assertion)


def sent(doors: Doors, **changes: str) -> httpx.Response:
    fields = {
        "grant_type": "client_credentials",
        "client_id": SERVICE,
        "scope": f"{GRAPH}/.default",
        "client_assertion_type": TYPE,
    } | changes
    with trusting(doors) as http:
        return http.post(doors.token_endpoint, data=fields)


def trusting(doors: Doors) -> httpx.Client:
    return httpx.Client(verify=ssl.create_default_context(cafile=doors.ca), timeout=60)


@pytest.fixture(autouse=True)
def _no_certificates_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """requests, on which msal stands, prefers the bundle these name to the `verify` it was made with."""
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("older", [False, True])
def test_msal_gets_a_service_its_token_of_graph(doors: Doors, older: bool) -> None:
    """By PS256 and SHA-256, and by the RS256 and SHA-1 that msal still uses when it is handed a thumbprint."""
    thumbprint = own().certificate.fingerprint(hashes.SHA1()).hex()  # noqa: S303 - a name, not a proof
    credential = {"private_key": own().key_pem, "public_certificate": own().pem}
    service = msal.ConfidentialClientApplication(
        SERVICE,
        client_credential=credential | ({"thumbprint": thumbprint} if older else {}),
        authority=doors.authority,
        instance_discovery=False,
        verify=doors.ca,
    )

    answer = service.acquire_token_for_client([f"{GRAPH}/.default"])

    with trusting(doors) as http:
        metadata = http.get(f"{doors.authority}/v2.0/.well-known/openid-configuration").json()
        keys = jwt.PyJWKSet.from_dict(http.get(metadata["jwks_uri"]).json())
    token = answer["access_token"]
    claims = jwt.decode(
        token,
        keys[jwt.get_unverified_header(token)["kid"]],
        algorithms=["RS256"],
        audience=GRAPH,
        issuer=f"{doors.authority}/v2.0",
    )
    assert {name: claims.get(name) for name in ("roles", "appid", "azp", "idtyp", "scp", "email")} == {
        "roles": ["User.ReadWrite.All"],
        "appid": SERVICE,
        "azp": SERVICE,
        "idtyp": "app",
        "scp": None,
        "email": None,
    }
    assert claims["sub"] == claims["oid"]
    assert "refresh_token" not in answer


def test_a_service_without_a_role_gets_a_token_without_roles(doors: Doors) -> None:
    now = int(time.time())
    claims = {"iss": "another", "sub": "another", "aud": doors.token_endpoint, "jti": "1", "iat": now, "exp": now + 60}
    assertion = jwt.encode(
        claims, strangers().private, algorithm="PS256", headers={"x5t#S256": strangers().thumbprint()}
    )

    answer = sent(doors, client_id="another", client_assertion=assertion)

    assert "roles" not in jwt.decode(answer.json()["access_token"], options={"verify_signature": False})


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": "https://elsewhere.example/oauth2/v2.0/token"},
        {"iss": "another"},
        {"sub": "another"},
        {"exp": 1_000_000_000},
        {"exp": 4_000_000_000},
        {"nbf": 4_000_000_000},
        {"jti": None},
        {"exp": None},
        {"by": expired},
        {"by": strangers},
    ],
)
def test_an_assertion_that_does_not_prove_who_asks_gets_nothing(doors: Doors, changes: dict[str, Any]) -> None:
    assert asked(doors).status_code == 200

    answer = asked(doors, **changes)

    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")


def test_a_signature_by_another_key_under_our_thumbprint_gets_nothing(doors: Doors) -> None:
    now = int(time.time())
    claims = {"iss": SERVICE, "sub": SERVICE, "aud": doors.token_endpoint, "jti": "1", "iat": now, "exp": now + 60}
    own_certificate = {"x5t#S256": own().thumbprint(), "x5c": [strangers().pem]}
    forged = jwt.encode(claims, strangers().private, algorithm="PS256", headers=own_certificate)
    unsigned = jwt.encode(claims, "", algorithm="none", headers=own_certificate)

    answers = [sent(doors, client_assertion=assertion) for assertion in (forged, unsigned, "nonsense", "")]

    assert [(answer.status_code, answer.json()["error"]) for answer in answers] == [(401, "invalid_client")] * 4


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"scope": f"{GRAPH}/User.Read"}, "invalid_scope"),
        ({"scope": ""}, "invalid_scope"),
        ({"scope": "https://elsewhere.example/.default"}, "invalid_resource"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
    ],
)
def test_only_a_known_resource_as_a_whole_can_be_asked_for(doors: Doors, changes: dict[str, str], error: str) -> None:
    now = int(time.time())
    claims = {"iss": SERVICE, "sub": SERVICE, "aud": doors.token_endpoint, "jti": "1", "iat": now, "exp": now + 60}
    assertion = jwt.encode(claims, own().private, algorithm="PS256", headers={"x5t#S256": own().thumbprint()})

    answer = sent(doors, client_assertion=assertion, **changes)

    assert (answer.status_code, answer.json()["error"]) == (400, error)


def test_each_door_speaks_for_itself_and_both_publish_the_same_keys(doors: Doors) -> None:
    with trusting(doors) as http:
        secure = http.get(f"{doors.authority}/v2.0/.well-known/openid-configuration").json()
        plain = http.get(f"{doors.emulator.last_word}/.well-known/openid-configuration").json()
        keys = [http.get(metadata["jwks_uri"]).json() for metadata in (secure, plain)]

    assert secure["issuer"] == f"{doors.authority}/v2.0"
    assert plain["issuer"] == doors.emulator.last_word
    for metadata, url in ((secure, doors.tls_url), (plain, doors.emulator.url)):
        addresses = [value for name, value in metadata.items() if name.endswith(("_endpoint", "_uri"))]
        assert addresses
        assert all(address.startswith(f"{url}/") for address in addresses)
    assert keys[0] == keys[1]


def test_the_certificate_outlives_a_crash(tmp_path: Path) -> None:
    with Emulator("entra", tmp_path, "--redirect-uri", REDIRECT_URI, "--tls-port", "0") as entra:
        trusted = (tmp_path / "ca.pem").read_text()
        entra.kill()
        entra.restart()
        again = Doors(entra, tmp_path)
        with trusting(again) as http:
            assert http.get(again.tls_url).status_code == 200

    assert (tmp_path / "ca.pem").read_text() == trusted
    assert {file.name for file in tmp_path.iterdir()} >= {"ca.pem", "tls.pem"}
