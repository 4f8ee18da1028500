"""The pages people see, in their language."""

from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from local.emulators.entra.browser import Browser, Browsers
from local.emulators.entra.config import Door
from local.emulators.entra.texts import words
from local.emulators.replies import Pages

# Nothing on these pages comes from elsewhere, no script runs, and no other site shows them in a frame.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; frame-ancestors 'none'"
_HEADERS = {"Content-Security-Policy": _POLICY, "X-Frame-Options": "DENY"}


class Faces:
    """One door's pages."""

    def __init__(self, door: Door, browsers: Browsers) -> None:
        self._pages = Pages(Path(__file__).parent / "templates")
        self._root = f"/{door.tenant}"
        self.browsers = browsers

    def show(self, browser: Browser, template: str, status: int = 200, /, **values: Any) -> Response:
        """A page for a browser; forms in it carry `form`, and errors are texts' keys by field."""
        common = {
            "t": words(browser.language),
            "lang": browser.language,
            "form": self.browsers.form_token(browser),
            "root": self._root,
            "errors": {},
            "notice": "",
            "request": "",
        }
        filled = {"values": {"email": "", "name": ""} | values.pop("values", {})}
        response = self._pages.show(template, status, **common | values | filled)
        response.headers.update(_HEADERS)
        return self.browsers.keep(response, browser)

    def say(
        self, browser: Browser, key: str, status: int = 200, *, onward: tuple[str, str] | None = None, **facts: object
    ) -> Response:
        """A page that says one thing.

        :param key: of its texts: `key.title` and `key.text`
        :param onward: the key of a link's text, and where it leads
        """
        return self.show(browser, "message.html", status, key=key, facts=facts, onward=onward)

    async def form_is_old(self, request: Request, _: Exception) -> Response:
        """The answer to a form that cannot be trusted."""
        return self.say(self.browsers.of(request), "form-old", 403)
