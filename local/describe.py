"""`make openapi`: the API as API Management imports it, `infra/openapi.json`, and which service answers what.

It is our OpenAPI document in another shape: paths without the prefix that is the API's path there, operation ids as
API Management keeps them (lower case, dashes), each read with its HEAD beside it (an operation of its own there), and
of each its service and its policy, from `infra/policies/operations.json`, all of it in the words of OpenAPI 3.0.
Refusals are left out: they are most of the text, and `GET /api/docs` tells them.
https://learn.microsoft.com/azure/api-management/api-management-api-import-restrictions
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import orjson
import typer

from functions.composition import assemble, choose_adapters, use_cases
from functions.composition.services import Assembled
from functions.operations.openapi import openapi
from local.host.gateway.configuration import read_configuration
from local.openapi30 import of_30
from local.package import ROOT, environment
from shared.settings import SERVICES, Settings

OPENAPI: Final = ROOT / "infra" / "openapi.json"
POLICIES: Final = ROOT / "infra" / "policies"
ON_EVERY_APP: Final = "workers"  # who answers for what every app has: health, metrics, the description
TEXT_MAX: Final = 1_000_000  # of loadJsonContent: 1,048,576
_PREFIX: Final = "/api"
_KEPT: Final = ("operationId", "tags", "summary", "description", "parameters", "requestBody", "responses", "x-policy")

type Json = dict[str, Any]


def main(
    output: Annotated[Path, typer.Option(help="Where the document is written.")] = OPENAPI,
    check: Annotated[bool, typer.Option(help="Write nothing; fail if the file is not what it should be.")] = False,
) -> None:
    """Write the API's description for API Management."""
    content = written(gateway_document())
    if check:
        if not output.exists() or output.read_bytes() != content:
            raise SystemExit(f"{output} is not as the endpoints are: run make openapi")
        return
    output.write_bytes(content)
    print(f"{output}: {len(content):,} bytes")


def written(document: Json) -> bytes:
    """The document, compact, but with a line for each operation and each schema: changes are to be read.

    :raises ValueError: it is longer than Bicep takes
    """
    paths = (f"{_json(path)}: {{\n{_lines(operations)}\n}}" for path, operations in document["paths"].items())
    outer = (f"{_json(key)}: {_json(value)}" for key, value in document.items() if key not in {"paths", "components"})
    joined = ",\n".join(paths)
    schemas = _lines(document["components"]["schemas"])
    text = ",\n".join([*outer, f'"paths": {{\n{joined}\n}}', f'"components": {{"schemas": {{\n{schemas}\n}}}}'])
    if len(text) > TEXT_MAX:
        raise ValueError(f"the description has {len(text):,} characters; Bicep takes {TEXT_MAX:,}")
    return f"{{\n{text}\n}}\n".encode()


def gateway_document() -> Json:
    """The document that API Management imports."""
    found = described()
    document, services = found.document, {name: _who_answers(those) for name, those in found.services.items()}
    policy_of = read_configuration(POLICIES).policy_of()
    paths: Json = {}
    for path, methods in document["paths"].items():
        operations = {
            method: _operation(operation, services, policy_of) for method, operation in sorted(methods.items())
        }
        if "get" in operations:
            operations["head"] = _head(operations["get"])
        paths[path.removeprefix(_PREFIX)] = operations
    whole = {
        "info": document["info"],
        "tags": [{"name": name} for name in SERVICES],
        "paths": paths,
        "components": {"schemas": document["components"]["schemas"]},
    }
    return of_30(whole)


@dataclass(frozen=True, slots=True)
class Described:
    """What all services together are.

    :param services: function → the services that have it
    :param document: our own description of the whole API
    """

    services: Mapping[str, frozenset[str]]
    document: Json


def described() -> Described:
    """Each service's app, put together as on Azure; nothing is opened by that."""
    services: dict[str, frozenset[str]] = {}
    document: Json = {}
    for service in SERVICES:
        assembled = composed(service)
        for function in assembled.app.get_functions():
            name = str(function.get_function_name())
            services[name] = services.get(name, frozenset()) | {service}
        document = openapi(assembled.specs(), server=environment(service)["TESSERA_PUBLIC_URL"])
    return Described(services, document)


def composed(service: str) -> Assembled:
    """The app of one service, put together as on Azure; nothing is opened by that."""
    with only(environment(service)):
        settings = Settings.from_environment()
        adapters = choose_adapters(settings)
        return assemble(settings, adapters, use_cases(settings, adapters))


@contextmanager
def only(variables: Mapping[str, str]) -> Iterator[None]:
    """The process's environment is these variables and no others, meanwhile."""
    kept = dict(os.environ)
    os.environ.clear()
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(kept)


def _who_answers(services: frozenset[str]) -> str:
    return next(iter(services)) if len(services) == 1 else ON_EVERY_APP


def _operation(operation: Json, services: Mapping[str, str], policy_of: Mapping[str, str]) -> Json:
    function = operation["operationId"]
    told = {
        **operation,
        "operationId": function.replace("_", "-"),
        "tags": [services[function]],
        "x-policy": policy_of[function],
        "responses": {
            status: {"description": answer["description"], **_content(answer)}
            for status, answer in operation["responses"].items()
            if status < "400"
        },
    }
    return {key: told[key] for key in _KEPT if key in told}


def _content(answer: Json) -> Json:
    return {"content": answer["content"]} if "content" in answer else {}


def _head(get: Json) -> Json:
    """The same without a body."""
    answers = {status: {"description": "The same without a body."} for status in get["responses"]}
    kept = {key: get[key] for key in ("tags", "summary", "parameters", "x-policy")}
    return {"operationId": f"{get['operationId']}-head", **kept, "responses": answers}


def _lines(parts: Mapping[str, Any]) -> str:
    return ",\n".join(f"{_json(key)}: {_json(value)}" for key, value in parts.items())


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()


if __name__ == "__main__":
    typer.run(main)
