"""The settings: what is missing or impossible is named, and the sample lists exactly what the code reads."""

import ast
import json
from pathlib import Path
from typing import Final

import pytest

from shared.settings import Settings, SettingsRefused, variable

ROOT: Final = Path(__file__).parents[2]
SAMPLE: Final = ROOT / "local.settings.sample.json"
HOSTS_OWN: Final = {
    "FUNCTIONS_WORKER_RUNTIME",
    "AzureWebJobsStorage__accountName",
    "AzureWebJobsStorage__credential",
    "AzureWebJobsStorage__clientId",
    "COSMOS__credential",
    "SERVICEBUS__credential",
}
LONG: Final = "x" * 64
ENOUGH: Final = {
    "TESSERA_SIGNING_SECRET": LONG,
    "TESSERA_TICKET_KEY": "A" * 43,
    "TESSERA_PUBLIC_URL": "https://tickets.example.org/",
    "AUTH_AUTHORITIES": "https://one.example.org/v2.0, https://two.example.org",
    "AUTH_AUDIENCE": "api://tessera",
    "STRIPE_API_KEY": "sk_test_secret",
    "STRIPE_WEBHOOK_SECRET": "whsec_secret",
    "SMTP_HOST": "smtp.example.org",
    "INSIGHTS_API_KEY": LONG,
}
# What may be empty, and what the sample has a placeholder for all the same.
MAY_BE: Final = {"GATEWAY_SECRET": LONG}
COSMOS_STRING: Final = "AccountEndpoint=http://127.0.0.1:1;AccountKey=c2VjcmV0;"
BUS_STRING: Final = (
    "Endpoint=sb://127.0.0.1:1;SharedAccessKeyName=all;SharedAccessKey=secret;UseDevelopmentEmulator=true"
)

DIRECTORY: Final = {
    "DIRECTORY_AUTHORITY": "https://tessera.ciamlogin.com/tenant",
    "DIRECTORY_CLIENT_ID": "an-app",
    # As Key Vault hands it over, with the end of its last line.
    "DIRECTORY_CERTIFICATE": "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n"
    "-----BEGIN CERTIFICATE-----\nYQ==\n-----END CERTIFICATE-----\n",
    "DIRECTORY_ISSUER": "tessera.onmicrosoft.com",
}


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> "Read":
    for field in Settings.model_fields:
        monkeypatch.delenv(variable(field), raising=False)
    return Read(monkeypatch)


class Read:
    """The settings of an environment that holds enough, and these."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch

    def __call__(self, *, without: str = "", **changes: str) -> Settings:
        for name, value in {**ENOUGH, **changes}.items():
            if name != without:
                self._monkeypatch.setenv(name, value)
        return Settings.from_environment()


def test_the_sample_lists_every_setting_and_no_other() -> None:
    values = json.loads(SAMPLE.read_text())["Values"]
    assert set(values) - HOSTS_OWN == {variable(name) for name in Settings.model_fields}


def test_the_sample_is_accepted_once_its_placeholders_are_filled_in_and_not_before(read: Read) -> None:
    values = {name: value for name, value in json.loads(SAMPLE.read_text())["Values"].items() if name not in HOSTS_OWN}
    placeholders = {name for name, value in values.items() if "<" in value and "@" not in value}
    with pytest.raises(SettingsRefused) as refused:
        read(**values)
    assert {line.split()[0] for line in str(refused.value).splitlines()[1:]} == placeholders

    chosen = read(**{**values, **{name: {**ENOUGH, **MAY_BE}[name] for name in placeholders}})

    assert (chosen.tessera_store, chosen.tessera_bus, chosen.cosmos_endpoint) == ("embedded", "embedded", None)


def test_what_is_enough_is_accepted_and_addresses_lose_their_last_slash(read: Read) -> None:
    chosen = read()
    assert chosen.tessera_public_url == "https://tickets.example.org"
    assert chosen.authorities == ("https://one.example.org/v2.0", "https://two.example.org")


@pytest.mark.parametrize("missing", ENOUGH)
def test_a_missing_setting_is_named_with_its_purpose_and_an_example(read: Read, missing: str) -> None:
    with pytest.raises(SettingsRefused) as refused:
        read(without=missing)
    (line,) = str(refused.value).splitlines()[1:]
    field = Settings.model_fields[missing.lower()]
    (example,) = field.examples or []
    assert line == f"  {missing} ({field.description}): missing; e.g. {example}"


@pytest.mark.parametrize(
    ("services", "needed"),
    [
        ("commerce", {"TESSERA_TICKET_KEY", "STRIPE_API_KEY", "STRIPE_WEBHOOK_SECRET"}),
        ("identity,insights", set()),
        ("insights, workers", {"TESSERA_TICKET_KEY", "STRIPE_API_KEY", "SMTP_HOST"}),
        ("all", {"TESSERA_TICKET_KEY", "STRIPE_API_KEY", "STRIPE_WEBHOOK_SECRET", "SMTP_HOST"}),
    ],
)
def test_a_service_needs_no_secret_of_another(read: Read, services: str, needed: set[str]) -> None:
    some = ("TESSERA_TICKET_KEY", "STRIPE_API_KEY", "STRIPE_WEBHOOK_SECRET", "SMTP_HOST")
    asked = set()
    for name in some:
        try:
            read(TESSERA_SERVICES=services, **{name: ""})
        except SettingsRefused as refused:
            asked.add(str(refused).splitlines()[1].split()[0])
    assert asked == needed


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TESSERA_SIGNING_SECRET", "too-short-but-secret"),
        ("SMTP_PORT", "99999"),
        ("TESSERA_ORDER_DEADLINE_SECONDS", "soon"),
        ("TESSERA_STORE", "mongodb"),
        ("TESSERA_SERVICES", "commerce,kitchen"),
        ("TESSERA_SIGNING_SECRET", " " * 40),
        ("TESSERA_SIGNING_SECRET", "<32 or more random characters of mine>"),
        ("STRIPE_API_KEY", " padded"),
        ("TESSERA_TICKET_KEY", "A" * 44),
        ("TESSERA_TICKET_KEY", "A" * 43 + ",B"),
        ("TESSERA_PUBLIC_URL", "https://a b.example.org"),
        ("MAIL_FROM", "nobody"),
        ("TESSERA_PUBLIC_URL", "ftp://other.example.org"),
        ("AUTH_AUTHORITIES", "https://one.example.org, two.example.org"),
        ("SERVICEBUS__fullyQualifiedNamespace", "sb://x.example.org"),
        ("DIRECTORY_AUTHORITY", "http://login.example.org/tenant"),
        ("DIRECTORY_GRAPH_BASE", "http://graph.example.org/v1.0"),
        ("GATEWAY_SECRET", "@Microsoft.KeyVault(SecretUri=https://vault.example.org/secrets/gateway-accepted)"),
        ("INSIGHTS_API_KEY", "@Microsoft.KeyVault(SecretUri=https://vault.example.org/secrets/insights-api-key)"),
        ("DIRECTORY_CERTIFICATE", "@Microsoft.KeyVault(SecretUri=https://vault.example.org/secrets/directory)"),
        ("DIRECTORY_CERTIFICATE", "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n"),
        ("DIRECTORY_ISSUER", "https://tessera.onmicrosoft.com"),
    ],
)
def test_a_malformed_setting_is_named_and_its_value_not_shown(read: Read, name: str, value: str) -> None:
    with pytest.raises(SettingsRefused) as refused:
        read(**{name: value})
    (line,) = str(refused.value).splitlines()[1:]
    assert line.startswith(f"  {name} (")
    assert value not in line


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"TESSERA_STORE": "cosmos"}, "TESSERA_STORE=cosmos needs COSMOS__accountEndpoint"),
        ({"TESSERA_BUS": "servicebus"}, "TESSERA_BUS=servicebus needs SERVICEBUS__fullyQualifiedNamespace"),
        (
            {
                "WEBSITE_INSTANCE_ID": "i-1",
                "TESSERA_STORE": "cosmos",
                "TESSERA_BUS": "servicebus",
                "SERVICEBUS__fullyQualifiedNamespace": "t.servicebus.windows.net",
                "COSMOS": f"{COSMOS_STRING}UseDevelopmentEmulator=true",
            },
            "COSMOS is not for emulators on Azure",
        ),
        ({"COSMOS": "AccountKey=c2VjcmV0"}, "COSMOS must say AccountEndpoint and AccountKey"),
        ({"SERVICEBUS": "Endpoint=sb://127.0.0.1"}, "SERVICEBUS must say Endpoint and SharedAccessKey"),
        ({"COSMOS": "AccountEndpoint=;AccountKey=c2VjcmV0"}, "COSMOS must say AccountEndpoint and AccountKey"),
        ({"WEBSITE_INSTANCE_ID": "i-1"}, "TESSERA_STORE must be cosmos on Azure"),
        ({"WEBSITE_POD_NAME": "p-1"}, "TESSERA_STORE must be cosmos on Azure"),
        ({"WEBSITE_SKU": "FlexConsumption"}, "TESSERA_STORE must be cosmos on Azure"),
        (
            {"WEBSITE_INSTANCE_ID": "i-1", "TESSERA_STORE": "cosmos", "COSMOS": COSMOS_STRING},
            "TESSERA_BUS must be servicebus on Azure",
        ),
        (
            {"COSMOS": COSMOS_STRING, "COSMOS__accountEndpoint": "https://a.example.org"},
            "set COSMOS__accountEndpoint or COSMOS, not both",
        ),
    ],
)
def test_one_way_to_the_store_and_the_bus_is_asked_for(read: Read, changes: dict[str, str], told: str) -> None:
    with pytest.raises(SettingsRefused) as refused:
        read(**changes)
    assert told in str(refused.value)
    assert "c2VjcmV0" not in str(refused.value)


def test_a_managed_identity_or_a_connection_string_is_a_way(read: Read) -> None:
    by_string = read(TESSERA_STORE="cosmos", COSMOS=COSMOS_STRING, TESSERA_BUS="servicebus", SERVICEBUS=BUS_STRING)
    assert "c2VjcmV0" not in repr(by_string)
    assert by_string.cosmos_endpoint is None


def test_a_directory_has_all_its_settings_or_none(read: Read) -> None:
    assert not read().has_directory
    for missing in DIRECTORY:
        with pytest.raises(SettingsRefused) as refused:
            read(**{name: value for name, value in DIRECTORY.items() if name != missing}, **{missing: ""})
        assert f"a directory also needs {missing} (" in str(refused.value)
    with pytest.raises(SettingsRefused) as refused:
        read(**dict.fromkeys(DIRECTORY, ""), DIRECTORY_CA="ca.pem")
    assert "DIRECTORY_CA is set: a directory also needs DIRECTORY_AUTHORITY (" in str(refused.value)

    chosen = read(**DIRECTORY)

    assert chosen.has_directory
    assert "c2VjcmV0" not in repr(chosen)


def test_an_authority_of_ones_own_is_refused_on_azure(read: Read) -> None:
    azure = {
        "WEBSITE_INSTANCE_ID": "i-1",
        "TESSERA_STORE": "cosmos",
        "COSMOS__accountEndpoint": "https://a.example.org",
        "TESSERA_BUS": "servicebus",
        "SERVICEBUS__fullyQualifiedNamespace": "a.example.org",
        "GATEWAY_SECRET": "s" * 32,
    }
    assert read(**azure, **DIRECTORY).has_directory
    with pytest.raises(SettingsRefused) as refused:
        read(**azure, **DIRECTORY, DIRECTORY_CA="ca.pem")
    assert "DIRECTORY_CA is for the local double only" in str(refused.value)


def test_on_azure_functions_ask_for_the_gateways_proof(read: Read) -> None:
    azure = {
        "WEBSITE_INSTANCE_ID": "i-1",
        "TESSERA_STORE": "cosmos",
        "COSMOS__accountEndpoint": "https://a.example.org",
        "TESSERA_BUS": "servicebus",
        "SERVICEBUS__fullyQualifiedNamespace": "a.example.org",
    }
    with pytest.raises(SettingsRefused) as refused:
        read(**azure)
    assert "functions must know who came by the gateway: set GATEWAY_SECRET (" in str(refused.value)

    assert read(**azure, GATEWAY_PRINCIPAL_ID="00000000-0000-0000-0000-000000000001").gateway_secrets == ()
    assert read(**azure, GATEWAY_SECRET="s" * 32).gateway_secrets == ("s" * 32,)


def test_a_setting_has_one_name(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    """The suites' own `COSMOS_ENDPOINT`, which says where to run them, is not the app's."""
    monkeypatch.setenv("COSMOS_ENDPOINT", "https://elsewhere.example.org")
    monkeypatch.setenv("SERVICEBUS_NAMESPACE", "elsewhere.example.org")
    assert (read().cosmos_endpoint, read().servicebus_namespace) == (None, None)


def test_nothing_else_reads_the_environment() -> None:
    readers = [
        path.relative_to(ROOT)
        for folder in ("shared", "functions")
        for path in sorted((ROOT / folder).rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and node.attr in {"environ", "getenv", "environb"}
    ]
    assert readers == []
