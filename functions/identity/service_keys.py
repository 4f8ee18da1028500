"""Service keys: what machines sign in with. Pure.

A key acts as a service, never as a person. Its token is shown once; we keep a hash. While it is rotated two tokens are
good, so that nobody has to change them everywhere in one instant.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final, Self

from pydantic import ConfigDict

from shared.auth.permissions import Permission
from shared.auth.service_tokens import ServiceKeyId
from shared.kernel.clock import Moment
from shared.kernel.errors import DomainError, Kind
from shared.kernel.ids import OrganiserId
from shared.kernel.model import Model

LIFE_DAYS_MAX: Final = 400  # a little over a year: whoever rotates once a year is not late
OVERLAP_MAX: Final = timedelta(days=7)


class ServiceKeyOver(DomainError):
    """The key was revoked or has expired."""

    kind = Kind.CONFLICT


class TooManyKeys(DomainError):
    """An organiser, or the platform, has as many keys as one can."""

    kind = Kind.CONFLICT


class TokenHash(Model):
    """A token of a key, as a hash."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    hash: str
    expires_at: Moment


class ServiceKey(Model):
    """A key as stored.

    :param owner: the organiser it is for; empty: the platform
    :param tokens: newest first; all but the newest lapse soon
    :param last_used_at: to within `key_uses.USED_EVERY`; kept beside the key
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    key_id: ServiceKeyId
    owner: str
    name: str
    scopes: tuple[Permission, ...]
    tokens: tuple[TokenHash, ...]
    created_at: Moment
    created_by: str
    expires_at: Moment
    revoked_at: Moment | None = None
    last_used_at: Moment | None = None

    @property
    def organiser_id(self) -> OrganiserId | None:
        """The only organiser it is good for; None: for all."""
        return OrganiserId(self.owner) if self.owner else None

    def is_live(self, now: datetime) -> bool:
        """Whether it can be used at all."""
        return self.revoked_at is None and now < self.expires_at

    def takes(self, token_hash: str, now: datetime) -> bool:
        """Whether a token is one of the key's that are good now."""
        return self.is_live(now) and any(token.hash == token_hash and now < token.expires_at for token in self.tokens)

    def rotated(self, token_hash: str, *, overlap: timedelta, now: datetime) -> Self:
        """The key with a new token; the one before is good for `overlap` more, any older one for nothing.

        :raises ServiceKeyOver: it cannot be used any more
        """
        if not self.is_live(now):
            raise ServiceKeyOver("This key was revoked or has expired; make a new one.")
        newest, *_ = self.tokens
        before = newest.model_copy(update={"expires_at": min(newest.expires_at, now + overlap)})
        tokens = (TokenHash(hash=token_hash, expires_at=self.expires_at), before)
        return self.model_copy(update={"tokens": tokens})

    def revoked(self, now: datetime) -> Self:
        """The key, good for nothing any more."""
        return self if self.revoked_at else self.model_copy(update={"revoked_at": now})


def new_key(
    key_id: ServiceKeyId, token_hash: str, *, owner: str, name: str, scopes: Sequence[Permission], by: str,
    life: timedelta, now: datetime,
) -> ServiceKey:  # fmt: skip
    """A key with its first token.

    :param owner: the organiser it is for; empty: the platform
    """
    return ServiceKey(
        key_id=key_id, owner=owner, name=name, scopes=tuple(sorted(set(scopes))),
        tokens=(TokenHash(hash=token_hash, expires_at=now + life),),
        created_at=now, created_by=by, expires_at=now + life,
    )  # fmt: skip
