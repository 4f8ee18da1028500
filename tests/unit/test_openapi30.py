"""A schema in the words of OpenAPI 3.0 takes the values that it took in those of 3.1, as others' validators see it."""

from typing import Any

import pytest
from openapi_schema_validator import OAS30Validator, OAS31Validator

from local.openapi30 import VERSION, of_30

_NAMED: dict[str, Any] = {"Name": {"type": "string", "maxLength": 3}}
_REFERENCE = {"$ref": "#/components/schemas/Name"}
_NULL = {"type": "null"}


def whole(schema: dict[str, Any]) -> dict[str, Any]:
    return {"openapi": "3.1.0", "components": {"schemas": {**_NAMED, "It": schema}}}


def takes(validator: type[Any], document: dict[str, Any], value: Any) -> bool:
    return bool(validator({**document, **document["components"]["schemas"]["It"]}).is_valid(value))


@pytest.mark.parametrize(
    ("schema", "right", "wrong"),
    [
        ({"type": "integer", "minimum": 1}, [1], [0, None, "1"]),
        ({"anyOf": [{"type": "integer", "minimum": 1}, _NULL], "default": None}, [1, None], [0, "1"]),
        ({"anyOf": [{"type": "integer"}, {"type": "string"}, _NULL]}, [1, "1", None], [1.5, []]),
        ({"anyOf": [{"type": "integer"}, {"type": "string"}]}, [1, "1"], [None]),
        ({"type": "string", "examples": ["anna", "ben"]}, ["anna"], [1, None]),
        ({"type": "array", "items": {"anyOf": [{"type": "boolean"}, _NULL]}}, [[True, None]], [[0], None]),
        ({"additionalProperties": {"anyOf": [{"type": "boolean"}, _NULL]}}, [{"a": None}], [{"a": 1}]),
        ({"type": "object", "additionalProperties": False, "properties": {"a": {}}}, [{"a": 1}], [{"b": 1}]),
        # A property may have the name of a word.
        ({"type": "object", "properties": {"items": {"type": "string"}, "examples": {"type": "array"}}},
         [{"items": "a", "examples": []}], [{"items": 1}, {"examples": "a"}]),
        ({"anyOf": [{"type": "string", "enum": ["a", "b"]}, _NULL]}, ["a", None], ["c", ""]),
        (_REFERENCE, ["abc"], ["abcd", None]),
        ({"anyOf": [_REFERENCE, _NULL], "description": "whose"}, ["abc", None], ["abcd", 1]),
        ({**_REFERENCE, "description": "whose"}, ["abc"], ["abcd", 1]),
    ],
)  # fmt: skip
def test_the_same_values_are_taken_and_refused(schema: dict[str, Any], right: list[Any], wrong: list[Any]) -> None:
    before, after = whole(schema), of_30(whole(schema))

    assert after["openapi"] == VERSION
    for value in right:
        assert takes(OAS31Validator, before, value)
        assert takes(OAS30Validator, after, value)
    for value in wrong:
        assert not takes(OAS31Validator, before, value)
        assert not takes(OAS30Validator, after, value)


@pytest.mark.parametrize(
    ("schema", "told"),
    [
        ({**_REFERENCE, "default": "a"}, {"allOf": [_REFERENCE], "default": "a"}),
        ({"type": "string", "contentMediaType": "image/png"}, {"type": "string"}),
        ({"type": "string", "examples": ["a", "b"]}, {"type": "string", "example": "a"}),
    ],
)
def test_what_no_value_shows_is_said_in_words_of_30(schema: dict[str, Any], told: dict[str, Any]) -> None:
    assert of_30(whole(schema))["components"]["schemas"]["It"] == told


def test_schemas_are_found_wherever_they_are() -> None:
    schema, told = {"anyOf": [{"type": "string"}, _NULL]}, {"type": "string", "nullable": True}
    answer = {"description": "ok", "content": {"application/json": {"schema": schema}}}
    operation = {"parameters": [{"name": "a", "in": "query", "schema": schema}], "responses": {"200": answer}}

    found = of_30({"openapi": "3.1.0", "paths": {"/a": {"get": operation}}})["paths"]["/a"]["get"]

    assert found["parameters"][0]["schema"] == told
    assert found["responses"]["200"]["content"]["application/json"]["schema"] == told
