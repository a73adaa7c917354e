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


def whole_number(text: str) -> int:
    """Parse an int of at least 1, for argparse."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected at least 1, found {number}")
    return number


whole_number.__name__ = "whole number"  # argparse says: invalid whole number value: 'x'
