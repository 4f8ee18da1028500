"""Policies that refuse: rate-limit-by-key, validate-jwt, check-header, ip-filter, validate-content.

https://learn.microsoft.com/azure/api-management/api-management-policies
"""

import hmac
import ipaddress
import time
from collections.abc import Awaitable
from typing import Final

from local.host.gateway.compiling import (
    Place,
    Section,
    attribute,
    boolean,
    check_attributes,
    constant,
    number,
    one_of,
    policy,
    texts,
)
from local.host.gateway.context import ClientGone, Context, ProxyError, Step, Token
from local.host.gateway.document import Element, refuse
from local.host.gateway.tokens import RequiredClaim, TokenCheck, TokenRules
from local.host.request import BodyTooLarge, Disconnected, read_body

_INBOUND: Final = frozenset({Section.INBOUND})
_DISCOVERY: Final = "/.well-known/openid-configuration"
VALIDATED_BYTES_MAX: Final = 102_400  # of validate-content


@policy(
    "rate-limit-by-key", sections=_INBOUND, required=("calls", "renewal-period", "counter-key"),
    optional=("increment-condition", "retry-after-variable-name"),
)  # fmt: skip
def _rate_limit(element: Element, place: Place) -> Step:
    calls = number(element, "calls", place, least=1, most=10_000_000)
    period = float(number(element, "renewal-period", place, least=1, most=300))
    key = attribute(element, "counter-key", place).get
    variable = constant(element, "retry-after-variable-name", place, "")
    counts = attribute(element, "increment-condition", place, "true")
    limiter, clock = place.parts.limiter, time.monotonic

    def refuse_call(context: Context, wait: int) -> None:
        if variable:
            context.variables[variable] = wait
        raise ProxyError(
            element.tag, "RateLimitExceeded", f"Rate limit is exceeded; come again in {wait} s.", status=429
        )

    def limit(context: Context) -> None:
        wait = limiter.take(key(context), calls, period, clock())
        if wait:
            refuse_call(context, wait)

    def limit_some(context: Context) -> None:
        own = key(context)
        wait = limiter.wait(own, calls, period, clock())
        if wait:
            refuse_call(context, wait)

        def count(answered: Context) -> None:
            if counts.get(answered):
                limiter.take(own, calls, period, clock())

        context.after = [*(context.after or ()), count]

    return limit if counts.constant == "true" else limit_some


@policy(
    "validate-jwt", sections=_INBOUND, required=("header-name", "require-scheme"),
    optional=(
        "failed-validation-httpcode", "failed-validation-error-message", "require-expiration-time",
        "require-signed-tokens", "clock-skew", "output-token-variable-name",
    ),
    children=("openid-config", "audiences", "required-claims"),
)  # fmt: skip
def _validate_jwt(element: Element, place: Place) -> Step:
    rules = _token_rules(element, place)
    check = place.parts.checks.setdefault(rules, TokenCheck(rules))  # policies with the same rules share what they know
    header = constant(element, "header-name", place).lower()
    scheme = constant(element, "require-scheme", place).lower() + " "
    variable = constant(element, "output-token-variable-name", place, "")
    for name in ("require-expiration-time", "require-signed-tokens"):
        if not boolean(element, name, place, "true"):
            refuse(element, f"{name} must be true")
    length, clock = len(scheme), time.time

    def validate(context: Context) -> Awaitable[None] | None:
        given = context.request.headers.get(header)
        if given is None or given[:length].lower() != scheme:
            raise check.refusal("TokenNotPresent", "JWT not present.")
        token = given[length:].strip()
        known = check.remembered(token, clock())
        if known is None:
            return validate_anew(context, token)
        if variable:
            context.variables[variable] = known
        return None

    async def validate_anew(context: Context, token: str) -> None:
        found: Token = await check.check(token)
        if variable:
            context.variables[variable] = found

    return validate


def _token_rules(element: Element, place: Place) -> TokenRules:
    authorities = []
    for child in element.texts("openid-config"):
        check_attributes(child, ["url"])
        url = constant(child, "url", place)
        if not url.endswith(_DISCOVERY):
            refuse(child, f"url must end with {_DISCOVERY}")
        authorities.append(url.removesuffix(_DISCOVERY))
    audiences = texts(element.only("audiences"), "audience", place)
    if not authorities or not audiences:
        refuse(element, "<validate-jwt> needs <openid-config> and <audiences>")
    claims = element.only("required-claims")
    return TokenRules(
        authorities=tuple(dict.fromkeys(authorities)),
        audiences=audiences,
        required=tuple(_claim(child, place) for child in (claims.children if claims else ())),
        clock_skew=number(element, "clock-skew", place, least=0, most=300, default="0"),
        status=number(element, "failed-validation-httpcode", place, least=400, most=499, default="401"),
        message=constant(element, "failed-validation-error-message", place, ""),
    )


def _claim(element: Element, place: Place) -> RequiredClaim:
    if element.tag != "claim":
        refuse(element, f"<{element.tag}> cannot stand in <required-claims>")
    check_attributes(element, ["name"], ["match", "separator"])
    return RequiredClaim(
        name=constant(element, "name", place),
        values=frozenset(texts(element, "value", place)),
        any_of_them=one_of(element, "match", place, {"all": False, "any": True}, "all"),
        separator=element.attributes.get("separator", ""),
    )


@policy(
    "check-header", sections=_INBOUND,
    required=("name", "failed-check-httpcode", "failed-check-error-message", "ignore-case"), children=("value",),
)  # fmt: skip
def _check_header(element: Element, place: Place) -> Step:
    name = constant(element, "name", place).lower()
    status = number(element, "failed-check-httpcode", place, least=400, most=499)
    message = constant(element, "failed-check-error-message", place)
    if boolean(element, "ignore-case", place):
        refuse(element, "ignore-case must be false: what is checked are credentials")
    values = [value.encode() for value in texts(element, "value", place)]

    def check(context: Context) -> None:
        given = context.request.headers.get(name)
        if given is None:
            raise ProxyError(element.tag, "HeaderNotFound", message, status=status)
        sent = given.encode("latin-1")
        # All are compared, in constant time each: how long it takes tells nothing of them.
        if not sum(hmac.compare_digest(sent, value) for value in values):
            raise ProxyError(element.tag, "HeaderValueNotAllowed", message, status=status)

    return check


@policy("ip-filter", sections=_INBOUND, required=("action",), children=("address", "address-range"))
def _ip_filter(element: Element, place: Place) -> Step:
    one_of(element, "action", place, {"allow": True})
    ranges = [_range(child, place) for child in element.children]
    if not ranges:
        refuse(element, "<ip-filter> needs an address")
    known: dict[str, bool] = {}

    def allowed(address: str) -> bool:
        try:
            number_ = int(ipaddress.ip_address(address))
        except ValueError:
            return False
        return any(first <= number_ <= last for first, last in ranges)

    def check(context: Context) -> None:
        address = context.address
        if address not in known:
            if len(known) >= 1_000:
                known.clear()
            known[address] = allowed(address)
        if not known[address]:
            raise ProxyError(
                element.tag, "CallerIpNotAllowed", f"Caller IP address {address} is not allowed. Access denied.",
                status=403,
            )  # fmt: skip

    return check


def _range(element: Element, place: Place) -> tuple[int, int]:
    try:
        if element.tag == "address":
            check_attributes(element, [])
            only = int(ipaddress.ip_address(place.parts.named_values.filled_in(element.text, element)))
            return only, only
        check_attributes(element, ["from", "to"])
        first, last = (ipaddress.ip_address(constant(element, name, place)) for name in ("from", "to"))
    except ValueError as error:
        refuse(element, str(error))
    if first.version != last.version or int(first) > int(last):
        refuse(element, f"no address is from {first} to {last}")
    return int(first), int(last)


@policy(
    "validate-content", sections=_INBOUND,
    required=("unspecified-content-type-action", "max-size", "size-exceeded-action"),
)  # fmt: skip
def _validate_content(element: Element, place: Place) -> Step:
    one_of(element, "unspecified-content-type-action", place, {"ignore": True})
    one_of(element, "size-exceeded-action", place, {"prevent": True})
    most = number(element, "max-size", place, least=1, most=VALIDATED_BYTES_MAX)

    def too_large(size: int | str) -> ProxyError:
        told = f"Request's body is {size} bytes long and it exceeds the limit of {most} bytes."
        return ProxyError(element.tag, "Bad request", told, status=400)

    def check(context: Context) -> Awaitable[None] | None:
        headers = context.request.headers
        length = headers.get("content-length")
        if length is not None:
            if int(length) > most:
                raise too_large(int(length))
        elif "transfer-encoding" in headers:
            return check_chunks(context)
        return None

    async def check_chunks(context: Context) -> None:
        try:
            await read_body(context.request, most)
        except BodyTooLarge:
            raise too_large(f"more than {most}") from None
        except Disconnected:
            raise ClientGone from None

    return check
