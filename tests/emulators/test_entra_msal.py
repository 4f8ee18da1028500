"""The real msal signs people in against the double, by TLS, as against Entra."""

from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import jwt
import msal
import pytest
import requests

from tests.emulators.entra_browser import CLIENT, REDIRECT_URI, Issuer, Visitor, forms_of
from tests.emulators.processes import Emulator
from tests.support.credentials import Credential
from tests.support.leaks import SHAPES

UMA = "uma@tessera.example"
API_SCOPE = "api://tessera/tickets.use"


@pytest.fixture(scope="module")
def issuer(post_office: Emulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Issuer]:
    """One whose clock nobody moves: msal looks at the times in tokens."""
    data = tmp_path_factory.mktemp("for-msal")
    with Emulator("entra", data, "--redirect-uri", REDIRECT_URI, "--tls-port", "0") as running:
        yield Issuer(running, data, post_office)


@pytest.fixture(autouse=True)
def _no_certificates_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """requests, on which msal stands, prefers the bundle these name to the `verify` it was made with."""
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("by_discovery", [False, True])
def test_msals_public_client_signs_in_refreshes_silently_and_forgets(issuer: Issuer, by_discovery: bool) -> None:
    where = {"oidc_authority": f"{issuer.tls_root}/v2.0"} if by_discovery else {"authority": issuer.tls_root}
    app = msal.PublicClientApplication(CLIENT, **where, instance_discovery=False, verify=issuer.ca)
    flow = app.initiate_auth_code_flow([API_SCOPE], redirect_uri=REDIRECT_URI, response_mode="form_post")

    with Visitor(issuer, tls=True) as uma:
        page = uma.get(flow["auth_uri"])
        onward = uma.fill(page, email=UMA, password=issuer.password_of(UMA))
        [form] = forms_of(onward)
        first = app.acquire_token_by_auth_code_flow(flow, form.fields)
        [account] = app.get_accounts()
        cached = app.acquire_token_silent([API_SCOPE], account)
        fresh = app.acquire_token_silent([API_SCOPE], account, force_refresh=True)
        out = uma.get("oauth2/v2.0/logout", id_token_hint=first["id_token"])
        refused = app.acquire_token_silent_with_error([API_SCOPE], account, force_refresh=True)

    assert "error" not in first, first
    assert form.action == REDIRECT_URI
    assert parse_qs(urlsplit(flow["auth_uri"]).query)["code_challenge_method"] == ["S256"]
    assert first["id_token_claims"]["preferred_username"] == UMA
    assert account["username"] == UMA
    assert cached["access_token"] == first["access_token"] != fresh["access_token"]
    claims = jwt.decode(fresh["access_token"], options={"verify_signature": False})
    assert (claims["aud"], claims["scp"], claims["iss"]) == ("api://tessera", "tickets.use", f"{issuer.tls_root}/v2.0")
    assert out.status_code == 200
    assert refused["error"] == "invalid_grant"


def test_msal_trusts_no_other_certificate(issuer: Issuer) -> None:
    with pytest.raises(Exception, match="CERTIFICATE_VERIFY_FAILED"):
        msal.PublicClientApplication(CLIENT, authority=issuer.tls_root, instance_discovery=False)


def test_a_services_assertion_is_known_by_its_shape(issuer: Issuer) -> None:
    """Whoever searches files for leaks finds it: tests/support/leaks.py."""
    own, told = Credential(), []
    with requests.Session() as session:
        session.verify = issuer.ca
        session.hooks["response"].append(lambda answer, *_, **__: told.append(answer.request.body))
        app = msal.ConfidentialClientApplication(
            "not-registered",
            {"private_key": own.key_pem, "public_certificate": own.pem},
            authority=issuer.tls_root,
            instance_discovery=False,
            http_client=session,
        )
        refused = app.acquire_token_for_client(["https://graph.microsoft.com/.default"])
    [assertion] = parse_qs(told[-1])["client_assertion"]

    assert refused["error"] == "invalid_client"
    assert SHAPES["token"].fullmatch(assertion.encode())
