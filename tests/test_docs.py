"""Every command of the documents is executed here, by another test, or marked with what it needs.

CONTRIBUTING.md, "Commands in documents", says how to mark.
"""

import importlib
import re
import sys

import pytest
from documents import NEEDS, BadMark, Command, Mark, commands_of, documents
from example_files import add_environment, add_examples, copy_clone
from scripted import run_script, script_of
from tiny import REPOSITORY

EXECUTED_AS_NOTEBOOK = {"docs/lesson1.md": "tests/test_lesson.py"}  # its blocks of Python


def read_all() -> tuple[list[Command], list[str]]:
    """Return the commands of every document, and what is wrong with marks and fences."""
    found: list[Command] = []
    wrong = []
    for path in map(str, documents(REPOSITORY)):
        try:
            commands = commands_of(path, (REPOSITORY / path).read_text(encoding="utf-8"))
        except BadMark as error:
            wrong.append(str(error))
            continue
        by_hand = "python" if path in EXECUTED_AS_NOTEBOOK else ""
        found += [command for command in commands if command.language != by_hand]
    return found, wrong


COMMANDS, WRONG = read_all()
TO_EXECUTE = sorted({c.document for c in COMMANDS if not c.mark})


@pytest.mark.slow
@pytest.mark.parametrize("document", TO_EXECUTE)
def test_the_commands_of_a_document_run_from_top_to_bottom(document, reproduced, tmp_path):
    clone = copy_clone(reproduced, tmp_path / "project")
    add_examples(clone)
    copy_clone(clone / "photos", tmp_path / "photos")
    commands = [c for c in COMMANDS if c.document == document and not c.mark]
    done = run_script(script_of(commands), cwd=clone, path=add_environment(clone))
    assert done.returncode == 0, done.stdout[-4000:]


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.mark.run_by], ids=str)
def test_a_command_that_another_test_runs_is_in_that_test(command):
    texts = []
    for name in command.mark.run_by:
        assert name == ".ci/run" or re.fullmatch(r"tests/(.*/)?test_\w+\.py", name), name
        assert (REPOSITORY / name).is_file(), f"{command}: no {name}"
        texts.append((REPOSITORY / name).read_text(encoding="utf-8"))

    def found(word: str, text: str) -> bool:
        return re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-])", text) is not None

    assert any(all(found(word, text) for word in command.essential) for text in texts), (
        f"{command}: none of {command.mark.run_by} contains all of {command.essential}"
    )


LONG = [c for c in COMMANDS if "minutes" in c.mark.needs]


@pytest.mark.parametrize("command", LONG, ids=str)
def test_what_takes_minutes_is_a_benchmark_or_a_campaign_and_has_these_options(
    command, monkeypatch, capsys
):
    if command.words[0] == "make":
        assert command.words[1:] == ["campaign"]
        return
    assert command.words[:2] == ["python", "-m"]
    assert command.words[2].startswith("benchmarks.")
    benchmark = importlib.import_module(command.words[2])
    monkeypatch.setattr(sys, "argv", [command.words[2], "--help"])
    with pytest.raises(SystemExit):
        benchmark.main()
    known = set(re.findall(r"--[a-z-]+", capsys.readouterr().out))
    assert set(command.essential[1:]) <= known, f"{command}: has {known}"


def test_marks_and_fences_follow_the_rules():
    assert WRONG == []


def test_every_page_with_commands_is_looked_at():
    assert {"README.md", "docs/serving.md", "docs/export.md"} <= {c.document for c in COMMANDS}
    assert len(COMMANDS) > 30


def test_a_mark_holds_for_the_block_that_follows_it_alone():
    page = "<!-- needs: gpu, network -->\n```bash\na\nb\n```\n\n```bash\nc\n```\n"
    assert [(c.text, c.mark) for c in commands_of("x.md", page)] == [
        ("a", Mark(needs=("gpu", "network"))),
        ("b", Mark(needs=("gpu", "network"))),
        ("c", Mark()),
    ]
    apart = "<!-- needs: gpu -->\n\nSome text.\n\n```bash\nc\n```\n"
    assert [c.mark for c in commands_of("x.md", apart)] == [Mark()]


@pytest.mark.parametrize("word", NEEDS)
def test_a_comment_can_say_what_a_single_command_needs(word):
    page = f"```bash\nfirst   # here it needs {NEEDS[word]}\nsecond\n```\n"
    assert [c.mark for c in commands_of("x.md", page)] == [Mark(needs=(word,)), Mark()]


@pytest.mark.parametrize(
    "page",
    [
        "<!-- needs: patience -->\n```bash\na\n```\n",
        "<!-- needs nothing -->\n```bash\na\n```\n",
        "```\ndvc repro\n```\n",
        "```sh\ndvc repro\n```\n",
    ],
)
def test_no_command_hides_behind_an_unknown_mark_or_language(page):
    with pytest.raises(BadMark):
        commands_of("x.md", page)


def test_commands_over_several_lines_are_one():
    page = (
        "```bash\na \\\n  b   # why\nfor x in 1 2; do\n  echo $x\ndone\n\n# alone\n"
        "cat <<EOF\nx\nEOF\necho 'two\nlines'\n```\n\n```console\n$ a b\noutput\n```\n"
    )
    assert [c.text for c in commands_of("x.md", page)] == [
        "a \\\n  b   # why",
        "for x in 1 2; do\n  echo $x\ndone",
        "cat <<EOF\nx\nEOF",
        "echo 'two\nlines'",
        "a b",
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("dvc exp run --queue -S train.lr=1,2", ["dvc", "exp", "run", "--queue", "-S"]),
        ("python -m pipeline.sources.pin --check", ["pipeline.sources.pin", "--check"]),
        ("make test   # all", ["make", "test"]),
        ("git push origin main --tags", ["git", "push", "origin", "--tags"]),
    ],
)
def test_the_essential_words_are_program_subcommands_and_options(text, words):
    assert Command("x.md", 1, "bash", text, Mark()).essential == words
