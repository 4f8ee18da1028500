"""Calls of Bicep's own functions; those that read files or ask where the deployment goes are here."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from tools.bicep.builtins_data import STRUCTURAL, coalesce, empty
from tools.bicep.builtins_text import HASHES, PURE, WITH_SYMBOLS, written
from tools.bicep.errors import BicepError, Place
from tools.bicep.values import Scope, Symbol, Value, is_unknown

# Azure's public cloud.
_ENVIRONMENT: Final = {
    "name": "AzureCloud",
    "resourceManager": "https://management.azure.com/",
    "authentication": {"loginEndpoint": "https://login.microsoftonline.com/"},
    "suffixes": {
        "storage": "core.windows.net",
        "keyvaultDns": ".vault.azure.net",
        "sqlServerHostname": ".database.windows.net",
    },
}
# Azure answers these; what they are asked with is written down.
_AZURES: Final = frozenset(
    {
        "resourceId", "subscriptionResourceId", "tenantResourceId", "extensionResourceId", "managementGroupResourceId",
        "reference", "list", "listKeys", "listSecrets", "listAccountSas", "listServiceSas", "utcNow", "newGuid",
        "dateTimeAdd", "pickZones", "toLogicalZone",
    }
)  # fmt: skip
_BAGS: Final = frozenset({"tenant", "deployment", "deployer", "managementGroup"})
_FILES: Final = frozenset({"loadTextContent", "loadJsonContent", "loadFileAsBase64"})


class World(Protocol):
    """What a function may ask about the file that calls it."""

    @property
    def folder(self) -> Path: ...

    @property
    def scope(self) -> Scope: ...


@dataclass(frozen=True)
class BuiltinCall:
    """A call of one of Bicep's own functions, with its arguments evaluated."""

    name: str
    arguments: Sequence[Value]
    place: Place

    def value(self, world: World) -> Value:
        """What it gives.

        :raises BicepError: there is no such function, or it does not take these
        """
        try:
            return self._value(world)
        except (TypeError, ValueError, AttributeError, KeyError, IndexError) as refused:
            raise BicepError(self.place, f"{self.name}: {refused}") from refused

    def _value(self, world: World) -> Value:
        name, arguments = self.name, self.arguments
        if name in WITH_SYMBOLS:
            return WITH_SYMBOLS[name](self.place, *arguments)
        if name in HASHES:
            return HASHES[name](*arguments)
        if name == "any":
            (value,) = arguments
            return value
        if name == "empty":
            return written(name, arguments) if isinstance(arguments[0], Symbol) else empty(arguments[0])
        if name == "coalesce":
            return coalesce(*arguments)
        if name == "fail":
            raise ValueError(str(arguments[0]))
        if name in PURE:
            return written(name, arguments) if any(map(is_unknown, arguments)) else PURE[name](*arguments)
        if name in STRUCTURAL:
            return written(name, arguments) if is_unknown(arguments[0]) else STRUCTURAL[name](*arguments)
        return self._of_world(world)

    def _of_world(self, world: World) -> Value:
        name = self.name
        if name in _FILES:
            return _load(name, world.folder, *self.arguments)
        if name == "subscription":
            return Scope("subscription", *self.arguments)
        if name == "resourceGroup":
            if self.arguments:
                return Scope("resourceGroup", self.arguments[-1])
            if world.scope.kind != "resourceGroup":
                raise ValueError("this file is not deployed to a resource group")
            return world.scope
        if name == "environment":
            return _ENVIRONMENT
        if name in _BAGS or name in _AZURES:
            return written(name, self.arguments)
        raise BicepError(self.place, f"unknown function {name!r}")


def _load(name: str, folder: Path, path: str, *more: str) -> Any:
    file = folder / path
    if not file.is_file():
        raise ValueError(f"there is no file {path}")
    if name == "loadFileAsBase64":
        return PURE["base64"](file.read_text(encoding="utf-8"))
    text = file.read_text(encoding="utf-8")
    if name == "loadTextContent":
        return text
    whole = json.loads(text)
    return _selected(whole, more[0]) if more and more[0] else whole


def _selected(whole: Any, path: str) -> Any:
    """A part of a document, by a JSON path of names alone (`$.queues`)."""
    if not path.startswith("$") or "*" in path or "[" in path:
        raise ValueError(f"only names can be followed here, not {path!r}")
    for step in filter(None, path[1:].split(".")):
        whole = whole[step]
    return whole


# Every function that a file may call.
KNOWN: Final = frozenset(
    {"any", "coalesce", "empty", "environment", "fail", "nameof", "resourceGroup", "subscription"}
    | WITH_SYMBOLS.keys() | HASHES.keys() | PURE.keys() | STRUCTURAL.keys() | _AZURES | _BAGS | _FILES
)  # fmt: skip
