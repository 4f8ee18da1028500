"""Reading YAML 1.2, where `on` is a word, and comparing it with published schemas."""

import json
from functools import cache
from importlib.resources import files
from io import StringIO
from pathlib import Path
from typing import Any

from jsonschema import Draft7Validator, Draft202012Validator
from jsonschema.exceptions import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError


class Unreadable(Exception):
    """A text is no YAML."""


def read(text: str) -> Any:
    """What a document says.

    :raises Unreadable: it is none
    """
    try:
        return YAML(typ="safe", pure=True).load(StringIO(text))
    except YAMLError as error:
        raise Unreadable(str(error)) from error


@cache
def validator(name: str) -> Any:
    """Compares with a published schema that check-jsonschema brings along."""
    schema = json.loads((files("check_jsonschema.builtin_schemas") / "vendor" / f"{name}.json").read_text())
    draft = Draft202012Validator if "2020" in schema.get("$schema", "") else Draft7Validator
    return draft(schema)


def refusals(name: str, document: Any) -> list[str]:
    """What a schema has against a document: of each of its errors what is deepest in it, with where it is."""
    found = [_deepest(error) for error in validator(name).iter_errors(document)]
    return [f"{error.json_path}: {error.message[:300]}" for error in found]


def as_texts(document: Any, *, task: bool = False) -> Any:
    """A document all of whose scalars are texts, as Azure Pipelines reads them.

    :param task: it is part of a task, where the published schema wants what is true or false as such
    """
    match document:
        case dict():
            return {name: as_texts(value, task=task or "task" in document) for name, value in document.items()}
        case list():
            return [as_texts(value, task=task) for value in document]
        case bool():
            return document if task else str(document).lower()
        case _:
            return str(document)


def _deepest(error: ValidationError) -> ValidationError:
    """Of alternatives that all failed, the error furthest inside says best what was meant."""
    inner = [_deepest(each) for each in error.context or ()]
    return max(inner, key=lambda each: len(each.absolute_path), default=error)


def of_file(path: Path) -> Any:
    """What a file says."""
    return read(path.read_text())
