"""`/_emulator/`: tokens by the thousand, wrong tokens on purpose, and new keys."""

import asyncio
from dataclasses import replace
from typing import Any

from pydantic import Field, model_validator
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from local.emulators.entra.faults import Fault
from local.emulators.entra.keys import TOKEN_SECONDS
from local.emulators.entra.people import DOMAIN
from local.emulators.entra.tenant import Tenant
from local.emulators.entra.tokens import Bearer, Mint, Signer
from local.emulators.entra.users import Users
from local.emulators.replies import Control, Json, json_reply, read_control

_COUNT_MAX = 20_000


class Wanted(Control):
    """Tokens to mint: for one address or subject, or for `count` people made up from `prefix` and a number."""

    email: str | None = None
    subject: str | None = None
    name: str | None = None
    roles: list[str] | None = Field(default=None, description="default: the user's in the directory, else user")
    count: int | None = Field(default=None, ge=1, le=_COUNT_MAX)
    prefix: str = Field(default="load", pattern=r"^[a-z0-9-]{1,40}$")
    first: int = Field(default=0, ge=0, description="the number of the first made-up person")
    expires_in: int = Field(default=TOKEN_SECONDS, description="seconds; negative has expired already")
    overrides: dict[str, Any] = Field(default={}, description="claims to replace; null leaves one out")
    signer: Signer = Field(default="current", description="foreign: an unpublished key; confused: HS256 by public key")

    @model_validator(mode="after")
    def _names_somebody(self) -> "Wanted":
        if (self.email or self.subject) and self.count is not None:
            raise ValueError("give email or subject, or count, not both")
        if not (self.email or self.subject or self.count):
            raise ValueError("give email, subject or count")
        return self

    def bearers(self, users: Users) -> list[Bearer]:
        """The people to mint for."""
        if self.count is None:
            return [self._one(users)]
        roles = tuple(self.roles or ("user",))
        numbers = range(self.first, self.first + self.count)
        return [
            Bearer.made_up(f"{self.prefix}-{n}@{DOMAIN}", self.name or f"{self.prefix} {n}", roles) for n in numbers
        ]

    def _one(self, users: Users) -> Bearer:
        email = (self.email or f"{self.subject}@{DOMAIN}").lower()
        user = None if self.subject else users.by_email(email)
        if user is not None:
            known = Bearer.of(user)
            return replace(
                known, name=self.name or known.name, roles=known.roles if self.roles is None else tuple(self.roles)
            )
        name = self.name or email.partition("@")[0]
        return Bearer.made_up(email, name, ("user",) if self.roles is None else tuple(self.roles), self.subject)


class Rotation(Control):
    """How keys are replaced."""

    compromised: bool = Field(default=False, description="the keys before are published no more")


class Advance(Control):
    """By how much the time moves."""

    seconds: float = Field(gt=0, le=400 * 86_400)


class Controls:
    """The control endpoints; all answer JSON."""

    def __init__(self, tenant: Tenant, mint: Mint) -> None:
        self._tenant = tenant
        self._mint = mint

    def routes(self) -> list[Route]:
        """The routes below `/_emulator`."""
        return [
            Route("/tokens", self.tokens, methods=["POST"]),
            Route("/rotate-keys", self.rotate, methods=["POST"]),
            Route("/clock", self.clock, methods=["POST"]),
            Route("/faults", self.faults, methods=["GET", "POST", "DELETE"]),
        ]

    async def tokens(self, request: Request) -> Response:
        """Access tokens without signing in; `access_token` is the first of `tokens`."""
        wanted = await read_control(request, Wanted)
        bearers = wanted.bearers(self._tenant.users)
        # RSA takes its time (about half a millisecond each) and lets go of the interpreter meanwhile.
        minted = await asyncio.to_thread(self._minted, wanted, bearers)
        return json_reply({"access_token": minted[0]["access_token"], "tokens": minted})

    async def rotate(self, request: Request) -> Response:
        """Sign with a new key at once, unannounced; those before stay published as long as their tokens live."""
        wanted = await read_control(request, Rotation)
        self._tenant.keys.rotate(compromised=wanted.compromised)
        return json_reply({"kid": self._tenant.keys.current.kid})

    async def clock(self, request: Request) -> Response:
        """Move the provider's time forward, until it ends."""
        self._tenant.clock.advance((await read_control(request, Advance)).seconds)
        return json_reply({"now": self._tenant.clock.now()})

    async def faults(self, request: Request) -> Response:
        """Add a rule for failures of the token endpoint, or clear them all."""
        if request.method == "POST":
            self._tenant.faults.add(await read_control(request, Fault))
        elif request.method == "DELETE":
            self._tenant.faults.clear()
        return json_reply({"hits": self._tenant.faults.hits})

    def _minted(self, wanted: Wanted, bearers: list[Bearer]) -> list[Json]:
        return [
            {
                "email": bearer.email,
                "subject": bearer.subject,
                "object_id": bearer.object_id,
                "access_token": self._mint.access_token(
                    bearer, lifetime_seconds=wanted.expires_in, overrides=wanted.overrides, signer=wanted.signer
                ),
            }
            for bearer in bearers
        ]
