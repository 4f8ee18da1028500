"""Refusals in Stripe's shape (https://docs.stripe.com/api/errors)."""

from typing import Any

INVALID = "invalid_request_error"


class ApiError(Exception):
    """A request Stripe would refuse.

    `executed` tells whether the endpoint had begun: such an answer is kept for its idempotency key, while one from
    validation is not (https://docs.stripe.com/api/idempotent_requests).
    """

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        kind: str = INVALID,
        code: str | None = None,
        param: str | None = None,
        executed: bool = False,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.executed = executed
        facts = {"code": code, "message": message, "param": param, "type": kind}
        self.body: dict[str, Any] = {"error": {name: fact for name, fact in facts.items() if fact is not None}}


def missing(kind: str, identity: str, *, param: str = "id") -> ApiError:
    """The refusal for an id that names nothing."""
    return ApiError(f"No such {kind}: '{identity}'", status=404, code="resource_missing", param=param)
