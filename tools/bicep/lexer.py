"""Bicep's tokens: newlines are among them, since statements, properties and items end with their lines."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tools.bicep.errors import BicepError, Place

_TOKEN: Final = re.compile(
    r"""(?P<newline>\r?\n)
    |(?P<blank>[ \t]+|//[^\n]*|/\*.*?\*/)
    |(?P<pragma>\#[^\n]*)
    |(?P<raw>'''.*?'''(?!'))
    |(?P<quote>')
    |(?P<number>\d+)
    |(?P<name>[A-Za-z_][A-Za-z_0-9]*)
    |(?P<sign>\.\.\.|\?\?|=>|=~|!~|==|!=|<=|>=|&&|\|\||::|[-+*/%<>!?:.,()\[\]{}=@|^])""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPES: Final = {"n": "\n", "r": "\r", "t": "\t", "\\": "\\", "'": "'", "$": "$"}
_CODE_POINT: Final = re.compile(r"u\{([0-9A-Fa-f]{1,6})\}")


@dataclass(frozen=True)
class Token:
    """A token: `kind` is newline, name, number, string, sign, pragma or end."""

    kind: str
    text: str
    place: Place
    parts: "tuple[str | tuple[Token, ...], ...]" = ()


def tokens(text: str, path: Path) -> tuple[Token, ...]:
    """All tokens of a text, with an `end` behind them.

    :raises BicepError: something is no token, or a string does not end
    """
    lexer = _Lexer(text, path)
    found = lexer.until(stop="")
    return (*found, Token("end", "", lexer.place))


class _Lexer:
    def __init__(self, text: str, path: Path) -> None:
        self._text = text
        self._path = path
        self._at = 0

    @property
    def place(self) -> Place:
        return Place(self._path, self._text.count("\n", 0, self._at) + 1)

    def until(self, *, stop: str) -> tuple[Token, ...]:
        """Tokens up to an unmatched `stop`, which is passed, or up to the end where none is given."""
        found: list[Token] = []
        depth = 0
        while self._at < len(self._text):
            token = self._next()
            if token is None:
                continue
            depth += {"{": 1, "}": -1}.get(token.text, 0) if token.kind == "sign" else 0
            if stop and depth < 0:
                return tuple(found)
            found.append(token)
        if stop:
            raise BicepError(self.place, "an interpolation is not closed")
        return tuple(found)

    def _next(self) -> Token | None:
        place = self.place
        match = _TOKEN.match(self._text, self._at)
        if match is None:
            raise BicepError(place, f"unexpected {self._text[self._at]!r}")
        self._at = match.end()
        kind = str(match.lastgroup)
        if kind == "blank":
            return None
        if kind == "quote":
            return Token("string", "", place, self._quoted(place))
        if kind == "raw":
            return Token("string", "", place, (re.sub(r"\A\r?\n", "", match[0][3:-3]),))
        return Token(kind, match[0], place)

    def _quoted(self, place: Place) -> tuple[str | tuple[Token, ...], ...]:
        parts: list[str | tuple[Token, ...]] = []
        literal = ""
        while self._at < len(self._text):
            character = self._text[self._at]
            self._at += 1
            if character == "'":
                return tuple(part for part in (*parts, literal) if part)
            if character == "\n":
                break
            if character == "\\":
                literal += self._escaped(place)
            elif character == "$" and self._text.startswith("{", self._at):
                self._at += 1
                parts += [literal, self._interpolation(place)]
                literal = ""
            else:
                literal += character
        raise BicepError(place, "a string is not closed on its line")

    def _interpolation(self, place: Place) -> "tuple[Token, ...]":
        found = self.until(stop="}")
        if not found:
            raise BicepError(place, "an interpolation is empty")
        return (*found, Token("end", "", place))

    def _escaped(self, place: Place) -> str:
        if code := _CODE_POINT.match(self._text, self._at):
            self._at = code.end()
            return chr(int(code[1], 16))
        character = self._text[self._at : self._at + 1]
        self._at += 1
        if character not in _ESCAPES:
            raise BicepError(place, f"unknown escape \\{character}")
        return _ESCAPES[character]
