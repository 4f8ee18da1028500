"""What is done to people through Graph ends what they have at the sign-in: sessions and refresh tokens."""

import ssl
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from local.emulators.entra.config import GRAPH
from tests.emulators.entra_browser import PASSWORD, Issuer, Visitor, new_address, signed_up


@pytest.fixture
def graph(issuer: Issuer) -> Iterator[httpx.Client]:
    """Graph, for somebody who may do everything."""
    door = issuer.tls_root.rpartition("/")[0]
    with httpx.Client(base_url=f"{door}/v1.0", verify=ssl.create_default_context(cafile=issuer.ca)) as http:
        claims = {"aud": GRAPH, "roles": ["User.ReadWrite.All"], "scp": None}
        minted = http.post(f"{door}/_emulator/tokens", json={"subject": "a-service", "overrides": claims})
        http.headers["Authorization"] = f"Bearer {minted.json()['access_token']}"
        yield http


def id_of(graph: httpx.Client, email: str) -> str:
    [user] = graph.get("/users", params={"$filter": f"startswith(mail,'{email}')"}).raise_for_status().json()["value"]
    return str(user["id"])


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        # https://learn.microsoft.com/graph/api/user-revokesigninsessions: refresh tokens and session cookies
        ("POST", "/revokeSignInSessions", None),
        ("PATCH", "", {"accountEnabled": False}),
        ("DELETE", "", None),
    ],
    ids=["revoked", "disabled", "deleted"],
)
def test_refresh_tokens_and_sessions_end_when_graph_says_so(
    issuer: Issuer, graph: httpx.Client, method: str, path: str, body: Any
) -> None:
    email = new_address("nora")
    with Visitor(issuer) as nora:
        assert signed_up(nora, email).status_code < 400
        token = nora.tokens(email, PASSWORD)["refresh_token"]
        token = nora.refresh(token).json()["refresh_token"]
        assert email in nora.get("profile").text

        done = graph.request(method, f"/users/{id_of(graph, email)}{path}", json=body)

        assert done.status_code in {200, 204}
        assert nora.refresh(token).json()["error"] == "invalid_grant"
        assert email not in nora.get("profile").text
