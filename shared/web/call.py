"""What a handler is given and what it may give back."""

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import azure.functions as func
from pydantic import BaseModel, ConfigDict

from shared.auth.permissions import Caller
from shared.kernel.errors import Malformed, NotFound
from shared.kernel.ids import ID_PATTERN
from shared.kernel.model import Model

_IDEMPOTENCY_KEY: Final = re.compile(r"^[\x21-\x7e]{1,128}$")
_ID: Final = re.compile(ID_PATTERN)


class Wire(Model):
    """A request body or query: unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Nothing(Wire):
    """The input of an endpoint that takes none."""


@dataclass(frozen=True, slots=True)
class Raw:
    """An answer that is not a model: a picture, a page."""

    body: bytes
    media_type: str
    headers: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """A request that was let in.

    :param now: when it arrived, UTC
    :param raw: the request itself, for the few edges that need its exact bytes
    :param noted: what the handler adds to the audit trail: ids and names of roles, never personal data
    """

    caller: Caller
    now: datetime
    correlation_id: str
    raw: func.HttpRequest
    noted: dict[str, str] = field(default_factory=dict)

    def id(self, name: str) -> str:
        """The id in the route.

        :raises NotFound: it does not look like an id, so there is no such thing
        """
        value = str(self.raw.route_params.get(name, ""))
        if not _ID.fullmatch(value):
            raise NotFound(f"There is no {name.removesuffix('_id').replace('_', ' ')} “{value[:60]}”.")
        return value

    @property
    def idempotency_key(self) -> str:
        """The `Idempotency-Key` header (draft-ietf-httpapi-idempotency-key-header).

        :raises Malformed: it is missing, longer than 128 characters, or has blanks
        """
        key = str(self.raw.headers.get("idempotency-key", ""))
        if not _IDEMPOTENCY_KEY.fullmatch(key):
            raise Malformed(
                "Send an Idempotency-Key header: a value you make up once per order, e.g. a UUID.",
                field="Idempotency-Key",
                allowed="1–128 visible ASCII characters",
            )
        return key


type Answer = BaseModel | Raw | None
type Handler[I: Wire] = Callable[[Call, I], Awaitable[Answer]]
