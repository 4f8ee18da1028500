"""What an installation is told, checked before it is deployed: Bicep takes any text, and Azure says so late or never.

The same names that `infra/main.bicepparam` reads; docs/deploy.md says what each is for.
"""

import re
from collections.abc import Mapping
from ipaddress import IPv4Address
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from shared.settings_rules import host_name, mailbox, safe_address

LATER: Final = "later"  # a subscription younger than two days may have no budget
AUTHORITIES_MAX: Final = 2  # of the gateway's policies
_FIRST: Final = re.compile(r"20[0-9]{2}-(0[1-9]|1[0-2])-01")
_REGION: Final = r"^[a-z]+[0-9]?$"
_ORIGIN: Final = re.compile(r"https://[^/?#\s]+")


def _limits(text: str) -> str:
    from tools.delivery.limits import refusal  # the gateway of the local host: half of what a command takes to start

    if why := refusal(text):
        raise ValueError(why)
    return text


class VariablesRefused(Exception):
    """A variable is missing or impossible; the message lists each by name."""


def _safe(text: str) -> str:
    if safe_address(text) != text:
        raise ValueError("it ends with a slash")
    return text


def _origin(text: str) -> str:
    if not _ORIGIN.fullmatch(text):
        raise ValueError("it is https:// and a host's name, without a path")
    return text


def _issuers(text: str) -> str:
    found = text.split(",")
    if len(found) > AUTHORITIES_MAX:
        raise ValueError(f"the gateway takes {AUTHORITIES_MAX} issuers at most")
    for each in found:
        _safe(each)
    return text


def _first_of_a_month(text: str) -> str:
    if text != LATER and not _FIRST.fullmatch(text):
        raise ValueError(f"it is the first of a month, yyyy-MM-01, or {LATER}: no budget yet")
    return text


# Where static web apps are kept; their files are served from everywhere.
type _SiteRegion = Literal["centralus", "eastasia", "eastus2", "westeurope", "westus2"]
type _Flag = Literal["true", "false"]
type _Address = Annotated[str, AfterValidator(_safe)]


class Variables(BaseModel):
    """The variables, each under its own name."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=False)

    environment: Literal["dev", "prod"] = Field(alias="AZURE_ENV_NAME")
    location: str = Field(alias="AZURE_LOCATION", pattern=_REGION)
    site_location: _SiteRegion = Field("westeurope", alias="TESSERA_SITE_LOCATION")
    installation: str = Field("tessera", alias="TESSERA_INSTALLATION", pattern=r"^[a-z]{3,9}$")
    authorities: Annotated[str, AfterValidator(_issuers)] = Field(alias="AUTH_AUTHORITIES")
    audience: str = Field(alias="AUTH_AUDIENCE", pattern=r"^\S+$")
    public_url: _Address | None = Field(None, alias="TESSERA_PUBLIC_URL")
    site_origin: Annotated[str, AfterValidator(_origin)] | None = Field(None, alias="TESSERA_SITE_ORIGIN")
    anonymous_browsing: _Flag = Field("false", alias="TESSERA_ANONYMOUS_BROWSING")
    smtp_host: Annotated[str, AfterValidator(host_name)] = Field(alias="SMTP_HOST")
    smtp_port: int = Field(587, alias="SMTP_PORT", ge=1, le=65_535)
    smtp_username: str | None = Field(None, alias="SMTP_USERNAME")
    smtp_starttls: _Flag = Field("true", alias="SMTP_STARTTLS")
    mail_from: Annotated[str, AfterValidator(mailbox)] = Field(alias="MAIL_FROM")
    directory_authority: _Address | None = Field(None, alias="DIRECTORY_AUTHORITY")
    directory_client_id: str | None = Field(None, alias="DIRECTORY_CLIENT_ID")
    directory_issuer: Annotated[str, AfterValidator(host_name)] | None = Field(None, alias="DIRECTORY_ISSUER")
    alert_mail: Annotated[str, AfterValidator(mailbox)] = Field(alias="TESSERA_ALERT_MAIL")
    budget_monthly: int = Field(150, alias="TESSERA_BUDGET_MONTHLY", ge=1)
    budget_from: Annotated[str, AfterValidator(_first_of_a_month)] = Field(alias="TESSERA_BUDGET_FROM")
    gateway_limits: Annotated[str, AfterValidator(_limits)] = Field("{}", alias="TESSERA_GATEWAY_LIMITS")
    private_networking: _Flag = Field("false", alias="TESSERA_PRIVATE_NETWORKING")
    private_from: IPv4Address = Field(IPv4Address("127.0.0.0"), alias="TESSERA_PRIVATE_FROM")
    private_to: IPv4Address = Field(IPv4Address("127.255.255.255"), alias="TESSERA_PRIVATE_TO")

    @field_validator("*", mode="before")
    @classmethod
    def _without_blanks(cls, value: Any) -> Any:
        if value == "":
            raise ValueError("it is empty: set it, or leave it out")
        if isinstance(value, str) and value != value.strip():
            raise ValueError("it begins or ends with blanks")
        return value

    @model_validator(mode="after")
    def _together(self) -> Self:
        directory = (self.directory_authority, self.directory_client_id, self.directory_issuer)
        if any(directory) and not all(directory):
            raise ValueError("DIRECTORY_AUTHORITY, DIRECTORY_CLIENT_ID and DIRECTORY_ISSUER: all of them or none")
        if self.private_from > self.private_to:
            raise ValueError("TESSERA_PRIVATE_FROM is behind TESSERA_PRIVATE_TO")
        if self.private_networking == "true" and self.environment != "prod":
            raise ValueError("TESSERA_PRIVATE_NETWORKING=true is for prod: dev's Service Bus has no private address")
        return self

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> Self:
        """The variables in an environment. An empty one is not there, where Bicep takes it so: where it has no default.

        :raises VariablesRefused: one is missing or impossible
        """
        defaults = {str(field.alias): field.default for field in cls.model_fields.values() if not field.is_required()}
        given = {name: value for name, value in environment.items() if value or defaults.get(name) is not None}
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            told = "\n".join(f"  {_problem(details['loc'], details['msg'])}" for details in error.errors())
            raise VariablesRefused(f"check these variables (docs/deploy.md, step 4):\n{told}") from None


def _problem(location: tuple[int | str, ...], message: str) -> str:
    wrong = "missing" if message == "Field required" else message.removeprefix("Value error, ")
    return f"{location[0]}: {wrong}" if location else wrong
