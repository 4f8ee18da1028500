"""What git knows of the commits that packages are made of, as far as it is at hand: pipelines have one commit only."""

import subprocess
from datetime import datetime
from typing import Final

from local.package import ROOT

DIRTY: Final = "-dirty"
_SECONDS: Final = 30


def committed() -> str:
    """The commit that is checked out, with `-dirty` where something was changed since.

    :raises subprocess.CalledProcessError: this is no repository
    """
    return _git("describe", "--always", "--abbrev=12", "--dirty", "--exclude=*")


def committed_at() -> datetime:
    """When the commit that is checked out came into being here: a merge or a rebase makes it new.

    :raises subprocess.CalledProcessError: this is no repository
    """
    return datetime.fromisoformat(_git("show", "--no-patch", "--format=%cI", "HEAD"))


def head() -> str:
    """The commit that is checked out here, without what was changed since; empty: none is."""
    try:
        return committed().removesuffix(DIRTY)
    except (OSError, subprocess.CalledProcessError):
        return ""


def leads_to(earlier: str, later: str) -> bool:
    """Whether one commit is surely among those that another was made upon; no, too, where git does not know them."""
    try:
        _git("merge-base", "--is-ancestor", earlier, later)
    except (OSError, subprocess.CalledProcessError):
        return False
    return True


def _git(*words: str) -> str:
    done = subprocess.run(["git", *words], cwd=ROOT, check=True, capture_output=True, text=True, timeout=_SECONDS)
    return done.stdout.strip()
