"""How an emulator starts or says in one line why it cannot."""

import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import typer
from pydantic import ValidationError

from local.emulators.database import DirectoryTaken


class CannotStart(Exception):
    """The options do not fit together, or one of them is wrong."""


@contextmanager
def starting(name: str) -> Iterator[None]:
    """End the process with code 1 and one line on stderr, if what the block makes cannot be made."""
    try:
        yield
    except (CannotStart, DirectoryTaken, OSError, sqlite3.Error) as error:
        print(f"{name} emulator cannot start: {error}", file=sys.stderr)
        raise typer.Exit(1) from None


def only_with(option: str, value: object, other: str, other_value: object) -> None:
    """Accept an option that means nothing without another.

    :param option: as it is written, e.g. `--tls-key`
    :param value: None or empty where it was not given
    :raises CannotStart: it was given, and the other was not
    """
    if value and not other_value:
        raise CannotStart(f"{option} needs {other}")


def read_option[T](option: str, file: Path, read: Callable[[Path], T]) -> T:
    """What `read` makes of the file an option names.

    :param option: as it is written, e.g. `--topology`
    :raises CannotStart: the file cannot be read, or is not what it should be; says where, in one line
    """
    try:
        return read(file)
    except OSError as error:  # of which ssl's own errors are a kind
        raise CannotStart(f"{option} {file}: {error.strerror or error}") from error
    except ValidationError as error:
        first, *others = error.errors()
        where = ".".join(map(str, first["loc"])) or "the file"
        more = f" (and {len(others)} more)" if others else ""
        raise CannotStart(f"{option} {file}: {where}: {first['msg']}{more}") from error
    except ValueError as error:
        raise CannotStart(f"{option} {file}: {error}") from error
