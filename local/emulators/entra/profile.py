"""The profile of whoever is signed in: name and password."""

from starlette.requests import Request
from starlette.responses import Response

from local.emulators.entra.browser import Browser
from local.emulators.entra.choices import wrong_with_name, wrong_with_password
from local.emulators.entra.config import Door
from local.emulators.entra.grants import Asked
from local.emulators.entra.pages import Faces
from local.emulators.entra.passwords import hash_in_thread
from local.emulators.entra.sessions import Session
from local.emulators.entra.signing_in import SigningIn
from local.emulators.entra.tenant import Tenant
from local.emulators.entra.throttle import Throttled


class Profile:
    """One door's profile page."""

    def __init__(self, tenant: Tenant, door: Door, faces: Faces, signing_in: SigningIn) -> None:
        self._tenant = tenant
        self._door = door
        self._faces = faces
        self._browsers = faces.browsers
        self._signing_in = signing_in

    async def show(self, request: Request) -> Response:
        """The profile, or the sign-in page that leads to it."""
        browser = self._browsers.of(request)
        session = self._session(browser)
        return self._sign_in_first(browser) if session is None else self._page(browser, session)

    async def rename(self, request: Request) -> Response:
        """Another name."""
        browser = self._browsers.of(request)
        fields = await self._browsers.form(request, browser)
        session = self._session(browser)
        if session is None:
            return self._sign_in_first(browser)
        name = fields.get("name", "").strip()
        wrong = wrong_with_name(name)
        if wrong:
            return self._page(browser, session, {"name": wrong}, name=name, status=422)
        self._tenant.users.change(session.user.id, name=name)
        return self._page(browser, session, notice="profile-kept", name=name)

    async def change_password(self, request: Request) -> Response:
        """Another password, by who knows the one before; all other browsers and applications are signed out."""
        browser = self._browsers.of(request)
        fields = await self._browsers.form(request, browser)
        session = self._session(browser)
        if session is None:
            return self._sign_in_first(browser)
        chosen = fields.get("new", "")
        wrong = wrong_with_password(chosen, session.user.email)
        if wrong:
            return self._page(browser, session, {"new": wrong}, status=422)
        try:
            right = await self._tenant.directory.sign_in(session.user.email, fields.get("current", ""), browser.address)
        except Throttled:
            return self._page(browser, session, {"current": "sign-in-throttled"}, status=429)
        if right is None:
            return self._page(browser, session, {"current": "current-wrong"}, status=422)
        hashed = await hash_in_thread(chosen)
        self._tenant.users.set_password(session.user.id, hashed, now=self._tenant.clock.now())
        self._tenant.post.write("password-changed", session.user.email, language=browser.language, root=self._door.root)
        return self._again(browser, session)

    def _again(self, browser: Browser, session: Session) -> Response:
        """This browser stays signed in, under a new session: the old one ended with the old password."""
        user = self._tenant.users.get(session.user.id)
        if user is None:
            return self._sign_in_first(browser)
        self._tenant.sessions.end(browser.session)
        secret, _ = self._tenant.sessions.begin(user, before=None, now=self._tenant.clock.now())
        page = self._faces.say(browser, "password-changed", onward=("to-profile", f"{self._door.root}/profile"))
        return self._browsers.signed_in(page, browser, secret)

    def _session(self, browser: Browser) -> Session | None:
        return self._tenant.sessions.find(browser.session, now=self._tenant.clock.now())

    def _sign_in_first(self, browser: Browser) -> Response:
        identity = self._tenant.grants.begin(Asked(), browser.visit, now=self._tenant.clock.now())
        return self._signing_in.page(browser, identity, "")

    def _page(
        self,
        browser: Browser,
        session: Session,
        errors: dict[str, str] | None = None,
        *,
        notice: str = "",
        name: str | None = None,
        status: int = 200,
    ) -> Response:
        values = {"email": session.user.email, "name": session.user.name if name is None else name}
        return self._faces.show(browser, "profile.html", status, values=values, errors=errors or {}, notice=notice)
