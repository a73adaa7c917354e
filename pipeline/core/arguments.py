"""Command lines whose mistakes are told in one line, with exit status 1."""

import argparse
import sys
from typing import NoReturn


class OneLineParser(argparse.ArgumentParser):
    """An ArgumentParser that leaves the usage to --help."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and leave."""
        print(f"{self.prog}: error: {message}; see --help", file=sys.stderr)
        sys.exit(1)


def command_parser(name: str, *, description: str | None, details: str = "") -> OneLineParser:
    """Return the parser of `python -m name`; with details, line breaks of both texts stay."""
    return OneLineParser(
        prog=f"python -m {name}",
        description=description,
        epilog=details,
        formatter_class=argparse.RawDescriptionHelpFormatter if details else argparse.HelpFormatter,
    )


def whole_number(text: str) -> int:
    """Parse an int of at least 1, for argparse."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected at least 1, found {number}")
    return number


def port_number(text: str) -> int:
    """Parse a TCP port, for argparse; 0 means any free one."""
    number = int(text)
    if not 0 <= number <= 65535:  # the resolver would take it modulo 65536
        raise argparse.ArgumentTypeError(f"expected 0 to 65535, found {number}")
    return number


# argparse shows these names: invalid whole number value: 'x'
whole_number.__name__, port_number.__name__ = "whole number", "port"
