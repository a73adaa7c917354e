"""Whatever stops the split stage, and wherever it runs: the old files or the new, never a mix."""

import ctypes
import errno
import os
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest
from drawn import METADATA, lay_out, picture
from tiny import with_values

from pipeline.core.errors import ArtifactError
from pipeline.core.layout import Layout
from pipeline.core.params import load_params
from stages.split import run

REPOSITORY = Path(__file__).parents[2]
OLD = {
    f"{label}/{k}.png": picture(k + 100 * (label == "dog"))
    for label in ("cat", "dog")
    for k in range(20)
} | {"cat/bad.png": b"", "dog/bad.png": b""}
NEW = {name: content for name, content in OLD.items() if "bad" not in name} | {
    "cat/new.png": picture(300),
    "dog/worse.png": b"junk",
}


def project(root: Path, contents: dict[str, bytes], **values: str) -> Layout:
    """Lay out a project in which the stage can run as `dvc repro` runs it."""
    root.mkdir(parents=True, exist_ok=True)
    for folder in ("pipeline", "stages"):
        shutil.copytree(
            REPOSITORY / folder, root / folder, ignore=shutil.ignore_patterns("__pycache__")
        )
    values = {"runtime.workers": "1"} | {k.replace("__", "."): v for k, v in values.items()}
    (root / "params.yaml").write_text(with_values((REPOSITORY / "params.yaml").read_text(), values))
    return lay_out(root, contents)


def stage(
    layout: Layout,
    *,
    before: Callable[[], None] | None = None,
    code: str = "",
    environment: dict[str, str] | None = None,
) -> subprocess.CompletedProcess:
    """Run the stage in a process of its own."""
    command = ["-m", "stages.split"] if not code else ["-c", code]
    return subprocess.run(
        [sys.executable, *command],
        cwd=layout.root,
        env={
            **{k: v for k, v in os.environ.items() if k != "PYTHONPATH"},
            "PYTHONDONTWRITEBYTECODE": "1",
            **(environment or {}),
        },
        preexec_fn=before,
        capture_output=True,
        text=True,
        check=False,
    )


def written(layout: Layout) -> tuple[bytes, ...] | None:
    """Return what later stages find; None if there is no split.csv, without which none starts."""
    if not layout.split.exists():
        return None
    files = (layout.split, layout.rejected, layout.data_summary)
    return tuple(file.read_bytes() for file in files)


def temporary_files(layout: Layout) -> list[Path]:
    return [path for path in layout.root.rglob(".tmp-*") if path.is_file()]


def error_line(done: subprocess.CompletedProcess) -> str:
    """Return the one line on stderr that tells of a failure."""
    assert done.returncode == 1, done.stderr
    (line,) = [line for line in done.stderr.splitlines() if not line.startswith("scan")]
    return line


@pytest.fixture
def params():
    params = load_params(REPOSITORY / "params.yaml")
    return replace(params, runtime=replace(params.runtime, workers=1))


@pytest.fixture
def results(params, tmp_path) -> dict[str, tuple[bytes, ...]]:
    """What the stage writes for the old and for the new images."""
    found = {}
    for name, contents in (("old", OLD), ("new", NEW)):
        layout = lay_out(tmp_path / f"result-{name}", contents)
        run(params, layout)
        found[name] = written(layout)
    assert found["old"] != found["new"]
    return found


def fail_at(monkeypatch, n: int) -> list[str]:
    """Let the n-th change of the disk fail; return the list to which all changes are added."""
    changes: list[str] = []
    for name in ("replace", "unlink", "fsync"):
        original = getattr(os, name)

        def changing(*args, original=original, name=name, **options):
            changes.append(name)
            if len(changes) == n:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            return original(*args, **options)

        monkeypatch.setattr(os, name, changing)
    return changes


def test_whichever_change_of_the_disk_fails_no_mix_is_left(params, results, tmp_path, monkeypatch):
    errors = []
    for n in count(1):
        layout = lay_out(tmp_path / f"{n}", OLD)
        run(params, layout)
        lay_out(layout.root, NEW)
        with monkeypatch.context() as patch:
            changes = fail_at(patch, n)
            try:
                run(params, layout)
            except ArtifactError as error:
                errors.append(str(error))
        if len(changes) < n:
            break
        assert written(layout) in (None, results["old"], results["new"])
        run(params, layout)
        assert written(layout) == results["new"]
        assert temporary_files(layout) == []
    # One removal, and three files of which each is synced, renamed, and its folder synced.
    assert len(errors) == 1 + 3 * 3
    assert not any("\n" in error for error in errors)


KILLED = """\
import os, signal, sys
writing = os.O_WRONLY | os.O_RDWR
seen = 0
def kill(event, args):
    global seen
    if event in ("os.rename", "os.remove") or event == "open" and args[2] & writing:
        if isinstance(args[0], str) and "data/" in args[0]:
            seen += 1
            if seen == {n}:
                os.kill(os.getpid(), signal.SIGKILL)
import stages.split
sys.addaudithook(kill)
stages.split.run_stage(stages.split.run)
"""


@pytest.mark.campaign
def test_killed_before_any_change_of_the_disk_it_leaves_no_mix(results, tmp_path):
    kills = 0
    for n in count(1):
        layout = project(tmp_path / f"{n}", OLD)
        assert stage(layout).returncode == 0
        lay_out(layout.root, NEW)
        done = stage(layout, code=KILLED.format(n=n))
        if done.returncode == 0:
            break
        assert done.returncode == -signal.SIGKILL, done.stderr
        kills += 1
        assert written(layout) in (None, results["old"], results["new"])
        assert stage(layout).returncode == 0
        assert written(layout) == results["new"]
        assert temporary_files(layout) == []
    # One removal, and three files of which each is opened, renamed, and its old name removed.
    assert kills == 1 + 3 * 3


def drop_override() -> None:
    """Let root keep to the permissions of files, too, from the next exec on."""
    if os.getuid() == 0:
        pr_capbset_drop, cap_dac_override = 24, 1
        assert ctypes.CDLL(None).prctl(pr_capbset_drop, cap_dac_override, 0, 0, 0) == 0


def test_in_a_folder_that_may_not_be_written_it_says_so_and_changes_nothing(results, tmp_path):
    layout = project(tmp_path / "project", OLD)
    assert stage(layout).returncode == 0
    lay_out(layout.root, NEW)
    layout.split.parent.chmod(0o555)
    done = stage(layout, before=drop_override)
    layout.split.parent.chmod(0o755)
    assert "error: data/split.csv: cannot be replaced: Permission denied" in error_line(done)
    assert written(layout) == results["old"]


@pytest.mark.parametrize(
    ("limit_bytes", "file"),
    [(100, "data/rejected.csv"), (800, "reports/data/summary.json"), (3000, "data/split.csv")],
)
def test_on_a_full_disk_it_says_which_file_did_not_fit_and_leaves_no_mix(
    limit_bytes, file, tmp_path
):
    layout = project(tmp_path / "project", OLD)
    assert stage(layout).returncode == 0
    limit = (limit_bytes, limit_bytes)
    done = stage(layout, before=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limit))
    assert f"error: {file}: cannot be written: File too large" in error_line(done)
    assert written(layout) is None
    assert temporary_files(layout) == []


def test_a_folder_where_the_table_should_be_is_named(params, tmp_path):
    layout = lay_out(tmp_path, OLD)
    layout.split.mkdir()
    with pytest.raises(ArtifactError, match=r"split.csv: cannot be replaced: "):
        run(params, layout)


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        ({}, "no image is usable; data/rejected.csv says why"),
        ({"cat/1.png": b"", "dog/1.png": b"junk"}, "no image is usable; data/rejected.csv says"),
        ({"cat/1.png": picture(1), "dog/1.png": b"junk"}, "class 'dog' has no usable image"),
        ({f"cat/{k}.png": picture(k) for k in range(9)}, "only one class, 'cat'; a classifier"),
    ],
)
def test_a_data_set_that_cannot_be_learned_from_makes_one_line(contents, message, tmp_path):
    done = stage(project(tmp_path / "project", contents))
    assert f"error: {message}" in error_line(done)


@pytest.mark.parametrize("method", ["hash", "exact"])
def test_locale_and_hash_seed_do_not_change_what_is_written(method, tmp_path):
    found = set()
    for locale, seed in (("C", "0"), ("C.UTF-8", "99")):
        layout = project(tmp_path / locale, OLD | {"dog/犬.png": picture(9)}, split__method=method)
        layout.metadata.write_text(f"{METADATA}mine/dog/犬.png,,été\ncat/1.png,,été\n", "utf-8")
        done = stage(layout, environment={"LC_ALL": locale, "PYTHONHASHSEED": seed})
        assert done.returncode == 0, done.stderr
        found.add(written(layout))
    assert len(found) == 1


@pytest.mark.slow
@pytest.mark.parametrize("method", ["hash", "exact"])
def test_the_number_of_workers_does_not_change_what_is_written(method, tmp_path):
    contents = {f"{'cat' if k % 3 else 'dog'}/{k}.png": picture(k) for k in range(1700)}
    found = set()
    for workers, locale, seed in (("1", "C", "1"), ("8", "C.UTF-8", "2")):
        layout = project(
            tmp_path / workers, contents, split__method=method, runtime__workers=workers
        )
        done = stage(layout, environment={"LC_ALL": locale, "PYTHONHASHSEED": seed})
        assert done.returncode == 0, done.stderr
        found.add(written(layout))
    assert len(found) == 1
