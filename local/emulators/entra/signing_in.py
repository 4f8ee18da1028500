"""Signing in and out in a browser: the authorization endpoint, the sign-in page, the end of a session."""

from collections.abc import Mapping
from urllib.parse import urlencode

import jwt
from starlette.datastructures import ImmutableMultiDict
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from local.emulators.entra.authorizing import Refused, Sent, Untrusted, read_request
from local.emulators.entra.browser import Browser
from local.emulators.entra.config import Door
from local.emulators.entra.grants import Asked
from local.emulators.entra.pages import Faces
from local.emulators.entra.people import PEOPLE
from local.emulators.entra.sessions import Session
from local.emulators.entra.tenant import Tenant
from local.emulators.entra.throttle import Throttled
from local.emulators.entra.users import User

_ANEW = {"login", "select_account", "create"}  # prompts that ask who it is, whoever is signed in
_PARAMETERS_MAX = 40
_NOTICES = {"account-made", "password-changed"}


class SigningIn:
    """One door's sign-in pages."""

    def __init__(self, tenant: Tenant, door: Door, faces: Faces) -> None:
        self._tenant = tenant
        self._door = door
        self._faces = faces
        self._browsers = faces.browsers

    async def authorize(self, request: Request) -> Response:
        """Send a signed-in person back with a code, show the sign-in page, or refuse the request."""
        browser = self._browsers.of(request)
        try:
            wanted = read_request(await _sent(request), self._tenant, self._door)
        except Untrusted as error:
            return self._faces.say(browser, "untrusted", 400, reason=error)
        except Refused as refusal:
            return self._back(browser, refusal.asked, {"error": refusal.error, "error_description": str(refusal)})
        session = self._session(browser)
        anew = not _ANEW.isdisjoint(wanted.prompts)
        if session is not None and not anew and wanted.login_hint in {None, session.user.email}:
            return self._done(browser, wanted, session)
        if "none" in wanted.prompts:
            told = {"error": "login_required", "error_description": "AADSTS50058: Nobody is signed in."}
            return self._back(browser, wanted, told)
        identity = self._tenant.grants.begin(wanted, browser.visit, now=self._tenant.clock.now())
        if "create" in wanted.prompts:
            page = RedirectResponse(f"/{self._door.tenant}/sign-up?{urlencode({'request': identity})}", 303)
            return self._browsers.keep(page, browser)
        return self.page(browser, identity, wanted.login_hint or "")

    async def form(self, request: Request) -> Response:
        """The sign-in page again, for a request that began before: after signing up, or a new password."""
        browser, identity = self._browsers.of(request), request.query_params.get("request", "")
        asked = self._tenant.grants.pending(identity, browser.visit, now=self._tenant.clock.now())
        if asked is None:
            return self._faces.say(browser, "sign-in-over", 400)
        done = request.query_params.get("done", "")
        return self.page(browser, identity, asked.login_hint or "", notice=done if done in _NOTICES else "")

    async def sign_in(self, request: Request) -> Response:
        """Check the password; on to where the person came from when it is right."""
        browser = self._browsers.of(request)
        fields = await self._browsers.form(request, browser)
        identity, email = fields.get("request", ""), fields.get("email", "")
        asked = self._tenant.grants.pending(identity, browser.visit, now=self._tenant.clock.now())
        if asked is None:
            return self._faces.say(browser, "sign-in-over", 400)
        try:
            user = await self._tenant.directory.sign_in(email, fields.get("password", ""), browser.address)
        except Throttled:
            return self.page(browser, identity, email, "sign-in-throttled", 429)
        if user is None:
            return self.page(browser, identity, email, "sign-in-wrong", 401)
        if not self._tenant.grants.finish(identity):
            return self._faces.say(browser, "sign-in-over", 400)
        secret, session = self._begin(browser, user)
        return self._browsers.signed_in(self._done(browser, asked, session), browser, secret)

    def page(
        self, browser: Browser, request: str, email: str, problem: str = "", status: int = 200, *, notice: str = ""
    ) -> Response:
        """The sign-in page; `problem` and `notice` are texts' keys."""
        errors = {"email": problem} if problem else {}
        return self._faces.show(
            browser,
            "sign_in.html",
            status,
            request=request,
            values={"email": email},
            errors=errors,
            notice=notice,
            people=PEOPLE,
            mails=self._tenant.post.open,
        )

    async def sign_out(self, request: Request) -> Response:
        """End the session where the application that asks shows whose it is (`id_token_hint`); else ask the person."""
        browser, asked = self._browsers.of(request), request.query_params
        session = self._session(browser)
        hinted = self._hinted(asked.get("id_token_hint", ""))
        if session is not None and (hinted is None or hinted["sub"] != session.user.subject):
            return self._faces.show(browser, "sign_out.html", values=dict(asked), email=session.user.email)
        return self._ended(browser, session, asked)

    async def confirmed(self, request: Request) -> Response:
        """End the session, as the person said."""
        browser = self._browsers.of(request)
        fields = await self._browsers.form(request, browser)
        return self._ended(browser, self._session(browser), fields)

    def _ended(self, browser: Browser, session: Session | None, asked: Mapping[str, str]) -> Response:
        if session is not None:
            self._revoke(session)
            self._tenant.sessions.end(browser.session)
        target = asked.get("post_logout_redirect_uri", "")
        hinted = self._hinted(asked.get("id_token_hint", ""))
        client = self._tenant.applications.get(str(hinted["aud"]) if hinted else asked.get("client_id"))
        if client is not None and target in client.redirect_uris:
            response: Response = RedirectResponse(_with(target, "query", _state(asked.get("state"))), 303)
        else:
            response = self._faces.say(browser, "signed-out")
        return self._browsers.signed_out(response, browser)

    def _hinted(self, token: str) -> dict[str, str] | None:
        """The claims of an ID token of ours, which may have expired since."""
        try:
            key = self._tenant.keys.published(str(jwt.get_unverified_header(token).get("kid")))
            if key is None:
                return None
            claims: dict[str, str] = jwt.decode(
                token,
                key.private.public_key(),
                algorithms=["RS256"],
                issuer=self._door.issuer,
                options={"verify_exp": False, "verify_aud": False, "verify_nbf": False, "verify_iat": False},
            )
        except jwt.PyJWTError:
            return None
        return claims

    def _begin(self, browser: Browser, user: User) -> tuple[str, Session]:
        """A session of `user`; whoever else was signed in with this browser is so no more."""
        now, before = self._tenant.clock.now(), self._session(browser)
        if before is not None and before.user.id != user.id:
            self._revoke(before)
        self._tenant.sessions.end(browser.session)
        return self._tenant.sessions.begin(user, before=before, now=now)

    def _revoke(self, session: Session) -> None:
        """End what came of a session: refresh families, and codes nobody redeemed yet."""
        self._tenant.families.revoke_session(session.line)
        self._tenant.grants.forget_session(session.line)

    def _session(self, browser: Browser) -> Session | None:
        return self._tenant.sessions.find(browser.session, now=self._tenant.clock.now())

    def _done(self, browser: Browser, asked: Asked, session: Session) -> Response:
        if not asked.client_id:
            return RedirectResponse(f"/{self._door.tenant}/profile", 303)
        code = self._tenant.grants.grant(asked, session.user.id, session.line, now=self._tenant.clock.now())
        return self._back(browser, asked, {"code": code})

    def _back(self, browser: Browser, asked: Asked, answer: dict[str, str]) -> Response:
        told = answer | _state(asked.state)
        if asked.response_mode == "form_post":
            return self._faces.show(browser, "onward.html", target=asked.redirect_uri, told=told)
        headers = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
        return RedirectResponse(_with(asked.redirect_uri, asked.response_mode, told), 303, headers=headers)


async def _sent(request: Request) -> Sent:
    """The parameters, from the address or from a form: OIDC Core section 3.1.2.1 wants both."""
    if request.method != "POST":
        return request.query_params
    async with request.form(max_files=0, max_fields=_PARAMETERS_MAX) as form:
        return ImmutableMultiDict([(name, value) for name, value in form.multi_items() if isinstance(value, str)])


def _state(state: str | None) -> dict[str, str]:
    return {} if state is None else {"state": state}


def _with(target: str, mode: str, answer: Mapping[str, str]) -> str:
    if not answer:
        return target
    mark = "#" if mode == "fragment" else "&" if "?" in target else "?"
    return f"{target}{mark}{urlencode(answer)}"
