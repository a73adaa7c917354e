"""What a kill of DVC tears, and `--mend` puts back; DVC's own reader is the judge."""

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest
from dvc.schema import COMPILED_LOCKFILE_SCHEMA
from dvc.utils.serialize import ParseError, parse_yaml
from voluptuous import Invalid

from pipeline.verify.lockfile import parse_lock
from pipeline.verify.mend import mend
from pipeline.verify.verify import verify

LOCK, RWLOCK = Path("dvc.lock"), Path(".dvc/tmp/rwlock")
EXAMPLE = """\
schema: '2.0'
stages:
  first:
    cmd: python make.py
    deps:
    - path: make.py
      hash: md5
      md5: 03f7edb79261e2827b7276adbca5b6f1
      size: 17
    - path: pipeline/core
      hash: md5
      md5: c413964d1f1a4f343cff455bc3b082cd.dir
      size: 81933
      nfiles: 14
    params:
      params.yaml:
        train.lr: 0.1
    outs:
    - path: models/a.bin
      hash: md5
      md5: 874fbac1c2fc0eaa17a366244e885470
      size: 10240
"""


def dvc_reads(text: str) -> bool:
    """Tell whether DVC would take this for a lock file."""
    try:
        COMPILED_LOCKFILE_SCHEMA(parse_yaml(text, "dvc.lock"))
    except (Invalid, ParseError):
        return False
    return True


def is_torn(text: str) -> bool:
    try:
        parse_lock(text)
    except ValueError:
        return True
    return False


def test_whatever_dvc_cannot_read_is_called_torn_wherever_it_was_cut():
    assert dvc_reads(EXAMPLE)
    assert not is_torn(EXAMPLE)
    refused = [k for k in range(len(EXAMPLE)) if not dvc_reads(EXAMPLE[:k])]
    assert len(refused) > len(EXAMPLE) / 4
    assert [k for k in refused if not is_torn(EXAMPLE[:k])] == []


@pytest.mark.slow
@pytest.mark.parametrize("n_bytes", [0, 30, 260])
def test_a_torn_lock_file_is_put_back_and_dvc_has_nothing_to_run(repository, n_bytes):
    whole = LOCK.read_bytes()
    LOCK.write_bytes(whole[:n_bytes])
    (line,) = mend(Path())
    assert line.startswith("dvc.lock was torn, ")
    assert LOCK.read_bytes() == whole
    assert verify(Path(), with_cache=True).findings == ()
    assert list(mend(Path())) == []


@pytest.mark.slow
def test_without_a_committed_one_it_is_removed_and_dvc_repro_makes_it_anew(repository):
    whole = LOCK.read_bytes()
    subprocess.run("git rm -q --cached dvc.lock && git commit -qm x", shell=True, check=True)
    LOCK.write_bytes(b"")
    (line,) = mend(Path())
    assert line.startswith("dvc.lock was torn, it holds no stages, and Git has none: removed")
    dvc = Path(sys.executable).with_name("dvc")
    subprocess.run([dvc, "repro", "-q"], check=True)
    assert LOCK.read_bytes() == whole


@pytest.mark.slow
def test_an_empty_rwlock_is_removed_and_the_command_says_so(repository):
    RWLOCK.write_text("")
    done = subprocess.run(
        [sys.executable, "-m", "pipeline.verify", "--mend"],
        env={"PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("verify: .dvc/tmp/rwlock: empty, and DVC will not run; removed")
    assert not RWLOCK.exists()


@pytest.mark.slow
def test_what_killed_writes_left_is_removed_but_not_what_is_being_written(repository):
    left = [
        Path("models/.tmp-a"),
        Path("models/.tmp-b/deep"),
        Path(".dvc/cache/files/md5/ab/x.tmp"),
    ]
    for path in left:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("half")
    held = Path("models/.tmp-held")
    with held.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        lines = [*mend(Path())]
    assert sorted(line.partition(":")[0] for line in lines) == [
        *(".dvc/cache/files/md5/ab/x.tmp", "models/.tmp-a", "models/.tmp-b")
    ]
    assert not any(path.exists() for path in (*left, Path("models/.tmp-b")))
    assert held.exists()
    held.unlink()
    assert verify(Path(), with_cache=True).findings == ()


@pytest.mark.slow
def test_a_merge_and_a_sound_repository_are_left_alone(repository):
    assert list(mend(Path())) == []
    text = "<<<<<<< HEAD\n" + LOCK.read_text()
    LOCK.write_text(text)
    assert list(mend(Path())) == []
    assert LOCK.read_text() == text


@pytest.fixture
def worker(repository, tmp_path):
    """A task of DVC's queue: it works in a folder of its own, and copies into the shared cache."""
    folder = Path(".dvc/tmp/exps/tmpabc")
    folder.mkdir(parents=True)
    program = tmp_path / "dvc"
    program.write_text("print('begun', flush=True)\nwhile input():\n    pass\n")
    command = [sys.executable, program, "exp", "exec-run", "--infofile", "x"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, cwd=folder, text=True, **pipes) as process:
        assert process.stdout.readline() == "begun\n"
        yield process
        process.kill()


def test_what_an_experiment_of_the_queue_is_writing_is_left_alone(repository, worker):
    written = [Path(".dvc/cache/files/md5/ab/x.tmp"), Path(".dvc/tmp/exps/rwlock")]
    for path in written:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    os.utime(written[1], (1e9, 1e9))
    assert verify(Path(), with_cache=True).findings == ()
    assert list(mend(Path())) == []
    assert all(path.exists() for path in written)
    worker.kill()
    worker.wait()
    assert len(list(mend(Path()))) == 2
    assert not any(path.exists() for path in written)
