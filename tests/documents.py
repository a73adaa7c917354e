"""The commands of README, CONTRIBUTING and docs, and the marks that say why one is not executed.

CONTRIBUTING.md says how to mark.
"""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt

NEEDS = {
    "gpu": "a GPU",
    "network": "the network",
    "docker": "Docker",
    "cluster": "a cluster",
    "minutes": "minutes",
}
"""Every reason not to execute a command that no test executes either; word of a mark: in a line."""
SHELL = frozenset({"bash", "console"})
PLAIN = frozenset({"csv", "diff", "json", "mermaid", "text", "toml", "yaml"})
"""Languages of fences that hold no commands."""
_MARK = re.compile(r"<!--\s*(needs|run by):\s*(.+?)\s*-->")
_IN_LINE = re.compile(r"#.*\bneeds (" + "|".join(map(re.escape, NEEDS.values())) + r")\b")
_AS_CI_DOES = re.compile(r"#.*\bas CI does\b")


@dataclass(frozen=True, slots=True)
class Mark:
    """Why the test of the documents does not execute a command itself."""

    needs: tuple[str, ...] = ()
    run_by: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.needs or self.run_by)


@dataclass(frozen=True, slots=True)
class Command:
    """One command, continuation lines joined, or one block of Python."""

    document: str
    line: int
    language: str
    text: str
    mark: Mark

    @property
    def words(self) -> list[str]:
        """The command's words, comments left out."""
        return shlex.split(self.text, comments=True)

    @property
    def essential(self) -> list[str]:
        """What any file that executes it must contain: program, module, subcommands, options."""
        words = self.words
        options = [
            w.partition("=")[0] for w in words if re.fullmatch(r"--?[A-Za-z][\w-]*(=.*)?", w)
        ]
        if words[:2] == ["python", "-m"]:
            return [words[2], *options[1:]]
        named = []
        for word in words:
            if not re.fullmatch(r"[a-z][a-z-]*", word):
                break
            named.append(word)
        return [*named[:3], *options]

    def __str__(self) -> str:
        return f"{self.document}:{self.line}: {self.text}"


class BadMark(Exception):
    """A mark or a fence that the rules of CONTRIBUTING.md do not know."""


def documents(root: Path) -> list[Path]:
    """Return every page for people, relative to the repository."""
    pages = [*root.glob("*.md"), *root.glob("docs/**/*.md")]
    return sorted(path.relative_to(root) for path in pages)


def commands_of(document: str, text: str) -> list[Command]:
    """Return the commands of a page in order.

    Raises:
        BadMark: a fence names no language, or a mark says what no mark can say.
    """
    found = []
    mark = Mark()
    for token in MarkdownIt("commonmark").parse(text):
        if token.type == "html_block":
            mark = _read_mark(token.content, where=f"{document}:{(token.map or [0])[0] + 1}")
            continue
        if token.type == "fence":
            line = (token.map or [0])[0] + 2
            found += _commands_in(document, line, token.info.strip(), token.content, mark)
        mark = Mark()  # it holds for what follows at once
    return found


def _read_mark(html: str, *, where: str) -> Mark:
    needs: tuple[str, ...] = ()
    run_by: tuple[str, ...] = ()
    for kind, values in _MARK.findall(html):
        items = tuple(item.strip() for item in values.split(","))
        if kind == "needs":
            needs += items
        else:
            run_by += items
    if re.search(r"<!--\s*(needs|run)", html) and not (needs or run_by):
        raise BadMark(f"{where}: {html.strip()}: neither `needs: WHAT` nor `run by: FILE`")
    if unknown := set(needs) - set(NEEDS):
        raise BadMark(f"{where}: needs {sorted(unknown)}, allowed: {', '.join(NEEDS)}")
    return Mark(needs, run_by)


def _commands_in(
    document: str, line: int, language: str, content: str, mark: Mark
) -> list[Command]:
    if language in PLAIN:
        return []
    if language == "python":
        return [Command(document, line, language, content, mark)]
    if language not in SHELL:
        raise BadMark(
            f"{document}:{line - 1}: a fence of language {language!r}, "
            f"allowed: {', '.join(sorted(SHELL | PLAIN | {'python'}))}"
        )
    lines = content.splitlines()
    if language == "console":  # what stands behind a prompt; the rest is what it prints
        lines = [text.removeprefix("$ ") if text.startswith("$ ") else "" for text in lines]
    return [
        Command(document, line + offset, language, text, mark or _mark_in(text))
        for offset, text in _joined(lines)
    ]


def _joined(lines: list[str]) -> list[tuple[int, str]]:
    """Return (offset, command) pairs: here-documents, loops and continuation lines as one."""
    found: list[tuple[int, str]] = []
    waiting: list[str] = []
    for offset, line in enumerate(lines):
        if not waiting and (not line.strip() or line.lstrip().startswith("#")):
            continue
        waiting.append(line)
        text = "\n".join(waiting)
        if _complete(text):
            found.append((offset - len(waiting) + 1, text))
            waiting = []
    return [*found, *([(len(lines) - len(waiting), "\n".join(waiting))] if waiting else [])]


def _complete(text: str) -> bool:
    if text.endswith("\\"):
        return False
    if here := re.search(r"<<-?\s*['\"]?(\w+)", text):
        return text.splitlines()[-1].strip() == here[1] and "\n" in text
    if re.match(r"\s*(for|while|if|until)\b", text):
        return bool(re.search(r"\b(done|fi)\s*(#.*)?$", text))
    try:
        shlex.split(text, comments=True)
    except ValueError:  # an open quote
        return False
    return True


def _mark_in(text: str) -> Mark:
    needs = {reason: word for word, reason in NEEDS.items()}
    if found := _IN_LINE.search(text):
        return Mark(needs=(needs[found[1]],))
    return Mark(run_by=(".ci/run",)) if _AS_CI_DOES.search(text) else Mark()
