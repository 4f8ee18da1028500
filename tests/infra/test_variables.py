"""What an installation is told is checked before anything is deployed."""

import re

import pytest
from pydantic_core import PydanticUndefined

from tools.delivery.variables import LATER, Variables, VariablesRefused
from tools.plan import EXAMPLES, INFRA, planned

ENOUGH = {**EXAMPLES, "AZURE_ENV_NAME": "prod"}
READ = re.compile(r"readEnvironmentVariable\('(\w+)'(?:, '([^']*)')?\)")


def test_what_is_enough_is_accepted_and_everything_that_can_be() -> None:
    assert Variables.read(ENOUGH).environment == "prod"
    whole = {
        "TESSERA_PUBLIC_URL": "https://tickets.example.org",
        "TESSERA_SITE_ORIGIN": "https://www.example.org",
        "TESSERA_ANONYMOUS_BROWSING": "true",
        "AUTH_AUTHORITIES": "https://one.example.org/v2.0,https://two.example.org/v2.0",
        "SMTP_USERNAME": "tickets",
        "DIRECTORY_AUTHORITY": "https://people.ciamlogin.com/1",
        "DIRECTORY_CLIENT_ID": "2",
        "DIRECTORY_ISSUER": "people.onmicrosoft.com",
        "TESSERA_GATEWAY_LIMITS": '{"person-calls": "1200", "cache-seconds": "10"}',
        "TESSERA_PRIVATE_NETWORKING": "true",
        "TESSERA_PRIVATE_FROM": "10.1.0.0",
        "TESSERA_PRIVATE_TO": "10.1.0.255",
    }
    assert Variables.read({**ENOUGH, **whole}).budget_monthly == 150
    assert Variables.read({**ENOUGH, "TESSERA_BUDGET_FROM": LATER}).budget_from == LATER
    assert Variables.read({**ENOUGH, "SMTP_USERNAME": "", "TESSERA_SITE_ORIGIN": ""}).site_origin is None


def test_the_parameters_file_reads_the_same_names_with_the_same_defaults() -> None:
    declared = {
        str(field.alias): None if field.default in {PydanticUndefined, None} else str(field.default)
        for field in Variables.model_fields.values()
    }
    read = {name: default or None for name, default in READ.findall((INFRA / "main.bicepparam").read_text())}
    assert read == declared


def test_a_limit_of_the_gateway_is_deployed() -> None:
    told = {"TESSERA_GATEWAY_LIMITS": '{"person-calls": "1200"}'}
    values = {
        str(each.name): each.at("properties", "value")
        for each in planned("prod", variables=told).declared()
        if each.type.endswith("/namedValues")
    }
    assert (values["person-calls"], values["refused-calls"]) == ("1200", "300")


@pytest.mark.parametrize("missing", sorted(EXAMPLES.keys() - {"AZURE_PRINCIPAL_ID"}))
def test_a_missing_one_is_named(missing: str) -> None:
    with pytest.raises(VariablesRefused, match=rf"\n  {missing}: missing$"):
        Variables.read({**ENOUGH, missing: ""})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AZURE_ENV_NAME", "production"),
        ("AZURE_LOCATION", "West Europe"),
        ("TESSERA_SITE_LOCATION", "francecentral"),
        ("TESSERA_INSTALLATION", "Tessera"),
        ("TESSERA_INSTALLATION", "tesseratickets"),
        ("AUTH_AUTHORITIES", "http://evil.example.org"),
        ("AUTH_AUTHORITIES", "https://x.example.org , https://y.example.org"),
        ("AUTH_AUTHORITIES", "https://x.example.org,https://y.example.org,https://z.example.org"),
        ("TESSERA_PUBLIC_URL", "http://tickets.example.org"),
        ("TESSERA_PUBLIC_URL", "https://tickets.example.org/"),
        ("TESSERA_SITE_ORIGIN", "https://www.example.org/shop"),
        ("TESSERA_ANONYMOUS_BROWSING", "yes"),
        ("SMTP_HOST", "smtp://mail.example.org"),
        ("SMTP_PORT", "smtp"),
        ("SMTP_STARTTLS", "True"),
        ("SMTP_STARTTLS", ""),
        ("TESSERA_BUDGET_MONTHLY", ""),
        ("MAIL_FROM", "nobody"),
        ("MAIL_FROM", " tickets@example.org"),
        ("TESSERA_ALERT_MAIL", "nomail"),
        ("TESSERA_BUDGET_MONTHLY", "0"),
        ("TESSERA_BUDGET_FROM", "yesterday"),
        ("TESSERA_BUDGET_FROM", "2026-11-15"),
        ("TESSERA_BUDGET_FROM", "20261101"),
        ("TESSERA_BUDGET_FROM", "2026-13-01"),
        ("TESSERA_PRIVATE_NETWORKING", "True"),
        ("TESSERA_PRIVATE_FROM", "banana"),
        ("TESSERA_GATEWAY_LIMITS", "1200"),
        ("TESSERA_GATEWAY_LIMITS", '{"person-calls": 1200}'),
        ("TESSERA_GATEWAY_LIMITS", '{"api-audience": "1200"}'),
        ("TESSERA_GATEWAY_LIMITS", "person-calls=1200"),
        ("TESSERA_GATEWAY_LIMITS", '["1200"]'),
        ("TESSERA_GATEWAY_LIMITS", '{"person-calls": "١٢"}'),
        ("TESSERA_GATEWAY_LIMITS", '{"person-calls": "9999999999"}'),
        ("TESSERA_GATEWAY_LIMITS", '"1200"'),
        ("TESSERA_GATEWAY_LIMITS", '{"person-calls": "many"}'),
        ("TESSERA_GATEWAY_LIMITS", '{"read-retries": "0"}'),
        ("TESSERA_GATEWAY_LIMITS", '{"read-retries": "51"}'),
        ("TESSERA_GATEWAY_LIMITS", '{"body-bytes": "102401"}'),
        ("DIRECTORY_ISSUER", "https://people.onmicrosoft.com"),
    ],
)
def test_an_impossible_one_is_named(name: str, value: str) -> None:
    with pytest.raises(VariablesRefused, match=rf"\n  {name}: "):
        Variables.read({**ENOUGH, name: value})


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"DIRECTORY_AUTHORITY": "https://people.ciamlogin.com/1"}, "DIRECTORY_CLIENT_ID and DIRECTORY_ISSUER"),
        ({"TESSERA_PRIVATE_FROM": "10.0.0.9", "TESSERA_PRIVATE_TO": "10.0.0.1"}, "TESSERA_PRIVATE_FROM is behind"),
        ({"TESSERA_PRIVATE_NETWORKING": "true", "AZURE_ENV_NAME": "dev"}, "is for prod"),
    ],
)
def test_what_does_not_fit_together_is_told(changes: dict[str, str], told: str) -> None:
    with pytest.raises(VariablesRefused, match=told):
        Variables.read({**ENOUGH, **changes})
