"""Everything the functions are told by their environment, checked once at start.

On Azure these are app settings; locally `local/run` fills them in. `local.settings.sample.json` lists them all.
"""

import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError


class SettingsRefused(Exception):
    """The environment lacks a setting or holds an impossible one; the message lists each by name, never its value."""


class Settings(BaseModel):
    """The settings, named as in the environment but in lower case."""

    model_config = ConfigDict(frozen=True)

    tessera_data: Path = Path(".tessera")
    tessera_signing_secret: SecretStr = Field(min_length=32, description="signs continuation tokens")
    tessera_ticket_key: SecretStr = Field(min_length=43, description="Ed25519 seeds, base64url: signs ticket codes")
    tessera_public_url: str = Field(pattern=r"^https?://", description="where people reach us; no trailing slash")
    tessera_anonymous_browsing: bool = False
    tessera_order_deadline_seconds: Annotated[int, Field(ge=1, le=82_800)] = 900

    auth_authorities: str = Field(
        min_length=1, description="issuers we accept, comma-separated, each with OIDC discovery"
    )
    auth_audience: str = Field(min_length=1)

    stripe_api_key: SecretStr
    stripe_api_base: str = "https://api.stripe.com"
    stripe_webhook_secret: SecretStr

    smtp_host: str
    smtp_port: Annotated[int, Field(ge=1, le=65_535)] = 587
    smtp_username: str = ""
    smtp_password: SecretStr = SecretStr("")
    smtp_starttls: bool = True
    mail_from: str = "Tessera <tickets@tessera.example>"

    insights_api_key: SecretStr = Field(min_length=32, description="the bearer key of the private insights endpoints")

    @property
    def authorities(self) -> tuple[str, ...]:
        """The accepted issuers."""
        return tuple(part.strip() for part in self.auth_authorities.split(",") if part.strip())

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Self:
        """The settings in `environment` (default: the process's own).

        :raises SettingsRefused: one is missing or impossible
        """
        values = os.environ if environment is None else environment
        known = {name: values[name.upper()] for name in cls.model_fields if name.upper() in values}
        try:
            return cls.model_validate(known)
        except ValidationError as error:
            problems = "; ".join(f"{'.'.join(map(str, e['loc'])).upper()}: {e['msg']}" for e in error.errors())
            raise SettingsRefused(f"Cannot start, check these settings: {problems}") from None


@cache
def settings() -> Settings:
    """The process's settings, read once."""
    return Settings.from_environment()
