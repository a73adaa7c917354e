"""A full disk and a folder that cannot be written: one line, and the old artifacts stay."""

import os
import re
import resource
import shutil
import subprocess

import pytest
from faults.projects import NOTHING, REMOVED_FIRST, one_line_error

pytestmark = pytest.mark.slow

BENCHES = (
    *("drawing", "from_web", "splitting", "packing"),
    *(pytest.param(name, marks=pytest.mark.campaign) for name in ("from_folder", "from_tar")),
)
"""A folder and a tar archive come in by the same writer as a zip archive from the web."""
NO_ROOM = re.compile(r"No space left on device|File too large|no space", re.IGNORECASE)
ROOM_BYTES = {"download": (1_000, 100_000), "split": (1_000, 3_000), "pack": (1_000, 100_000)}
"""Enough for the message, and for a part of the artifact."""


def temporary(project):
    """Return what should not be there after a failure; a partial download may stay, to resume."""
    return {name for name in project.hidden() if "/.download-" not in name}


@pytest.mark.parametrize("bench", BENCHES, indirect=True)
def test_a_file_size_limit_gives_one_line_and_leaves_the_old_artifacts(bench):
    for room_bytes in ROOM_BYTES[bench.stage]:
        for replacing in (False, True):
            before = bench.prepare(replacing=replacing)
            names = bench.project.names()
            running = bench.project.start(
                bench.stage,
                before=lambda limit=room_bytes: resource.setrlimit(
                    resource.RLIMIT_FSIZE, (limit, limit)
                ),
                # Or it would be Python that fails, at its own cache.
                PYTHONDONTWRITEBYTECODE="1",
            )
            line = one_line_error(running.end(), bench.stage)
            assert NO_ROOM.search(line), line
            check_nothing_changed(bench, before, names)


def check_nothing_changed(bench, before, names):
    for name, found in bench.project.found(bench.stage).items():
        # Of a stage's artifacts the ones that fit may be new.
        gone = (NOTHING,) if name in REMOVED_FIRST else ()
        assert found in (before[name], bench.new[name], *gone), name
    assert temporary(bench.project) == set()
    added = {name for name in bench.project.names() - names if "/.download-" not in name}
    assert added <= bench.names


@pytest.fixture
def small_disk(bench):
    """Mount a file system over data/ that holds what is there, and little more."""
    data = bench.project.root / "data"
    bench.prepare(replacing=False)
    used = sum(-(-path.stat().st_size // 4096) * 4096 for path in data.rglob("*") if path.is_file())
    copy = data.with_name("data-copy")
    shutil.copytree(data, copy)
    command = ["mount", "-t", "tmpfs", "-o", f"size={used + 9 * 4096}", "tmpfs", str(data)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        shutil.rmtree(copy)
        pytest.skip("mounting a file system is not permitted here")
    try:
        shutil.copytree(copy, data, dirs_exist_ok=True)
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(data)], check=True)
        shutil.rmtree(copy)


@pytest.mark.parametrize("bench", [b for b in BENCHES if b != "splitting"], indirect=True)
def test_a_full_disk_gives_one_line_and_leaves_nothing(bench, small_disk):
    before, names = bench.project.found(bench.stage), bench.project.names()
    line = one_line_error(bench.project.start(bench.stage).end(), bench.stage)
    assert NO_ROOM.search(line), line
    check_nothing_changed(bench, before, names)


@pytest.fixture
def obedient():
    """Return a command prefix under which permissions count, for root as well."""
    if os.geteuid() != 0:
        return ()
    if shutil.which("setpriv") is None:
        pytest.skip("root ignores permissions, and setpriv is not here to drop that right")
    return ("setpriv", "--bounding-set=-dac_override,-dac_read_search")


@pytest.mark.parametrize("replacing", [False, True])
@pytest.mark.parametrize("bench", BENCHES, indirect=True)
def test_a_folder_that_cannot_be_written_gives_one_line(bench, replacing, obedient):
    before = bench.prepare(replacing=replacing)
    names = bench.project.names()
    data = bench.project.root / "data"
    data.chmod(0o555)
    try:
        running = bench.project.start(bench.stage, prefix=obedient)
        line = one_line_error(running.end(), bench.stage)
    finally:
        data.chmod(0o755)
    assert re.search(r"cannot be (written|replaced): Permission denied", line), line
    assert bench.project.found(bench.stage) == before
    assert bench.project.names() == names


@pytest.mark.parametrize("bench", BENCHES, indirect=True)
def test_after_room_was_made_the_next_run_ends_well(bench):
    bench.prepare(replacing=True)
    failed = bench.project.start(
        bench.stage,
        before=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000)),
        PYTHONDONTWRITEBYTECODE="1",
    )
    assert failed.end().status == 1
    bench.check_next_run(failed)
