"""Everything the functions are told by their environment, checked once at start. The only module that reads it.

On Azure these are app settings; locally `local/run` fills them in. `local.settings.sample.json` lists them all. What
begins with `COSMOS` and `SERVICEBUS` is read by the Functions host too, for the triggers, and named as it wants it
(https://learn.microsoft.com/azure/azure-functions/functions-reference#configure-an-identity-based-connection).
"""

import re
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.telemetry.connection import Authentication, Connection

SERVICES: Final = ("commerce", "identity", "insights", "workers")  # docs/architecture.md, Deployable services


class SettingsRefused(Exception):
    """The environment lacks a setting or holds an impossible one; the message lists each by name, never its value."""


def _without_slash(url: str) -> str:
    return url.rstrip("/")


def _known_services(text: str) -> str:
    unknown = {part.strip() for part in text.split(",")} - {*SERVICES, "all"}
    if unknown:
        raise ValueError(f"there are all, {', '.join(SERVICES)}")
    return text


def _all_urls(text: str) -> str:
    wrong = [part for part in text.split(",") if not re.match(r"\s*https?://[^\s/]+", part)]
    if wrong:
        raise ValueError("each issuer is an http(s) address")
    return text


def _connection(text: str) -> str:
    Connection.parse(text)
    return text


def _authentication(text: str) -> str:
    Authentication.parse(text)
    return text


type _Url = Annotated[str, Field(pattern=r"^https?://[^\s/]+"), AfterValidator(_without_slash)]


def _setting(default: Any, about: str, example: str, **rules: Any) -> Any:
    return Field(default, description=about, examples=[example], **rules)


class Settings(BaseSettings):
    """The settings, named as in the environment but in lower case, or as their alias says."""

    model_config = SettingsConfigDict(frozen=True, populate_by_name=True, extra="ignore", env_ignore_empty=True)

    tessera_store: Literal["embedded", "cosmos"] = _setting("embedded", "where documents are kept", "cosmos")
    tessera_bus: Literal["embedded", "servicebus"] = _setting("embedded", "where messages are sent", "servicebus")
    tessera_services: Annotated[str, AfterValidator(_known_services)] = _setting(
        "all", "the services this app runs, comma-separated: commerce, identity, insights, workers", "commerce"
    )
    tessera_data: Path = _setting(Path(".tessera"), "the folder of the embedded store and bus", ".tessera")
    tessera_signing_secret: SecretStr = _setting(
        ..., "signs continuation tokens", "<32 random characters>", min_length=32
    )
    tessera_ticket_key: SecretStr = _setting(
        ..., "Ed25519 seeds that sign ticket codes, newest first, comma-separated", "<32 random bytes, base64url>",
        min_length=43,
    )  # fmt: skip
    tessera_public_url: _Url = _setting(..., "where people reach us", "https://tickets.example.org")
    tessera_anonymous_browsing: bool = _setting(False, "whether people see events before they sign in", "true")
    tessera_order_deadline_seconds: int = _setting(
        900, "how long an order waits for its payment", "900", ge=1, le=82_800
    )

    cosmos_endpoint: _Url | None = _setting(
        None, "the Cosmos DB account, reached with the app's managed identity", "https://tessera.documents.azure.com",
        alias="COSMOS__accountEndpoint",
    )  # fmt: skip
    cosmos_client_id: str | None = _setting(
        None, "the user-assigned identity that reaches Cosmos DB; without it the system-assigned one", "<client id>",
        alias="COSMOS__clientId",
    )  # fmt: skip
    cosmos_connection: SecretStr | None = _setting(
        None, "a connection string, for emulators; never on Azure", "AccountEndpoint=http://127.0.0.1:7076;AccountKey=…",
        alias="COSMOS",
    )  # fmt: skip
    servicebus_namespace: str | None = _setting(
        None, "the Service Bus namespace, reached with the app's managed identity", "tessera.servicebus.windows.net",
        alias="SERVICEBUS__fullyQualifiedNamespace", pattern=r"^[^\s/:]+$",
    )  # fmt: skip
    servicebus_client_id: str | None = _setting(
        None, "the user-assigned identity that reaches Service Bus; without it the system-assigned one", "<client id>",
        alias="SERVICEBUS__clientId",
    )  # fmt: skip
    servicebus_connection: SecretStr | None = _setting(
        None, "a connection string, for emulators; never on Azure",
        "Endpoint=sb://127.0.0.1:7077;SharedAccessKeyName=…;SharedAccessKey=…;UseDevelopmentEmulator=true",
        alias="SERVICEBUS",
    )  # fmt: skip

    auth_authorities: Annotated[str, AfterValidator(_all_urls)] = _setting(
        ..., "issuers we accept, comma-separated, each with OIDC discovery", "https://tessera.ciamlogin.com/<tenant>/v2.0",
        min_length=1,
    )  # fmt: skip
    auth_audience: str = _setting(..., "the audience of access tokens", "api://tessera", min_length=1)

    stripe_api_key: SecretStr = _setting(..., "Stripe's secret key", "sk_live_…")
    stripe_api_base: _Url = _setting("https://api.stripe.com", "Stripe's API", "https://api.stripe.com")
    stripe_webhook_secret: SecretStr = _setting(..., "signing secret of Stripe's webhook endpoint", "whsec_…")

    smtp_host: str = _setting(..., "the mail server", "smtp.example.org")
    smtp_port: int = _setting(587, "the mail server's port", "587", ge=1, le=65_535)
    smtp_username: str = _setting("", "who we are at the mail server", "tickets")
    smtp_password: SecretStr = _setting(SecretStr(""), "the password there", "…")
    smtp_starttls: bool = _setting(True, "whether the mail server must speak TLS", "true")
    mail_from: str = _setting(
        "Tessera <tickets@tessera.example>", "whom mails are from", "Tessera <tickets@tessera.example>"
    )

    insights_api_key: SecretStr = _setting(
        ..., "the bearer key of the private insights endpoints", "<32 random characters>", min_length=32
    )

    applicationinsights_connection_string: Annotated[str, AfterValidator(_connection)] | None = _setting(
        None, "where telemetry goes; without it, nowhere",
        "InstrumentationKey=<UUID>;IngestionEndpoint=https://<region>.in.applicationinsights.azure.com/",
    )  # fmt: skip
    applicationinsights_authentication_string: Annotated[str, AfterValidator(_authentication)] = _setting(
        "", "how telemetry is signed: by the app's managed identity, or not at all", "Authorization=AAD"
    )
    tessera_trace_sampling: float = _setting(
        1.0, "the share of operations whose spans are collected, 0 to 1", "0.2", ge=0, le=1
    )
    website_site_name: str = _setting("tessera", "the app's name in telemetry; Azure sets it", "tessera-commerce")

    @property
    def services(self) -> tuple[str, ...]:
        """The services this app runs."""
        named = {part.strip() for part in self.tessera_services.split(",")}
        return SERVICES if "all" in named else tuple(name for name in SERVICES if name in named)

    @property
    def authorities(self) -> tuple[str, ...]:
        """The accepted issuers."""
        return tuple(part.strip() for part in self.auth_authorities.split(",") if part.strip())

    @model_validator(mode="after")
    def _one_way_to_each(self) -> Self:
        _one_way(
            self.tessera_store == "cosmos",
            "TESSERA_STORE=cosmos",
            "cosmos",
            self.cosmos_endpoint,
            self.cosmos_connection,
        )
        _one_way(
            self.tessera_bus == "servicebus",
            "TESSERA_BUS=servicebus", "servicebus", self.servicebus_namespace, self.servicebus_connection,
        )  # fmt: skip
        parts = connection_parts(self.cosmos_connection)
        if self.cosmos_connection is not None and not {"accountendpoint", "accountkey"} <= parts.keys():
            raise ValueError(f"COSMOS must say AccountEndpoint and AccountKey, e.g. {_example('cosmos_connection')}")
        parts = connection_parts(self.servicebus_connection)
        if self.servicebus_connection is not None and not {"endpoint", "sharedaccesskey"} <= parts.keys():
            raise ValueError(
                f"SERVICEBUS must say Endpoint and SharedAccessKey, e.g. {_example('servicebus_connection')}"
            )
        return self

    @classmethod
    def from_environment(cls) -> Self:
        """The settings in the environment.

        :raises SettingsRefused: one is missing or impossible
        """
        try:
            return cls()
        except ValidationError as error:
            told = "\n".join(f"  {_problem(details['loc'], details['msg'])}" for details in error.errors())
            raise SettingsRefused(f"Cannot start, check these settings (local.settings.sample.json):\n{told}") from None


def connection_parts(connection: SecretStr | None) -> dict[str, str]:
    """The parts of an Azure connection string, `Name=value;…`, by their names in lower case."""
    if connection is None:
        return {}
    pairs = (part.partition("=") for part in connection.get_secret_value().split(";") if part.strip())
    return {name.strip().lower(): value for name, _, value in pairs}


def variable(field: str) -> str:
    """The environment variable of a field of `Settings`."""
    return Settings.model_fields[field].alias or field.upper()


def _one_way(wanted: bool, why: str, prefix: str, identity: str | None, connection: SecretStr | None) -> None:
    names = [field for field in Settings.model_fields if field.startswith(prefix) and "client" not in field]
    if wanted and identity is None and connection is None:
        told = " or ".join(f"{variable(name)} ({_about(name)}, e.g. {_example(name)})" for name in names)
        raise ValueError(f"{why} needs {told}")
    if identity is not None and connection is not None:
        raise ValueError(f"set {' or '.join(map(variable, names))}, not both")


def _problem(location: tuple[int | str, ...], message: str) -> str:
    """One line on a setting: its name, what is wrong, what it is for, an example; never its value."""
    if not location:
        return message.removeprefix("Value error, ")
    known = {str(field.alias): name for name, field in Settings.model_fields.items() if field.alias}
    field = known.get(str(location[0]), str(location[0]))
    wrong = "missing" if message == "Field required" else message.removeprefix("Value error, ")
    return f"{variable(field)} ({_about(field)}): {wrong}; e.g. {_example(field)}"


def _about(field: str) -> str:
    return str(Settings.model_fields[field].description)


def _example(field: str) -> str:
    (example,) = Settings.model_fields[field].examples or ["?"]
    return str(example)


@cache
def settings() -> Settings:
    """The process's settings, read once.

    :raises SettingsRefused: one is missing or impossible
    """
    return Settings.from_environment()
