"""The command: what it says, its exit status, and what it leaves alone."""

import fcntl
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
from verify.conftest import shell

from pipeline.core.errors import ArtifactError
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
