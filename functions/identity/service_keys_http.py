"""Service keys over HTTP: made, rotated, revoked; by owners for their organiser, by admins for the platform."""

from datetime import timedelta
from typing import Final

from pydantic import BaseModel, Field

from functions.identity.keyring import Keyring
from functions.identity.service_keys import LIFE_DAYS_MAX, OVERLAP_MAX, ServiceKey, ServiceKeyOver, TooManyKeys
from shared.auth.permissions import Permission
from shared.auth.service_tokens import ServiceKeyId, is_key_id, parse_token
from shared.kernel.clock import Moment
from shared.kernel.errors import Contended, Malformed, NotFound
from shared.kernel.ids import OrganiserId
from shared.web.borders import THING
from shared.web.endpoint import Call, Endpoints, Nothing, Wire
from shared.web.fields import Id, Name
from shared.web.paging import PageQuery

SCOPES_MAX: Final = 10
_OVERLAP_HOURS_MAX: Final = int(OVERLAP_MAX.total_seconds()) // 3600
_WHOSE: Final = "the organiser it is for; without it the platform, which only admins may"


class NewServiceKey(Wire):
    """What a key is called, what it may do and how long."""

    organiser_id: Id | None = Field(default=None, description=_WHOSE)
    name: Name
    scopes: list[Permission] = Field(min_length=1, max_length=SCOPES_MAX, description="permissions, e.g. `check-in`")
    expires_in_days: int = Field(default=90, ge=1, le=LIFE_DAYS_MAX)


class KeysQuery(PageQuery):
    """Whose keys."""

    organiser_id: Id | None = Field(default=None, description=_WHOSE)


class Rotation(Wire):
    """How long the token before stays good."""

    overlap_hours: int = Field(default=24, ge=0, le=_OVERLAP_HOURS_MAX)


class ServiceKeyView(BaseModel):
    """A key, without its token.

    `last_used_at` is true to within five minutes. `before_until` is until when the token before the last rotation is
    good.
    """

    key_id: ServiceKeyId
    organiser_id: OrganiserId | None = None
    name: str
    scopes: list[Permission]
    created_at: Moment
    created_by: str
    expires_at: Moment
    before_until: Moment | None = None
    revoked_at: Moment | None = None
    last_used_at: Moment | None = None

    @classmethod
    def of(cls, key: ServiceKey) -> "ServiceKeyView":
        """The view of a key."""
        before = key.tokens[1].expires_at if len(key.tokens) > 1 else None
        return cls(organiser_id=key.organiser_id, before_until=before, **key.model_dump(exclude={"owner", "tokens"}))


class ServiceKeyShown(BaseModel):
    """A key and its token, which is shown this once: we keep no copy."""

    key: ServiceKeyView
    token: str = Field(description="send it as `Authorization: Bearer <token>`; keep it where secrets are kept")


class ServiceKeysPage(BaseModel):
    """A page of keys."""

    items: list[ServiceKeyView]
    continuation: str | None = None


def service_key_endpoints(http: Endpoints, keyring: Keyring) -> None:
    """Declare the endpoints."""
    _make_and_list(http, keyring)
    _rotate_and_revoke(http, keyring)


def _make_and_list(http: Endpoints, keyring: Keyring) -> None:
    @http(
        "POST", "service-keys", needs=Permission.MANAGE_KEYS, takes=NewServiceKey, returns=ServiceKeyShown, status=201,
        refuses=[NotFound, Malformed, TooManyKeys], within="organiser_id", audited=True,
    )  # fmt: skip
    async def make_service_key(call: Call, body: NewServiceKey) -> ServiceKeyShown:
        """Make a key for a machine. Its token is in this answer and never shown again.

        A key acts as a service, never as a person: it can check tickets in or manage events, and it cannot buy. An
        organiser's key is good for that organiser only. If this answer is lost, revoke the key and make another.
        """
        key, token = await keyring.make(
            organiser_id=_owner(body.organiser_id), name=body.name, scopes=body.scopes, by=call.caller.actor,
            life=timedelta(days=body.expires_in_days), now=call.now,
        )  # fmt: skip
        call.noted["key_id"] = key.key_id
        return ServiceKeyShown(key=ServiceKeyView.of(key), token=token)

    @http(
        "GET", "service-keys", needs=Permission.MANAGE_KEYS, takes=KeysQuery, returns=ServiceKeysPage,
        refuses=[NotFound, Malformed], within="organiser_id",
    )  # fmt: skip
    async def list_service_keys(call: Call, query: KeysQuery) -> ServiceKeysPage:
        """List an organiser's keys, or the platform's; those that are over are there too."""
        keys, continuation = await keyring.keys(
            _owner(query.organiser_id), limit=query.limit, continuation=query.continuation
        )
        return ServiceKeysPage(items=[ServiceKeyView.of(key) for key in keys], continuation=continuation)


def _rotate_and_revoke(http: Endpoints, keyring: Keyring) -> None:
    @http(
        "POST", "service-keys/{key_id}/rotate", needs=Permission.MANAGE_KEYS, takes=Rotation, returns=ServiceKeyShown,
        refuses=[NotFound, ServiceKeyOver, Contended], within=THING, audited=True,
    )  # fmt: skip
    async def rotate_service_key(call: Call, body: Rotation) -> ServiceKeyShown:
        """Give a key a new token. The one before stays good for `overlap_hours`, any older one for nothing."""
        overlap = timedelta(hours=body.overlap_hours)
        key, token = await keyring.rotate(_key_id(call), caller=call.caller, overlap=overlap, now=call.now)
        call.noted["key_id"] = key.key_id
        return ServiceKeyShown(key=ServiceKeyView.of(key), token=token)

    @http(
        "DELETE", "service-keys/{key_id}", needs=Permission.MANAGE_KEYS, status=204,
        refuses=[NotFound, Contended], within=THING, audited=True,
    )  # fmt: skip
    async def revoke_service_key(call: Call, nothing: Nothing) -> None:
        """Revoke a key: it is good for nothing within a minute, everywhere.

        Whoever found a token may name the key by it as it is: it begins with the key's id.
        """
        key = await keyring.revoke(_key_id(call), caller=call.caller, now=call.now)
        call.noted["key_id"] = key.key_id


def _key_id(call: Call) -> ServiceKeyId:
    """The key in the route: its id, or one of its tokens, which says it.

    :raises NotFound: it is neither; what it is is not repeated, since it may be a secret
    """
    given = str(call.raw.route_params["key_id"])
    token = parse_token(given)
    if token is None and not is_key_id(given):
        raise NotFound("There is no such service key.")
    return token.key_id if token else ServiceKeyId(given)


def _owner(organiser_id: str | None) -> OrganiserId | None:
    return None if organiser_id is None else OrganiserId(organiser_id)
