"""The settings of the directory, `DIRECTORY_*`: all of them or none."""

from pathlib import Path
from typing import Annotated, Final

from pydantic import AfterValidator, SecretStr
from pydantic_settings import BaseSettings

from shared import settings_rules as rules
from shared.settings_rules import setting

_NEEDED: Final = ("directory_authority", "directory_client_id", "directory_certificate", "directory_issuer")
_BESIDES: Final = ("directory_ca",)

type _SafeUrl = Annotated[str, AfterValidator(rules.safe_address)]


class DirectorySettings(BaseSettings):
    """Where people's accounts are administered. Without these there is no directory, and what needs one says so."""

    directory_authority: _SafeUrl | None = setting(
        None, "the tenant of the people, where we prove who we are", "https://tessera.ciamlogin.com/<tenant id>"
    )
    directory_client_id: str | None = setting(None, "our app registration in that tenant", "<client id>")
    directory_certificate: Annotated[SecretStr, AfterValidator(rules.client_certificate)] | None = setting(
        None,
        "our certificate with its key, as a Key Vault reference gives it: PEM, or PKCS#12 in base64",
        "@Microsoft.KeyVault(SecretUri=https://tessera.vault.azure.net/secrets/directory)",
    )
    directory_issuer: Annotated[str, AfterValidator(rules.host_name)] | None = setting(
        None, "the domain that accounts' identities name as their issuer", "tessera.onmicrosoft.com"
    )
    directory_graph_base: _SafeUrl = setting(
        "https://graph.microsoft.com/v1.0", "Microsoft Graph", "https://graph.microsoft.com/v1.0"
    )
    directory_ca: Path | None = setting(
        None, "a file with the only authority its certificate may come from, for the local double; never on Azure",
        ".tessera/entra/ca.pem",
    )  # fmt: skip

    @property
    def has_directory(self) -> bool:
        """Whether there is one."""
        return self.directory_authority is not None

    def check_directory(self, *, on_azure: bool) -> None:
        """:raises ValueError: some of its settings are there and others are missing, or one is not for Azure"""
        given = [name for name in (*_NEEDED, *_BESIDES) if getattr(self, name) is not None]
        missing = [name for name in _NEEDED if name not in given]
        if given and missing:
            told = ", ".join(
                f"{name.upper()} ({field.description}, e.g. {(field.examples or [None])[0]})"
                for name, field in type(self).model_fields.items()
                if name in missing
            )
            raise ValueError(f"{given[0].upper()} is set: a directory also needs {told}")
        if on_azure and self.directory_ca is not None:
            raise ValueError(
                "DIRECTORY_CA is for the local double only: on Azure the directory has a public certificate"
            )
