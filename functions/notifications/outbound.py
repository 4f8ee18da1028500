"""Mails that went out: an inbox document a mail, so that a redelivered event does not send it again.

SMTP can promise at least once and no more: if we die after the server took the mail and before we wrote that down, it
is sent again, with the same Message-ID, and counted. A claim keeps two deliveries from sending at the same time.
"""

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum, unique
from typing import Any, Final

from shared.kernel.clock import stamp
from shared.kernel.ids import OrganiserId
from shared.retry import retry
from shared.store.port import AlreadyExists, Busy, Create, Document, NotFound, Replace, StaleWrite, Store, Unavailable

MAIL: Final = "mail"
_ID: Final = "mail"
CLAIM: Final = timedelta(seconds=45)  # longer than the SMTP timeout: a claim that old belongs to nobody
KEPT_SECONDS: Final = 90 * 24 * 3600  # longer than any message can be replayed


@unique
class MailState(StrEnum):
    """Being sent, sent, refused by the mail server for good, or waiting for it: certainly not sent yet."""

    SENDING = "sending"
    SENT = "sent"
    REFUSED = "refused"
    WAITING = "waiting"


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to send a mail now.

    :param owner: made up for this claim
    :param maybe_sent: an earlier claim lapsed without a word: the mail may have gone out
    """

    message_id: str
    etag: str
    organiser_id: OrganiserId
    owner: str
    copies: int
    maybe_sent: bool


class OutboundMail:
    """Claims and remembers mails."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def claim(self, message_id: str, organiser_id: OrganiserId, now: datetime) -> Claim | MailState:
        """The right to send, or the state the mail is in; `SENDING` means somebody else is at it now."""
        owner, wanted = uuid.uuid4().hex, (1, False)  # by the owner we know our claim again if its answer was lost

        async def attempt() -> Claim | MailState:
            nonlocal wanted
            found = await self._find(message_id)
            if found is not None and found.value.get("claimed_by") == owner:
                return Claim(message_id, found.etag, organiser_id, owner, *wanted)
            state = MailState.WAITING if found is None else MailState(found.value["state"])
            lapsed = found is not None and state is MailState.SENDING and found.value["claimed_until"] <= stamp(now)
            if not lapsed and state is not MailState.WAITING:
                return state
            wanted = (1 if found is None else int(found.value["copies"]) + lapsed, lapsed)
            value = _value(organiser_id, MailState.SENDING, owner=owner, copies=wanted[0], now=now)
            write = Create(_ID, value, KEPT_SECONDS) if found is None else Replace(_ID, value, found.etag, KEPT_SECONDS)
            [etag] = await self._store.commit(MAIL, message_id, [write])
            return Claim(message_id, etag, organiser_id, owner, *wanted)

        return await retry(attempt, on=(AlreadyExists, StaleWrite, Busy, Unavailable))

    async def finish(self, claim: Claim, state: MailState, now: datetime) -> None:
        """Write down how it went.

        :raises StaleWrite: the claim lapsed and another took it
        """
        value = _value(claim.organiser_id, state, owner=claim.owner, copies=claim.copies, now=now)
        write = Replace(_ID, value, claim.etag, KEPT_SECONDS)

        async def attempt() -> None:
            try:
                await self._store.commit(MAIL, claim.message_id, [write])
            except StaleWrite:
                found = await self._find(claim.message_id)
                if found is None or not value.items() <= found.value.items():
                    raise
                # It was our own write whose answer was lost.

        await retry(attempt, on=(Busy, Unavailable))

    async def _find(self, message_id: str) -> Document | None:
        try:
            return await self._store.read(MAIL, message_id, _ID)
        except NotFound:
            return None


def _value(organiser_id: OrganiserId, state: MailState, *, owner: str, copies: int, now: datetime) -> dict[str, Any]:
    return {
        "kind": "mail",
        "organiser_id": organiser_id,
        "state": state.value,
        "claimed_by": owner,
        "copies": copies,
        "claimed_until": stamp(now + CLAIM),
    }
