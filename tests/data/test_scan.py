"""Every image of the archive is judged, and none disappears."""

import hashlib
import random
import zipfile

import pytest

from pipeline.core.archive import RawArchive
from pipeline.core.errors import ArtifactError
from pipeline.data.scan import REASONS, Scanned, scan_archive


def test_every_dirty_file_gets_its_verdict(make_archive, dirty):
    path, members = make_archive({f"cat/{name}": content for name, content in dirty.items()})
    usable, rejected = scan_archive(path, members, workers=1)
    assert {row.path: row.reason for row in rejected} == {
        "cat/dot.png": "bad_size",
        "cat/empty.jpg": "empty",
        "cat/page.jpg": "not_an_image",
        "cat/strip.png": "bad_size",
        "cat/text.txt": "not_an_image",
        "cat/truncated.jpg": "truncated",
        "cat/vector.svg": "not_an_image",
    }
    sizes = {image.path: (image.width, image.height) for image in usable}
    assert sizes == {
        "cat/animation.gif": (40, 30),
        "cat/cmyk.jpg": (40, 30),
        "cat/gray.jpg": (40, 30),
        "cat/palette.png": (40, 30),
        "cat/rgba.png": (40, 30),
        "cat/rotated.jpg": (30, 40),  # stored lying on its side
        "cat/sixteen_bit.png": (40, 30),
    }
    assert {row.reason for row in rejected} <= set(REASONS)
    assert all(row.detail and "\n" not in row.detail for row in rejected)
    assert len(usable) + len(rejected) == len(members)


def test_an_image_is_described_by_its_bytes_and_names(make_archive, picture):
    path, members = make_archive({"cat/a.jpg": picture(1)})
    (found,), rejected = scan_archive(path, members, workers=1)
    assert rejected == []
    assert found == Scanned(
        path="cat/a.jpg",
        source="mine/cat/a.jpg",
        label="cat",
        sha256=hashlib.sha256(picture(1)).hexdigest(),
        width=40,
        height=30,
        brightness=found.brightness,
        sharpness=found.sharpness,
    )


def test_neither_workers_nor_member_order_change_what_is_found(make_archive, picture, tmp_path):
    contents = {f"cat/{k:03d}.jpg": picture(k) for k in range(430)}
    contents |= {f"dog/{k}.jpg": b"junk" for k in range(3)}
    path, members = make_archive(contents)
    shuffled_path = tmp_path / "shuffled.zip"
    order = sorted(members, key=lambda member: random.Random(member.path).random())
    with zipfile.ZipFile(shuffled_path, "w") as file:
        for member in order:
            info = zipfile.ZipInfo(member.path)
            info.comment = member.source.encode()
            file.writestr(info, contents[member.path])
    with RawArchive(shuffled_path) as archive:
        shuffled = archive.members
    assert shuffled != members
    found = scan_archive(path, members, workers=1)
    counted: list[int] = []
    again = scan_archive(shuffled_path, shuffled, workers=2, on_progress=counted.append)
    assert found == again
    assert sum(counted) == 433
    assert [image.path for image in found[0]] == sorted(image.path for image in found[0])


def test_a_missing_archive_names_the_stage_that_makes_it(tmp_path):
    with pytest.raises(ArtifactError, match=r"raw.zip: not found; run: dvc repro download"):
        scan_archive(tmp_path / "raw.zip", [], workers=1)
