"""Users as Graph shows and takes them (https://learn.microsoft.com/graph/api/resources/user).

Every customer here has one identity of the sign-in type emailAddress, and the userPrincipalName that Entra makes up for
accounts of that kind; whatever else a user could have is not emulated.
"""

import re
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from local.emulators.entra.graph_errors import GraphError, not_emulated
from local.emulators.entra.users import User
from local.emulators.replies import Json

DOMAIN = "tessera.onmicrosoft.com"
NAME_CHARACTERS_MAX = 256
_EMPTY = ("givenName", "surname", "jobTitle", "mobilePhone", "officeLocation", "preferredLanguage")
_SHOWN_BY_DEFAULT = ("businessPhones", "displayName", *_EMPTY, "mail", "userPrincipalName", "id")
_ADDRESS = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_KINDS = (r"[a-z]", r"[A-Z]", r"[0-9]", r"[^a-zA-Z0-9]")


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Identity(_Part):
    """https://learn.microsoft.com/graph/api/resources/objectidentity"""

    sign_in_type: str = Field(alias="signInType")
    issuer: str
    issuer_assigned_id: str = Field(alias="issuerAssignedId")


class PasswordProfile(_Part):
    """https://learn.microsoft.com/graph/api/resources/passwordprofile"""

    password: str
    force_change: bool = Field(default=True, alias="forceChangePasswordNextSignIn")


class Creation(_Part):
    """What a user is created from (https://learn.microsoft.com/graph/api/user-post-users, example 3)."""

    display_name: str = Field(alias="displayName", min_length=1, max_length=NAME_CHARACTERS_MAX)
    identities: tuple[Identity, ...] = Field(strict=False)
    password_profile: PasswordProfile = Field(alias="passwordProfile")
    password_policies: str = Field(default="", alias="passwordPolicies")
    account_enabled: bool = Field(default=True, alias="accountEnabled")
    mail: str | None = None

    @property
    def email(self) -> str:
        """What the user signs in with."""
        return self.identities[0].issuer_assigned_id

    def checked(self) -> "Creation":
        """:raises GraphError: Graph would refuse it, or this double cannot do it"""
        if len(self.identities) != 1 or self.identities[0].sign_in_type != "emailAddress":
            raise not_emulated("users with other identities than one of the sign-in type emailAddress")
        if self.identities[0].issuer != DOMAIN:
            raise _wrong("identities", f"The issuer of a local account is the tenant's domain, {DOMAIN}.")
        if _ADDRESS.fullmatch(self.email) is None:
            raise _wrong("identities", "The issuerAssignedId of a sign-in type emailAddress is a mail address.")
        if self.mail is not None and self.mail.lower() != self.email.lower():
            raise not_emulated("a mail that differs from the address people sign in with")
        if "DisablePasswordExpiration" not in self.password_policies:
            raise _wrong("passwordPolicies", "For local accounts password expirations must be disabled.")
        if self.password_profile.force_change:
            raise not_emulated("changing a password at the next sign-in (forceChangePasswordNextSignIn)")
        _check_password(self.password_profile.password)
        return self


class Change(_Part):
    """What may be changed of a user here (https://learn.microsoft.com/graph/api/user-update)."""

    display_name: str | None = Field(default=None, alias="displayName", min_length=1, max_length=NAME_CHARACTERS_MAX)
    account_enabled: bool | None = Field(default=None, alias="accountEnabled")


def read[B: BaseModel](model: type[B], body: bytes) -> B:
    """A request's JSON body.

    :raises GraphError: Graph would refuse it; or it has properties that this double does not know
    """
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        wrong = error.errors(include_url=False, include_input=False)
        unknown = [".".join(map(str, each["loc"])) for each in wrong if each["type"] == "extra_forbidden"]
        if unknown:
            raise not_emulated(f"the property {', '.join(unknown)} of a user") from None
        where = ".".join(map(str, wrong[0]["loc"]))
        raise _wrong(where, f"Invalid value specified for property '{where}': {wrong[0]['msg']}.") from None


def selected(text: str | None) -> tuple[str, ...]:
    """The properties a `$select` asks for.

    :raises GraphError: this double does not know one
    """
    names = _SHOWN_BY_DEFAULT if text is None else tuple(part.strip() for part in text.split(","))
    unknown = [name for name in names if name not in _PROPERTIES]
    if unknown:
        raise not_emulated(f"the property {', '.join(unknown)} of a user")
    return names


def shown(user: User, names: tuple[str, ...]) -> Json:
    """A user's JSON, of these properties."""
    return {name: _PROPERTIES[name](user) for name in names}


def principal_name(user: User) -> str:
    """What Entra makes up for whom signs in with another address."""
    return f"{user.id}@{DOMAIN}"


def _identities(user: User) -> list[Json]:
    own = [("emailAddress", user.email), ("userPrincipalName", principal_name(user))]
    return [{"signInType": kind, "issuer": DOMAIN, "issuerAssignedId": name} for kind, name in own]


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


_PROPERTIES: dict[str, Any] = {
    "id": lambda user: user.id,
    "displayName": lambda user: user.name,
    "mail": lambda user: user.email,
    "userPrincipalName": principal_name,
    "identities": _identities,
    "accountEnabled": lambda user: user.enabled,
    "createdDateTime": lambda user: _moment(user.created_at),
    "signInSessionsValidFromDateTime": lambda user: _moment(max(user.sessions_valid_from, user.created_at)),
    "businessPhones": lambda _: [],
    **dict.fromkeys(_EMPTY, lambda _: None),
}


def _check_password(password: str) -> None:
    """https://learn.microsoft.com/entra/identity/authentication/concept-sspr-policy#microsoft-entra-password-policies"""
    if not 8 <= len(password) <= 256 or sum(re.search(kind, password) is not None for kind in _KINDS) < 3:
        raise _wrong("passwordProfile", "The specified password does not comply with password complexity requirements.")


def _wrong(target: str, message: str) -> GraphError:
    return GraphError(message, target=target, particular="InvalidValue")
