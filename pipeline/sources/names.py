"""Safe names for the members of data/raw.zip, whatever the source called them."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence

from pipeline.core.archive import marked_path

MAX_NAME_BYTES = 120
MAX_SUFFIX_BYTES = 16

IMAGE_SUFFIXES = tuple(
    f".{word}"
    for word in ("jpg", "jpeg", "jpe", "jfif", "png", "webp", "gif", "bmp", "tif", "tiff", "heic")
)
SYSTEM_FILES = frozenset({"thumbs.db", "ehthumbs.db", "desktop.ini"})
NOTE_SUFFIXES = (".txt", ".csv", ".md", ".json", ".db")

# Control characters, line separators, text direction overrides, lone surrogates (bytes that are
# not UTF-8) and the two slashes.
_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff/\\]|\.{2,}")


def is_junk_folder(name: str) -> bool:
    """Tell whether an operating system or a tool made this folder, not a person."""
    return name.startswith(".") or name == "__MACOSX"


def is_system_file(parts: tuple[str, ...]) -> bool:
    """Tell whether a file is a by-product, such as Thumbs.db or anything that begins with a dot."""
    name = parts[-1].lower()
    return name.startswith(".") or name in SYSTEM_FILES or any(map(is_junk_folder, parts[:-1]))


def is_note(parts: tuple[str, ...]) -> bool:
    """Tell whether a file is a readme, a table or a licence that lies among the images."""
    return parts[-1].lower().endswith(NOTE_SUFFIXES)


def has_image_suffix(name: str) -> bool:
    """Tell whether a file calls itself an image."""
    return name.lower().endswith(IMAGE_SUFFIXES)


def safe_name(text: str, *, max_bytes: int = MAX_NAME_BYTES) -> str:
    """Return `text` in NFC, without characters that harm, at most `max_bytes` long in UTF-8."""
    name = _UNSAFE.sub("_", unicodedata.normalize("NFC", text)).lstrip(".")
    return name.encode()[:max_bytes].decode(errors="ignore") or "_"


def class_names(texts: Iterable[str]) -> dict[str, str]:
    """Return the class folder of data/raw.zip for each class text of the source.

    Only spellings that Unicode calls equal (NFC) become one class; where two others would share a
    name, the later one gets a number.
    """
    names: dict[str, str] = {}
    taken: set[str] = set()
    numbers: Counter[str] = Counter()
    for text in sorted({unicodedata.normalize("NFC", text) for text in texts}):
        first = name = safe_name(text)
        while name in taken:
            numbers[first] += 1
            name = f"{first}-{numbers[first] + 1}"
        taken.add(name)
        names[text] = name
    return names


def member_names(files: Sequence[tuple[str, str, str]]) -> list[str]:
    """Return one distinct `class/name.ext` for each (class folder, file name, identity), in order.

    Names are distinct for systems that ignore case as well. Of files that would share one, each
    gets a mark made of its identity, the first as well: what people wrote about one of them must
    not come to mean another when a file is added or taken away.
    """
    parts = [_safe_parts(folder, file_name) for folder, file_name, _ in files]
    sharing = Counter((stem + suffix).casefold() for stem, suffix in parts)
    taken = {name for name, n_files in sharing.items() if n_files == 1}
    numbers: Counter[str] = Counter()
    members = []
    for (stem, suffix), (_, _, identity) in zip(parts, files, strict=True):
        member = stem + suffix
        if sharing[member.casefold()] > 1:
            first = member = marked_path(stem, suffix, identity)
            while member.casefold() in taken:  # nothing tells the file from another
                numbers[first] += 1
                member = marked_path(stem, suffix, f"{identity} {numbers[first]}")
            taken.add(member.casefold())
        members.append(member)
    return members


def _safe_parts(folder: str, file_name: str) -> tuple[str, str]:
    """Return the path without its suffix, and the suffix."""
    stem, suffix = _split_suffix(file_name)
    return f"{folder}/{safe_name(stem)}", _UNSAFE.sub("_", suffix)


def _split_suffix(name: str) -> tuple[str, str]:
    """Split at the last dot; a very long suffix is no suffix."""
    stem, dot, suffix = name.rpartition(".")
    if not stem or not suffix or len(suffix.encode(errors="replace")) >= MAX_SUFFIX_BYTES:
        return name, ""
    return stem, dot + suffix
