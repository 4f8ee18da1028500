"""Did the contract suites run at all? `python -m tools.contract_ran out/contract.xml` fails where no test did."""

import sys
from pathlib import Path
from xml.etree import ElementTree


def ran(report: Path) -> int:
    """How many tests ran, whatever they found; those that were skipped, or that could not be read, did not.

    :param report: JUnit, as pytest writes it
    :raises OSError: there is none
    :raises ElementTree.ParseError: it is cut short
    """
    cases = ElementTree.parse(report).getroot().iter("testcase")  # noqa: S314 - pytest wrote it
    return sum(case.find("skipped") is None and case.find("error") is None for case in cases)


def main(report: Path) -> int:
    """The exit code: 1 where nothing ran.

    :param report: JUnit, as pytest writes it
    """
    try:
        number = ran(report)
    except (OSError, ElementTree.ParseError) as error:
        print(f"Nothing ran: {error}", file=sys.stderr)
        return 1
    print(f"{number} tests ran.")
    return 0 if number else 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
