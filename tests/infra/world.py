"""What the checks look at: the files of `infra/`, what they declare for each environment, and what the code is."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from local.describe import composed
from shared.settings import SERVICES
from tools.bicep.deployment import Deployment
from tools.bicep.values import Declared, Value
from tools.plan import ENVIRONMENTS, INFRA, planned

_DIRECTORY: Final = {
    "DIRECTORY_AUTHORITY": "https://tickets.ciamlogin.com/11111111-1111-1111-1111-111111111111",
    "DIRECTORY_CLIENT_ID": "33333333-3333-3333-3333-333333333333",
    "DIRECTORY_ISSUER": "tickets.onmicrosoft.com",
    "AUTH_AUTHORITIES": "https://tickets.ciamlogin.com/11111111-1111-1111-1111-111111111111/v2.0,"
    "https://former.ciamlogin.com/66666666-6666-6666-6666-666666666666/v2.0",
    "SMTP_USERNAME": "tickets",
    "TESSERA_ANONYMOUS_BROWSING": "true",
    "TESSERA_BUDGET_MONTHLY": "3000",
    "TESSERA_PRIVATE_FROM": "198.51.100.16",
    "TESSERA_PRIVATE_TO": "198.51.100.31",
    "TESSERA_PUBLIC_URL": "https://tickets.example.org",
    "TESSERA_SITE_ORIGIN": "https://www.example.org",
}
# What is deployed differs by these: the least that is told, and everything that can be.
VARIANTS: Final[Mapping[str, tuple[str, Mapping[str, str]]]] = {
    **{name: (name, {}) for name in ENVIRONMENTS},
    "dev, with everything": ("dev", _DIRECTORY),
    "prod, with everything": ("prod", {**_DIRECTORY, "TESSERA_PRIVATE_NETWORKING": "true"}),
}


@dataclass(frozen=True)
class Planned:
    """One deployment, and what it declares."""

    variant: str
    deployment: Deployment

    @cached_property
    def declared(self) -> Sequence[Declared]:
        """Every resource that it makes."""
        return list(self.deployment.declared())

    def of(self, kind: str) -> list[Declared]:
        """The resources of one type."""
        return [each for each in self.declared if each.type.lower() == kind.lower()]

    def one(self, kind: str) -> Declared:
        """The only resource of a type."""
        (found,) = self.of(kind)
        return found


@dataclass(frozen=True)
class Infra:
    """A folder like `infra/`: the real one, or a copy that a test has broken."""

    folder: Path = INFRA

    @property
    def bicep(self) -> list[Path]:
        """Its Bicep files."""
        return sorted(self.folder.rglob("*.bicep"))

    def json(self, name: str) -> Any:
        """One of its JSON files."""
        return json.loads((self.folder / name).read_text())

    def planned(self, variant: str) -> Planned:
        """What a variant would be."""
        environment, variables = VARIANTS[variant]
        return Planned(variant, planned(environment, infra=self.folder, variables=variables))

    def vault(self) -> Planned:
        """What is deployed before everything else."""
        return Planned("vault", planned("prod", infra=self.folder, file="vault.bicepparam"))


@dataclass(frozen=True)
class Function:
    """A function with what triggers it, as the runtime library indexed it."""

    name: str
    trigger: str
    binding: Mapping[str, Any]

    @property
    def is_http(self) -> bool:
        """Whether requests call it."""
        return self.trigger == "httpTrigger"


@dataclass(frozen=True)
class Seen:
    """What a check compares: a deployment, the files it comes from, and service → functions."""

    plan: Planned
    infra: Infra
    code: Mapping[str, Sequence[Function]]


def functions() -> dict[str, list[Function]]:
    """Service → the functions that its app registers."""
    return {service: list(_functions(service)) for service in SERVICES}


def _functions(service: str) -> Iterator[Function]:
    for function in composed(service).app.get_functions():
        binding = function.get_trigger()
        assert binding is not None, "a function without a trigger is never indexed"
        yield Function(str(function.get_function_name()), str(binding.type), dict(binding.get_dict_repr()))


def app_settings(site: Declared) -> dict[str, Value]:
    """The settings of a function app."""
    return {each["name"]: each["value"] for each in site.at("properties", "siteConfig", "appSettings")}


def services_of(site: Declared) -> list[str]:
    """The services that a function app runs."""
    return str(app_settings(site)["TESSERA_SERVICES"]).split(",")
