"""Every hostile and odd archive gets its verdict, in little time and memory, and nothing else."""

import os
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest
from peak_memory import PEAK_BYTES, WATCHED, left_bytes
from tiny import copy_project

from pipeline.core.archive import RawArchive
from pipeline.core.errors import DataError
from pipeline.sources.collect import collect

sys.path.insert(0, str(Path(__file__).parent))
from hostile import CASES, many_in_a_tar, many_in_a_zip

MAX_SECONDS = 30
MAX_RSS_BYTES = 600e6
BY_NAME = {case.name: case for case in CASES}


def files_below(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_there_are_enough_of_them_with_names_of_their_own():
    assert len({case.name for case in CASES}) == len(CASES) >= 65


@pytest.fixture(scope="module")
def archives(tmp_path_factory):
    """A folder that holds all of them."""
    folder = tmp_path_factory.mktemp("hostile")
    for case in CASES:
        case.write(folder / case.name)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_verdict_is_right_and_nothing_else_is_written(case, archives, tmp_path):
    source, target = tmp_path / "in/odd.zip", tmp_path / "repository/data/raw.zip"
    source.parent.mkdir()
    source.hardlink_to(archives / case.name)
    target.parent.mkdir(parents=True)
    target.write_bytes(b"the old one")
    before = files_below(tmp_path)
    start = time.monotonic()
    if isinstance(case.verdict, str):
        with pytest.raises(DataError) as caught:
            collect(str(source), target, sha256=None, root=tmp_path)
        message = str(caught.value)
        assert case.verdict in message
        assert "odd.zip: " in message
        assert message.isprintable()
        assert len(message) < 600 + len(str(source))
        assert target.read_bytes() == b"the old one"
    else:
        collect(str(source), target, sha256=None, root=tmp_path)
        with RawArchive(target) as archive:
            found = {member.path: archive.read(member.path) for member in archive.members}
        assert found == case.verdict
    assert time.monotonic() - start < MAX_SECONDS
    assert files_below(tmp_path) == before


MEASURE = (
    PEAK_BYTES
    + """\
import sys; from pathlib import Path
from pipeline.core.errors import DataError
from pipeline.sources.collect import collect
folder = Path(sys.argv[1])
for path in sorted(folder.iterdir()):
    try: collect(str(path), Path(sys.argv[2], "raw.zip"), sha256=None, root=folder)
    except DataError: pass
print(peak_bytes())
"""
)


def peak_bytes(folder, out):
    """Return the peak memory of a process that collects every file in `folder` in turn."""
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(folder), str(out)],
        capture_output=True,
        text=True,
        check=True,
    )
    return int(done.stdout)


@pytest.mark.slow
def test_all_of_them_together_stay_below_600_mb(archives, tmp_path):
    assert peak_bytes(archives, tmp_path) < MAX_RSS_BYTES


@pytest.mark.slow
@pytest.mark.parametrize("make", [many_in_a_zip, many_in_a_tar])
def test_as_many_members_as_are_allowed_with_long_names_stay_below_600_mb(make, tmp_path):
    # Each in a folder of its own, twenty deep; 245 characters.
    names = (f"{'/'.join(f'{k:06}{d:05}' for d in range(20))}/1.jpg" for k in range(100_000))
    (tmp_path / "in").mkdir()
    (tmp_path / "in/many").write_bytes(make(names))
    assert peak_bytes(tmp_path / "in", tmp_path / "out") < MAX_RSS_BYTES
    with zipfile.ZipFile(tmp_path / "out/raw.zip") as archive:
        assert len(archive.namelist()) == 100_000


HANDFUL = [
    "zip_traversal",
    "zip_symlink_and_a_file_through_it",
    "zip_bomb_of_overlapping_members",
    "zip_120_000_empty_members_hidden",
    "zip_names_with_control_characters_and_formulas",
    "zip_encrypted_aes",
    "zip_cut_at_50_percent",
    "levels_2000_zip",
    "no_archive_html",
    "tar_links_beyond_the_longest_path",
    "tar_negative_size_one",
    "tar_gz_bad_crc",
    "tar_bomb_of_one_gigabyte_in_small_members",
    "tar_global_headers_that_pile_up",
    "tar_pax_sparse_with_an_endless_map",
    "tar_120_000_empty_members",
]


@pytest.mark.slow
@pytest.mark.parametrize("name", HANDFUL)
def test_the_stage_itself_says_one_line_or_reads(name, archives, tmp_path):
    root = copy_project(tmp_path / "project", values={"data.source": str(archives / name)})
    before = files_below(root)
    start = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-c", WATCHED, "stages.download"],
        cwd=root,
        env={
            **os.environ,
            "DVC_ROOT": "",
            "PYTHONPATH": "",
            "PYTHONDONTWRITEBYTECODE": "1",
            "PEAK_FILE": str(tmp_path / "peak"),
        },
        stderr=subprocess.PIPE,
        text=True,
    )
    _, said = process.communicate()
    assert time.monotonic() - start < MAX_SECONDS
    assert left_bytes(tmp_path / "peak") < MAX_RSS_BYTES
    assert "Traceback" not in said
    if isinstance(BY_NAME[name].verdict, str):
        # Besides, a line of progress every five seconds.
        (line,) = [line for line in said.splitlines() if not line.startswith("INFO read archive: ")]
        assert process.returncode == 1
        assert line.startswith("download: error: ")
        assert BY_NAME[name].verdict in line
        assert files_below(root) in (before, sorted([*before, "data"]))
    else:
        assert process.returncode == 0
        made = set(files_below(root)) - set(before)
        assert made - {"data", ".dvc/tmp"} == {"data/raw.zip", ".dvc/tmp/source-seen.json"}
