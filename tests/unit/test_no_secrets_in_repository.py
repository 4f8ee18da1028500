"""The repository holds no secret: nothing in it has the shape of one."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import pytest

from tests.support.leaks import SHAPES

ROOT: Final = Path(__file__).parents[2]
MADE: Final = {
    ".git", ".venv", ".tessera", ".containers", ".hypothesis", "node_modules", "dist", "out", "results", "__pycache__",
}  # fmt: skip
BYTES_MAX: Final = 2 * 1024 * 1024
KEYS: Final[Mapping[str, re.Pattern[bytes]]] = {
    "Stripe key": re.compile(rb"(?:sk|rk)_live_[A-Za-z0-9]{16,}"),
    "Stripe test key": re.compile(rb"sk_test_[A-Za-z0-9]{24,}"),
    "webhook secret": re.compile(rb"whsec_[A-Za-z0-9]{24,}"),
    "Azure key": re.compile(rb"(?:AccountKey|SharedAccessKey)=[A-Za-z0-9+/]{40,}={0,2}"),
    **{name: shape for name, shape in SHAPES.items() if name != "card number"},  # the provider's own test card
}


def files() -> Iterator[Path]:
    for folder, folders, names in ROOT.walk():
        folders[:] = [name for name in folders if name not in MADE and not name.endswith("_cache")]
        yield from (folder / name for name in names)


def secrets_in(content: bytes) -> list[str]:
    return [name for name, shape in KEYS.items() if shape.search(content)]


def test_no_file_has_a_secret_in_it() -> None:
    small = [path for path in files() if path.is_file() and path.stat().st_size < BYTES_MAX]

    assert len(small) > 400
    assert {str(path.relative_to(ROOT)): found for path in small if (found := secrets_in(path.read_bytes()))} == {}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("Stripe key", "sk_" + "live_" + "a1" * 12),
        ("Azure key", "Account" + "Key=" + "b2" * 40),
        ("service key", "tsk_" + "a" * 26 + "_" + "b" * 59),
        ("private key", "-----BEGIN " + "PRIVATE KEY-----\n" + "MIIE" * 8),
        ("token", "eyJ" + "a" * 20 + ".eyJ" + "b" * 30 + "." + "c" * 50),
    ],
)
def test_a_secret_would_be_seen(name: str, text: str) -> None:
    assert name in secrets_in(text.encode())
