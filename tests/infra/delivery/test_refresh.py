"""Apps see a secret's new value when they are told to fetch it, and not before; what they do not get is named."""

import hashlib
from dataclasses import replace

import pytest

from tests.infra.cloud import APPS, DEPLOYMENT, Cloud
from tools.delivery.deployment import found
from tools.delivery.references import References, Unresolved


@pytest.fixture
def references(cloud: Cloud) -> References:
    """Of two apps that started while the webhook's secret was still to come."""
    cloud.write("secrets", {"stripe-api-key": "sk_1", "stripe-webhook-secret": "whsec_later"})
    wanted = {"STRIPE_API_KEY": "stripe-api-key", "STRIPE_WEBHOOK_SECRET": "stripe-webhook-secret"}
    cloud.write("references", {APPS[0]: wanted, APPS[1]: {"STRIPE_API_KEY": "stripe-api-key"}})
    here = References(cloud.azure, found(cloud.azure, DEPLOYMENT), lambda _: None, seconds=0.0, poll=0.0)
    here.refresh()
    cloud.write("secrets", {"stripe-api-key": "sk_1", "stripe-webhook-secret": "whsec_of_stripe"})
    return here


def version(value: str) -> str:
    """Of a secret, as the double of Azure tells it."""
    return hashlib.sha256(value.encode()).hexdigest()[:32]


def started_with(cloud: Cloud) -> dict[str, str]:
    return {app: settings.get("STRIPE_WEBHOOK_SECRET", "") for app, settings in cloud.read("started").items()}


def test_a_new_value_is_seen_after_a_refresh_and_not_after_a_restart(cloud: Cloud, references: References) -> None:
    cloud.azure.ask("functionapp", "restart", "--resource-group", "rg-tessera-dev", "--name", APPS[0])
    assert started_with(cloud)[APPS[0]] == "whsec_later"
    told: list[str] = []

    replace(references, tell=told.append).refresh()

    assert started_with(cloud) == {APPS[0]: "whsec_of_stripe", APPS[1]: ""}
    key, webhook = version("sk_1"), version("whsec_of_stripe")
    assert told == [
        f"{APPS[0]}: STRIPE_API_KEY ← stripe-api-key: Resolved, version {key}, as before",
        f"{APPS[0]}: STRIPE_WEBHOOK_SECRET ← stripe-webhook-secret: Resolved, version {webhook}",
        f"{APPS[0]}: starts again with 2 secrets",
        f"{APPS[1]}: STRIPE_API_KEY ← stripe-api-key: Resolved, version {key}, as before",
        f"{APPS[1]}: starts again with 1 secret",
    ]


def test_a_secret_that_an_app_does_not_get_is_named_and_the_others_have_theirs(
    cloud: Cloud, references: References
) -> None:
    """It stands on the second page of what Azure tells."""
    cloud.write("secrets", {"stripe-api-key": "sk_2"})

    with pytest.raises(Unresolved) as refused:
        references.refresh()

    why = "SecretNotFound Key Vault reference was not able to be resolved."
    assert f"{APPS[0]}: STRIPE_WEBHOOK_SECRET ← stripe-webhook-secret: {why}" in str(refused.value)
    assert APPS[1] not in str(refused.value)
    assert cloud.read("started") == {
        APPS[0]: {"STRIPE_API_KEY": "sk_1", "STRIPE_WEBHOOK_SECRET": "whsec_later"},
        APPS[1]: {"STRIPE_API_KEY": "sk_2"},
    }


def test_a_role_that_is_not_seen_yet_is_waited_for(cloud: Cloud, references: References) -> None:
    denied = ["stripe-webhook-secret"]
    cloud.write("faults", {"late": [denied, [], denied]})  # the first app, the second, the first again
    told: list[str] = []

    replace(references, tell=told.append, seconds=60.0).refresh()

    assert started_with(cloud)[APPS[0]] == "whsec_of_stripe"
    assert sum("AccessToKeyVaultDenied" in each for each in told) == 2


def test_the_command_fails_with_the_name_of_what_is_missing(cloud: Cloud, references: References) -> None:
    assert references.seconds == 0
    code, text = cloud.command("refresh", "--environment", "dev")
    assert (code, f"{APPS[0]}: starts again with 2 secrets" in text) == (0, True), text

    cloud.write("secrets", {})
    code, text = cloud.command("refresh", "--environment", "dev", "--seconds", "0")
    assert (code, f"Not done: {APPS[0]}: STRIPE_API_KEY ← stripe-api-key: SecretNotFound" in text) == (1, True), text


def test_whoever_rotates_a_secret_is_told_how_functions_see_it(cloud: Cloud) -> None:
    cloud.write("secrets", {"signing-secret": "s", "gateway-secret": "g", "gateway-accepted": "n,g"})

    [of_ours, of_the_gateway] = [
        cloud.command("rotate", name, "--environment", "dev") for name in ("signing-secret", "gateway-secret")
    ]

    assert (of_ours[0], of_the_gateway[0]) == (0, 0), (of_ours, of_the_gateway)
    assert of_ours[1].endswith("or now: python -m tools.delivery refresh --environment dev\n")
    assert "refresh" not in of_the_gateway[1]
