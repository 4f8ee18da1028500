"""Everything the functions are told by their environment, checked once at start. The only module that reads it.

On Azure these are app settings; locally `local/run` fills them in. `local.settings.sample.json` lists them all. What
begins with `COSMOS` and `SERVICEBUS` is read by the Functions host too, for the triggers, and named as it wants it
(https://learn.microsoft.com/azure/azure-functions/functions-reference#configure-an-identity-based-connection).
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import SettingsConfigDict

from shared import settings_rules as rules
from shared.settings_directory import DirectorySettings
from shared.settings_rules import SERVICES, setting

__all__ = ["SERVICES", "Settings", "SettingsRefused", "connection_parts", "is_emulator", "settings", "variable"]


class SettingsRefused(Exception):
    """The environment lacks a setting or holds an impossible one; the message lists each by name, never its value."""


type _Url = Annotated[str, AfterValidator(rules.address)]
_TO_SELL = rules.needed_by("commerce", "workers")  # who sells, and who finishes what was sold
type _TelemetrySigned = Annotated[str, AfterValidator(rules.telemetry_authentication)]


class Settings(DirectorySettings):
    """The settings, named as in the environment but in lower case, or as their alias says."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True)

    tessera_store: Literal["embedded", "cosmos"] = setting("embedded", "where documents are kept", "cosmos")
    tessera_bus: Literal["embedded", "servicebus"] = setting("embedded", "where messages are sent", "servicebus")
    tessera_services: Annotated[str, AfterValidator(rules.services)] = setting(
        "all", "the services this app runs, comma-separated: commerce, identity, insights, workers", "commerce"
    )
    tessera_data: Path = setting(Path(".tessera"), "the folder of the embedded store and bus", ".tessera")
    tessera_signing_secret: SecretStr = setting(
        ..., "signs continuation tokens", "<32 random characters>", min_length=32
    )
    tessera_ticket_key: Annotated[SecretStr, AfterValidator(rules.seeds), _TO_SELL] = setting(
        SecretStr(""), "Ed25519 seeds that sign ticket codes, newest first, comma-separated",
        "<32 random bytes, base64url>", validate_default=True,
    )  # fmt: skip
    tessera_public_url: _Url = setting(..., "where people reach us", "https://tickets.example.org")
    tessera_anonymous_browsing: bool = setting(False, "whether people see events before they sign in", "true")
    tessera_order_deadline_seconds: int = setting(
        900, "how long an order waits for its payment", "900", ge=1, le=82_800
    )

    cosmos_endpoint: _Url | None = setting(
        None, "the Cosmos DB account, reached with the app's managed identity", "https://tessera.documents.azure.com",
        alias="COSMOS__accountEndpoint",
    )  # fmt: skip
    cosmos_client_id: str | None = setting(
        None, "the user-assigned identity that reaches Cosmos DB; without it the system-assigned one", "<client id>",
        alias="COSMOS__clientId",
    )  # fmt: skip
    cosmos_connection: SecretStr | None = setting(
        None, "a connection string, for emulators; never on Azure", "AccountEndpoint=http://127.0.0.1:7076;AccountKey=…",
        alias="COSMOS",
    )  # fmt: skip
    servicebus_namespace: Annotated[str, AfterValidator(rules.host_name)] | None = setting(
        None, "the Service Bus namespace, reached with the app's managed identity", "tessera.servicebus.windows.net",
        alias="SERVICEBUS__fullyQualifiedNamespace",
    )  # fmt: skip
    servicebus_client_id: str | None = setting(
        None, "the user-assigned identity that reaches Service Bus; without it the system-assigned one", "<client id>",
        alias="SERVICEBUS__clientId",
    )  # fmt: skip
    servicebus_connection: SecretStr | None = setting(
        None, "a connection string, for emulators; never on Azure",
        "Endpoint=sb://127.0.0.1:7077;SharedAccessKeyName=…;SharedAccessKey=…;UseDevelopmentEmulator=true",
        alias="SERVICEBUS",
    )  # fmt: skip

    auth_authorities: Annotated[str, AfterValidator(rules.addresses)] = setting(
        ...,
        "issuers, comma-separated, each with OIDC discovery and its tenant's id; only the first's roles are used",
        "https://tessera.ciamlogin.com/<tenant>/v2.0",
        min_length=1,
    )  # fmt: skip
    auth_audience: str = setting(..., "the audience of access tokens", "api://tessera", min_length=1)

    gateway_secret: Annotated[SecretStr, AfterValidator(rules.secrets)] = setting(
        SecretStr(""), "what the gateway proves itself with, newest first, comma-separated; empty: not asked for",
        "<32 random characters>",
    )  # fmt: skip
    gateway_principal_id: str = setting(
        "", "the object id of the gateway's managed identity, where App Service authentication demands one; else empty",
        "<UUID>",
    )  # fmt: skip

    stripe_api_key: Annotated[SecretStr, _TO_SELL] = setting(
        SecretStr(""), "Stripe's secret key", "sk_live_…", validate_default=True
    )
    stripe_api_base: _Url = setting("https://api.stripe.com", "Stripe's API", "https://api.stripe.com")
    stripe_webhook_secret: Annotated[SecretStr, rules.needed_by("commerce")] = setting(
        SecretStr(""), "signing secret of Stripe's webhook endpoint", "whsec_…", validate_default=True
    )

    smtp_host: Annotated[str, rules.needed_by("workers")] = setting(
        "", "the mail server", "smtp.example.org", validate_default=True
    )
    smtp_port: int = setting(587, "the mail server's port", "587", ge=1, le=65_535)
    smtp_username: str = setting("", "who we are at the mail server", "tickets")
    smtp_password: SecretStr = setting(SecretStr(""), "the password there", "…")
    smtp_starttls: bool = setting(True, "whether the mail server must speak TLS", "true")
    mail_from: Annotated[str, AfterValidator(rules.mailbox)] = setting(
        "Tessera <tickets@tessera.example>", "whom mails are from", "Tessera <tickets@tessera.example>"
    )

    insights_api_key: SecretStr = setting(
        ...,
        "the bearer key of the private insights endpoints and of GET /api/metrics",
        "<32 random characters>",
        min_length=32,
    )

    applicationinsights_connection_string: Annotated[str, AfterValidator(rules.telemetry_connection)] | None = setting(
        None, "where telemetry goes; without it, nowhere",
        "InstrumentationKey=<UUID>;IngestionEndpoint=https://<region>.in.applicationinsights.azure.com/",
    )  # fmt: skip
    applicationinsights_authentication_string: _TelemetrySigned = setting(
        "", "how telemetry is signed: by the app's managed identity, or not at all", "Authorization=AAD"
    )
    tessera_trace_sampling: float = setting(
        1.0, "the share of operations whose spans are collected, 0 to 1", "0.2", ge=0, le=1
    )
    # App Service names the machine by the first, Flex Consumption by the second; both name the plan.
    website_instance_id: str = setting("", "which machine of Azure's we are on; Azure sets it", "<id>")
    website_pod_name: str = setting("", "which instance of Flex Consumption we are; Azure sets it", "<id>")
    website_sku: str = setting("", "the plan we run on; Azure sets it", "FlexConsumption")
    website_site_name: str = setting("tessera", "the app's name in telemetry; Azure sets it", "tessera-commerce")

    @property
    def services(self) -> tuple[str, ...]:
        """The services this app runs."""
        return rules.named(self.tessera_services)

    @property
    def on_azure(self) -> bool:
        """Whether this is an app on Azure, on whichever plan."""
        return bool(self.website_instance_id or self.website_pod_name or self.website_sku)

    @property
    def authorities(self) -> tuple[str, ...]:
        """The accepted issuers."""
        return tuple(part.strip() for part in self.auth_authorities.split(",") if part.strip())

    @property
    def ticket_seeds(self) -> tuple[str, ...]:
        """What ticket codes are signed with, newest first; none where nobody sells."""
        return tuple(filter(None, self.tessera_ticket_key.get_secret_value().split(",")))

    @property
    def gateway_secrets(self) -> tuple[str, ...]:
        """What the gateway may prove itself with."""
        return tuple(part.strip() for part in self.gateway_secret.get_secret_value().split(",") if part.strip())

    @field_validator("*", mode="before")
    @classmethod
    def _filled_in(cls, value: Any) -> Any:
        return rules.filled_in(value)

    @model_validator(mode="after")
    def _one_way_to_each(self) -> Self:
        _one_way(self, "tessera_store", "cosmos", ("cosmos_endpoint", "cosmos_connection"))
        _one_way(self, "tessera_bus", "servicebus", ("servicebus_namespace", "servicebus_connection"))
        _whole(self.cosmos_connection, "cosmos_connection", ("AccountEndpoint", "AccountKey"))
        if self.on_azure and is_emulator(connection_parts(self.cosmos_connection)):
            raise ValueError("COSMOS is not for emulators on Azure: an account must say that it is Strong")
        _whole(self.servicebus_connection, "servicebus_connection", ("Endpoint", "SharedAccessKey"))
        _proof_on_azure(self)
        self.check_directory(on_azure=self.on_azure)
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


def is_emulator(parts: Mapping[str, str]) -> bool:
    """Whether a connection string says that it is an emulator's, in the word that Service Bus has for it."""
    return parts.get("usedevelopmentemulator", "").lower() == "true"


def variable(field: str) -> str:
    """The environment variable of a field of `Settings`."""
    return Settings.model_fields[field].alias or field.upper()


def _one_way(chosen: Settings, setting: str, adapter: str, fields: tuple[str, str]) -> None:
    """An adapter has one way to what it stands on; and on Azure each instance would have an embedded one of its own."""
    wanted = getattr(chosen, setting)
    given = [field for field in fields if getattr(chosen, field) is not None]
    if wanted == adapter and not given:
        told = " or ".join(f"{variable(name)} ({_about(name)}, e.g. {_example(name)})" for name in fields)
        raise ValueError(f"{variable(setting)}={adapter} needs {told}")
    if len(given) > 1:
        raise ValueError(f"set {' or '.join(map(variable, fields))}, not both")
    if wanted == "embedded" and chosen.on_azure:
        raise ValueError(f"{variable(setting)} must be {adapter} on Azure: every instance would keep a file of its own")


def _proof_on_azure(chosen: Settings) -> None:
    """There a function app has an address of its own; who comes by that, past the gateway, meets no limit."""
    if chosen.on_azure and not chosen.gateway_secrets and not chosen.gateway_principal_id:
        names = ("gateway_secret", "gateway_principal_id")
        told = " or ".join(f"{variable(name)} ({_about(name)}, e.g. {_example(name)})" for name in names)
        raise ValueError(f"on Azure functions must know who came by the gateway: set {told}")


def _whole(connection: SecretStr | None, field: str, needed: tuple[str, str]) -> None:
    parts = connection_parts(connection)
    if connection is not None and not all(parts.get(name.lower()) for name in needed):
        raise ValueError(f"{variable(field)} must say {' and '.join(needed)}, e.g. {_example(field)}")


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
