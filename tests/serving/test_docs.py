"""The commands and tables of docs/serving.md say what the server does."""

import json
import re
import shlex
from pathlib import Path
from urllib.parse import urlsplit

from pipeline.serving.__main__ import WAITING_PER_LANE, parse
from pipeline.serving.limits import Limits
from pipeline.serving.openapi import REFUSALS, describe

TEXT = Path("docs/serving.md").read_text()


def commands(program: str) -> list[list[str]]:
    lines = re.findall(rf"(?m)^{program} .*$", TEXT)
    return [shlex.split(line, comments=True) for line in lines]


def test_every_command_line_is_one_that_the_server_takes() -> None:
    found = commands("python -m pipeline.serving")
    assert len(found) >= 3 or "python -m pipeline.serving" in TEXT
    for words in found:
        parse(words[3:])


def test_every_address_is_one_that_the_server_has() -> None:
    paths = describe(version="0", limits=Limits(), keys=False)["paths"]
    for words in commands("curl"):
        (url,) = [word for word in words if word.startswith("http")]
        assert urlsplit(url).path in paths, url
    for path in re.findall(r"`(?:GET|POST) (/[^`]*)`", TEXT):
        assert path in paths, path


def test_every_status_is_explained() -> None:
    table = set(re.findall(r"(?m)^\| (\d{3})", TEXT))
    assert set(REFUSALS) <= table


def test_the_figures_are_the_limits() -> None:
    limits = Limits()
    for text in (
        f"up to {limits.images} files",
        f"the body took over {limits.body_s:g} s",
        f"over {limits.body_bytes // 2**20} MiB",
        f"no answer within {limits.answer_s:g} s",
        f"{WAITING_PER_LANE} images per lane",
        f"Headers have {limits.header_s:g} s,\n{limits.header_bytes // 2**10} KiB",
        f"idle connections close after {limits.idle_s:g} s",
        f"At most {limits.connections:,} connections",
    ):
        assert text in TEXT, text
    total_s = limits.header_s + limits.body_s + limits.linger_s
    assert total_s <= 15


def test_the_example_answer_has_the_fields_of_the_schema() -> None:
    (example,) = re.findall(r"```json\n(.*?)```", TEXT, re.DOTALL)
    schema = describe(version="0", limits=Limits(), keys=False)["components"]["schemas"]
    assert list(json.loads(example)) == schema["Prediction"]["required"]
