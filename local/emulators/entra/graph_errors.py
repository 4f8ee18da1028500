"""Refusals in Microsoft Graph's shape (https://learn.microsoft.com/graph/errors)."""

import uuid
from datetime import UTC, datetime
from typing import Any

from starlette.responses import Response

from local.emulators.replies import json_reply


class GraphError(Exception):
    """A request Graph would refuse.

    :param code: its word for why
    :param target: the property that is wrong, where one is
    :param particular: a more particular code, for `details`
    """

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        code: str = "Request_BadRequest",
        target: str = "",
        particular: str = "",
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.target = target
        self.particular = particular

    def body(self, request_id: str) -> dict[str, Any]:
        """The JSON of the refusal."""
        told = {"date": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S"), "request-id": request_id}
        error: dict[str, Any] = {"code": self.code, "message": str(self), "innerError": told}
        if self.particular:
            error["details"] = [{"code": self.particular, "message": str(self), "target": self.target}]
        return {"error": error}


def new_request_id() -> str:
    """What an answer is known by in Microsoft's logs."""
    return str(uuid.uuid4())


def reply(value: Any, status: int, request_id: str, headers: dict[str, str] | None = None) -> Response:
    """An answer of Graph's; without a value it has no body."""
    told = {"request-id": request_id, "client-request-id": request_id, **(headers or {})}
    return Response(status_code=status, headers=told) if value is None else json_reply(value, status, told)


def unsupported_query(message: str) -> GraphError:
    """A query that Graph knows of and refuses in this form."""
    return GraphError(message, code="Request_UnsupportedQuery")


def not_emulated(what: str) -> GraphError:
    """What Graph can do, or may, and this double cannot: nothing is guessed."""
    return GraphError(f"This double does not emulate {what}.", status=501, code="NotImplemented")


def not_found(identity: str) -> GraphError:
    """There is no such thing."""
    return GraphError(
        f"Resource '{identity}' does not exist or one of its queried reference-property objects are not present.",
        status=404,
        code="Request_ResourceNotFound",
    )
