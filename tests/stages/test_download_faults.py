"""The download stage on a bad day: full disks, targets in the way, kills, two at once."""

import hashlib
import os
import random
import shutil
import subprocess
import sys
import tarfile
import time
import zipfile
from collections import Counter
from pathlib import Path

import pytest
from tiny import copy_project

pytestmark = pytest.mark.slow

STAGE = [sys.executable, "-m", "stages.download"]
# Root may write anywhere; without these capabilities it is like anybody else.
AS_ANYBODY = (
    ["setpriv", "--bounding-set=-dac_override,-dac_read_search", *STAGE]
    if os.geteuid() == 0
    else STAGE
)


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """The same 3 MB of pets as zip, tar and folder."""
    root = tmp_path_factory.mktemp("sources")
    for label in ("cat", "dog"):
        (root / "folder" / label).mkdir(parents=True)
        for k in range(60):
            content = random.Random(f"{label}{k}").randbytes(25_000)
            (root / "folder" / label / f"{k}.jpg").write_bytes(content)
    for kind in ("zip", "gztar"):
        shutil.make_archive(str(root / "pets"), kind, root / "folder")
    return {"zip": root / "pets.zip", "tar": root / "pets.tar.gz", "folder": root / "folder"}


@pytest.fixture
def project(tmp_path):
    """Return a function that makes a copy of the project with one source."""

    def make(source: Path, name: str = "project") -> Path:
        root = copy_project(tmp_path / name, values={"data.source": str(source)})
        (root / "data").mkdir(exist_ok=True)
        return root

    return make


def environment():
    return {**os.environ, "DVC_ROOT": "", "PYTHONPATH": "", "PYTHONDONTWRITEBYTECODE": "1"}


def run(root, command=STAGE):
    return subprocess.run(
        command, cwd=root, env=environment(), capture_output=True, text=True, check=False
    )


def refused(done):
    """Check that a stage said one line; return it."""
    assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr
    assert done.stderr.startswith("download: error: ")
    return done.stderr


def in_data(root):
    return sorted(path.name for path in (root / "data").iterdir())


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("kind", ["zip", "tar", "folder"])
def test_a_file_that_may_not_grow_gives_one_line_and_keeps_the_old_one(kind, sources, project):
    root = project(sources[kind])
    (root / "data/raw.zip").write_bytes(b"old")
    before = in_data(root)
    limited = ["sh", "-c", 'ulimit -f 2000; exec "$@"', "sh", *STAGE]  # blocks of 512 bytes
    assert "cannot be written: File too large" in refused(run(root, limited))
    assert (root / "data/raw.zip").read_bytes() == b"old"
    assert in_data(root) == before


@pytest.mark.parametrize("kind", ["zip", "tar", "folder"])
def test_a_full_disk_gives_one_line_and_keeps_the_old_one(kind, sources, project):
    root = project(sources[kind])
    script = (
        "mount -t tmpfs -o size=1m tmpfs data || exit 99\n"
        "printf old > data/raw.zip\n"
        '"$@"; status=$?\n'
        'test "$(ls -A data)" = raw.zip && test "$(cat data/raw.zip)" = old || exit 98\n'
        "exit $status\n"
    )
    done = run(
        root, ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, "sh", *STAGE]
    )
    if done.returncode == 99 or "unshare" in done.stderr:
        pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
    assert "cannot be written: No space left on device" in refused(done)


def test_a_folder_that_is_not_writable_gives_one_line(sources, project):
    root = project(sources["tar"])
    (root / "data/raw.zip").write_bytes(b"old")
    before = in_data(root)
    (root / "data").chmod(0o555)
    try:
        done = run(root, AS_ANYBODY)
    finally:
        (root / "data").chmod(0o755)
    assert "cannot be written: Permission denied" in refused(done)
    assert (root / "data/raw.zip").read_bytes() == b"old"
    assert in_data(root) == before


def test_a_source_that_is_not_readable_gives_one_line(sources, project, tmp_path):
    secret = tmp_path / "secret.zip"
    shutil.copy(sources["zip"], secret)
    secret.chmod(0)
    assert "secret.zip: cannot be read: Permission denied" in refused(
        run(project(secret), AS_ANYBODY)
    )


def test_a_target_that_is_a_folder_gives_one_line(sources, project):
    root = project(sources["zip"])
    (root / "data/raw.zip/mine").mkdir(parents=True)
    before = in_data(root)
    assert "data/raw.zip: cannot be written: Is a directory" in refused(run(root))
    assert (root / "data/raw.zip/mine").is_dir()
    assert in_data(root) == before


def test_a_target_that_is_a_link_gives_one_line_and_is_not_followed(sources, project, tmp_path):
    root = project(sources["zip"])
    (tmp_path / "outside").write_bytes(b"mine")
    (root / "data/raw.zip").symlink_to(tmp_path / "outside")
    before = in_data(root)
    assert "data/raw.zip: cannot be written: it is a link; remove the link" in refused(run(root))
    assert (tmp_path / "outside").read_bytes() == b"mine"
    assert in_data(root) == before


def test_a_data_folder_that_is_a_link_to_a_larger_disk_is_meant(sources, project, tmp_path):
    root = project(sources["zip"])
    (root / "data").rename(tmp_path / "large")
    (root / "data").symlink_to(tmp_path / "large")
    assert run(root).returncode == 0
    assert (tmp_path / "large/raw.zip").is_file()


def test_a_file_where_the_data_folder_should_be_gives_one_line(sources, project):
    root = project(sources["tar"])
    shutil.rmtree(root / "data")
    (root / "data").write_bytes(b"mine")
    assert "cannot be written" in refused(run(root))
    assert (root / "data").read_bytes() == b"mine"


@pytest.mark.parametrize("kind", ["zip", "tar", "folder"])
def test_several_at_once_all_succeed_and_agree(kind, sources, project):
    root = project(sources[kind])
    before = in_data(root)
    started = [
        subprocess.Popen(STAGE, cwd=root, env=environment(), stderr=subprocess.PIPE, text=True)
        for _ in range(8)
    ]
    ended = [(process.communicate()[1], process.returncode) for process in started]
    assert [code for _, code in ended] == [0] * 8, ended
    assert in_data(root) == sorted([*before, "raw.zip"])
    with zipfile.ZipFile(root / "data/raw.zip") as archive:
        assert Counter(name[:3] for name in archive.namelist()) == {"cat": 60, "dog": 60}


@pytest.mark.parametrize("kind", ["zip", "tar", "folder"])
def test_a_kill_at_any_moment_leaves_the_old_file_and_the_next_run_the_new_one(
    kind, sources, project
):
    root = project(sources[kind])
    before = in_data(root)
    start = time.monotonic()
    assert run(root).returncode == 0
    took_s = time.monotonic() - start
    whole = sha256(root / "data/raw.zip")
    for number in range(7):
        (root / "data/raw.zip").write_bytes(b"old")
        process = subprocess.Popen(STAGE, cwd=root, env=environment(), stderr=subprocess.DEVNULL)
        time.sleep(took_s * (0.5 + number / 10))
        process.kill()
        process.wait()
        assert sha256(root / "data/raw.zip") in (whole, hashlib.sha256(b"old").hexdigest())
    assert run(root).returncode == 0
    assert sha256(root / "data/raw.zip") == whole
    assert in_data(root) == sorted([*before, "raw.zip"])


def test_a_tar_of_links_and_setuid_files_leaves_one_plain_file(project, tmp_path):
    with tarfile.open(tmp_path / "odd.tar", "w") as archive:
        for name, kind in (("cat/1", b"0"), ("dog/1", b"0"), ("cat/l", b"2"), ("cat/d", b"3")):
            info = tarfile.TarInfo(name)
            info.type, info.mode, info.linkname = kind, 0o6777, "/etc/passwd"
            archive.addfile(info)
    root = project(tmp_path / "odd.tar")
    assert run(root).returncode == 0
    assert (root / "data/raw.zip").stat().st_mode & 0o7022 == 0
    with zipfile.ZipFile(root / "data/raw.zip") as archive:
        assert {i.external_attr >> 16 for i in archive.infolist()} == {0o100644}
