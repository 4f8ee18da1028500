"""The same policies with other named values: browsing for the signed-in alone, proof by identity, a narrow network."""

from collections.abc import Iterator

import pytest

from tests.host.gateway import INSIGHTS_KEY, Behind, behind


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Behind]:
    with behind(
        tmp_path_factory.mktemp("strict"),
        GATEWAY_BACKEND_BY_IDENTITY="true",
        GATEWAY_BACKEND_CLIENT="the-gateway",
        GATEWAY_BACKEND_RESOURCE="api://functions",
        GATEWAY_PRIVATE_FROM="127.0.0.40",
        GATEWAY_PRIVATE_TO="127.0.0.49",
        GATEWAY_PRIVATE_CALLS="3",
        GATEWAY_ADDRESS_CALLS="20",
    ) as running:
        yield running


def test_where_browsing_is_not_open_nobody_browses_without_a_token(gateway: Behind) -> None:
    with gateway.client() as client:
        assert client.get("/api/browse").status_code == 401
        assert client.get("/api/browse", headers=gateway.bearer()).status_code == 200
        assert client.get("/api/browse").status_code == 401


def test_where_browsing_is_not_open_every_answer_is_the_functions_own(gateway: Behind) -> None:
    with gateway.client() as client:
        times = [client.get("/api/browse?city=x", headers=gateway.bearer()).json()["times"] for _ in range(2)]

    assert times[1] == times[0] + 1


def test_proof_by_identity_takes_the_callers_place_and_the_caller_travels_beside_it(gateway: Behind) -> None:
    uma = gateway.bearer()
    forged = {"x-forwarded-authorization": "Bearer somebody-else"}
    with gateway.client() as client:
        seen = client.get("/api/account", headers={**uma, **forged}).json()["headers"]
        nobody = client.get("/api/page", headers=forged).json()["headers"]

    assert seen["authorization"] == "Bearer no-managed-identity-here:the-gateway:api://functions"
    assert seen["x-forwarded-authorization"] == uma["authorization"]
    assert nobody["x-forwarded-authorization"] == ""


def test_a_second_try_proves_itself_and_carries_the_caller_as_the_first_did(gateway: Behind) -> None:
    uma = gateway.bearer()
    with gateway.client() as client:
        answer = client.get("/api/troubled?name=identity&fails=1&status=502", headers=uma).json()

    assert (answer["times"], answer["headers"]["x-forwarded-authorization"]) == (2, uma["authorization"])
    assert answer["headers"]["authorization"] == "Bearer no-managed-identity-here:the-gateway:api://functions"


@pytest.mark.parametrize(
    ("address", "status"), [("127.0.0.39", 403), ("127.0.0.40", 200), ("127.0.0.49", 200), ("127.0.0.50", 403)]
)
def test_only_our_own_addresses_reach_the_private_endpoints(gateway: Behind, address: str, status: int) -> None:
    with gateway.client(address) as client:
        answer = client.get("/api/private", headers={"authorization": f"Bearer {INSIGHTS_KEY}"})

    assert answer.status_code == status
    if status == 403:
        assert (answer.json()["type"], answer.json()["reason"]) == (
            "urn:tessera:problem:caller-refused", "CallerIpNotAllowed",
        )  # fmt: skip


@pytest.mark.parametrize("with_key", [True, False], ids=["with the key", "without a key"])
def test_every_call_of_the_private_endpoints_counts_for_its_address(gateway: Behind, with_key: bool) -> None:
    key = {"authorization": f"Bearer {INSIGHTS_KEY}"}
    with gateway.client("127.0.0.45" if with_key else "127.0.0.46") as client:
        statuses = [client.get("/api/private", headers=key if with_key else {}).status_code for _ in range(3)]

        assert statuses == [200 if with_key else 401] * 3
        assert client.get("/api/private", headers=key).status_code == 429
        assert client.get("/api/page").status_code == 200
    with gateway.client("127.0.0.47") as client:
        assert client.get("/api/private", headers=key).status_code == 200
