"""Bringing `infra/` to Azure: the vault first, then everything, as the environment says (docs/deploy.md)."""

import json
import os
from base64 import urlsafe_b64decode
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from tools.delivery.azure import DEPLOYMENT_SECONDS, Azure
from tools.delivery.deployment import NotDeployed
from tools.delivery.variables import Variables

INFRA: Final = Path(__file__).resolve().parent.parent.parent / "infra"
ENVIRONMENTS: Final = ("dev", "prod")
_WHAT_IF_SECONDS: Final = 1_200.0
_STATE: Final = ("--query", "properties.provisioningState")


@dataclass(frozen=True, slots=True)
class Principal:
    """Who deploys.

    :param kind: `User` or `ServicePrincipal`
    """

    id: str
    kind: str


@dataclass(frozen=True, slots=True)
class Place:
    """What is deployed where.

    :param environment: `dev` or `prod`
    :param location: a region, e.g. `westeurope`
    :param installation: begins the names of everything
    """

    environment: str
    location: str
    installation: str

    @property
    def vault_deployment(self) -> str:
        """The name of the vault's deployment at Azure."""
        return f"{self.installation}-{self.environment}-vault"

    @property
    def variables(self) -> Mapping[str, str]:
        """As parameter files read it."""
        return {
            "AZURE_ENV_NAME": self.environment,
            "AZURE_LOCATION": self.location,
            "TESSERA_INSTALLATION": self.installation,
        }

    @property
    def deployment(self) -> str:
        """The name of the whole deployment at Azure."""
        return f"{self.installation}-{self.environment}"


@dataclass(frozen=True, slots=True)
class Infrastructure:
    """Deploys."""

    azure: Azure
    place: Place

    def vault(self) -> str:
        """Deploy the resource group, the vault and the store of packages; the vault's name.

        :raises AzureFailed: Azure refused
        """
        who = principal(self.azure)
        told = {**self.place.variables, "AZURE_PRINCIPAL_ID": who.id, "AZURE_PRINCIPAL_TYPE": who.kind}
        words = self._whole(self.place.vault_deployment, "vault.bicepparam")
        self._told(told).ask("deployment", "sub", "create", *words, *_STATE, seconds=DEPLOYMENT_SECONDS)
        return self.vault_name()

    def vault_name(self) -> str:
        """The vault's name, as its deployment told it.

        :raises AzureFailed: there was none
        :raises NotDeployed: it put out no name
        """
        told = self.azure.ask(
            "deployment", "sub", "show", "--name", self.place.vault_deployment, "--query", "properties.outputs"
        )
        names = {name.upper(): output["value"] for name, output in (told or {}).items()}
        if "KEY_VAULT_NAME" not in names:
            raise NotDeployed(f"the deployment {self.place.vault_deployment} has no output KEY_VAULT_NAME")
        return str(names["KEY_VAULT_NAME"])

    def what_if(self) -> str:
        """What a deployment would change, for people to read; nothing is changed.

        Asked so that whoever asks needs the right to read, and not the one to write whatever it tells of.

        :raises VariablesRefused: what the environment says cannot be
        :raises AzureFailed: Azure refused, or the files are wrong
        """
        self._check()
        words = self._whole(self.place.deployment, "main.bicepparam")
        words = (*words, "--validation-level", "ProviderNoRbac")
        return self._told(self.place.variables).text("deployment", "sub", "what-if", *words, seconds=_WHAT_IF_SECONDS)

    def deploy(self) -> str:
        """Deploy everything; the deployment's name.

        :raises VariablesRefused: what the environment says cannot be
        :raises AzureFailed: Azure refused; what it had made until then stays, and the same again goes on
        """
        self._check()
        words = self._whole(self.place.deployment, "main.bicepparam")
        azure = self._told(self.place.variables)
        azure.ask("deployment", "sub", "create", *words, *_STATE, seconds=DEPLOYMENT_SECONDS)
        return self.place.deployment

    def _check(self) -> None:
        Variables.read({**os.environ, **self.place.variables})

    def _whole(self, name: str, parameters: str) -> tuple[str, ...]:
        return ("--name", name, "--location", self.place.location, "--parameters", str(INFRA / parameters))

    def _told(self, variables: Mapping[str, str]) -> Azure:
        return replace(self.azure, environment=variables)


def principal(azure: Azure) -> Principal:
    """Who is signed in, as their own token says; asking the directory would need rights of its own.

    :raises AzureFailed: nobody is
    """
    claims = azure.token("https://management.azure.com/.default").split(".")[1]
    found = json.loads(urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))
    return Principal(str(found["oid"]), "ServicePrincipal" if found.get("idtyp") == "app" else "User")
