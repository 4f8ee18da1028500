"""What requests may say: Stripe's bracketed forms, read into typed parameters that forbid what is unknown."""

import re
from typing import Annotated, Any, Literal
from urllib.parse import parse_qsl

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from local.emulators.stripe.errors import ApiError

_KEY = re.compile(r"^([^\[\]]+)((?:\[[^\[\]]*\])*)$")
_PAIRS_MAX = 5_000
AMOUNT_MAX = 99_999_999

Metadata = Annotated[
    dict[Annotated[str, StringConstraints(max_length=40)], Annotated[str, StringConstraints(max_length=500)]],
    Field(max_length=50),
]
WebAddress = Annotated[str, StringConstraints(pattern=r"^https?://\S+$", max_length=5_000)]
Currency = Annotated[str, StringConstraints(pattern=r"^[A-Za-z]{3}$", to_lower=True)]
Expand = Annotated[list[str], Field(max_length=10)]


class _Parameters(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    expand: Expand = []


class ProductData(BaseModel):
    """What a line sells."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: Annotated[str, StringConstraints(min_length=1, max_length=1_000)]
    description: str | None = None
    images: list[WebAddress] = []
    metadata: Metadata = {}
    tax_code: str | None = None


class PriceData(BaseModel):
    """What one of it costs, in minor units."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    currency: Currency
    product_data: ProductData
    unit_amount: Annotated[int, Field(ge=0, le=AMOUNT_MAX)]
    tax_behavior: Literal["inclusive", "exclusive", "unspecified"] = "unspecified"


class LineItem(BaseModel):
    """A line of the purchase."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    price_data: PriceData
    quantity: Annotated[int, Field(ge=1, le=999_999)] = 1


class PaymentIntentData(BaseModel):
    """What the payment is told beyond its amount."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    metadata: Metadata = {}
    description: Annotated[str, StringConstraints(max_length=1_000)] | None = None
    receipt_email: str | None = None
    statement_descriptor: str | None = None
    statement_descriptor_suffix: str | None = None
    capture_method: Literal["automatic", "automatic_async"] = "automatic_async"


class CreateSession(_Parameters):
    """`POST /v1/checkout/sessions`, as far as card payments need it."""

    mode: Literal["payment"]
    line_items: Annotated[list[LineItem], Field(min_length=1, max_length=100)]
    success_url: WebAddress
    cancel_url: WebAddress | None = None
    metadata: Metadata = {}
    payment_intent_data: PaymentIntentData = PaymentIntentData()
    client_reference_id: Annotated[str, StringConstraints(max_length=200)] | None = None
    customer_email: Annotated[str, StringConstraints(pattern=r"^[^@\s]+@[^@\s]+$", max_length=800)] | None = None
    expires_at: int | None = None
    payment_method_types: Annotated[list[Literal["card"]], Field(min_length=1, max_length=1)] = ["card"]
    locale: str | None = None
    submit_type: Literal["auto", "book", "donate", "pay", "subscribe"] | None = None
    ui_mode: Literal["hosted_page"] = "hosted_page"
    customer_creation: Literal["if_required", "always"] = "if_required"


class CreateRefund(_Parameters):
    """`POST /v1/refunds`."""

    payment_intent: str | None = None
    charge: str | None = None
    amount: Annotated[int, Field(ge=1, le=AMOUNT_MAX)] | None = None
    reason: Literal["duplicate", "fraudulent", "requested_by_customer"] | None = None
    metadata: Metadata = {}


class OnlyExpand(_Parameters):
    """A request that takes nothing but `expand`."""


class ListObjects(_Parameters):
    """A page of a list, newest first."""

    limit: Annotated[int, Field(ge=1, le=100)] = 10
    starting_after: str | None = None
    ending_before: str | None = None
    payment_intent: str | None = None
    charge: str | None = None
    status: str | None = None
    type: str | None = None
    types: list[str] = []


def parse_form(text: str) -> dict[str, Any]:
    """`a[b][0][c]=1` as nested dicts and lists, the way Stripe reads it.

    :raises ApiError: a name is malformed, used twice, or used as two kinds of thing
    """
    tree: dict[str, Any] = {}
    for name, value in parse_qsl(text, keep_blank_values=True, max_num_fields=_PAIRS_MAX):
        matched = _KEY.match(name)
        if matched is None:
            raise ApiError(f"Received malformed parameter: {name}", code="parameter_unknown", param=name)
        parts = [matched[1], *re.findall(r"\[([^\[\]]*)\]", matched[2])]
        node = tree
        for part in parts[:-1]:
            node = node.setdefault(part, {})
            if not isinstance(node, dict):
                raise ApiError(f"Invalid {parts[0]}", param=parts[0])
        leaf = parts[-1] or str(len(node))
        if leaf in node:
            raise ApiError(f"Duplicate parameter: {name}", param=name)
        node[leaf] = value
    result = _listed(tree)
    assert isinstance(result, dict)
    return result


def _listed(node: Any) -> Any:
    if not isinstance(node, dict):
        return node
    if node and all(key.isdecimal() for key in node):
        return [_listed(node[key]) for key in sorted(node, key=int)]
    return {key: _listed(value) for key, value in node.items()}


def read[P: BaseModel](model: type[P], values: dict[str, Any]) -> P:
    """`values` as `model`; an empty top-level string unsets, as at Stripe.

    :raises ApiError: the first thing wrong, named as Stripe names it
    """
    # Metadata whose keys happen to be digits looks like a list on the wire.
    metadata = values.get("metadata")
    if isinstance(metadata, list):
        values = {**values, "metadata": {str(i): value for i, value in enumerate(metadata)}}
    try:
        return model.model_validate({name: value for name, value in values.items() if value != ""})
    except ValidationError as error:
        raise _refusal(error.errors()[0]) from None


def _refusal(problem: Any) -> ApiError:
    first, *rest = (str(part) for part in problem["loc"])
    param = first + "".join(f"[{part}]" for part in rest if part != "[key]")
    match problem["type"]:
        case "extra_forbidden":
            return ApiError(f"Received unknown parameter: {param}", code="parameter_unknown", param=param)
        case "missing":
            return ApiError(f"Missing required param: {param}.", code="parameter_missing", param=param)
        case "int_parsing" | "int_type" | "int_from_float":
            return ApiError(f"Invalid integer: {problem['input']}", code="parameter_invalid_integer", param=param)
        case "string_pattern_mismatch" if param.endswith("_url"):
            return ApiError("Not a valid URL", code="url_invalid", param=param)
        case "string_pattern_mismatch" if param == "customer_email":
            return ApiError(f"Invalid email address: {problem['input']}", code="email_invalid", param=param)
        case _:
            return ApiError(f"Invalid {param}: {problem['msg']}", param=param)
