"""What git knows of the commits that packages are made of, as far as it has them."""

import subprocess
from datetime import datetime
from pathlib import Path
from typing import Final

from local.package import ROOT

DIRTY: Final = "-dirty"
_SECONDS: Final = 30


class NoRepository(Exception):
    """There is no git, or no repository here, or it does not answer; the message says what to do."""


def committed(root: Path = ROOT) -> str:
    """The commit that is checked out, with `-dirty` where anything is otherwise here, new files among it.

    :raises NoRepository: none is
    """
    changed = _git(root, "status", "--porcelain", "--untracked-files=normal")
    return _git(root, "rev-parse", "--short=12", "HEAD") + (DIRTY if changed else "")


def committed_at(root: Path = ROOT) -> datetime:
    """When the commit that is checked out came into being here: a merge or a rebase makes it new.

    :raises NoRepository: none is
    """
    return datetime.fromisoformat(_git(root, "show", "--no-patch", "--format=%cI", "HEAD"))


def head(root: Path = ROOT) -> str:
    """The commit that is checked out here, without what was changed since; empty: none is."""
    try:
        return committed(root).removesuffix(DIRTY)
    except NoRepository:
        return ""


def leads_to(earlier: str, later: str, root: Path = ROOT) -> bool:
    """Whether one commit is surely among those that another was made upon; no, too, where git does not know them."""
    try:
        _git(root, "merge-base", "--is-ancestor", "--", earlier, later)  # a manifest that was uploaded names them
    except NoRepository:
        return False
    return True


def _git(root: Path, *words: str) -> str:
    try:
        done = subprocess.run(["git", *words], cwd=root, check=True, capture_output=True, text=True, timeout=_SECONDS)
    except (OSError, subprocess.SubprocessError) as error:
        said = getattr(error, "stderr", None) or error
        raise NoRepository(
            f"git {words[0]}: {said}. A package is made in a clone of the repository, with git on the PATH."
        ) from error
    return done.stdout.strip()
