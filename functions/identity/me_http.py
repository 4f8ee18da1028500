"""One's own account over HTTP: profile, everything that is held, and being forgotten."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, Field, field_validator, model_validator

from functions.identity.erasing import Erasing, TicketsAtStake
from functions.identity.exporting import Exporting
from functions.identity.people import Profile
from functions.identity.profiles import Profiles
from functions.identity.teams import LastOwner
from functions.identity.users import OwnAccount
from shared.auth.permissions import Caller, Membership, Permission, Role
from shared.directory.port import DirectoryBusy, DirectoryRefused, DirectoryUnavailable
from shared.kernel.clock import Moment
from shared.kernel.errors import Contended
from shared.kernel.ids import OrganiserId, PersonId
from shared.web.endpoint import Call, Endpoints, Nothing, Raw, Wire
from shared.web.fields import Name
from shared.web.problem import form, rule_broken

# The shape of BCP 47: a language, and whatever narrows it down.
_LOCALE = form(r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}$", "a language tag, e.g. de or de-CH")


class Me(BaseModel):
    """You, as this API knows you."""

    person_id: PersonId
    name: str
    email: str
    locale: str = Field(description="in which language you want to be spoken to; empty: you have not said")
    roles: list[Role]
    memberships: dict[OrganiserId, Membership]

    @classmethod
    def of(cls, profile: Profile, caller: Caller) -> "Me":
        """As you see it."""
        return cls(
            person_id=profile.person_id,
            name=profile.name,
            email=profile.email,
            locale=profile.locale,
            roles=sorted(caller.roles),
            memberships=dict(caller.memberships),
        )


class MyChanges(Wire):
    """What to change; what is left out stays."""

    name: Name | None = Field(default=None, description="what you want to be called")
    locale: Annotated[str, Field(pattern=_LOCALE)] | None = Field(default=None, description="e.g. `de-CH`")

    @model_validator(mode="after")
    def _something(self) -> "MyChanges":
        if self.name is None and self.locale is None:
            raise rule_broken("changes nothing", "name, locale, or both")
        return self


class Confirmation(Wire):
    """Whether you know what you give up."""

    confirm: bool = Field(default=False, description="`true`: tickets for what is still to come are given up")

    @field_validator("confirm", mode="before")
    @classmethod
    def _spelt_out(cls, given: object) -> object:
        """Only `true` and `false`: of what cannot be taken back nobody should be sure by accident."""
        if isinstance(given, str) and given not in {"true", "false"}:
            raise rule_broken("must be spelt out", "true or false")
        return given


class HeldView(BaseModel):
    """One thing that is held of you."""

    kind: str
    where: str = Field(description="where it is kept")
    data: dict[str, Any]


class ExportView(BaseModel):
    """Everything that is held of you."""

    person_id: PersonId
    exported_at: Moment
    complete: bool = Field(description="false: there is more than fits; ask those who run this platform for it")
    held: list[HeldView]


class ErasureView(BaseModel):
    """That you are being forgotten."""

    person_id: PersonId
    begun_at: datetime


def my_endpoints(http: Endpoints, profiles: Profiles, exporting: Exporting, erasing: Erasing) -> None:
    """Declare the endpoints."""
    _profile(http, profiles)
    _data(http, exporting, erasing)


def _profile(http: Endpoints, profiles: Profiles) -> None:
    @http("GET", "me", needs=Permission.OWN_ACCOUNT, returns=Me, refuses=[Contended])
    async def show_me(call: Call, nothing: Nothing) -> Me:
        """Show who you are here, and which organisers you belong to."""
        return Me.of(await profiles.seen(call.caller, call.now), call.caller)

    @http(
        "PATCH", "me", needs=Permission.OWN_ACCOUNT, takes=MyChanges, returns=Me,
        refuses=[Contended, DirectoryRefused, DirectoryUnavailable, DirectoryBusy],
    )  # fmt: skip
    async def change_me(call: Call, body: MyChanges) -> Me:
        """Change what you are called, and in which language you want to be spoken to; mails are in English for now.

        The address you sign in with is changed where you sign in. Orders keep the name they were placed under.
        """
        seen = await profiles.seen(call.caller, call.now)
        changed = await profiles.change(call.caller.person_id, name=body.name, locale=body.locale, make=seen)
        return Me.of(changed or seen, call.caller)


def _data(http: Endpoints, exporting: Exporting, erasing: Erasing) -> None:
    @http("GET", "me/export", needs=Permission.OWN_ACCOUNT, returns=ExportView)
    async def export_me(call: Call, nothing: Nothing) -> Raw:
        """Give you everything that is held of you, as one JSON document to keep."""
        held, complete = await exporting.export(call.caller.person_id)
        items = [HeldView(kind=each.kind, where=each.where, data=dict(each.data)) for each in held]
        view = ExportView(person_id=call.caller.person_id, exported_at=call.now, complete=complete, held=items)
        headers = {"cache-control": "no-store", "content-disposition": 'attachment; filename="tessera-my-data.json"'}
        return Raw(view.model_dump_json().encode(), "application/json", headers)

    @http(
        "DELETE", "me", needs=Permission.OWN_ACCOUNT, takes=Confirmation, returns=ErasureView, status=202,
        refuses=[TicketsAtStake, LastOwner, OwnAccount, Contended],
    )  # fmt: skip
    async def erase_me(call: Call, query: Confirmation) -> ErasureView:
        """Forget you: your profile, your wallet, your name and address in orders, your account.

        It cannot be taken back, and from now on you are let in no more. Orders keep their amounts and ids, without
        you; an order whose money may still move is waited for. Tickets for what is still to come leave your wallet
        (codes you printed stay good), so that wants `confirm=true`. The only owner of an organiser hands it over
        first; an admin is demoted first, by another one.
        """
        caller = call.caller
        if Role.ADMIN in caller.roles:
            raise OwnAccount("An admin cannot go; ask another admin to take the role from you first.")
        erasure = await erasing.begin(
            caller.person_id, user_id=caller.user_id, email=caller.email, confirmed=query.confirm, now=call.now
        )
        return ErasureView(person_id=caller.person_id, begun_at=erasure.begun_at)
