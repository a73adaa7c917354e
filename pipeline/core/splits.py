"""What people call the splits, in tables and in the folders of a source."""

import re

SPLIT_WORDS = {
    "train": "train",
    "training": "train",
    "valid": "valid",
    "validation": "valid",
    "val": "valid",
    "test": "test",
    "testing": "test",
}
"""The split that each word means, in any case."""

# ASCII: otherwise letters that are no key would match, such as an i without its dot.
_FOLDER = re.compile(rf"({'|'.join(SPLIT_WORDS)})([ _-]?(set|data|images|\d+))?", re.I | re.A)


def split_of_folder(name: str) -> str | None:
    """Return `test` for a folder called Test, testing or test_set, None for one that is none."""
    found = _FOLDER.fullmatch(name)
    return SPLIT_WORDS[found[1].lower()] if found else None
