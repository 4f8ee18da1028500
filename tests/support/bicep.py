"""Small Bicep texts: what they are worth, and what a deployment of them would declare."""

from pathlib import Path

from tools.bicep.deployment import Deployment, deploy
from tools.bicep.errors import Finding
from tools.bicep.file_world import FileWorld
from tools.bicep.names import findings
from tools.bicep.reader import parse
from tools.bicep.values import Declared, Scope, Value

GROUP = Scope("resourceGroup", "here")


def value(expression: str, *, before: str = "", folder: Path = Path()) -> Value:
    """What an expression is worth, after some other statements."""
    path = folder / "text.bicep"
    world = FileWorld(parse(f"{before}\nvar result = {expression}\n", path), GROUP, {})
    return world.lookup("result", world.source.declarations[-1].place)


class Folder:
    """Bicep files in a folder of their own."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, text: str, name: str = "main.bicep") -> Path:
        """A file with this text."""
        file = self.path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
        return file

    def deployed(self, text: str, **arguments: Value) -> Deployment:
        """A deployment of a text to a resource group, or to where it says."""
        return deploy(self.write(text), arguments)

    def declared(self, text: str, **arguments: Value) -> list[Declared]:
        """The resources of a deployment."""
        return list(self.deployed(text, **arguments).declared())

    def findings(self, text: str) -> list[str]:
        """What is wrong with a text, as lines without the file."""
        return [_short(found) for found in findings(self.write(text))]


def _short(found: Finding) -> str:
    return f"{found.place.line}: {found.problem}"
