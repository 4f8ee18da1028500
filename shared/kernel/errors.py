"""Every refusal the product can give, as one tree.

    DomainError
    ├── MALFORMED      the request cannot be read or breaks a bound            400
    ├── UNAUTHENTICATED  no valid credential                                   401
    ├── FORBIDDEN      a valid caller without the permission                   403
    ├── NOT_FOUND      no such thing, or none this caller may know of          404
    ├── CONFLICT       the state of the thing refuses it                       409
    ├── STALE          the caller decided on an old version                    412
    ├── TOO_LARGE      the body exceeds the limit                              413
    ├── UNSUPPORTED    the media type is not one we read                       415
    ├── UNPROCESSABLE  the key was used with another request                   422
    ├── CONTENDED      too many writers just now; the same request may succeed 503
    └── UNAVAILABLE    something we stand on does not answer                   503

Anything that is not a `DomainError` is a bug: 500, logged, alarmed.
"""

from collections.abc import Mapping
from enum import Enum, unique


@unique
class Kind(Enum):
    """The closed list of ways a request can be refused; `shared/web/problem.py` maps it to HTTP."""

    MALFORMED = "malformed"
    UNAUTHENTICATED = "unauthenticated"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not-found"
    CONFLICT = "conflict"
    STALE = "stale"
    TOO_LARGE = "too-large"
    UNSUPPORTED = "unsupported"
    UNPROCESSABLE = "unprocessable"
    CONTENDED = "contended"
    UNAVAILABLE = "unavailable"


type Fact = str | int | bool | list[str] | list[int] | list[dict[str, str]] | None


class DomainError(Exception):
    """An expected refusal: what happened, in words for a person, and the facts a program can act on.

    :param detail: one sentence saying what was refused and what would be accepted
    :param facts: members of the problem document (RFC 9457), JSON values only
    """

    kind: Kind = Kind.CONFLICT
    retry_after_seconds: float | None = None

    def __init__(self, detail: str, **facts: Fact) -> None:
        super().__init__(detail)
        self.detail = detail
        self.facts: Mapping[str, Fact] = facts

    @classmethod
    def code(cls) -> str:
        """The problem's stable name: the class name in kebab case (`PoolShort` → `pool-short`)."""
        name = cls.__name__
        return "".join(f"-{c.lower()}" if c.isupper() and i else c.lower() for i, c in enumerate(name))


class NotFound(DomainError):
    """There is no such thing, or none this caller may know of."""

    kind = Kind.NOT_FOUND


class Malformed(DomainError):
    """A value breaks the rules of its field; `field` names it."""

    kind = Kind.MALFORMED


class KeyReused(DomainError):
    """The Idempotency-Key was used before, with another request."""

    kind = Kind.UNPROCESSABLE


class Contended(DomainError):
    """Too many writers at once; the same request may succeed shortly."""

    kind = Kind.CONTENDED
    retry_after_seconds = 1.0


class DependencyUnavailable(DomainError):
    """A service we stand on does not answer; nothing was lost, the same request may succeed later."""

    kind = Kind.UNAVAILABLE
    retry_after_seconds = 5.0
