"""What people do with their accounts: sign up, set a new password by a mailed link. No answer tells who has one."""

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from local.emulators.entra.browser import Browser
from local.emulators.entra.choices import wrong_with_email, wrong_with_name, wrong_with_password
from local.emulators.entra.config import Door
from local.emulators.entra.links import Purpose
from local.emulators.entra.pages import Faces
from local.emulators.entra.passwords import hash_in_thread
from local.emulators.entra.post import Kind
from local.emulators.entra.tenant import Tenant
from local.emulators.entra.throttle import MAILS_FROM_ADDRESS, MAILS_TO_ADDRESS, Throttled
from local.emulators.entra.users import AddressTaken, normalised

_TEMPLATES = {Purpose.SIGN_UP: "sign_up.html", Purpose.RESET: "reset.html"}


class Accounts:
    """One door's pages for signing up and for forgotten passwords."""

    def __init__(self, tenant: Tenant, door: Door, faces: Faces) -> None:
        self._tenant = tenant
        self._door = door
        self._faces = faces
        self._browsers = faces.browsers

    async def sign_up(self, request: Request) -> Response:
        """Ask for an address, and mail a link to it."""
        return await self._mailing(request, Purpose.SIGN_UP)

    async def reset(self, request: Request) -> Response:
        """Ask for an address, and mail a link to it if it has an account."""
        return await self._mailing(request, Purpose.RESET)

    async def finish_sign_up(self, request: Request) -> Response:
        """Behind the mailed link: name and password, and the account is made."""
        browser, token = self._browsers.of(request), request.query_params.get("token", "")
        fields = await self._browsers.form(request, browser) if request.method == "POST" else {}
        link = self._tenant.links.look(Purpose.SIGN_UP, token, now=self._now())
        if link is None:
            return self._faces.say(browser, "link-over", 400)
        name, password = fields.get("name", "").strip(), fields.get("password", "")
        wrong = {"name": wrong_with_name(name), "password": wrong_with_password(password, link.email)}
        errors = {field: key for field, key in wrong.items() if key}
        if request.method != "POST" or errors:
            told = {"errors": errors} if request.method == "POST" else {}
            values = {"email": link.email, "name": name}
            status = 422 if told else 200
            return self._faces.show(browser, "sign_up_finish.html", status, values=values, token=token, **told)
        return await self._made(browser, token, name, password)

    async def finish_reset(self, request: Request) -> Response:
        """Behind the mailed link: a new password, and everybody who was signed in by the old one is so no more."""
        browser, token = self._browsers.of(request), request.query_params.get("token", "")
        fields = await self._browsers.form(request, browser) if request.method == "POST" else {}
        link = self._tenant.links.look(Purpose.RESET, token, now=self._now())
        if link is None:
            return self._faces.say(browser, "link-over", 400)
        password = fields.get("password", "")
        wrong = wrong_with_password(password, link.email) if request.method == "POST" else None
        if request.method != "POST" or wrong:
            errors, status = ({"password": wrong}, 422) if wrong else ({}, 200)
            values = {"email": link.email}
            return self._faces.show(browser, "reset_finish.html", status, values=values, token=token, errors=errors)
        return await self._changed(browser, token, password)

    async def _mailing(self, request: Request, purpose: Purpose) -> Response:
        browser = self._browsers.of(request)
        if not self._tenant.post.open:
            return self._faces.say(browser, "no-mail", 503)
        if request.method == "GET":
            identity = request.query_params.get("request", "")
            return self._faces.show(browser, _TEMPLATES[purpose], request=identity)
        fields = await self._browsers.form(request, browser)
        email, identity = normalised(fields.get("email", "")), fields.get("request", "")
        wrong = wrong_with_email(email)
        if wrong:
            values, errors = {"email": fields.get("email", "")}, {"email": wrong}
            return self._faces.show(browser, _TEMPLATES[purpose], 422, values=values, errors=errors, request=identity)
        try:
            self._tenant.throttle.spend((MAILS_FROM_ADDRESS, browser.address), now=self._now())
        except Throttled:
            return self._faces.say(browser, "mails-throttled", 429)
        self._write(browser, purpose, email, identity)
        return self._faces.say(browser, f"{purpose}-mailed", email=email)

    def _write(self, browser: Browser, purpose: Purpose, email: str, identity: str) -> None:
        try:
            self._tenant.throttle.spend((MAILS_TO_ADDRESS, email), now=self._now())
        except Throttled:
            return  # Who asks sees the same page: a mailbox is not to be flooded, and nobody is to learn that it was.
        letter: Kind = "sign-up" if purpose is Purpose.SIGN_UP else "reset"
        self._tenant.post.write(letter, email, language=browser.language, root=self._door.root, request=identity)

    async def _made(self, browser: Browser, token: str, name: str, password: str) -> Response:
        hashed = await hash_in_thread(password)
        link = self._tenant.links.spend(Purpose.SIGN_UP, token, now=self._now())
        if link is None:
            return self._faces.say(browser, "link-over", 400)
        try:
            self._tenant.users.add(email=link.email, name=name, password=hashed, verified=True, now=self._now())
        except AddressTaken:  # whoever is here reads that mailbox, and so may know
            return self._faces.say(browser, "account-there", 409, onward=("reset.title", f"{self._door.root}/reset"))
        return self._onward(browser, link.request, "account-made")

    async def _changed(self, browser: Browser, token: str, password: str) -> Response:
        hashed, now = await hash_in_thread(password), self._now()
        with self._tenant.database.transaction():
            link = self._tenant.links.spend(Purpose.RESET, token, now=now)
            user = None if link is None else self._tenant.users.by_email(link.email)
            if user is not None and user.enabled:
                self._tenant.users.set_password(user.id, hashed, now=now)
                self._tenant.users.mark_verified(user.id)
                self._tenant.directory.forget_wrong(user.email)
        if link is None or user is None or not user.enabled:
            return self._faces.say(browser, "link-over", 400)
        self._tenant.post.write("password-changed", user.email, language=browser.language, root=self._door.root)
        return self._onward(browser, link.request, "password-changed")

    def _onward(self, browser: Browser, identity: str, key: str) -> Response:
        """Back to the sign-in this began with, if it is still open in this browser."""
        if self._tenant.grants.pending(identity, browser.visit, now=self._now()) is not None:
            return self._browsers.keep(
                RedirectResponse(f"/{self._door.tenant}/login?request={identity}&done={key}", 303), browser
            )
        return self._faces.say(browser, key, onward=("to-profile", f"{self._door.root}/profile"))

    def _now(self) -> float:
        return self._tenant.clock.now()
