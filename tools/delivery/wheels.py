"""The packages of requirements.txt for the machines that Azure runs, whichever machine fetches them."""

import subprocess
import sys
from pathlib import Path
from typing import Final

PYTHON: Final = "3.13"
SECONDS: Final = 600.0  # some forty megabytes, over a slow line
# Flex Consumption runs Linux on x86-64, with a newer C library than any of these want; pip takes each name literally.
PLATFORMS: Final = tuple(
    f"{kind}_x86_64" for kind in ("manylinux_2_28", "manylinux_2_17", "manylinux2014", "manylinux_2_5", "manylinux1")
)


def install(requirements: Path, into: Path) -> None:
    """Unpack the pinned packages into a folder: wheels only, each with the checksum that is written there.

    :raises subprocess.CalledProcessError: one is not to be had for those machines or in time, or is not the one pinned
    """
    platforms = [word for each in PLATFORMS for word in ("--platform", each)]
    try:
        subprocess.run(
            [
                sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile",
                "--only-binary", ":all:", "--implementation", "cp", "--python-version", PYTHON, *platforms,
                "--require-hashes", "--target", str(into), "--requirement", str(requirements),
            ],
            check=True, capture_output=True, text=True, timeout=SECONDS,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise subprocess.CalledProcessError(1, "pip install", stderr=f"not all within {SECONDS:.0f} s") from None
