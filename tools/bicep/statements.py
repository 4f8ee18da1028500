"""The tree that the reader makes of a file: its statements."""

from dataclasses import dataclass, field
from pathlib import Path

from tools.bicep.errors import Place
from tools.bicep.syntax import Call, Expression, Node
from tools.bicep.type_syntax import Type


@dataclass(frozen=True)
class Declaration(Node):
    """What all declarations have."""

    name: str
    decorators: tuple[Call, ...]

    def decorated(self, name: str) -> Call | None:
        """Its decorator of this name, if it has it."""
        return next((call for call in self.decorators if call.function == name), None)


@dataclass(frozen=True)
class Parameter(Declaration):
    """`param name type = default`."""

    type: Type
    default: Expression | None


@dataclass(frozen=True)
class Assignment(Declaration):
    """`param name = value`, in a parameters file."""

    value: Expression


@dataclass(frozen=True)
class Variable(Declaration):
    """`var name = value`."""

    value: Expression


@dataclass(frozen=True)
class TypeDeclaration(Declaration):
    """`type name = …`."""

    type: Type


@dataclass(frozen=True)
class Function(Declaration):
    """`func name(a string) string => …`."""

    parameters: tuple[tuple[str, Type], ...]
    returns: Type
    body: Expression


@dataclass(frozen=True)
class Resource(Declaration):
    """`resource name 'type@version' [existing] = …`."""

    type: str
    existing: bool
    body: Expression


@dataclass(frozen=True)
class Module(Declaration):
    """`module name 'path' = …`."""

    path: str
    body: Expression


@dataclass(frozen=True)
class Output(Declaration):
    """`output name type = value`."""

    type: Type
    value: Expression


@dataclass(frozen=True)
class Import(Node):
    """`import { original as local } from 'path'`; for `import * as local`, the original is `*`."""

    names: tuple[tuple[str, str], ...]
    path: str


@dataclass(frozen=True)
class Source:
    """A Bicep file that was read."""

    path: Path
    target_scope: str = "resourceGroup"
    using: str | None = None
    imports: tuple[Import, ...] = ()
    declarations: tuple[Declaration, ...] = ()
    asserts: tuple[tuple[str, Expression], ...] = ()
    pragmas: tuple[tuple[Place, str], ...] = field(default=())

    def of[D: Declaration](self, kind: type[D]) -> dict[str, D]:
        """Its declarations of one kind, by name, those within resources not among them."""
        return {each.name: each for each in self.declarations if isinstance(each, kind)}
