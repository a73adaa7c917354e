"""What is kept of a run that was killed: every whole line, and nothing else."""

import itertools
from pathlib import Path

import pytest

from pipeline.core.errors import ArtifactError
from pipeline.inference.batch import Chunk, Result
from pipeline.inference.inputs import Input
from pipeline.inference.journal import Journal

DEPENDS_ON = {"model": "abc", "batch size": "2"}
NAMES = ("a", "new\nline", "c,d", "=e", "\udcff\udcfe", "\u00e9", "g")
PARTS = [
    Chunk(tuple(Input(name, bytes) for name in names))
    for names in itertools.zip_longest(NAMES[::2], NAMES[1::2], fillvalue="h")
]


def rows_of(part: Chunk) -> list[Result]:
    return [
        Result(item.path, "truncated")
        if item.path == "c,d"
        else Result(item.path, "", 1, True, (0.25, 0.75))
        for item in part.inputs
    ]


def finish(out: Path, parts: list[Chunk] = PARTS, **options: bool) -> tuple[bytes, int]:
    """Run to the end; return the journal's bytes, and how many chunks were worked on."""
    n_done = 0
    with Journal(out, DEPENDS_ON, **options) as journal:
        for part in journal.remaining(iter(parts)):
            journal.append(rows_of(part))
            n_done += 1
        assert list(journal.rows()) == [row for part in parts for row in rows_of(part)]
        assert journal.n_rows == sum(len(part.inputs) for part in parts)
        return journal.path.read_bytes(), n_done


def test_a_journal_cut_at_any_byte_ends_the_same(tmp_path: Path) -> None:
    whole, n_done = finish(tmp_path / "o.csv")
    assert n_done == len(PARTS)
    ends = [i + 1 for i, byte in enumerate(whole) if byte == ord("\n")]
    for end in range(len(whole) + 1):
        (tmp_path / "o.csv.partial").write_bytes(whole[:end])
        n_lines = sum(1 for line_end in ends[1:] if line_end <= end)
        assert finish(tmp_path / "o.csv") == (whole, len(PARTS) - n_lines)


def test_damage_anywhere_is_cut_off_and_mended(tmp_path: Path) -> None:
    whole, _ = finish(tmp_path / "o.csv")
    start = whole.index(b"\n") + 1
    for at in range(start, len(whole)):
        damaged = bytearray(whole)
        damaged[at] ^= 4
        (tmp_path / "o.csv.partial").write_bytes(damaged)
        assert finish(tmp_path / "o.csv")[0] == whole


def test_rows_stand_only_up_to_the_first_input_that_is_another(tmp_path: Path) -> None:
    out = tmp_path / "o.csv"
    finish(out)
    other = Chunk((Input("x", bytes), Input("y", bytes)))
    assert finish(out, [*PARTS[:2], other, *PARTS[2:]])[1] == 3
    assert finish(out, PARTS[:1])[1] == 0
    assert finish(out, [])[1] == 0
    assert finish(out)[1] == len(PARTS)


@pytest.mark.parametrize("name", list(DEPENDS_ON))
def test_another_model_starts_anew_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    out = tmp_path / "o.csv"
    with Journal(out, {**DEPENDS_ON, name: "other"}) as journal:
        for part in journal.remaining(iter(PARTS)):
            journal.append(rows_of(part))
    assert finish(out)[1] == len(PARTS)
    assert f"another {name}; starting anew" in caplog.text


def test_fresh_starts_over(tmp_path: Path) -> None:
    whole, _ = finish(tmp_path / "o.csv")
    assert finish(tmp_path / "o.csv", fresh=True) == (whole, len(PARTS))


def test_a_file_that_is_not_a_journal_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "o.csv.partial").write_text("mine")
    with pytest.raises(ArtifactError, match="not written by this command"):
        Journal(tmp_path / "o.csv", DEPENDS_ON)
    assert (tmp_path / "o.csv.partial").read_text() == "mine"
    (tmp_path / "o.csv.partial").unlink()
    (tmp_path / "o.csv.partial").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ArtifactError, match="cannot be written"):
        Journal(tmp_path / "o.csv", DEPENDS_ON)
    assert not (tmp_path / "elsewhere").exists()


def test_two_runs_do_not_write_one_file(tmp_path: Path) -> None:
    with (
        Journal(tmp_path / "o.csv", DEPENDS_ON),
        pytest.raises(ArtifactError, match="another run is writing it"),
    ):
        Journal(tmp_path / "o.csv", DEPENDS_ON)
    finish(tmp_path / "o.csv")
