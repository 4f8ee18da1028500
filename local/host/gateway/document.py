"""Policy documents as they lie in `infra/policies`: XML, read with the line of each element for those who mistype."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn
from xml.parsers import expat

from local.host.errors import StartRefused


@dataclass(slots=True)
class Element:
    """An element of a policy document.

    :param place: file and line, e.g. `signed-in.xml:12`
    """

    tag: str
    attributes: Mapping[str, str]
    place: str
    children: "list[Element]" = field(default_factory=list)
    text: str = ""

    def only(self, tag: str) -> "Element | None":
        """The child of that name, if there is one.

        :raises StartRefused: there are several
        """
        found = [child for child in self.children if child.tag == tag]
        if len(found) > 1:
            refuse(found[1], f"<{tag}> is there twice")
        return found[0] if found else None

    def texts(self, tag: str) -> "list[Element]":
        """The children of that name."""
        return [child for child in self.children if child.tag == tag]


def refuse(element: Element, message: str) -> NoReturn:
    """Do not start because of this element.

    :raises StartRefused: always; the message names file and line
    """
    raise StartRefused(f"{element.place}: {message}")


def read_document(path: Path) -> Element:
    """The root element of a policy document.

    :raises StartRefused: there is no such file, or it is not well-formed
    """
    reader = _Reader(path.name)
    try:
        reader.parser.Parse(path.read_bytes(), True)
    except FileNotFoundError:
        raise StartRefused(f"{path} is missing") from None
    except expat.ExpatError as error:
        raise StartRefused(f"{path.name}:{error.lineno}: not well-formed XML: {error}") from None
    assert reader.root is not None, "expat refuses a document without a root"
    return reader.root


class _Reader:
    """Builds elements from expat's findings."""

    def __init__(self, name: str) -> None:
        self.root: Element | None = None
        self._name = name
        self._open: list[Element] = []
        self.parser = expat.ParserCreate()
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._characters

    def _start(self, tag: str, attributes: Mapping[str, str]) -> None:
        element = Element(tag, attributes, f"{self._name}:{self.parser.CurrentLineNumber}")
        if self._open:
            self._open[-1].children.append(element)
        else:
            self.root = element
        self._open.append(element)

    def _end(self, _tag: str) -> None:
        element = self._open.pop()
        element.text = element.text.strip()
        if element.text and element.children:
            refuse(element, f"<{element.tag}> has both text and elements")

    def _characters(self, text: str) -> None:
        self._open[-1].text += text


def tags(elements: Sequence[Element]) -> str:
    """Their names, for messages."""
    return ", ".join(f"<{element.tag}>" for element in elements)
