"""What was deployed where: the outputs of `infra/main.bicep`, as `az` tells them, or azd by the environment."""

import os
from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from tools.delivery.azure import Azure


class NotDeployed(Exception):
    """There is no such deployment, or it lacks an output; the message names it."""


def _names(value: object) -> object:
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


class Deployment(BaseModel):
    """The outputs that delivery needs, each under its own name.

    :param function_apps: the names of the function apps
    :param vault: the Key Vault
    :param releases_account: the storage account that keeps packages
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    resource_group: str = Field(alias="AZURE_RESOURCE_GROUP", min_length=1)
    gateway_url: str = Field(alias="GATEWAY_URL", min_length=1)
    function_apps: Annotated[tuple[str, ...], BeforeValidator(_names)] = Field(alias="FUNCTION_APPS", min_length=1)
    insights_app_id: str = Field(alias="APPLICATION_INSIGHTS_APP_ID", min_length=1)
    vault: str = Field(alias="KEY_VAULT_NAME", min_length=1)
    releases_account: str = Field(alias="RELEASES_ACCOUNT", min_length=1)

    @property
    def serves_people(self) -> bool:
        """Whether it is prod: its resource group says so, since azd names deployments otherwise."""
        return self.resource_group.endswith("-prod")

    @classmethod
    def from_outputs(cls, outputs: Mapping[str, Any]) -> Self:
        """What a deployment put out: `{"NAME": {"type": …, "value": …}}`.

        Names are compared without case, because `az` writes `azurE_RESOURCE_GROUP` for `AZURE_RESOURCE_GROUP`.

        :raises NotDeployed: an output is missing
        """
        return cls._read({name.upper(): told["value"] for name, told in outputs.items()}, "its outputs")

    @classmethod
    def from_environment(cls) -> Self:
        """What azd told its hooks.

        :raises NotDeployed: an output is missing
        """
        return cls._read(os.environ, "the environment")

    @classmethod
    def _read(cls, found: Mapping[str, Any], where: str) -> Self:
        try:
            return cls.model_validate(dict(found))
        except ValidationError as error:
            missing = ", ".join(str(details["loc"][0]) for details in error.errors())
            raise NotDeployed(f"{where} lack {missing}: was infra/main.bicep deployed?") from None


def found(azure: Azure, deployment: str) -> Deployment:
    """The outputs of a deployment.

    :param deployment: its name at Azure; empty: what the environment says
    :raises NotDeployed: it has not what is needed
    :raises AzureFailed: there is none of that name
    """
    if not deployment:
        return Deployment.from_environment()
    return Deployment.from_outputs(_asked(azure, deployment))


def outputs_of(azure: Azure, deployment: str) -> dict[str, str]:
    """Everything that a deployment put out.

    :raises NotDeployed: nothing, or no name was given
    :raises AzureFailed: there is none of that name
    """
    if not deployment:
        raise NotDeployed("which deployment? Say --environment dev or prod; with azd: `azd env get-values`")
    told = {name.upper(): str(output["value"]) for name, output in _asked(azure, deployment).items()}
    if not told:
        raise NotDeployed(f"{deployment} put out nothing: did it fail?")
    return told


def _asked(azure: Azure, deployment: str) -> dict[str, Any]:
    told: dict[str, Any] | None = azure.ask(
        "deployment", "sub", "show", "--name", deployment, "--query", "properties.outputs"
    )
    return told or {}


class AppSettings(BaseModel):
    """The settings of an app that delivery has to know.

    :param services: what it runs
    :param sampling: the share of its traces that is collected
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    services: Annotated[tuple[str, ...], BeforeValidator(_names)] = Field(alias="TESSERA_SERVICES", min_length=1)
    sampling: float = Field(alias="TESSERA_TRACE_SAMPLING", default=1.0)


def settings_of(azure: Azure, deployed: Deployment, app: str) -> AppSettings:
    """The settings of an app; those that are secrets are references, and not asked for.

    :raises AzureFailed: Azure does not tell
    :raises NotDeployed: the app lacks one
    """
    told = azure.ask(
        "functionapp", "config", "appsettings", "list", "--resource-group", deployed.resource_group, "--name", app,
        "--query", "[?starts_with(name, 'TESSERA_')].{name: name, value: value}",
    )  # fmt: skip
    try:
        return AppSettings.model_validate({each["name"]: each["value"] for each in told or []})
    except ValidationError as error:
        missing = ", ".join(str(details["loc"][0]) for details in error.errors())
        raise NotDeployed(f"{app} has no good setting {missing}") from None


def address_of(azure: Azure, deployed: Deployment, app: str) -> str:
    """Where an app itself is reached, past the gateway; only its health answers there.

    :raises AzureFailed: Azure does not tell
    :raises NotDeployed: it has no address
    """
    # Of Flex Consumption `az` 2.91 tells what Azure does, one level deeper than of other plans.
    words = ("--resource-group", deployed.resource_group, "--name", app)
    host: str | None = azure.ask(
        "functionapp", "show", *words, "--query", "defaultHostName || properties.defaultHostName"
    )
    if not host:
        raise NotDeployed(f"{app} has no address")
    return host if "://" in host else f"https://{host}"
