"""Pages of one card, for people who come by a link: all look alike (`pages/card.html`)."""

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from jinja2 import Template

_PAGES: Final = Path(__file__).parent / "pages"


@cache
def card_template(path: Path) -> "Template":
    """The template of a page that extends `card.html`; what it is given is escaped.

    :param path: of the page's own file
    """
    from jinja2 import Environment, FileSystemLoader

    return Environment(loader=FileSystemLoader([path.parent, _PAGES]), autoescape=True).get_template(path.name)
