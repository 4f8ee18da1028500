"""Connection strings of Application Insights: read as Azure gives them, refused by their form alone."""

import pytest

from shared.telemetry.connection import Authentication, Connection

KEY = "7E55E2A0-0000-4000-8000-000000000002"
AZURES = (
    f"InstrumentationKey={KEY};IngestionEndpoint=https://westeurope-5.in.applicationinsights.azure.com/;"
    "LiveEndpoint=https://westeurope.livediagnostics.monitor.azure.com/;ApplicationId=0000"
)


def test_the_string_azure_shows_is_read() -> None:
    assert Connection.parse(AZURES) == Connection(KEY.lower(), "https://westeurope-5.in.applicationinsights.azure.com")


@pytest.mark.parametrize(
    "text",
    [
        "", "x", KEY, f"InstrumentationKey={KEY}", "IngestionEndpoint=https://x/", f"InstrumentationKey={KEY};;Y",
        f"InstrumentationKey=secret;{AZURES.partition(';')[2]}", f"InstrumentationKey={KEY};IngestionEndpoint=x",
        f"InstrumentationKey={KEY};IngestionEndpoint=https://x/y?z", f"{AZURES};AADAudience=a=b",
        f"{AZURES};", f"{AZURES};Authorization=AAD",
    ],
)  # fmt: skip
def test_any_other_string_is_refused_with_the_form_it_should_have(text: str) -> None:
    with pytest.raises(ValueError, match="must be like InstrumentationKey=<UUID>;") as refused:
        Connection.parse(text)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("", Authentication()),
        ("Authorization=AAD", Authentication(by_identity=True)),
        (f"authorization=aad;ClientId={KEY}", Authentication(by_identity=True, client_id=KEY)),
    ],
)
def test_an_authentication_string_is_read_as_the_host_reads_it(text: str, read: Authentication) -> None:
    assert Authentication.parse(text) == read


@pytest.mark.parametrize("text", ["AAD", "Authorization=Basic", "Authorization=AAD;ClientId=me", "ClientId=" + KEY])
def test_any_other_authentication_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="Authorization=AAD"):
        Authentication.parse(text)
