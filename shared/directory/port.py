"""What a directory of accounts must do for us. Passwords never touch us: people sign in at its own pages."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

from shared.kernel.errors import DependencyUnavailable, DomainError, Kind, NotFound

PAGE_MAX: Final = 100
TEXT_CHARACTERS_MAX: Final = 100


class DirectoryUnavailable(DependencyUnavailable):
    """The directory does not answer, answers garbage, or turns our credential down; a change may or may not be made."""


class DirectoryBusy(DirectoryUnavailable):
    """The directory will not do this just now; it is there, so this says nothing of others' requests."""

    retry_after_seconds = 1.0


class DirectoryRefused(DomainError):
    """The directory will not do this to this account or with this value; `code` is its own word for why."""

    kind = Kind.CONFLICT


class UserUnknown(NotFound):
    """The directory has no such account; `user_id` names it."""


@dataclass(frozen=True, slots=True)
class DirectoryUser:
    """An account in the directory.

    :param user_id: the directory's own id, which tokens carry as `oid`
    :param email: what its owner signs in with; empty where they sign in otherwise
    :param enabled: whether its owner can sign in
    :param created_at: None where the directory does not tell
    """

    user_id: str
    email: str
    name: str
    enabled: bool
    created_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class UserPage:
    """Some accounts, and where the next ones begin; None when these were the last."""

    items: Sequence[DirectoryUser]
    continuation: str | None


@dataclass(frozen=True, slots=True)
class Creation:
    """The account there now is for an address.

    :param created: whether this very call made it; after a lost answer it may be ours all the same
    """

    user: DirectoryUser
    created: bool


class Directory(Protocol):
    """A directory of accounts; `shared/directory/graph.py` is the one there is.

    Every call may raise `DirectoryUnavailable` (no answer) or `DirectoryBusy` (not now). All of them may be repeated:
    what was done already is done, and looks the same.
    """

    async def find(self, text: str, *, limit: int, continuation: str | None = None) -> UserPage:
        """Accounts whose name or address has words that begin with those of `text`; all of them for an empty one.

        What was created a moment ago may be missing; a whole address finds its account at once.

        :param text: at most `TEXT_CHARACTERS_MAX` characters
        :param limit: 1 to `PAGE_MAX`; a page may hold fewer and not be the last
        :raises ContinuationRefused: the continuation is not from a page of this very text
        """
        ...

    async def get(self, user_id: str) -> DirectoryUser:
        """The account as it is now.

        :raises UserUnknown: there is none
        """
        ...

    async def create(self, *, email: str, name: str) -> Creation:
        """An account for an address, with a password nobody knows: its owner sets one by the directory's own reset.

        An address that has one already keeps it as it is, name and all.

        :raises DirectoryRefused: the address or the name is none the directory takes
        """
        ...

    async def change(self, user_id: str, *, name: str) -> None:
        """Give the account another name.

        :raises UserUnknown: there is none
        :raises DirectoryRefused: the directory will not
        """
        ...

    async def disable(self, user_id: str) -> None:
        """Let its owner sign in no more. Tokens that are out stay good until they expire: see `revoke_sessions`.

        :raises UserUnknown: there is none
        :raises DirectoryRefused: the directory will not
        """
        ...

    async def enable(self, user_id: str) -> None:
        """Let its owner sign in again.

        :raises UserUnknown: there is none
        :raises DirectoryRefused: the directory will not
        """
        ...

    async def delete(self, user_id: str) -> None:
        """Delete the account for good, also from where the directory keeps deleted ones; none is deleted already.

        :raises DirectoryRefused: the directory will not
        """
        ...

    async def revoke_sessions(self, user_id: str) -> None:
        """End its owner's sessions and refresh tokens: within minutes no new access token comes of them.

        :raises UserUnknown: there is none
        """
        ...
