"""The reader of expressions: recursive descent, with Bicep's precedence and its rules for newlines."""

from typing import Final

from tools.bicep.cursor import Cursor
from tools.bicep.errors import Place
from tools.bicep.lexer import Token
from tools.bicep.syntax import (
    Array,
    Binary,
    Call,
    Expression,
    For,
    If,
    Index,
    Interpolated,
    Lambda,
    Literal,
    Member,
    Name,
    Nested,
    Object,
    Property,
    Spread,
    Ternary,
    Unary,
)  # fmt: skip

# From loosest to tightest; those of a row bind equally and from the left.
PRECEDENCE: Final = (
    ("??",),
    ("||",),
    ("&&",),
    ("==", "!=", "=~", "!~"),
    ("<", "<=", ">", ">="),
    ("+", "-"),
    ("*", "/", "%"),
)
_CONSTANTS: Final = {"true": True, "false": False, "null": None}


class ExpressionReader(Cursor):
    """Reads expressions from tokens; what else a file has is read by those who extend it."""

    def expression(self) -> Expression:
        """An expression, a conditional one at the loosest."""
        place = self.place
        condition = self._binary(0)
        # Its two signs may begin a line of their own.
        if not self._sees_after_newlines("?"):
            return condition
        self.newlines()
        self.expect("?")
        self.newlines()
        then = self.expression()
        self.newlines()
        self.expect(":")
        self.newlines()
        return Ternary(place, condition, then, self.expression())

    def _binary(self, level: int) -> Expression:
        if level == len(PRECEDENCE):
            return self._unary()
        left = self._binary(level + 1)
        while self.peek().kind == "sign" and self.peek().text in PRECEDENCE[level]:
            sign = self.take()
            left = Binary(sign.place, sign.text, left, self._binary(level + 1))
        return left

    def _unary(self) -> Expression:
        for sign in ("!", "-"):
            if self.sees(sign):
                return Unary(self.take().place, sign, self._unary())
        return self._postfix(self._primary())

    def _postfix(self, of: Expression) -> Expression:
        while self.peek().kind == "sign":
            place = self.place
            if self.accept("."):
                of = self._member(of, place)
            elif self.accept("["):
                of = self._index(of, place)
            elif self.accept("::"):
                of = Nested(place, of, self.word())
            elif self.accept("!"):
                of = Unary(place, "!!", of)
            else:
                return of
        return of

    def _member(self, of: Expression, place: Place) -> Expression:
        safe = self.accept("?")
        name = self.word()
        if self.sees("(") and not safe:
            return Call(place, of, name, self._arguments())
        return Member(place, of, name, safe)

    def _index(self, of: Expression, place: Place) -> Index:
        safe, from_end = self.accept("?"), self.accept("^")
        self.newlines()
        index = self.expression()
        self.newlines()
        self.expect("]")
        return Index(place, of, index, safe, from_end)

    def _arguments(self) -> tuple[Expression, ...]:
        self.expect("(")
        found: list[Expression] = []
        self.newlines()
        while not self.accept(")"):
            if found:
                self.expect(",")
                self.newlines()
            found.append(self.expression())
            self.newlines()
        return tuple(found)

    def _primary(self) -> Expression:
        token = self.peek()
        if token.kind == "number":
            return Literal(self.take().place, int(token.text))
        if token.kind == "string":
            return self.string()
        if token.kind == "name":
            return self._named()
        if self.sees("("):
            return self._parenthesised()
        if self.sees("["):
            return self._bracketed()
        if self.sees("{"):
            return self.object()
        return self.refuse("expected an expression")

    def _named(self) -> Expression:
        token = self.take()
        if token.text in _CONSTANTS:
            return Literal(token.place, _CONSTANTS[token.text])
        if self.sees("("):
            return Call(token.place, None, token.text, self._arguments())
        if self.accept("=>"):
            self.newlines()
            return Lambda(token.place, (token.text,), self.expression())
        return Name(token.place, token.text)

    def string(self) -> Literal | Interpolated:
        """A text, with its interpolations read."""
        token = self.peek()
        if token.kind != "string":
            self.refuse("expected a string")
        self.take()
        if all(isinstance(part, str) for part in token.parts):
            return Literal(token.place, "".join(part for part in token.parts if isinstance(part, str)))
        return Interpolated(token.place, tuple(self._part(part) for part in token.parts))

    def _part(self, part: str | tuple[Token, ...]) -> str | Expression:
        if isinstance(part, str):
            return part
        inner = ExpressionReader(part)
        found = inner.expression()
        if inner.peek().kind != "end":
            inner.refuse("expected the end of an interpolation")
        return found

    def _parenthesised(self) -> Expression:
        if parameters := self._lambda_parameters():
            place = self.place
            self.expect("=>")
            self.newlines()
            return Lambda(place, parameters, self.expression())
        self.expect("(")
        self.newlines()
        found = self.expression()
        self.newlines()
        self.expect(")")
        return found

    def _lambda_parameters(self) -> tuple[str, ...]:
        """The names in parentheses before `=>`, which are passed; none, and nothing is passed, if it is no lambda."""
        began = self._at
        names: list[str] = []
        self.expect("(")
        self.newlines()
        while self.peek().kind == "name":
            names.append(self.word())
            self.newlines()
            if not self.accept(","):
                break
            self.newlines()
        if names and self.accept(")") and self.sees("=>"):
            return tuple(names)
        self._at = began
        return ()

    def _bracketed(self) -> Expression:
        place = self.expect("[").place
        self.newlines()
        if self.sees_word("for") and not (self.sees(",", 1) or self.sees("]", 1)):
            return self._loop(place)
        items: list[Expression | Spread] = []
        while not self.accept("]"):
            items.append(self._spread() or self.expression())
            self._separated("]")
        return Array(place, tuple(items))

    def _spread(self) -> Spread | None:
        place = self.place
        return Spread(place, self.expression()) if self.accept("...") else None

    def _separated(self, closing: str) -> None:
        if not (self.accept(",") | self.newlines()) and not self.sees(closing):
            self.refuse(f"expected a comma, a new line or {closing!r}")
        self.newlines()

    def _loop(self, place: Place) -> For:
        self.take()
        if self.accept("("):
            item = self.word()
            self.expect(",")
            index = self.word()
            self.expect(")")
        else:
            item, index = self.word(), None
        if not self.sees_word("in"):
            self.refuse("expected 'in'")
        self.take()
        source = self.expression()
        self.expect(":")
        self.newlines()
        body = self.conditional()
        self.newlines()
        self.expect("]")
        return For(place, item, index, source, body)

    def conditional(self) -> Expression:
        """An expression with an `if` before it or not, as resources and modules may have it."""
        if not (self.sees_word("if") and self.sees("(", 1)):
            return self.expression()
        place = self.take().place
        self.expect("(")
        condition = self.expression()
        self.expect(")")
        return If(place, condition, self.object())

    def object(self) -> Object:
        """`{…}`."""
        place = self.expect("{").place
        properties: list[Property | Spread] = []
        self.newlines()
        while not self.accept("}"):
            properties.append(self._spread() or self._property())
            self._separated("}")
        return Object(place, tuple(properties))

    def _property(self) -> Property:
        place = self.place
        quoted = self.peek().kind == "string"
        key = self.string() if quoted else Literal(place, self.word())
        self.expect(":")
        self.newlines()
        return Property(place, key, self.expression(), quoted)
