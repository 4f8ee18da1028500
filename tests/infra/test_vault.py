"""The secrets of a deployment: what is missing is made or taken, what is there stays, and no value is seen anywhere."""

import json
import re
from base64 import urlsafe_b64decode
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from shared.settings import Settings
from tests.infra.cloud import DEPLOYMENT, Cloud
from tools.delivery.azure import Azure, AzureFailed
from tools.delivery.vault import (
    ROLE_ATTEMPTS_MAX,
    SECRETS,
    VALUES_MAX,
    CannotRotate,
    SecretMissing,
    Vault,
    certificate_policy,
    lacking,
    plan,
)

ROOT: Final = Path(__file__).parents[2]
STRIPE: Final = {"STRIPE_API_KEY": "sk_test_of_the_test", "STRIPE_WEBHOOK_SECRET": "whsec_of_the_test"}
OURS: Final = {"signing-secret", "ticket-key", "insights-api-key", "gateway-secret"}
ACCEPTED: Final = "gateway-accepted"


@pytest.fixture
def cloud(tmp_path: Path) -> Cloud:
    return Cloud.make(tmp_path)


@pytest.fixture
def vault(cloud: Cloud) -> Vault:
    return Vault(cloud.azure, "kv-tessera-dev")


def test_what_is_ours_is_made_and_what_is_others_is_taken_from_the_environment(cloud: Cloud, vault: Vault) -> None:
    vault.fill(STRIPE)

    made = cloud.read("secrets")
    assert made.keys() == OURS | {ACCEPTED, "stripe-api-key", "stripe-webhook-secret"}
    assert made[ACCEPTED] == made["gateway-secret"]
    assert (made["stripe-api-key"], made["stripe-webhook-secret"]) == tuple(STRIPE.values())
    assert len({made[name] for name in OURS}) == len(OURS)
    assert set(cloud.read("modes").values()) == {"0o600"}


def test_what_is_made_is_what_the_settings_accept(cloud: Cloud, vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    vault.fill(STRIPE)

    made = cloud.read("secrets")
    assert len(urlsafe_b64decode(made["ticket-key"] + "=")) == 32
    given = {name.upper(): made[secret] for name, secret in settings_of_secrets().items() if secret in made}
    others = {"TESSERA_PUBLIC_URL": "https://t.example", "AUTH_AUTHORITIES": "https://a.example", "SMTP_HOST": "s",
              "AUTH_AUDIENCE": "api://tessera"}  # fmt: skip
    for name, value in {**given, **others}.items():
        monkeypatch.setenv(name, value)
    assert Settings.from_environment().gateway_secrets == (made[ACCEPTED],)


def settings_of_secrets() -> dict[str, str]:
    return {
        "tessera_signing_secret": "signing-secret", "tessera_ticket_key": "ticket-key",
        "insights_api_key": "insights-api-key", "gateway_secret": ACCEPTED,
        "stripe_api_key": "stripe-api-key", "stripe_webhook_secret": "stripe-webhook-secret",
    }  # fmt: skip


def test_what_services_are_given_is_what_is_put_there() -> None:
    services = json.loads((ROOT / "infra" / "services.json").read_text())
    given = {name for service in services.values() for name in service["secrets"]}
    assert {secret.name for secret in SECRETS} - {"smoke-password"} == given | {"gateway-secret"}  # the gateway's own


def test_what_is_there_stays_as_it_is(cloud: Cloud, vault: Vault) -> None:
    vault.fill(STRIPE)
    before = cloud.read("secrets")

    steps = vault.fill({**STRIPE, "STRIPE_API_KEY": "sk_test_of_somebody_else"})

    assert cloud.read("secrets") == before
    assert {step.does for step in steps} == {"keep", "leave out"}
    [told] = [step.why for step in steps if step.secret.name == "stripe-api-key"]
    assert told.startswith("it is there, and STRIPE_API_KEY is not looked at")


def test_a_secret_that_nobody_gave_is_named_and_nothing_is_changed(cloud: Cloud, vault: Vault) -> None:
    with pytest.raises(SecretMissing, match="Nothing was changed: set STRIPE_WEBHOOK_SECRET"):
        vault.fill({"STRIPE_API_KEY": "sk_test"})

    assert cloud.read("secrets") == {}


def test_what_stopped_half_way_goes_on_where_it_was(cloud: Cloud, vault: Vault) -> None:
    cloud.write("faults", {"refuses": "gateway-secret"})
    with pytest.raises(AzureFailed, match=r"az keyvault secret set: .*Forbidden"):
        vault.fill(STRIPE)
    half = cloud.read("secrets")
    cloud.write("faults", {})

    vault.fill(STRIPE)

    assert half.keys() == {"signing-secret", "ticket-key", "insights-api-key"}
    assert half.items() <= cloud.read("secrets").items()
    assert "gateway-secret" in cloud.read("secrets")


def test_the_directory_gets_a_certificate_whose_key_leaves_the_vault_with_the_secret_only(
    cloud: Cloud, vault: Vault
) -> None:
    vault.fill({**STRIPE, "DIRECTORY_CLIENT_ID": "22222222-0000-0000-0000-000000000002"})

    assert cloud.read("secrets")["directory-certificate"] == "a certificate of RSA"
    policy = certificate_policy()
    assert policy["keyProperties"]["exportable"]  # or the secret of that name would hold no private key
    assert policy["secretProperties"]["contentType"] == "application/x-pkcs12"


def test_a_certificate_that_is_there_is_not_made_anew(cloud: Cloud, vault: Vault) -> None:
    """Its secret is listed only for who asks for it; a new version of it would not be known to the directory."""
    given = {**STRIPE, "DIRECTORY_CLIENT_ID": "22222222-0000-0000-0000-000000000002"}
    vault.fill(given)
    vault.fill(given)

    assert cloud.read("certificates") == {"directory-certificate": 1}


def test_a_role_that_was_just_given_is_waited_for_and_not_for_ever(cloud: Cloud, vault: Vault) -> None:
    patient = replace(vault, pause_seconds=0.0)
    cloud.write("faults", {"not_seen_yet": 3})

    assert patient.fill(STRIPE)
    assert len([words for words in cloud.commands() if words[:3] == ["keyvault", "secret", "list"]]) >= 4

    cloud.write("faults", {"not_seen_yet": ROLE_ATTEMPTS_MAX})
    with pytest.raises(AzureFailed, match="Forbidden"):
        patient.present()
    assert cloud.read("faults") == {"not_seen_yet": 0}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"STRIPE_API_KEY": "pk_test_the_public_one"}, "STRIPE_API_KEY is no stripe-api-key: it looks like (sk|rk)_"),
        ({"STRIPE_API_KEY": "   "}, "STRIPE_API_KEY is no stripe-api-key"),
        ({"STRIPE_WEBHOOK_SECRET": "whsec_1 "}, "STRIPE_WEBHOOK_SECRET is no stripe-webhook-secret"),
        ({"SMTP_USERNAME": "tessera"}, "set SMTP_PASSWORD, because SMTP_USERNAME is"),
        ({"DIRECTORY_AUTHORITY": "https://d.example"}, "set DIRECTORY_CLIENT_ID, because DIRECTORY_AUTHORITY is"),
    ],
)
def test_what_could_not_work_is_refused_before_anything_is_changed(changed: dict[str, str], said: str) -> None:
    assert said in lacking(plan([], {**STRIPE, **changed}))
    assert lacking(plan([], STRIPE)) == ""


def test_a_rotated_ticket_key_leaves_what_older_ones_signed_good(cloud: Cloud, vault: Vault) -> None:
    vault.fill(STRIPE)
    old = cloud.read("secrets")["ticket-key"]

    assert vault.rotate("ticket-key") == 2
    newest, before = cloud.read("secrets")["ticket-key"].split(",")
    assert (before, newest != old) == (old, True)
    assert vault.rotate("signing-secret") == 1


def test_what_others_must_hear_of_first_is_not_rotated_from_here(cloud: Cloud, vault: Vault) -> None:
    vault.fill(STRIPE)
    before = cloud.read("secrets")

    for name in ("stripe-api-key", "smtp-password", "nonsense"):
        with pytest.raises(CannotRotate, match=f"{name} is not rotated from here"):
            vault.rotate(name)

    assert cloud.read("secrets") == before


def test_the_gateways_secret_is_changed_only_once_functions_take_the_new_one(cloud: Cloud, vault: Vault) -> None:
    vault.fill(STRIPE)
    old = cloud.read("secrets")["gateway-secret"]
    with pytest.raises(CannotRotate, match="rotate gateway-accepted first"):
        vault.rotate("gateway-secret")

    assert vault.rotate(ACCEPTED) == 2
    new, before = cloud.read("secrets")[ACCEPTED].split(",")
    assert (cloud.read("secrets")["gateway-secret"], before) == (old, old)
    vault.rotate("gateway-secret")
    assert cloud.read("secrets")["gateway-secret"] == new != old
    vault.rotate(ACCEPTED)

    newest, before = cloud.read("secrets")[ACCEPTED].split(",")
    assert (before, newest != new) == (new, True)  # the first one is good for nothing any more


def test_a_list_of_values_has_an_end(cloud: Cloud, vault: Vault) -> None:
    full = ",".join(f"key{number}" for number in range(VALUES_MAX))
    cloud.write("secrets", {"ticket-key": full})

    with pytest.raises(CannotRotate, match=f"has {VALUES_MAX} values"):
        vault.rotate("ticket-key")

    assert cloud.read("secrets") == {"ticket-key": full}


def test_a_dry_run_tells_the_plan_and_changes_nothing(cloud: Cloud) -> None:
    code, text = cloud.command("secrets", "--environment", "dev", "--dry-run", **STRIPE)

    assert (code, cloud.read("secrets")) == (0, {})
    assert "nothing was changed" in text
    assert "ends here" not in text
    assert "take      stripe-api-key" in text


def test_no_value_is_printed_or_put_on_a_command_line(cloud: Cloud) -> None:
    code, text = cloud.command("secrets", "--environment", "dev", **STRIPE)

    assert code == 0, text
    values = set(cloud.read("secrets").values())
    told = text + json.dumps(cloud.commands())
    assert len(values) == 6
    assert [value for value in values if value in told] == []


def test_what_is_missing_ends_the_command_with_its_name(cloud: Cloud) -> None:
    code, text = cloud.command("secrets", "--environment", "dev", STRIPE_API_KEY="", STRIPE_WEBHOOK_SECRET="")

    assert code == 1
    assert text == "Not done: Nothing was changed: set STRIPE_API_KEY, STRIPE_WEBHOOK_SECRET.\n"


def test_a_vault_is_deployed_for_whoever_is_signed_in(cloud: Cloud) -> None:
    code, text = cloud.command("vault", "--environment", "dev", "--location", "westeurope")

    assert (code, text) == (0, "The vault is kv-tessera-dev.\n")
    given = cloud.read("created")[f"{DEPLOYMENT}-vault"]
    assert given["parameters"] == [str(ROOT / "infra" / "vault.bicepparam")]
    assert given["told"] == {
        "AZURE_ENV_NAME": "dev", "AZURE_LOCATION": "westeurope", "TESSERA_INSTALLATION": "tessera",
        "AZURE_PRINCIPAL_ID": "11111111-0000-0000-0000-000000000001", "AZURE_PRINCIPAL_TYPE": "ServicePrincipal",
    }  # fmt: skip
    read_there = re.findall(r"readEnvironmentVariable\('(\w+)'", (ROOT / "infra" / "vault.bicepparam").read_text())
    assert set(read_there) == given["told"].keys()


def test_without_the_program_one_line_says_so(tmp_path: Path) -> None:
    with pytest.raises(AzureFailed, match=r"there is no `.*nowhere` on the PATH"):
        Vault(Azure(program=str(tmp_path / "nowhere")), "kv").present()


def test_the_plan_is_pure() -> None:
    assert [step.does for step in plan([], {})].count("miss") == 2
    assert {step.does for step in plan([secret.name for secret in SECRETS], {})} == {"keep"}
