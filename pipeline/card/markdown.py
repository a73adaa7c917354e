"""Foreign texts inside Markdown: names of classes and files, what people wrote into params.yaml."""

import re

# Control characters, line separators and text direction overrides, as in the names of files.
_HARMFUL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]+")
_ACTIVE = re.compile(r"[\\`*_{}\[\]<>&#|~!$]")
_NOT_IN_BACKTICKS = re.compile(r"[\\`|]")
_NOT_PLAIN = re.compile(r"[!-/:-@\[-`{-~]")


def one_line(text: str) -> str:
    """Return the text on one line, without characters that cannot be seen."""
    return " ".join(_HARMFUL.sub(" ", text).split())


def prose(text: str) -> str:
    """Return a text that Markdown shows as it is; not to begin a line with."""
    return _ACTIVE.sub(_entity, one_line(text))


def code(text: str) -> str:
    """Return a text that Markdown shows as it is in the typeface of code, in tables as well."""
    line = one_line(text)
    if line and not _NOT_IN_BACKTICKS.search(line):
        return f"`{line}`"
    return f"<code>{_NOT_PLAIN.sub(_entity, line)}</code>"


def bibtex(text: str) -> str:
    """Return a text without what has a meaning in a BibTeX value or would end a code block."""
    return re.sub(r"[\\{}`\"%#]", "", one_line(text))


def _entity(found: re.Match[str]) -> str:
    return f"&#{ord(found[0])};"
