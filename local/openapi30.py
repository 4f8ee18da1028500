"""OpenAPI 3.1 in the words of 3.0.3: API Management says that it imports 3.1, and reads it by the rules of 3.0.1.

https://learn.microsoft.com/azure/api-management/api-management-api-import-restrictions and, for what it does in truth,
https://github.com/MicrosoftDocs/azure-docs/issues/123982. What changed between the two:
https://www.openapis.org/blog/2021/02/16/migrating-from-openapi-3-0-to-3-1-0
"""

from collections.abc import Mapping
from typing import Any, Final

VERSION: Final = "3.0.3"
_NULL: Final = {"type": "null"}
_NOTHING: Final = {"type": "string", "nullable": True, "enum": [None]}
_ONE: Final = frozenset({"items", "additionalProperties", "not"})  # words whose value is a schema
_SEVERAL: Final = frozenset({"anyOf", "oneOf", "allOf"})  # or is several

type Json = dict[str, Any]


def of_30(document: Mapping[str, Any]) -> Json:
    """A document of 3.1 as one of 3.0.3.

    It says the same of every value but one: whoever reads 3.0 is not told the kind of media within a text.
    """
    return {**{key: _told(value) for key, value in document.items()}, "openapi": VERSION}


def _told(value: Any) -> Any:
    """What may hold schemas somewhere below."""
    if isinstance(value, list):
        return [_told(each) for each in value]
    if not isinstance(value, dict):
        return value
    return {
        key: _schemas(each) if key == "schemas" else _schema(each) if key == "schema" else _told(each)
        for key, each in value.items()
    }


def _schemas(named: Mapping[str, Json]) -> Json:
    return {name: _schema(schema) for name, schema in named.items()}


def _schema(schema: Json) -> Json:
    told = {key: _part(key, value) for key, value in schema.items()}
    told.pop("contentMediaType", None)
    if examples := told.pop("examples", None):
        told["example"] = examples[0]
    if _NULL in told.get("anyOf", ()):
        told = _or_null(told)
    if "$ref" in told and len(told) > 1:  # 3.0 heeds nothing beside a reference
        told = {"allOf": [{"$ref": told.pop("$ref")}], **told}
    return told


def _part(key: str, value: Any) -> Any:
    if key == "properties":
        return _schemas(value)
    if key in _ONE and isinstance(value, dict):  # not True, which any value is
        return _schema(value)
    return [_schema(each) for each in value] if key in _SEVERAL else value


def _or_null(schema: Json) -> Json:
    """Something or nothing: `nullable` works beside a type alone, and not against an `enum`; else nothing is a case."""
    cases = schema.pop("anyOf")
    others = [each for each in cases if each != _NULL]
    if len(others) == 1 and "type" in others[0] and "enum" not in others[0]:
        return {**others[0], **schema, "nullable": True}
    return {"anyOf": [*others, _NOTHING], **schema}
