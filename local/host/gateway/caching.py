"""Policies of the response cache: cache-lookup and cache-store.

A hit goes on behind `cache-store`; what stands before it in outbound is part of what was kept. A request with an
Authorization header is neither answered from the cache nor kept: `allow-private-response-caching` is not executed here.
https://learn.microsoft.com/azure/api-management/cache-lookup-policy
"""

import time
from typing import Final
from urllib.parse import parse_qsl

from local.host.gateway.compiling import (
    Place,
    Section,
    boolean,
    check_attributes,
    number,
    one_of,
    policy,
    value_of,
)
from local.host.gateway.context import Context, FromCache, Step
from local.host.gateway.document import Element, refuse

DURATION_SECONDS_MAX: Final = 86_400


@policy(
    "cache-lookup", sections=frozenset({Section.INBOUND}), required=("vary-by-developer", "vary-by-developer-groups"),
    optional=("caching-type", "downstream-caching-type", "must-revalidate"),
    children=("vary-by-header", "vary-by-query-parameter"),
)  # fmt: skip
def _lookup(element: Element, place: Place) -> Step:
    for name in ("vary-by-developer", "vary-by-developer-groups"):
        if boolean(element, name, place):
            refuse(element, f"{name} must be false: there are no developer accounts")
    one_of(element, "caching-type", place, {"internal": 0, "prefer-external": 0}, "prefer-external")
    one_of(element, "downstream-caching-type", place, {"none": 0}, "none")
    boolean(element, "must-revalidate", place, "true")
    headers = tuple(name.lower() for name in _names(element, "vary-by-header", place))
    parameters = _names(element, "vary-by-query-parameter", place)
    if not parameters:
        refuse(element, "name each query parameter: what is not named does not tell answers apart")
    cache, clock = place.parts.cache, time.monotonic

    def lookup(context: Context) -> None:
        request = context.request
        if request.method != "GET" or "authorization" in request.headers:
            return
        query: dict[str, list[str]] = {}
        for name, value in parse_qsl(request.scope["query_string"].decode("latin-1"), keep_blank_values=True):
            query.setdefault(name, []).append(value)
        given = request.headers
        key = (
            request.path,
            *(given.get(name) for name in headers),
            *(tuple(query.get(name, ())) for name in parameters),
        )
        kept = cache.find(key, clock())
        if kept is None:
            context.cache_key = key
            return
        context.answer(200, list(kept[0]), kept[1])
        raise FromCache

    return lookup


def _names(element: Element, tag: str, place: Place) -> tuple[str, ...]:
    found: list[str] = []
    for child in element.texts(tag):
        check_attributes(child, [])
        given = value_of(child.text, child, place).constant
        if not given:
            refuse(child, f"<{tag}> must name what is told apart")
        found += (part.strip() for part in given.split(";"))
    return tuple(found)


@policy("cache-store", sections=frozenset({Section.OUTBOUND}), required=("duration",))
def _store(element: Element, place: Place) -> Step:
    duration = number(element, "duration", place, least=1, most=DURATION_SECONDS_MAX)
    cache, clock = place.parts.cache, time.monotonic

    def store(context: Context) -> None:
        key = context.cache_key
        if key is None or context.status != 200 or context.response_header(b"set-cookie") is not None:
            return
        cache.keep(key, (list(context.headers), context.body), until=clock() + duration)

    return store
