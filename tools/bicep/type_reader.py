"""The reader of types."""

from typing import Final

from tools.bicep.expressions import ExpressionReader
from tools.bicep.syntax import Call, Constant
from tools.bicep.type_syntax import (
    ArrayType,
    LiteralType,
    NamedType,
    NullableType,
    ObjectType,
    PropertyType,
    ResourceType,
    TupleType,
    Type,
    UnionType,
)  # fmt: skip

_CONSTANTS: Final[dict[str, Constant]] = {"true": True, "false": False, "null": None}
_RESOURCE_SHAPES: Final = ("resourceInput", "resourceOutput", "resource")


class TypeReader(ExpressionReader):
    """Reads types, and the decorators before declarations and properties."""

    def type(self) -> Type:
        """A type, a union at the loosest; its members may each begin a line with `|`."""
        place = self.place
        if self.accept("|"):
            self.newlines()
        members = [self._suffixed()]
        while self._sees_after_newlines("|"):
            self.newlines()
            self.expect("|")
            self.newlines()
            members.append(self._suffixed())
        return members[0] if len(members) == 1 else UnionType(place, tuple(members))

    def _suffixed(self) -> Type:
        found = self._simple()
        while True:
            place = self.place
            if self.sees("[") and self.sees("]", 1):
                self.take()
                self.take()
                found = ArrayType(place, found)
            elif self.accept("?"):
                found = NullableType(place, found)
            else:
                return found

    def _simple(self) -> Type:
        token = self.peek()
        if token.kind == "string":
            literal = self.string()
            if not hasattr(literal, "value"):
                self.refuse("a type is not interpolated")
            return LiteralType(token.place, literal.value)
        if token.kind == "number" or self.sees("-"):
            sign = -1 if self.accept("-") else 1
            return LiteralType(token.place, sign * int(self.take().text))
        if token.kind == "name":
            return self._named_type()
        if self.accept("("):
            self.newlines()
            found = self.type()
            self.newlines()
            self.expect(")")
            return found
        if self.sees("["):
            return self._tuple()
        if self.sees("{"):
            return self._object_type()
        return self.refuse("expected a type")

    def _named_type(self) -> Type:
        token = self.take()
        if token.text in _CONSTANTS:
            return LiteralType(token.place, _CONSTANTS[token.text])
        if token.text in _RESOURCE_SHAPES and self.accept("<"):
            argument = self.take().parts
            self.expect(">")
            while self.accept("."):
                self.word()
            return ResourceType(token.place, "".join(str(part) for part in argument))
        path = [token.text]
        while self.sees(".") or (self.sees("[") and self.sees("*", 1)):
            if self.accept("."):
                path.append(self.word())
            else:
                self.expect("[")
                path.append(self.expect("*").text)
                self.expect("]")
        return NamedType(token.place, tuple(path))

    def _tuple(self) -> TupleType:
        place = self.expect("[").place
        items: list[Type] = []
        self.newlines()
        while not self.accept("]"):
            items.append(self.type())
            self._separated("]")
        return TupleType(place, tuple(items))

    def _object_type(self) -> ObjectType:
        place = self.expect("{").place
        properties: list[PropertyType] = []
        others: Type | None = None
        self.newlines()
        while not self.accept("}"):
            decorators = self.decorators()
            here = self.place
            if self.accept("*"):
                self.expect(":")
                others = self.type()
            else:
                name = str(self.string_key())
                self.expect(":")
                properties.append(PropertyType(here, name, self.type(), decorators))
            self._separated("}")
        return ObjectType(place, tuple(properties), others)

    def string_key(self) -> Constant:
        """A name, or a text that serves as one."""
        if self.peek().kind != "string":
            return self.word()
        literal = self.string()
        if not hasattr(literal, "value"):
            self.refuse("this name is not interpolated")
        return literal.value

    def decorators(self) -> tuple[Call, ...]:
        """`@name(…)`, each on a line of its own or not."""
        found: list[Call] = []
        while self.accept("@"):
            call = self._postfix(self._primary())
            if not isinstance(call, Call):
                self.refuse("expected a decorator with its parentheses")
            found.append(call)
            self.newlines()
        return tuple(found)
