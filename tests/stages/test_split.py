"""The split stage as a whole."""

import csv
import hashlib
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from drawn import CORRECTIONS, METADATA, lay_out, picture

from pipeline.core.archive import write_archive
from pipeline.core.artifacts import Rejected, Sample, read_records
from pipeline.core.errors import ArtifactError, DataError
from pipeline.core.layout import Layout
from pipeline.core.params import load_params
from pipeline.data.groups import Pair
from stages.split import run

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def params():
    """The repository's parameters, in one process."""
    params = load_params(REPOSITORY / "params.yaml")
    return replace(params, runtime=replace(params.runtime, workers=1))


@pytest.fixture
def contents() -> dict[str, bytes]:
    """Forty different images in two classes, and one accident of every kind."""
    images = {f"cat/{k:02d}.png": picture(k) for k in range(20)}
    images |= {f"dog/{k:02d}.png": picture(100 + k) for k in range(20)}
    return images | {
        "cat/copy.png": images["cat/03.png"],
        "dog/liar.png": images["cat/04.png"],
        "dog/empty.png": b"",
        "dog/page.png": b"<html></html>",
        "dog/half.png": images["dog/00.png"][:500],
    }


def manifest(layout: Layout) -> dict[str, Sample]:
    return {row.path: row for row in read_records(layout.split, Sample, stage="split")}


def reasons(layout: Layout) -> dict[str, str]:
    rows = read_records(layout.rejected, Rejected, stage="split")
    return {row.path: row.reason for row in rows}


def test_every_member_is_a_row_of_one_of_the_two_tables(params, contents, tmp_path, caplog):
    caplog.set_level("INFO")
    layout = lay_out(tmp_path, contents)
    run(params, layout)
    samples, refused = manifest(layout), reasons(layout)
    assert samples.keys() | refused.keys() == contents.keys()
    assert len(samples) + len(refused) == len(contents)
    assert refused == {
        "cat/04.png": "conflict",
        "cat/copy.png": "duplicate",
        "dog/empty.png": "empty",
        "dog/half.png": "truncated",
        "dog/liar.png": "conflict",
        "dog/page.png": "not_an_image",
    }
    sha256 = hashlib.sha256(contents["dog/07.png"]).hexdigest()
    row = samples["dog/07.png"]
    assert row == Sample(
        path="dog/07.png",
        label="dog",
        split=row.split,
        sha256=sha256,
        width=30,
        height=20,
        group=sha256[:12],
        source="mine/dog/07.png",
    )
    summary = json.loads(layout.data_summary.read_text())
    per_split = Counter(sample.split for sample in samples.values())
    for split in ("train", "valid", "test"):
        assert (
            summary["classes"]["cat"][split] + summary["classes"]["dog"][split]
            == (per_split[split])
        )
    assert (summary["n_images"], summary["n_rejected"]) == (39, 6)
    assert "39 images: train " in caplog.messages[-1]


def test_tables_are_sorted_and_hostile_names_survive(params, contents, tmp_path):
    hostile = ('cat/a "b", c.png', "cat/=cmd.png", "cat/new\nline.png", "dog/犬 🐶.png")
    contents |= {name: picture(500 + k) for k, name in enumerate(hostile)}
    layout = lay_out(tmp_path, contents)
    run(params, layout)
    with layout.split.open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["path", "label", "split", "sha256", "width", "height", "group", "source"]
    paths = [row[0] for row in rows]
    assert paths == sorted(paths)
    assert set(hostile) < set(paths)
    assert [manifest(layout)[name].source for name in hostile] == [f"mine/{n}" for n in hostile]


def test_two_runs_with_other_worker_counts_write_the_same_bytes(params, tmp_path):
    contents = {
        f"{label}/{k}.png": picture(k + 1000 * (label == "dog"))
        for label in ("cat", "dog")
        for k in range(150)
    }
    written = []
    for workers in (1, 2):
        layout = lay_out(tmp_path / str(workers), contents)
        run(replace(params, runtime=replace(params.runtime, workers=workers)), layout)
        written.append(
            [p.read_bytes() for p in (layout.split, layout.rejected, layout.data_summary)]
        )
    assert written[0] == written[1]


def test_an_image_more_moves_no_other(params, contents, tmp_path):
    before = lay_out(tmp_path / "before", contents)
    after = lay_out(tmp_path / "after", contents | {"cat/00a.png": picture(77)})
    run(params, before)
    run(params, after)
    rows = manifest(after)
    del rows["cat/00a.png"]
    assert rows == manifest(before)


def test_corrections_are_applied_and_move_no_image(params, contents, tmp_path):
    before = lay_out(tmp_path / "before", contents)
    run(params, before)
    rows = (
        "cat/05.png,relabel,dog\ncat/06.png,drop,\ncat/copy.png,keep,\n"
        "dog/liar.png,relabel,cat\ndog/empty.png,keep,\n"
    )
    after = lay_out(tmp_path / "after", contents, corrections=CORRECTIONS + rows)
    run(params, after)
    old, new = manifest(before), manifest(after)
    assert new["cat/05.png"] == replace(old["cat/05.png"], label="dog")
    assert reasons(after)["cat/06.png"] == "dropped"
    assert new["cat/copy.png"].split == new["cat/03.png"].split
    assert (new["cat/04.png"].label, reasons(after)["dog/liar.png"]) == ("cat", "duplicate")
    assert {p: new[p].split for p in old if p in new} == {p: old[p].split for p in old if p in new}
    assert len(new) + len(reasons(after)) == len(contents)


def test_a_correction_that_cannot_help_is_logged(params, contents, tmp_path, caplog):
    layout = lay_out(tmp_path, contents, corrections=f"{CORRECTIONS}dog/empty.png,keep,\n")
    run(params, layout)
    assert any("dog/empty.png stays rejected" in message for message in caplog.messages)
    assert reasons(layout)["dog/empty.png"] == "empty"


def test_a_correction_of_no_image_stops_before_the_scan(params, contents, tmp_path):
    layout = lay_out(tmp_path, contents, corrections=f"{CORRECTIONS}cat/99.png,drop,\n")
    with pytest.raises(DataError, match=r"corrections.csv, line 2: no image 'cat/99.png'"):
        run(params, layout)
    assert not layout.rejected.exists()


def test_a_class_that_a_relabel_empties_is_an_error_and_a_dropped_one_is_told(
    params, contents, tmp_path, caplog
):
    contents["kitty/1.png"] = picture(900)
    layout = lay_out(tmp_path, contents, corrections=f"{CORRECTIONS}kitty/1.png,relabel,cat\n")
    with pytest.raises(DataError, match=r"line 2: with this relabel class 'kitty' has no image"):
        run(params, layout)
    layout.corrections.write_text(f"{CORRECTIONS}mine/kitty/1.png,drop,\n")
    run(params, layout)
    assert {sample.label for sample in manifest(layout).values()} == {"cat", "dog"}
    assert any("drops all 1 images of class 'kitty'" in message for message in caplog.messages)


def test_a_class_with_a_single_image_trains_with_a_warning(params, contents, tmp_path, caplog):
    layout = lay_out(tmp_path, contents | {"fox/1.png": picture(900)})
    run(params, layout)
    assert manifest(layout)["fox/1.png"].split == "train"
    assert any("class 'fox' has 1 usable image" in message for message in caplog.messages)


def test_a_given_split_is_kept(params, tmp_path):
    layout = Layout(tmp_path)
    numbers = {"cat": range(60), "dog": range(100, 160)}
    members = [
        (f"{label}/{k:03d}.png", f"dogscats/{'valid' if k % 5 == 0 else 'train'}/{label}s/{k}.png")
        for label in numbers
        for k in numbers[label]
    ]
    write_archive(
        layout.raw_archive,
        [(path, source, picture(int(path[4:7]))) for path, source in sorted(members)],
    )
    layout.corrections.write_text(CORRECTIONS)
    layout.metadata.write_text(METADATA)
    run(replace(params, split=replace(params.split, keep_given=True)), layout)
    samples = manifest(layout).values()
    assert {s.split for s in samples if "/valid/" in s.source} == {"valid"}
    assert {s.split for s in samples if "/train/" in s.source} == {"train", "test"}


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        ({}, "no image is usable"),
        ({"cat/1.png": b"", "dog/1.png": b"junk"}, "no image is usable; data/rejected.csv says"),
        ({"cat/1.png": picture(1), "dog/1.png": b"junk"}, "class 'dog' has no usable image"),
        ({"cat/1.png": picture(1), "cat/2.png": picture(2)}, "only one class, 'cat'"),
        ({"cat/1.png": picture(1), "dog/1.png": picture(2)}, "split is empty: 2 usable images"),
    ],
)
def test_a_data_set_that_cannot_be_learned_from_is_refused(params, contents, message, tmp_path):
    layout = lay_out(tmp_path, contents)
    with pytest.raises(DataError, match=message):
        run(params, layout)
    assert not layout.split.exists()
    assert reasons(layout).keys() == {p for p, content in contents.items() if len(content) < 9}


def test_missing_inputs_are_named_with_their_cure(params, contents, tmp_path):
    with pytest.raises(ArtifactError, match=r"raw.zip: not found; run: dvc repro download"):
        run(params, Layout(tmp_path))
    layout = lay_out(tmp_path, contents)
    layout.corrections.unlink()
    with pytest.raises(ArtifactError, match=r"corrections.csv: not found; make it with one line"):
        run(params, layout)
    layout.corrections.write_text(CORRECTIONS)
    layout.metadata.unlink()
    with pytest.raises(ArtifactError, match=r"metadata.csv: not found; make it with one line: pa"):
        run(params, layout)


def with_split(params, **changes):
    return replace(params, split=replace(params.split, **changes))


@pytest.fixture
def near(monkeypatch):
    """Let the stage find these pairs of near duplicates among what can be decoded."""

    def finding(*pairs: tuple[str, str]) -> None:
        found = [Pair(*pair, "near") for pair in pairs]
        monkeypatch.setattr("stages.split.find_pairs", lambda images, **options: found)

    return finding


def test_near_duplicates_and_given_groups_are_never_divided(params, contents, tmp_path, near):
    near(*((f"cat/{k:02d}.png", f"dog/{k:02d}.png") for k in range(10, 20)))
    metadata = METADATA + "".join(f"mine/cat/{k:02d}.png,,day {k % 2}\n" for k in range(4, 10))
    layout = lay_out(tmp_path, contents, metadata=metadata)
    run(params, layout)
    rows = manifest(layout)
    for k in range(10, 20):
        one, other = rows[f"cat/{k}.png"], rows[f"dog/{k}.png"]
        assert (one.split, one.group) == (other.split, other.group)
    # cat/04.png is in conflict with another label, and out.
    assert len({rows[f"cat/{k:02d}.png"].group for k in (6, 8)}) == 1
    assert len({rows[f"cat/{k:02d}.png"].group for k in (5, 7, 9)}) == 1
    summary = json.loads(layout.data_summary.read_text())
    assert summary["near_duplicates"] == {
        "groups": 10,
        "images": 20,
        "pairs_under_two_labels": 10,
    }
    # 40 images, of them 1 in conflict; 10 pairs and groups of 2 and 3 take 25 of the rest.
    assert (summary["leaked_pairs"], summary["n_groups"]) == (0, 39 - 25 + 12)


@pytest.mark.parametrize("method", ["hash", "exact"])
def test_no_correction_of_a_label_moves_an_image_also_within_groups(
    params, contents, tmp_path, near, method
):
    near(*((f"cat/{k:02d}.png", f"dog/{k:02d}.png") for k in range(8, 20)))
    params = with_split(params, method=method)
    before = lay_out(tmp_path / "before", contents)
    run(params, before)
    rows = "".join(f"cat/{k:02d}.png,relabel,dog\n" for k in (5, 8, 9, 12))
    after = lay_out(tmp_path / "after", contents, corrections=CORRECTIONS + rows)
    run(params, after)
    old, new = manifest(before), manifest(after)
    assert sum(new[path].label != old[path].label for path in old) == 4
    assert {p: (new[p].split, new[p].group) for p in new} == {
        p: (old[p].split, old[p].group) for p in old
    }


def test_dropping_one_image_of_a_group_does_not_move_the_others(params, contents, tmp_path, near):
    near(("cat/08.png", "dog/08.png"), ("dog/08.png", "dog/09.png"))
    before = lay_out(tmp_path / "before", contents)
    run(params, before)
    for path in ("cat/08.png", "dog/08.png", "dog/09.png"):
        after = lay_out(tmp_path / path[:6], contents, corrections=f"{CORRECTIONS}{path},drop,\n")
        run(params, after)
        old, new = manifest(before), manifest(after)
        del old[path]
        assert new == old


def test_exact_fractions_are_reported(params, tmp_path, caplog):
    caplog.set_level("INFO")
    contents = {
        f"{c}/{k}.png": picture(k + 100 * (c == "dog")) for c in ["cat", "dog"] for k in range(20)
    }
    layout = lay_out(tmp_path, contents)
    run(with_split(params, method="exact"), layout)
    summary = json.loads(layout.data_summary.read_text())
    assert summary["classes"]["cat"] == {
        **{"train": 15, "valid": 2, "test": 3},
        **{"valid_fraction": 0.1, "test_fraction": 0.15},
    }
    assert summary["splits"]["test"] == {"n_images": 6, "fraction": 0.15, "wanted": 0.15}
    assert caplog.messages[-2].startswith("per class: cat valid 2 (10.0%), test 3 (15.0%); dog ")
    assert "test 6 (15.0%, wanted 15.0%)" in caplog.messages[-1]


def test_large_groups_that_keep_exact_fractions_from_being_met_are_told(params, tmp_path, caplog):
    contents = {
        f"{label}/{k}.png": picture(k + 100 * (label == "dog"))
        for label in ("cat", "dog")
        for k in range(20)
    }
    rows = "".join(f"cat/{k}.png,,{k // 5}\n" for k in range(20))
    layout = lay_out(tmp_path, contents, metadata=METADATA + rows)
    run(with_split(params, method="exact"), layout)
    # Of cats 3 are wanted for testing, and 5 are closer than none; 2 for validation, and 5 are not.
    assert any(
        "leave cat test 5 instead of 3, cat valid 0 instead of 2" in message
        for message in caplog.messages
    )


def test_a_split_written_by_people_is_kept_or_said_to_be_ignored(
    params, contents, tmp_path, caplog
):
    metadata = METADATA + "".join(f"cat/{k:02d}.png,test,\n" for k in range(10, 20))
    layout = lay_out(tmp_path, contents, metadata=metadata)
    run(params, layout)
    assert any("the split column (rows filled in: 10) is ignored" in m for m in caplog.messages)
    caplog.clear()
    run(with_split(params, keep_given=True), layout)
    rows = manifest(layout)
    assert {p for p, row in rows.items() if row.split == "test"} == {
        f"cat/{k}.png" for k in range(10, 20)
    }
    assert not any("is ignored" in message for message in caplog.messages)
    assert "wanted" not in json.loads(layout.data_summary.read_text())["splits"]["test"]


def test_a_group_that_the_given_split_divides_is_counted_and_named(
    params, contents, tmp_path, caplog
):
    rows = "cat/10.png,test,Rex\ncat/11.png,valid,Rex\ncat/12.png,test,\ncat/13.png,valid,\n"
    layout = lay_out(tmp_path, contents, metadata=METADATA + rows)
    run(with_split(params, keep_given=True), layout)
    row = manifest(layout)["cat/10.png"]
    assert row.split == "train"
    assert any(f"1 ({row.group}: cat/10.png, cat/11.png)" in m for m in caplog.messages)
    assert json.loads(layout.data_summary.read_text())["divided_groups"] == 1


def test_a_row_about_no_image_stops_before_the_scan(params, contents, tmp_path):
    layout = lay_out(tmp_path, contents, metadata=f"{METADATA}cat/99.png,train,\n")
    with pytest.raises(DataError, match=r"metadata.csv, line 2: no image 'cat/99.png'"):
        run(params, layout)
    assert not layout.rejected.exists()


def test_the_committed_corrections_have_their_header():
    assert Layout(REPOSITORY).corrections.read_text().startswith(CORRECTIONS)
