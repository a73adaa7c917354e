"""Several sources joined into one archive."""

import itertools
from zlib import crc32

import pytest

from pipeline.core.archive import RawArchive, marked_path
from pipeline.core.errors import DataError, ParamsError
from pipeline.sources.collect import collect
from pipeline.sources.locations import is_synthetic, locate_all


@pytest.fixture
def joined(make_zip, make_tar, make_folder, tmp_path, target):
    """Join a zip, a tar and a folder; return {member: (source, content)}."""
    make_zip([("pets/cat/1.jpg", b"zip"), ("pets/dog/1.jpg", b"zip dog")], "pets.zip")
    make_tar([("cat/1.jpg", b"tar"), ("cat/1.jpg", b"tar again")], "cats.tar")
    make_folder([("dog/1.jpg", b"folder"), ("fox/1.jpg", b"fox")], "mine")

    def run(order=("pets.zip", "cats.tar", "mine"), sha256=None):
        collect(order, target, sha256=sha256, root=tmp_path)
        with RawArchive(target) as archive:
            return {m.path: (m.source, archive.read(m.path)) for m in archive.members}

    return run


def named(label: str, identity: str) -> str:
    return marked_path(f"{label}/1", ".jpg", identity)


def test_every_file_says_which_source_it_came_from(joined):
    assert joined() == {
        # The two of one name in one archive are told apart by their content.
        named("cat", f"cats.tar//cat/1.jpg {crc32(b'tar'):08x}"): ("cats.tar//cat/1.jpg", b"tar"),
        named("cat", f"cats.tar//cat/1.jpg {crc32(b'tar again'):08x}"): (
            "cats.tar//cat/1.jpg",
            b"tar again",
        ),
        named("cat", "pets.zip//pets/cat/1.jpg"): ("pets.zip//pets/cat/1.jpg", b"zip"),
        named("dog", "mine//dog/1.jpg"): ("mine//dog/1.jpg", b"folder"),
        named("dog", "pets.zip//pets/dog/1.jpg"): ("pets.zip//pets/dog/1.jpg", b"zip dog"),
        "fox/1.jpg": ("mine//fox/1.jpg", b"fox"),
    }


def test_the_order_of_the_list_changes_no_byte(joined, target):
    seen = set()
    for order in itertools.permutations(["pets.zip", "cats.tar", "mine"]):
        joined(order)
        seen.add(target.read_bytes())
    assert len(seen) == 1


def test_each_source_is_compared_with_its_own_checksum(joined):
    wrong = "0" * 64
    with pytest.raises(DataError, match=rf"cats\.tar: sha256 is \w+, expected {wrong}"):
        joined(sha256=[None, wrong, None])


@pytest.mark.usefixtures("untouched")
def test_one_class_in_all_of_them_is_refused(make_zip, tmp_path, target):
    names = [make_zip([("cat/1.jpg", b"1")], name).name for name in ("a.zip", "b.zip")]
    with pytest.raises(DataError, match=r"data\.source: only one class, cat, in all of them"):
        collect(names, target, sha256=None, root=tmp_path)


@pytest.mark.usefixtures("untouched")
def test_one_without_any_class_is_named(make_zip, tmp_path, target):
    names = [make_zip([("cat/1.jpg", b"1")], "a.zip").name, make_zip([("1", b"1")], "b.zip").name]
    with pytest.raises(DataError, match=r"b\.zip: no class found"):
        collect(names, target, sha256=None, root=tmp_path)


def test_a_url_is_named_without_its_password_and_query(tmp_path):
    (source,) = locate_all(["https://joe:secret@example.org/a.zip?t=secret"], None, root=tmp_path)
    assert source.short_name == source.name == "https://example.org/a.zip"
    (source,) = locate_all("dogscats", None, root=tmp_path)
    assert source.short_name == "dogscats"


def test_drawn_images_are_not_joined_with_others():
    assert is_synthetic(["synthetic"])
    assert not is_synthetic(["a", "b"])
    with pytest.raises(ParamsError, match=r"data\.source: synthetic cannot be joined"):
        is_synthetic(["a", "synthetic"])
