"""The command: what it says, its exit status, and what it leaves alone."""

import fcntl
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
from verify.conftest import shell

from pipeline.core.errors import ArtifactError
from pipeline.verify.cache import find_cache
from pipeline.verify.lockfile import read_outs
from pipeline.verify.verify import verify

TOP = Path(__file__).resolve().parents[2]


def command(*arguments: str, **options) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "pipeline.verify", *arguments],
        env={**os.environ, "PYTHONPATH": str(TOP)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def test_all_well_is_one_line_with_counts_and_status_0(repository):
    said, errors = (process := command()).communicate()
    assert process.returncode == 0, errors
    # a.bin, its checksum, b's three files and its listing, and the metric for the run cache
    assert said.startswith("ok: 4 outs, 1 checksums, 7 objects in DVC's cache; ")


def test_a_finding_is_a_line_with_its_cure_and_status_1(repository):
    Path("models/a.bin").unlink()
    said, errors = (process := command("--no-cache")).communicate()
    assert process.returncode == 1
    assert said == "models/a.bin: missing; run: dvc checkout models/a.bin\n"
    assert errors == "verify: error: 1 finding; run the commands above, then this again\n"


def lose_object(name: str) -> Path:
    """Remove the object of an out from DVC's cache; return where it was."""
    entry = next(out for out in read_outs(Path())[0] if out.path == Path(name))
    path = find_cache(Path()).path(entry.md5)
    path.unlink()
    return path


@pytest.mark.parametrize("harm", ["missing", "changed"])
def test_without_reading_the_cache_it_is_not_asked_for_what_it_lacks(repository, harm):
    a, lost = Path("models/a.bin"), lose_object("models/a.bin")
    a.unlink()
    if harm == "changed":
        a.write_bytes(b"other")
    (finding,) = verify(Path(), with_cache=False).findings
    assert finding.cure == f"rm -rf models/a.bin {lost} && dvc repro first"


def test_without_reading_the_cache_a_folder_is_asked_for_only_if_all_its_files_are_there(
    repository,
):
    Path("models/b/one").write_text("other")
    (finding,) = verify(Path(), with_cache=False).findings
    assert finding.cure == "rm -rf models/b && dvc checkout models/b"
    lost = find_cache(Path()).path(hashlib.md5(b"thr ee" * 50).hexdigest())
    lost.unlink()
    (finding,) = verify(Path(), with_cache=False).findings
    assert finding.cure == f"rm -rf models/b {lost} && dvc repro second"


def test_without_reading_the_cache_all_outs_are_asked_for_if_it_has_them(repository):
    shutil.rmtree("models")
    (finding,) = verify(Path(), with_cache=False).findings
    assert finding.cure == "dvc checkout"
    lose_object("models/a.bin")
    (finding,) = verify(Path(), with_cache=False).findings
    assert finding.cure == "dvc repro"


def test_elsewhere_than_in_the_top_folder_it_says_so(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ArtifactError, match=r"dvc.yaml: .* run this from the repository's top"):
        verify(Path(), with_cache=True)


def test_ctrl_c_ends_it_in_one_line(repository):
    with Path("models/a.bin").open("r+b") as file:
        file.truncate(40_000_000_000)  # sparse: minutes to read
    process = command()
    while "a.bin" not in _open_files(process.pid):
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=10)
    assert process.returncode == 130
    assert errors == "verify: interrupted; nothing was half-written\n"


def _open_files(pid: int) -> set[str]:
    found = set()
    for path in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):
            found.add(path.readlink().name)
    return found


def test_a_temporary_file_that_is_being_written_is_left_alone(repository):
    with Path("models/.tmp-a.bin-0123").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert verify(Path(), with_cache=True).findings == ()


def test_nothing_is_changed(repository):
    def look():
        paths = [p for p in repository.rglob("*") if ".git/" not in str(p)]
        return {p: p.lstat().st_mtime_ns for p in paths}

    Path("models/a.bin").unlink()
    before = look()
    verify(Path(), with_cache=True)
    assert look() == before


@pytest.mark.slow
@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGKILL])
def test_what_a_killed_experiment_leaves_is_found_and_cured(repository, sent):
    shell(repository, "git checkout -q -b other && printf '\\n' >> make.py && git commit -qam edit")
    running = subprocess.Popen(
        ["dvc", "exp", "run", "-f"],
        env={
            **os.environ,
            "SLOW": "1",
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        },
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    end = time.monotonic() + 120
    while not Path("started").exists():
        assert running.poll() is None
        assert time.monotonic() < end
        time.sleep(0.02)
    with pytest.raises(ArtifactError, match=r"process [0-9]+ \(dvc exp run -f\) is at work here"):
        verify(Path(), with_cache=True)
    os.killpg(running.pid, sent)
    running.wait(60)
    with suppress(ProcessLookupError):
        os.killpg(running.pid, signal.SIGKILL)
    found = verify(Path(), with_cache=True).findings
    (head,) = [finding for finding in found if finding.where == "HEAD"]
    assert "detached from other, with references left by a killed `dvc exp run`" in head.what
    for finding in found:
        shell(repository, finding.cure)
    assert verify(Path(), with_cache=True).findings == ()
    assert shell(repository, "git symbolic-ref HEAD") == "refs/heads/other\n"
    shell(repository, "dvc repro -q")
