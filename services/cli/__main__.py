"""`turnout`, and `python -m services.cli`."""

import sys

from services.cli.app import run


def main() -> None:
    """The console script."""
    sys.exit(run())


if __name__ == "__main__":
    main()
