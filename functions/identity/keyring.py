"""The service keys there are: made, shown, rotated, revoked, and recognised when somebody bears one."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from functions.identity.key_uses import KeyUses
from functions.identity.service_keys import ServiceKey, TooManyKeys, new_key
from shared.auth.permissions import FOR_SERVICES, ORGANISER_SCOPED, Caller, Permission, may
from shared.auth.service_tokens import ServiceKeyId, ServiceToken, hash_of, make_token, new_key_id, parse_token
from shared.auth.tokens import TokenRefused
from shared.kernel.errors import Malformed
from shared.kernel.errors import NotFound as NothingThere
from shared.kernel.ids import OrganiserId, PersonId
from shared.retry import TRANSIENT, retry
from shared.store.port import (
    EVERYWHERE,
    AlreadyExists,
    Create,
    NotFound,
    Page,
    Replace,
    StaleWrite,
    Store,
    Where,
)

KEYS: Final = "keys"
_ID: Final = "key"
_KIND: Final = "service-key"
REMEMBERED: Final = timedelta(seconds=30)  # a revoked key is good for nothing after this time, everywhere
REMEMBERED_MAX: Final = 10_000
KEYS_MAX: Final = 100  # of one owner, those included that were over within `KEPT`
KEPT: Final = timedelta(days=90)  # after a key's end, so that its owner sees what it was


@dataclass(frozen=True, slots=True)
class Known:
    """What the keyring remembers of a token: the key it says it belongs to, if there is one, as it was read."""

    key: ServiceKey | None
    since: datetime


class Keyring:
    """Service keys in the container `keys`, a partition a key."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._uses = KeyUses(store)
        self._remembered: OrderedDict[str, Known] = OrderedDict()

    async def caller(self, token: str, now: datetime) -> Caller:
        """The service that bears a token.

        :raises TokenRefused: it is no token of ours, or of no key that can be used
        """
        said = parse_token(token)
        if said is None:
            raise TokenRefused("This is not a service key: it was cut off or mistyped.", reason="key")
        key = await self._known(said, now)
        if key is None or not key.takes(said.hash, now):
            raise TokenRefused("This service key is unknown, was revoked or rotated, or has expired.", reason="key")
        await self._uses.note(key.key_id, now)
        return Caller(
            person_id=PersonId(""), name=key.name, service=key.key_id, scopes=frozenset(key.scopes),
            organiser_id=key.organiser_id,
        )  # fmt: skip

    async def make(
        self, *, organiser_id: OrganiserId | None, name: str, scopes: Sequence[Permission], by: str, life: timedelta,
        now: datetime,
    ) -> tuple[ServiceKey, str]:  # fmt: skip
        """A new key and its token, which is not kept and cannot be shown again.

        :raises Malformed: a scope no such key can have
        :raises TooManyKeys: it would be more than `KEYS_MAX` of one owner
        """
        allowed = FOR_SERVICES & (ORGANISER_SCOPED | {Permission.BROWSE}) if organiser_id else FOR_SERVICES
        if wrong := sorted(set(scopes) - allowed):
            raise Malformed(
                f"A service key cannot have {wrong[0]}.",
                field="scopes",
                allowed=sorted(scope.value for scope in allowed),
            )
        await self._refuse_if_too_many(organiser_id)
        key_id = new_key_id()
        token = make_token(key_id)
        key = new_key(
            key_id, hash_of(token), owner=organiser_id or "", name=name, scopes=scopes, by=by, life=life, now=now
        )

        async def attempt() -> None:
            try:
                await self._store.commit(KEYS, key_id, [Create(_ID, _value(key), _kept_seconds(key, now))])
            except AlreadyExists:
                return  # our own, whose answer was lost: nobody else makes up this id

        await retry(attempt, on=TRANSIENT)
        return key, token

    async def keys(
        self, organiser_id: OrganiserId | None, *, limit: int, continuation: str | None
    ) -> tuple[list[ServiceKey], str | None]:
        """A page of an organiser's keys, or of the platform's, those that are over included; and where it goes on."""
        page = await self._page(organiser_id, limit, continuation)
        keys = [ServiceKey.model_validate(document.value) for document in page.documents]
        return await self._uses.filled_in(keys), page.continuation

    async def rotate(
        self, key_id: ServiceKeyId, *, caller: Caller, overlap: timedelta, now: datetime
    ) -> tuple[ServiceKey, str]:
        """The key with a new token; the one before stays good for `overlap`.

        If the answer is lost the new token is too: rotate again.

        :raises NotFound: there is none such that the caller manages
        :raises ServiceKeyOver: it cannot be used any more
        :raises Contended: too many changes at once
        """
        token = make_token(key_id)

        async def attempt() -> ServiceKey:
            key, etag = await self._own(key_id, caller)
            if key.tokens[0].hash == hash_of(token):
                return key  # an attempt whose answer was lost
            rotated = key.rotated(hash_of(token), overlap=overlap, now=now)
            await self._store.commit(KEYS, key_id, [Replace(_ID, _value(rotated), etag, _kept_seconds(rotated, now))])
            return rotated

        [key] = await self._uses.filled_in([await retry(attempt, on=(StaleWrite, *TRANSIENT))])
        return key, token

    async def revoke(self, key_id: ServiceKeyId, *, caller: Caller, now: datetime) -> ServiceKey:
        """A key, good for nothing any more, everywhere within a minute; again changes nothing.

        :raises NotFound: there is none such that the caller manages
        :raises Contended: too many changes at once
        """

        async def attempt() -> ServiceKey:
            key, etag = await self._own(key_id, caller)
            if key.revoked_at is None:
                write = Replace(_ID, _value(key.revoked(now)), etag, int(KEPT.total_seconds()))
                await self._store.commit(KEYS, key_id, [write])
            return key

        key = await retry(attempt, on=(StaleWrite, *TRANSIENT))
        for hash_ in [hash_ for hash_, known in self._remembered.items() if known.key and known.key.key_id == key_id]:
            del self._remembered[hash_]
        [shown] = await self._uses.filled_in([key])
        return shown

    async def _known(self, said: ServiceToken, now: datetime) -> ServiceKey | None:
        """The key a token says it belongs to, at most 30 seconds old; what is unknown is remembered too."""
        known = self._remembered.get(said.hash)
        if known is None or abs(now - known.since) >= REMEMBERED:  # whichever way somebody sets the clock
            known = Known(await self._find(said.key_id), now)
            self._remembered[said.hash] = known
            self._remembered.move_to_end(said.hash)
            if len(self._remembered) > REMEMBERED_MAX:
                self._remembered.popitem(last=False)
        return known.key

    async def _refuse_if_too_many(self, organiser_id: OrganiserId | None) -> None:
        page = await self._page(organiser_id, KEYS_MAX, None)
        if len(page.documents) >= KEYS_MAX:
            raise TooManyKeys(f"One owner can have {KEYS_MAX} keys; rotate one, or wait until revoked ones are gone.")

    async def _page(self, organiser_id: OrganiserId | None, limit: int, continuation: str | None) -> Page:
        where = [Where("owner", "=", organiser_id or "")]
        return await self._store.query(KEYS, EVERYWHERE, where=where, limit=limit, continuation=continuation)

    async def _own(self, key_id: ServiceKeyId, caller: Caller) -> tuple[ServiceKey, str]:
        missing = NothingThere(f"There is no service key {key_id}.")
        try:
            document = await self._store.read(KEYS, key_id, _ID)
        except NotFound as nothing:
            raise missing from nothing
        key = ServiceKey.model_validate(document.value)
        if not may(caller, Permission.MANAGE_KEYS, key.organiser_id):
            raise missing
        return key, document.etag

    async def _find(self, key_id: ServiceKeyId) -> ServiceKey | None:
        try:
            return ServiceKey.model_validate((await self._store.read(KEYS, key_id, _ID)).value)
        except NotFound:
            return None


def _kept_seconds(key: ServiceKey, now: datetime) -> int:
    return int((key.expires_at - now + KEPT).total_seconds())


def _value(key: ServiceKey) -> dict[str, object]:
    return {"kind": _KIND, **key.model_dump(mode="json")}
