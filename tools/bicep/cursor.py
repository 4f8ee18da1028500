"""A place among a file's tokens, and what may come next."""

from typing import NoReturn

from tools.bicep.errors import BicepError, Place
from tools.bicep.lexer import Token


class Cursor:
    """Goes through tokens, from one to the next; it looks ahead, and never back."""

    def __init__(self, tokens: tuple[Token, ...]) -> None:
        self._tokens = tokens
        self._at = 0

    @property
    def place(self) -> Place:
        return self._tokens[self._at].place

    def peek(self, ahead: int = 0) -> Token:
        return self._tokens[min(self._at + ahead, len(self._tokens) - 1)]

    def take(self) -> Token:
        token = self.peek()
        self._at = min(self._at + 1, len(self._tokens) - 1)
        return token

    def sees(self, sign: str, ahead: int = 0) -> bool:
        token = self.peek(ahead)
        return token.kind == "sign" and token.text == sign

    def sees_word(self, word: str, ahead: int = 0) -> bool:
        token = self.peek(ahead)
        return token.kind == "name" and token.text == word

    def accept(self, sign: str) -> bool:
        if not self.sees(sign):
            return False
        self.take()
        return True

    def expect(self, sign: str) -> Token:
        if not self.sees(sign):
            self.refuse(f"expected {sign!r}")
        return self.take()

    def word(self) -> str:
        if self.peek().kind != "name":
            self.refuse("expected a name")
        return self.take().text

    def newlines(self) -> bool:
        """Pass newlines, and the pragmas between them; whether there were any."""
        before = self._at
        while self.peek().kind in {"newline", "pragma"}:
            self.take()
        return self._at > before

    def refuse(self, problem: str) -> NoReturn:
        token = self.peek()
        seen = token.text if token.kind in {"name", "number", "sign"} else token.kind
        raise BicepError(token.place, f"{problem}, found {seen!r}")

    def _sees_after_newlines(self, sign: str) -> bool:
        ahead = 0
        while self.peek(ahead).kind == "newline":
            ahead += 1
        return self.sees(sign, ahead)
