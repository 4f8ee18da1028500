"""Secrets where none may be: a Tessera's files, searched for its own secrets and for the shapes of secrets."""

import json
import re
import stat
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from local.layout import stack_secrets

# Signed tokens, of which a client's assertion is one; keys; unhashed card numbers; what the issuer lets people
# sign in by: wherever one is found, it leaked.
SHAPES: Final[Mapping[str, re.Pattern[bytes]]] = {
    "token": re.compile(rb"eyJ[\w-]{10,}\.eyJ[\w-]{20,}\.[\w-]{40,}"),
    "service key": re.compile(rb"tsk_[a-z2-7]{26}_[a-z2-7]{59}"),
    "private key": re.compile(rb"-----BEGIN (?:RSA |EC )?PRIVATE KEY-----\s+[A-Za-z0-9+/]{20}"),
    "card number": re.compile(rb"4242424242424242"),
    "refresh token": re.compile(rb"ert_[\w-]{43}"),
    "authorization code": re.compile(rb"eac_[\w-]{43}"),
    "mailed link": re.compile(rb"eln_[\w-]{43}"),
    "invitation code": re.compile(rb"org_[a-z2-7]{26}\.inv_[a-z2-7]{26}\.[a-z2-7]{26}\.[0-9a-f]{40}"),
}
# Who may hold what, readable by its owner alone: the launcher's files, and the doubles of other people's servers.
KEPT: Final[Mapping[str, frozenset[str]]] = {
    "secrets.json": frozenset({"settings"}),
    "entra/people.json": frozenset({"password"}),
    "directory.pem": frozenset({"private key"}),
    "entra/entra.sqlite": frozenset({"private key"}),
    "entra/tls.pem": frozenset({"private key"}),
    "mailbox/mailbox.sqlite": frozenset({"invitation code", "mailed link"}),
}


def leaks_below(data: Path) -> list[str]:
    """Every secret in the files of a stack's data directory that has no business there, as `file: what`."""
    known = _known(data)
    return sorted(
        f"{path.relative_to(data)}: {what}"
        for path, content in contents(data)
        for what in _found(path, content, data, known)
    )


def secrets_in(text: str, data: Path) -> list[str]:
    """Which of the stack's own secrets a text tells, by name."""
    return [name for name, secret in stack_secrets(data).items() if secret in text]


def _known(data: Path) -> dict[str, tuple[str, bytes]]:
    found = {name: ("settings", secret.encode()) for name, secret in stack_secrets(data).items()}
    people = json.loads((data / "entra" / "people.json").read_text())["people"]
    return found | {f"password of {each['email']}": ("password", each["password"].encode()) for each in people}


def _found(path: Path, content: bytes, data: Path, known: Mapping[str, tuple[str, bytes]]) -> Iterator[str]:
    name = str(path.relative_to(data))
    kept = KEPT.get(name.removesuffix("-wal"), frozenset())
    for what, (kind, secret) in known.items():
        if secret in content and kind not in kept:
            yield what
    for what, shape in SHAPES.items():
        if shape.search(content) and what not in kept:
            yield what
    if kept and stat.S_IMODE(path.stat().st_mode) & 0o077:
        yield "readable by others"


def contents(data: Path) -> Iterator[tuple[Path, bytes]]:
    """Every file below a directory in which processes are at work; one that is gone meanwhile holds nothing."""
    for path in data.rglob("*"):
        with suppress(FileNotFoundError):
            if path.is_file():
                yield path, path.read_bytes()
