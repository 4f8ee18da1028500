"""The policy cors: which sites of other origins browsers may let call us.

https://learn.microsoft.com/azure/api-management/cors-policy
"""

from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

from local.host.gateway.compiling import (
    Place,
    Section,
    boolean,
    check_attributes,
    number,
    policy,
    texts,
)
from local.host.gateway.context import Answered, Context, Step
from local.host.gateway.document import Element, refuse
from local.host.problems import Header

_ORIGIN: Final = b"access-control-allow-origin"


@policy(
    "cors", sections=frozenset({Section.INBOUND}), optional=("allow-credentials", "terminate-unmatched-request"),
    children=("allowed-origins", "allowed-methods", "allowed-headers", "expose-headers"),
)  # fmt: skip
def _cors(element: Element, place: Place) -> Step:
    if boolean(element, "allow-credentials", place, "false"):
        refuse(element, "allow-credentials must be false: callers send bearer tokens, never cookies")
    if boolean(element, "terminate-unmatched-request", place, "false"):
        refuse(element, "terminate-unmatched-request must be false: others than browsers send Origin, too")
    origins = frozenset(_origin(text, element) for text in texts(element.only("allowed-origins"), "origin", place))
    headers = texts(element.only("allowed-headers"), "header", place)
    methods_element = element.only("allowed-methods")
    if not origins or not headers or methods_element is None:
        refuse(element, "<cors> needs <allowed-origins>, <allowed-methods> and <allowed-headers>")
    check_attributes(methods_element, [], ["preflight-result-max-age"])
    age = number(methods_element, "preflight-result-max-age", place, least=0, most=86_400, default="0")
    methods = texts(methods_element, "method", place)
    exposed = texts(element.only("expose-headers"), "header", place)
    refused_origins = {origin for origin in origins if origin == "*"}
    if refused_origins:
        refuse(element, "name each origin: * would let every site call us")
    allowed = frozenset(name.lower() for name in headers)
    told = _preflight_headers(methods, headers, age)
    carried: list[Header] = [(b"access-control-expose-headers", ",".join(exposed).encode())] if exposed else []

    def cors(context: Context) -> None:
        given = context.request.headers
        origin = given.get("origin")
        if origin is None:
            return
        known = origin.lower() in origins
        if context.request.method == "OPTIONS" and "access-control-request-method" in given:
            if context.request.match.function is not None:
                return  # an operation with the method OPTIONS answers preflights itself
            asked = {name.strip().lower() for name in given.get("access-control-request-headers", "").split(",")} - {""}
            matched = known and given["access-control-request-method"] in methods and asked <= allowed
            own: list[Header] = [(b"content-length", b"0")]
            context.answer(200, [*own, (_ORIGIN, origin.encode("latin-1")), *told] if matched else own, b"")
            raise Answered
        if known:
            context.cors = [(_ORIGIN, origin.encode("latin-1")), *carried]

    return cors


def _preflight_headers(methods: Sequence[str], headers: Sequence[str], age: int) -> list[Header]:
    return [
        (b"access-control-allow-methods", ",".join(methods).encode()),
        (b"access-control-allow-headers", ",".join(headers).encode()),
        (b"access-control-max-age", b"%d" % age),
        (b"vary", b"Origin"),
    ]


def _origin(text: str, element: Element) -> str:
    """As browsers write it: without a path, and without the port that its scheme has anyway."""
    if text == "*":
        return text
    parts = urlsplit(text.lower())
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.path.strip("/") or parts.query:
        refuse(element, f"“{text}” is not an origin like https://tickets.example.org")
    usual = {"http": 80, "https": 443}[parts.scheme]
    return f"{parts.scheme}://{parts.hostname}" + (f":{parts.port}" if parts.port not in {None, usual} else "")
