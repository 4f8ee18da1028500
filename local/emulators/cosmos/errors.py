"""Refusals in Cosmos DB's shape (https://learn.microsoft.com/rest/api/cosmos-db/http-status-codes-for-cosmosdb)."""

from collections.abc import Mapping

_CODES = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    405: "MethodNotAllowed",
    408: "RequestTimeout",
    409: "Conflict",
    410: "Gone",
    412: "PreconditionFailed",
    413: "RequestEntityTooLarge",
    429: "TooManyRequests",
    449: "RetryWith",
    500: "InternalServerError",
    501: "NotImplemented",
    503: "ServiceUnavailable",
}


class Refused(Exception):
    """A request Cosmos DB would refuse, or that this double cannot serve (501).

    :param status: the HTTP status
    :param detail: what is wrong, for people
    :param substatus: `x-ms-substatus`, by which the SDKs tell causes apart; 0 for none
    :param headers: further answer headers
    """

    def __init__(
        self, status: int, detail: str, *, substatus: int = 0, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.substatus = substatus
        self.headers = dict(headers or {})

    @property
    def code(self) -> str:
        """The word Cosmos DB uses for the status."""
        return _CODES.get(self.status, str(self.status))


def unsupported(what: str) -> Refused:
    """The answer to what Cosmos DB can do and this double cannot."""
    return Refused(501, f"The emulator does not support {what}.")


def missing(what: str) -> Refused:
    """The refusal for a resource that is not there."""
    return Refused(404, f"Entity with the specified id does not exist in the system: {what}.")
