"""Which version this is. `make package` writes it into the package, so no setting can tell another."""

from functools import cache
from pathlib import Path
from typing import Final

FILE: Final = "version.txt"  # at the package's root
UNPACKAGED: Final = "development"  # what a checkout says of itself
_ROOT: Final = Path(__file__).resolve().parent.parent


def version_in(root: Path) -> str:
    """The version that a folder of code says it is: `<commit>-<checksum>`, or `development` where nobody packed it."""
    try:
        return (root / FILE).read_text().strip()
    except FileNotFoundError:
        return UNPACKAGED


@cache
def version() -> str:
    """The version of the code that runs here, read once."""
    return version_in(_ROOT)
