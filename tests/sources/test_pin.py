"""Pinning: a local source that changed does not go unnoticed."""

import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from tiny import copy_project, with_values

from pipeline.core.seen import look
from pipeline.core.yaml_edit import with_values as changed_text
from pipeline.sources.checksums import sha256_of

PETS = [("cat/1.jpg", b"meow"), ("cat/2.jpg", b"purr"), ("dog/1.jpg", b"woof")]


def test_the_checksum_of_a_folder_is_that_of_its_sorted_files(make_folder):
    lines = [
        f"{name}\0{len(content)}\0{hashlib.sha256(content).hexdigest()}\n"
        for name, content in sorted(PETS)
    ]
    expected = hashlib.sha256("".join(lines).encode()).hexdigest()
    folder = make_folder(reversed(PETS))
    assert sha256_of(folder) == expected
    for k, path in enumerate(folder.rglob("*")):
        os.utime(path, (k, k))
        path.chmod(0o700)
    for junk in (".DS_Store", "Thumbs.db", ".git/config"):
        (folder / junk).parent.mkdir(exist_ok=True)
        (folder / junk).write_bytes(b"junk")
    (folder / "cat/link.jpg").symlink_to("1.jpg")
    assert sha256_of(folder) == expected


@pytest.mark.parametrize("change", ["content", "name", "class", "more", "fewer"])
def test_every_change_of_a_folder_changes_its_checksum_and_its_look(change, make_folder):
    folder = make_folder(PETS)
    before, looked = sha256_of(folder), look(folder)
    if change == "content":
        time.sleep(0.02)  # the clock of a file system ticks a hundred times a second
        (folder / "cat/1.jpg").write_bytes(b"moew")
    elif change == "name":
        (folder / "cat/1.jpg").rename(folder / "cat/3.jpg")
    elif change == "class":
        (folder / "cat").rename(folder / "kitten")
    elif change == "more":
        (folder / "cat/4.jpg").write_bytes(b"")
    else:
        (folder / "cat/1.jpg").unlink()
    assert sha256_of(folder) != before
    assert look(folder) != looked


def test_a_source_that_is_gone_looks_changed(make_folder, make_zip):
    folder, archive = make_folder(PETS), make_zip(PETS)
    looks = look(folder), look(archive)
    assert looks == (look(folder), look(archive))
    folder.rename(folder.with_name("elsewhere"))
    archive.unlink()
    assert look(folder) not in looks
    assert look(archive) not in looks


def pinned_text(text, values):
    return changed_text(text, {"data": values})


TEXT = """\
# first
data:   # the data
  # about the source
  source: synthetic   # which one
  sha256: null

  synthetic_images: 0o10
train: {lr: 1.0e-4}  # flow
"""
LISTS = """\
data:
  source:
    # ours
    - a.zip   # the first
    - 'b c'
  # between
  sha256: [null,
           null]
"""


def test_only_the_two_values_change_in_the_text_of_params():
    assert pinned_text(TEXT, {"source": "my pets.zip", "sha256": "ab" * 32}) == TEXT.replace(
        "synthetic ", '"my pets.zip" ', 1
    ).replace("null", "ab" * 32)
    assert pinned_text(TEXT, {"source": ["a", "b: #"], "sha256": [None, "1" * 64]}) == TEXT.replace(
        "synthetic ", '[a, "b: #"] ', 1
    ).replace("null", f'[null, "{"1" * 64}"]')
    assert pinned_text(TEXT.replace(" null", ""), {"sha256": "f" * 64}) == TEXT.replace(
        "null", "f" * 64
    )


def test_comments_between_the_items_of_a_list_stay():
    assert pinned_text(LISTS, {"source": ["x", "y"], "sha256": ["f" * 64, None]}) == (
        LISTS.replace("a.zip", "x").replace("'b c'", "y").replace("null", "f" * 64, 1)
    )
    one = pinned_text(LISTS, {"source": "x", "sha256": None})
    assert yaml.safe_load(one) == {"data": {"source": "x", "sha256": None}}
    assert "# ours" in one
    assert "# between" in one


@pytest.mark.parametrize("text", ["no", "1e3", "~", "null", "a: b", "- a", "é ü", "a'b\"c", "#x"])
def test_a_source_of_any_spelling_is_the_same_after_reading(text):
    assert yaml.safe_load(pinned_text(TEXT, {"source": text}))["data"]["source"] == text


@pytest.fixture
def project(tmp_path, make_folder):
    """A copy of the project with a folder `source` beside it as its data; returns a runner."""
    folder = make_folder([(f"{c}/{k}.jpg", b"%d" % k) for c in ("cat", "dog") for k in range(5)])
    root = copy_project(tmp_path / "project", values={"data.source": str(folder)})

    def run(*words: str, **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", *words],
            cwd=root,
            env={**os.environ, "DVC_ROOT": "", "PYTHONPATH": "", **env},
            capture_output=True,
            text=True,
            check=False,
        )

    run.root, run.folder = root, folder
    return run


PIN = "pipeline.sources.pin"


@pytest.mark.slow
def test_forgetting_to_pin_is_loud_and_pinning_makes_it_quiet(project):
    first = project("stages.download")
    assert first.returncode == 0
    found = sha256_of(project.folder)
    assert f"is not pinned, so DVC will not notice when it changes; run: python -m {PIN}" in (
        first.stderr
    )
    assert f"(data.sha256: {found})" in first.stderr
    refused = project(PIN, "--check")
    assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)
    assert f"is not pinned, {found} now; run: python -m {PIN} && dvc repro" in refused.stderr

    before = (project.root / "params.yaml").read_text()
    pinned = project(PIN)
    assert pinned.stdout == f"data.source: {project.folder}: {found}\n"
    assert (project.root / "params.yaml").read_text() == before.replace(
        "sha256: null", f"sha256: {found}"
    )
    assert project(PIN, "--check").returncode == 0
    again = project("stages.download")
    assert "pinned" not in again.stderr
    assert "changed" not in project("stages.split").stderr


@pytest.mark.slow
def test_every_stage_and_the_last_line_of_make_repro_tell_of_a_change(project):
    project(PIN)
    project("stages.download")
    raw = (project.root / "data/raw.zip").read_bytes()
    (project.folder / "cat/new.jpg").write_bytes(b"new")
    warning = (
        f"WARNING data.source: {project.folder} changed since it was brought in; "
        f"run: python -m {PIN} && dvc repro\n"
    )
    assert project("stages.split").stderr.count(warning) == 1
    metrics = project.root / "reports/evaluate/metrics.json"
    metrics.parent.mkdir(parents=True, exist_ok=True)
    metrics.write_text('{"accuracy":1,"accuracy_low":1,"accuracy_high":1,"n":1,"log_loss":0}')
    assert project("stages.headline").stderr.count(warning) == 1

    refused = project("stages.download")
    assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)
    assert sha256_of(project.folder) in refused.stderr
    assert (project.root / "data/raw.zip").read_bytes() == raw
    assert project(PIN, "--check").returncode == 1

    project(PIN)
    assert project("stages.download").returncode == 0
    assert "changed" not in project("stages.split").stderr


@pytest.mark.slow
def test_a_queued_experiment_knows_what_its_repository_saw(project, tmp_path):
    project(PIN)
    elsewhere = copy_project(tmp_path / "queued", values={"data.source": str(project.folder)})
    (project.folder / "cat/new.jpg").write_bytes(b"new")
    main = project.root
    project.root = elsewhere
    code = "from pipeline.core.seen import warn_of_changes as w; import logging; w(None)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=elsewhere,
        env={**os.environ, "DVC_ROOT": str(main)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "changed since it was brought in" in done.stderr


@pytest.mark.slow
def test_pinning_names_a_new_source_and_keeps_what_it_cannot_see(project, make_zip):
    archive = make_zip(PETS, "my pets.zip")
    found = hashlib.sha256(archive.read_bytes()).hexdigest()
    url = "https://joe:hunter2@example.org/a.zip"
    done = project(PIN, str(archive), "dogscats", url)
    assert done.stdout.splitlines() == [
        f"data.source: {archive}: {found}",
        "data.source: https://s3.amazonaws.com/fast-ai-sample/dogscats.tgz: "
        "its checksum is built in",
        "data.source: https://example.org/a.zip: not here yet; download prints its checksum",
    ]
    data = yaml.safe_load((project.root / "params.yaml").read_text())["data"]
    assert data["source"] == [str(archive), "dogscats", url]
    assert data["sha256"] == [found, None, None]
    done = project(PIN, "synthetic")
    assert "nothing to pin" in done.stdout
    data = yaml.safe_load((project.root / "params.yaml").read_text())["data"]
    assert (data["source"], data["sha256"]) == ("synthetic", None)


@pytest.mark.slow
def test_a_source_that_is_not_there_cannot_be_pinned(project):
    before = (project.root / "params.yaml").read_bytes()
    done = project(PIN, "no/such")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "pin: error: data.source: 'no/such' is neither a preset" in done.stderr
    assert (project.root / "params.yaml").read_bytes() == before
    assert project(PIN, "--help").stdout.startswith("usage: python -m pipeline.sources.pin")
    assert project(PIN, "--check", "x").returncode == 1


def test_the_values_of_the_small_copies_are_set_in_the_same_text():
    # tests/tiny.py finds `source:` by its line; the pin finds it by its place in the tree.
    text = Path("params.yaml").read_text()
    assert with_values(text, {"data.source": "x"}) == pinned_text(text, {"source": "x"})


@pytest.mark.slow
def test_a_look_at_25_000_files_takes_no_time(tmp_path):
    for k in range(25_000):
        if k % 1000 == 0:
            (tmp_path / str(k)).mkdir()
        (tmp_path / str(k - k % 1000) / str(k)).touch()
    look(tmp_path)
    start = time.process_time()
    look(tmp_path)
    assert time.process_time() - start < 0.6  # measured: 0.15 s


def test_a_folder_looks_the_same_by_whichever_path_it_is_reached(tmp_path):
    photos = tmp_path / "photos"
    for name in ("photos/cat/1.jpg", "project/params.yaml"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text(name)
    assert look(tmp_path / "project/../photos") == look(photos)
