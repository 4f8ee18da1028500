"""Bicep's functions of texts and numbers."""

import base64
import hashlib
import ipaddress
import re
import urllib.parse
import uuid
from collections.abc import Sequence
from typing import Final

from tools.bicep.errors import Place
from tools.bicep.values import Function, Symbol, Template, Text, Value, as_json, is_unknown, shown, symbols, text_of

_UNIQUE_LENGTH: Final = 13
_GUIDS: Final = uuid.UUID("11fb06fb-712d-4ddd-98c7-e71bbd588830")


def concat(place: Place, *values: Value) -> Value:
    if all(isinstance(value, list) for value in values):
        return [item for value in values for item in value]
    return text_of(values, place)


def dotnet_format(place: Place, pattern: str, *values: Value) -> Text:
    parts = re.split(r"\{(\d+)\}", pattern)
    return text_of((values[int(part)] if at % 2 else part for at, part in enumerate(parts)), place)


def join(place: Place, values: Sequence[Value], between: str) -> Text:
    return text_of([piece for value in values for piece in (between, value)][1:], place)


def replace(place: Place, text: Text, old: str, new: Text) -> Text:
    """Also in a text with symbols, and by one: what is in the symbols stays as it is."""
    pieces: list[Value] = []
    for part in text.parts if isinstance(text, Template) else (text,):
        if isinstance(part, Symbol):
            pieces.append(part)
            continue
        for at, piece in enumerate(part.split(old)):
            pieces += [new, piece] if at else [piece]
    return text_of(pieces, place)


def pad_left(value: str | int, width: int, filler: str = " ") -> str:
    return str(value).rjust(width, filler)


def split(text: str, separators: str | list[str]) -> list[str]:
    wanted = [separators] if isinstance(separators, str) else separators
    return re.split("|".join(re.escape(each) for each in wanted), text)


def substring(text: str, start: int, length: int | None = None) -> str:
    if start < 0 or start > len(text) or (length is not None and (length < 0 or start + length > len(text))):
        raise ValueError(f"'{text}' has no {length} characters from {start} on")
    return text[start:] if length is None else text[start : start + length]


def _identity(value: Value) -> str:
    """A value without what its symbols are called, since a resource has another symbol in each file."""
    found = " ".join(each.identity for each in symbols(value))
    if isinstance(value, Template):
        return found + value.known
    return found or str(value)


def unique_string(*values: Value) -> str:
    """Thirteen characters that follow from its arguments, as many as Azure's, which follow from its ids too."""
    digest = hashlib.sha256("\0".join(map(_identity, values)).encode()).digest()
    return base64.b32encode(digest).decode().lower()[:_UNIQUE_LENGTH]


def guid(*values: Value) -> str:
    """A GUID that follows from its arguments; not Azure's, for the same reason."""
    return str(uuid.uuid5(_GUIDS, "\0".join(map(_identity, values))))


def to_int(value: str | int) -> int:
    return int(value)


def to_bool(value: str | int | bool) -> bool:
    if isinstance(value, str):
        if value.lower() not in {"true", "false", "1", "0"}:
            raise ValueError(f"'{value}' is neither true nor false")
        return value.lower() in {"true", "1"}
    return bool(value)


def to_string(place: Place, value: Value) -> Text:
    # A boolean becomes True or False here, which is .NET's way and not JSON's.
    if isinstance(value, str | bool) or is_unknown(value):
        return text_of([value], place)
    return as_json(value)


def uri(base: str, relative: str) -> str:
    return urllib.parse.urljoin(base, relative)


def cidr_subnet(network: str, prefix: int, index: int) -> str:
    found = list(ipaddress.ip_network(network).subnets(new_prefix=prefix))
    if not 0 <= index < len(found):
        raise ValueError(f"{network} has {len(found)} networks of /{prefix}, none at {index}")
    return str(found[index])


# These know what to do with symbols.
WITH_SYMBOLS: Final[dict[str, Function]] = {
    "concat": concat, "format": dotnet_format, "join": join, "replace": replace, "string": to_string,
}  # fmt: skip
HASHES: Final[dict[str, Function]] = {"uniqueString": unique_string, "guid": guid}
# These are applied to what is known, and written down as they are where something is not.
PURE: Final[dict[str, Function]] = {
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "base64ToString": lambda text: base64.b64decode(text).decode(),
    "bool": to_bool,
    "cidrSubnet": cidr_subnet,
    "endsWith": lambda text, end: text.lower().endswith(end.lower()),
    "int": to_int,
    "padLeft": pad_left,
    "split": split,
    "startsWith": lambda text, start: text.lower().startswith(start.lower()),
    "substring": substring,
    "toLower": str.lower,
    "toUpper": str.upper,
    "trim": str.strip,
    "uri": uri,
    "uriComponent": lambda text: urllib.parse.quote(text, safe="-_.!~*'()"),
    "uriComponentToString": urllib.parse.unquote,
}


def written(name: str, arguments: Sequence[Value]) -> Symbol:
    """A call as Azure will make it."""
    return Symbol(f"{name}({', '.join(shown(each) for each in arguments)})")
