"""`infra/policies/operations.json`: which policy each operation has, and the named values that policies read.

A named value is taken from the environment: from the product's own setting where it has one, else from `GATEWAY_` and
its name in capitals; else it has its default. On Azure, Bicep reads the same file.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from local.host.errors import StartRefused
from local.host.gateway.document import Element, refuse

CONFIGURATION: Final = "operations.json"
_FLAG: Final = TypeAdapter(bool)
_REFERENCE: Final = re.compile(r"\{\{([^{}]*)\}\}")


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class NamedValue(_Part):
    """A value that policies refer to as `{{name}}`.

    :param default: never empty, as API Management takes no empty value
    :param setting: the product's setting that it is; default: `GATEWAY_` and the name in capitals
    :param item: which one, where the setting is a list with commas; the last one where it has fewer
    :param flag: it is `true` or `false`, however the setting writes it
    :param secret: kept in Key Vault on Azure
    """

    meaning: str
    default: Annotated[str, Field(pattern=r"\S")] | None = None
    setting: str = ""
    item: Annotated[int, Field(ge=0)] | None = None
    flag: bool = False
    secret: bool = False


class Configuration(_Part):
    """The file.

    :param scopes: the policies that every operation has, from the outermost in
    :param operations: policy → names of the functions that have it
    """

    named_values: dict[str, NamedValue]
    scopes: dict[str, str]
    operations: dict[str, list[str]]

    def policy_of(self) -> dict[str, str]:
        """Function → its policy.

        :raises StartRefused: a function has two
        """
        found: dict[str, str] = {}
        for policy, functions in self.operations.items():
            for function in functions:
                if function in found:
                    raise StartRefused(f"{CONFIGURATION}: {function} is below {found[function]} and below {policy}")
                found[function] = policy
        return found


def read_configuration(folder: Path) -> Configuration:
    """The file in the folder of policies.

    :raises StartRefused: it is not as it has to be
    """
    path = folder / CONFIGURATION
    try:
        return Configuration.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise StartRefused(f"{path} is missing") from None
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise StartRefused(f"{path}: {problems}") from None


class NamedValues:
    """The named values of this process.

    :param environment: where settings are
    :raises StartRefused: one has neither a value nor a default, or a list has more items than policies read
    """

    def __init__(self, declared: Mapping[str, NamedValue], environment: Mapping[str, str]) -> None:
        _refuse_longer_lists(declared, environment)
        self._values = {name: _value(name, value, environment) for name, value in declared.items()}
        self.used: set[str] = set()

    def filled_in(self, text: str, element: Element) -> str:
        """`text` with each `{{name}}` replaced by its value.

        :raises StartRefused: there is no such named value
        """
        if "{{" not in text:
            return text

        def value(found: re.Match[str]) -> str:
            name = found[1]
            if name not in self._values:
                refuse(element, f"there is no named value {{{{{name}}}}} in {CONFIGURATION}")
            self.used.add(name)
            return self._values[name]

        return _REFERENCE.sub(value, text)

    def refuse_unused(self) -> None:
        """Check that policies read all of them.

        :raises StartRefused: one is read nowhere
        """
        unused = sorted(self._values.keys() - self.used)
        if unused:
            raise StartRefused(f"{CONFIGURATION}: no policy reads the named values {', '.join(unused)}")


def variable(name: str, value: NamedValue) -> str:
    """The environment variable of a named value."""
    return value.setting or f"GATEWAY_{name.upper().replace('-', '_')}"


def _items(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _value(name: str, value: NamedValue, environment: Mapping[str, str]) -> str:
    given = environment.get(variable(name, value), "").strip()
    if value.item is not None and (items := _items(given)):
        given = items[min(value.item, len(items) - 1)]
    if given and value.flag:
        try:
            return str(_FLAG.validate_python(given)).lower()
        except ValidationError:
            raise StartRefused(f"{variable(name, value)} is “{given}”; it is true or false") from None
    if given:
        return given
    if value.default is None:
        raise StartRefused(f"the gateway needs {variable(name, value)}: {value.meaning}")
    return value.default


def _refuse_longer_lists(declared: Mapping[str, NamedValue], environment: Mapping[str, str]) -> None:
    for value in declared.values():
        if value.item is None or value.secret:  # of secrets only the newest is sent
            continue
        most = max(other.item or 0 for other in declared.values() if other.setting == value.setting) + 1
        if len(_items(environment.get(value.setting, ""))) > most:
            raise StartRefused(f"{value.setting} names more than the {most} that the gateway's policies know")
