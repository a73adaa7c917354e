"""The files that the documents' commands speak of, in a repository whose pipeline has run."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

REVISIONS = ("v1", "v2", "hasty-rats")


def add_examples(clone: Path) -> None:
    """Add pictures, folders, archives and revisions, under the names that the documents use."""
    with zipfile.ZipFile(clone / "data/raw.zip") as archive:
        names = archive.namelist()
        cats = [archive.read(n) for n in names if n.startswith("cat/")][:8]
        dogs = [archive.read(n) for n in names if n.startswith("dog/")][:8]
    for name, content in (("cat", cats[0]), ("dog", dogs[0]), ("photo", dogs[1])):
        (clone / f"{name}.jpg").write_bytes(content)
    for folder in (clone / "holiday", clone / "photos"):
        folder.mkdir()
        for k, content in enumerate((*cats[:3], *dogs[:3])):
            (folder / f"{k}.jpg").write_bytes(content)
    for name in ("more.zip", "images.zip"):
        with zipfile.ZipFile(clone / name, "w") as archive:
            for k, content in enumerate(dogs):
                archive.writestr(f"dog/{k}.jpg", content)
    (clone / "last.txt").touch()
    os.utime(clone / "last.txt", (0, 0))
    (clone / "keys.txt").write_text("a-key-that-is-long-enough-to-be-one-0123456789\n")
    (clone / "keys.txt").chmod(0o600)
    for name in REVISIONS:
        subprocess.run(["git", "tag", name], cwd=clone, check=True)


def add_environment(clone: Path) -> Path:
    """Make the clone's `.venv` the environment that runs the tests; return its `bin`."""
    venv = clone / ".venv"
    venv.mkdir()
    for entry in Path(sys.prefix).iterdir():
        if entry.name != ".done":
            (venv / entry.name).symlink_to(entry)
    (venv / ".done").touch()  # newer than requirements.txt: make has nothing to set up
    return venv / "bin"


def copy_clone(source: Path, target: Path) -> Path:
    """Copy a repository with everything in it."""
    shutil.copytree(source, target, symlinks=True)
    return target
