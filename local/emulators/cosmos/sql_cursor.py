"""Where a parser is in a query's tokens, and how it goes on."""

from collections.abc import Callable
from typing import Final

from local.emulators.cosmos.errors import Refused
from local.emulators.cosmos.sql_lexer import Token, syntax_error, tokens

NESTING_MAX: Final = 100


class Cursor:
    """The tokens of a text, read one after the other."""

    def __init__(self, text: str) -> None:
        self._tokens = tokens(text)
        self._next = 0
        self.depth = 0

    def deeper(self) -> None:
        """One level in; who comes out again takes it off `depth`.

        :raises Refused: 400, these are too many
        """
        self.depth += 1
        if self.depth > NESTING_MAX:
            raise Refused(400, "The query is nested too deeply.")

    def listed[T](self, read: Callable[[], T]) -> list[T]:
        """What `read` finds, as often as a comma follows."""
        found = [read()]
        while self.take(","):
            found.append(read())
        return found

    def name(self) -> str:
        """A name.

        :raises Refused: 400, something else comes
        """
        token = self.advance()
        if token.kind != "name":
            self._next -= 1
            raise self.surprise()
        return str(token.value)

    @property
    def peek(self) -> Token:
        """The next token, left where it is."""
        return self._tokens[self._next]

    def advance(self) -> Token:
        """The next token; the last one stays."""
        token = self._tokens[self._next]
        if token.kind != "end":
            self._next += 1
        return token

    def comes(self, value: str) -> bool:
        """Whether this symbol or keyword comes."""
        return self.peek.value == value and self.peek.kind in {"symbol", "keyword"}

    def take(self, value: str) -> bool:
        """Whether this symbol or keyword came."""
        if not self.comes(value):
            return False
        self._next += 1
        return True

    def take_two(self, first: str, second: str) -> bool:
        """Whether `first` came, which `second` has to follow."""
        if not self.take(first):
            return False
        self.need(second)
        return True

    def need(self, value: str) -> None:
        """Go past this symbol or keyword.

        :raises Refused: 400, something else comes
        """
        if not self.take(value):
            raise self.surprise()

    def end(self) -> None:
        """Accept the end.

        :raises Refused: 400, something comes
        """
        if self.peek.kind != "end":
            raise self.surprise()

    def surprise(self) -> Refused:
        """The refusal of what comes."""
        token = self.peek
        if token.kind == "end":
            return syntax_error("Syntax error, unexpected end of the query.", token.at)
        return syntax_error(f"Syntax error, incorrect syntax near '{token.value}'.", token.at)

    def back(self) -> None:
        """One token back."""
        self._next -= 1

    @property
    def position(self) -> int:
        """Where it is, to come back to."""
        return self._next

    @position.setter
    def position(self, position: int) -> None:
        self._next = position
