"""The sha256 of a source: of an archive's bytes, or of everything in a folder."""

import hashlib
import os
from pathlib import Path

from pipeline.core.atomic import sha256_file
from pipeline.sources.folders import open_folder
from pipeline.sources.limits import LIMITS, ArchiveLimits
from pipeline.sources.listing import reading
from pipeline.sources.names import is_system_file


def sha256_of(path: Path, *, limits: ArchiveLimits = LIMITS) -> str:
    """Return the sha256 of a local source, in hexadecimal.

    That of a folder is over one line for each file, sorted: path, size in bytes and sha256. Dates
    and modes do not count, nor does what download leaves out whatever it holds: links, special
    files, files beyond `limits.member_bytes`, and by-products such as .DS_Store.

    Raises:
        DataError: something cannot be read, or is beyond the limits.
    """
    if not path.is_dir():
        with reading(str(path)):
            return sha256_file(path)
    lines = []
    with open_folder(path, str(path), limits) as listing:
        for entry in listing.entries:
            if not is_system_file(entry.parts):
                content = listing.read(entry)
                found = hashlib.sha256(content).hexdigest()
                lines.append(os.fsencode(f"{entry.source}\0{len(content)}\0{found}\n"))
    return hashlib.sha256(b"".join(sorted(lines))).hexdigest()
