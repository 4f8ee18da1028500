"""What a request says of the browser it comes from: visit, session, language; and forms that nobody can forge."""

from dataclasses import dataclass, replace

from starlette.requests import Request
from starlette.responses import Response

from local.emulators.entra.config import Door
from local.emulators.entra.secrets import OwnSecret, random_text
from local.emulators.entra.texts import language_of

_FORM_FIELDS_MAX = 12
_FORM_CHARACTERS_MAX = 2_000
_SECRET_CHARACTERS_MAX = 100


class FormRefused(Exception):
    """The form is not one that this browser was shown lately: somebody else's, or too old."""


@dataclass(frozen=True, slots=True)
class Browser:
    """The browser behind a request.

    :param visit: a secret in a cookie that every browser gets; forms and sign-ins belong to it
    :param session: the secret of the session's cookie, if there is one
    :param address: the network address, for counting attempts
    """

    visit: str
    session: str | None
    language: str
    address: str


class Browsers:
    """Tells browsers apart at one door."""

    def __init__(self, door: Door, secret: OwnSecret) -> None:
        # Cookies are shared by all ports of a host, and by TLS and plain: hence the port, and the prefix that only TLS
        # may set (https://httpwg.org/http-extensions/draft-ietf-httpbis-rfc6265bis.html, section 4.1.3).
        name = f"{'__Host-' if door.secure else ''}entra-{door.url.rpartition(':')[2]}"
        self._visit, self._session = f"{name}-visit", f"{name}-session"
        self._secure = door.secure
        self._secret = secret

    def of(self, request: Request) -> Browser:
        """The browser of a request; one without a visit gets it with the answer."""
        visit = request.cookies.get(self._visit, "")
        session = request.cookies.get(self._session, "")[:_SECRET_CHARACTERS_MAX]
        return Browser(
            visit=visit if 0 < len(visit) <= _SECRET_CHARACTERS_MAX else random_text(),
            session=session or None,
            language=language_of(request.headers.get("accept-language", "")),
            address="" if request.client is None else request.client.host,
        )

    def form_token(self, browser: Browser) -> str:
        """What a form carries that no other site can know."""
        return self._secret.text("form", browser.visit, browser.session or "")

    async def form(self, request: Request, browser: Browser) -> dict[str, str]:
        """The fields of a form that this browser was shown.

        :raises FormRefused: it was not, as far as we can tell
        """
        async with request.form(max_files=0, max_fields=_FORM_FIELDS_MAX) as sent:
            fields = {name: value[:_FORM_CHARACTERS_MAX] for name, value in sent.items() if isinstance(value, str)}
        # Browsers say where a form comes from; some send nothing, and then the token alone decides.
        if request.headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}:
            raise FormRefused("another site sent it")
        if not self._secret.is_text(fields.pop("form", ""), "form", browser.visit, browser.session or ""):
            raise FormRefused("its token is not this browser's")
        return fields

    def keep(self, response: Response, browser: Browser) -> Response:
        """The answer, with the visit's cookie."""
        self._set(response, self._visit, browser.visit)
        return response

    def signed_in(self, response: Response, browser: Browser, session: str) -> Response:
        """The answer, with a new session and a new visit: whatever the browser had before means nothing any more."""
        self._set(response, self._session, session)
        return self.keep(response, replace(browser, visit=random_text(), session=session))

    def signed_out(self, response: Response, browser: Browser) -> Response:
        """The answer, without a session and with a new visit."""
        response.delete_cookie(self._session, path="/", secure=self._secure, httponly=True, samesite="lax")
        return self.keep(response, replace(browser, visit=random_text(), session=None))

    def _set(self, response: Response, name: str, value: str) -> None:
        response.set_cookie(name, value, path="/", secure=self._secure, httponly=True, samesite="lax")
