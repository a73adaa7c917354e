"""Archives: every kind that is read, every kind that is refused, nothing ever extracted."""

import gzip
import io
import random
import stat
import struct
import tarfile
import tracemalloc
import zipfile

import pytest

from pipeline.core.errors import DataError
from pipeline.sources.collect import collect
from pipeline.sources.limits import ArchiveLimits

PETS = [("cat/1.jpg", b"meow" * 50), ("cat/2.jpg", b"purr"), ("dog/1.jpg", b"woof" * 50)]
CONTENTS = {name: (name, content) for name, content in PETS}


def header(name, **fields):
    info = tarfile.TarInfo(name)
    for field, value in fields.items():
        setattr(info, field, value)
    return info


def test_members_are_the_same_whatever_the_container(
    make_zip, make_tar, make_folder, gather, target
):
    seen = set()
    sources = [make_zip(PETS, f"{m}.zip", m) for m in (0, 8, 12, 14)]
    sources += [make_tar(PETS, f"{m}.bin", f"w:{m}") for m in ("", "gz", "bz2", "xz")]
    for source in [*sources, make_folder(PETS)]:
        assert gather(source) == CONTENTS
        seen.add(target.read_bytes())
    assert len(seen) == 1


@pytest.mark.parametrize("kind", ["make_zip", "make_tar", "make_folder"])
def test_the_order_of_members_changes_no_byte(kind, request, gather, target):
    # Equal names too: only their content tells them apart.
    files = [(f"{c}/{i}.jpg", b"%d" % i) for c in ("cat", "dog", "Dog") for i in range(9)]
    if kind != "make_folder":
        files += [("cat/0.jpg", b"again"), ("cat/0.jpg", b"and again")]
    seen = set()
    for seed in range(3):
        random.Random(seed).shuffle(files)
        source = request.getfixturevalue(kind)(files, f"source{seed}")
        assert len(gather(source)) == len(files)
        seen.add(target.read_bytes())
    assert len(seen) == 1


def test_what_a_file_is_is_told_by_its_content_not_its_name(make_zip, make_tar, gather):
    assert gather(make_zip(PETS, "pets.tar.gz")) == CONTENTS
    assert gather(make_tar(PETS, "pets.zip")) == CONTENTS


def test_a_zip_behind_a_program_is_read(make_zip, tmp_path, gather):
    path = tmp_path / "setup.exe"
    path.write_bytes(b"MZ" + bytes(3000) + make_zip(PETS).read_bytes())
    assert gather(path) == CONTENTS


HOSTILE_NAMES = [
    ("../../cat/1.jpg", b"up"),
    ("/cat/2.jpg", b"absolute"),
    ("cat/../../../cat/3.jpg", b"around"),
    ("cat/a\nb.jpg", b"newline"),
    ("./dog/../dog/1.jpg", b"dog"),
]


@pytest.mark.parametrize("kind", ["make_zip", "make_tar"])
def test_names_that_lead_outside_become_safe_and_leave_nothing_there(
    kind, request, gather, tmp_path
):
    source = request.getfixturevalue(kind)(HOSTILE_NAMES)
    members = gather(source)
    for path, (_, content) in members.items():
        assert ".." not in path
        assert content in dict(HOSTILE_NAMES).values()
        assert path.count("/") == 1
    assert len(members) == len(HOSTILE_NAMES)
    assert {p.name for p in tmp_path.rglob("*")} == {source.name, "repository", "data", "raw.zip"}


def test_backslashes_of_old_windows_programs_are_folders(make_zip, gather):
    assert list(gather(make_zip([("cat\\1.jpg", b"1"), ("dog\\1.jpg", b"2")]))) == [
        "cat/1.jpg",
        "dog/1.jpg",
    ]


def test_utf8_names_without_the_flag_are_read_as_utf8(make_zip, gather):
    path = make_zip([("cat/1.jpg", b"1"), ("hx/1.jpg", b"2")])
    path.write_bytes(path.read_bytes().replace(b"hx", "é".encode()))  # the flag stays unset
    assert list(gather(path)) == ["cat/1.jpg", "é/1.jpg"]


def test_names_that_are_not_utf8_stay_readable_as_the_source(make_tar, gather):
    members = gather(make_tar([*PETS, (b"dog/\xff.jpg".decode("utf-8", "surrogateescape"), b"x")]))
    assert members["dog/_.jpg"] == ("dog/\\xff.jpg", b"x")


def test_links_and_devices_of_a_tar_are_skipped(make_tar, gather, caplog):
    caplog.set_level("INFO")
    odd = [
        header("cat/link.jpg", type=tarfile.SYMTYPE, linkname="/etc/passwd"),
        header("cat/hard.jpg", type=tarfile.LNKTYPE, linkname="cat/1.jpg"),
        header("cat/null", type=tarfile.CHRTYPE),
        header("cat/pipe", type=tarfile.FIFOTYPE),
    ]
    assert gather(make_tar([*PETS, *odd])) == CONTENTS
    assert "left out: 2 links, 2 special files" in caplog.text


def test_links_and_devices_of_a_zip_are_skipped(tmp_path, gather, caplog):
    caplog.set_level("INFO")
    path = tmp_path / "links.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in PETS:
            archive.writestr(name, content)
        for name, mode in (("cat/link.jpg", stat.S_IFLNK), ("cat/null", stat.S_IFCHR)):
            info = zipfile.ZipInfo(name)
            info.external_attr = (mode | 0o6777) << 16
            archive.writestr(info, b"/etc/passwd")
    assert gather(path) == CONTENTS
    assert "left out: 1 links, 1 special files" in caplog.text


def test_an_empty_file_is_a_member_too(make_tar, make_zip, gather):
    files = [*PETS, ("dog/0.jpg", b""), ("dog/00.jpg", b"")]
    for make in (make_tar, make_zip):
        members = gather(make(files, str(make)))
        assert members["dog/0.jpg"][1] == members["dog/00.jpg"][1] == b""
        assert members["dog/1.jpg"][1] == b"woof" * 50


def test_a_sparse_tar_member_is_read_with_its_holes(gather, tmp_path):
    # GNU format: 3 bytes of data at offset 5 of a file of 8.
    info = header("cat/s.jpg", type=tarfile.GNUTYPE_SPARSE, size=3)
    block = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    block[386:410], block[483:495] = b"00000000005\x0000000000003\x00", b"00000000010\x00"
    block[148:156] = b"        "
    block[148:156] = b"%06o\0 " % sum(block)
    path = tmp_path / "sparse.tar"
    with tarfile.open(path, "w") as archive:
        for name, content in PETS:
            info = header(name, size=len(content))
            archive.addfile(info, io.BytesIO(content))
    path.write_bytes(
        path.read_bytes()[: 512 * 6] + bytes(block) + b"abc".ljust(512, b"\0") + bytes(1024)
    )
    assert gather(path)["cat/s.jpg"][1] == b"\0\0\0\0\0abc"


def refused(gather, path):
    with pytest.raises(DataError) as caught:
        gather(path)
    message = str(caught.value)
    assert path.name in message
    assert "\n" not in message
    return message


def written(tmp_path, content):
    path = tmp_path / "odd.zip"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"\n<!DOCTYPE html><html>Please log in</html>", "a web page"),
        (b"Hello, I am a text.", "not an archive that can be read but something else"),
        (b"7z\xbc\xaf\x27\x1c" + bytes(100), "a 7z archive"),
        (b"Rar!\x1a\x07\x01\x00" + bytes(100), "a RAR archive"),
        (b"\xff\xd8\xff\xe0" + bytes(100), "an image"),
        (bytes(10240), "holds no files"),
        (b"PK\x05\x06" + bytes(18), "holds no files"),
        (gzip.compress(b"not a tar at all" * 100, mtime=0), "damaged tar header"),
        (gzip.compress(b"", mtime=0), "cut off"),
        (b"\x1f\x8b\x08\x00garbage and more garbage", "cannot be read"),
        (b"BZh9 garbage and more garbage", "cannot be read"),
        (b"\xfd7zXZ\x00 garbage and more garbage", "cannot be read"),
        (b"PK\x03\x04 garbage and more garbage", "cannot be read"),
    ],
)
@pytest.mark.usefixtures("untouched")
def test_a_file_that_is_no_usable_archive_is_refused(content, message, tmp_path, gather):
    assert message in refused(gather, written(tmp_path, content))


NOISE = random.Random(0).randbytes(3000)


@pytest.mark.parametrize("mode", ["w:", "w:gz", "w:bz2", "w:xz"])
@pytest.mark.usefixtures("untouched")
def test_a_tar_cut_anywhere_is_refused(mode, make_tar, gather):
    path = make_tar([("cat/1.jpg", NOISE), ("dog/1.jpg", NOISE)], mode=mode)
    whole = path.read_bytes()
    for share in (0.1, 0.3, 0.5, 0.7):
        path.write_bytes(whole[: int(len(whole) * share)])
        refused(gather, path)


@pytest.mark.usefixtures("untouched")
def test_a_tar_cut_between_two_members_is_refused(make_tar, gather):
    path = make_tar(PETS)
    path.write_bytes(path.read_bytes()[:2048])  # two members of one header and one block each
    assert "the end marker is missing" in refused(gather, path)


@pytest.mark.usefixtures("untouched")
def test_a_zip_cut_anywhere_is_refused(make_zip, gather):
    path = make_zip([("cat/1.jpg", NOISE), ("dog/1.jpg", NOISE)])
    whole = path.read_bytes()
    for share in (0.1, 0.5, 0.9, 0.99):
        path.write_bytes(whole[: int(len(whole) * share)])
        refused(gather, path)


@pytest.mark.usefixtures("untouched")
def test_a_bad_checksum_of_a_zip_member_is_noticed(make_zip, gather):
    path = make_zip(PETS, method=zipfile.ZIP_STORED)
    path.write_bytes(path.read_bytes().replace(b"purr", b"hiss"))
    assert "Bad CRC-32" in refused(gather, path)


@pytest.mark.usefixtures("untouched")
def test_a_bad_checksum_at_the_end_of_gzip_is_noticed(make_tar, gather):
    path = make_tar(PETS, mode="w:gz")
    content = bytearray(path.read_bytes())
    content[-8] ^= 1  # the CRC is the last but four bytes
    path.write_bytes(content)
    assert "incorrect data check" in refused(gather, path)


@pytest.mark.usefixtures("untouched")
def test_a_damaged_header_in_the_middle_of_a_tar_is_noticed(make_tar, gather):
    path = make_tar(PETS)
    path.write_bytes(path.read_bytes().replace(b"cat/2.jpg", b"cat/3.jpg"))
    assert "damaged tar header (bad checksum)" in refused(gather, path)


@pytest.mark.usefixtures("untouched")
def test_an_encrypted_zip_is_refused(make_zip, gather):
    path = make_zip(PETS)
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)
    assert "encrypted with a password" in refused(gather, path)


@pytest.mark.usefixtures("untouched")
def test_an_unknown_compression_is_refused(make_zip, gather):
    path = make_zip(PETS)
    content = bytearray(path.read_bytes())
    central = content.index(b"PK\x01\x02")
    content[8:10] = content[central + 10 : central + 12] = struct.pack("<H", 97)
    path.write_bytes(content)
    assert "compression" in refused(gather, path)


def test_a_member_without_a_name_has_no_class(make_zip, gather, caplog):
    caplog.set_level("INFO")
    path = make_zip([*PETS, ("q", b"nameless")])
    content = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 26), (b"PK\x01\x02", 28)):
        at = content.rindex(signature) + offset
        content[at : at + 4] = struct.pack("<HH", 0, 1)  # the name becomes an extra field
    path.write_bytes(content)
    assert gather(path) == CONTENTS
    assert "left out: 1 files without a class" in caplog.text


@pytest.mark.parametrize("size", [-1, -512, -(2**40)])
@pytest.mark.usefixtures("untouched")
def test_a_negative_tar_size_neither_hangs_nor_passes(size, make_tar, gather, tmp_path):
    block = bytearray(header("cat/x.jpg").tobuf(tarfile.GNU_FORMAT))
    block[124:136] = (256**12 + size).to_bytes(13, "big")[1:]  # base 256, two's complement
    block[148:156] = b"        "
    block[148:156] = b"%06o\0 " % sum(block)
    path = make_tar(PETS)
    path.write_bytes(path.read_bytes()[:2048] + bytes(block) + bytes(1024))
    assert "negative size" in refused(gather, path)


@pytest.mark.parametrize("size", ["-1", "-1000000"])
@pytest.mark.usefixtures("untouched")
def test_an_odd_size_in_a_pax_record_is_refused(size, tmp_path, gather):
    path = tmp_path / "pax.tar"
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
        for name, content in PETS:
            archive.addfile(header(name, size=len(content)), io.BytesIO(content))
        archive.addfile(header("cat/x.jpg", pax_headers={"size": size}))
    refused(gather, path)


@pytest.mark.usefixtures("untouched")
def test_a_sparse_map_that_never_comes_does_not_hang(tmp_path, gather):
    path = tmp_path / "sparse.tar"
    records = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "9"}
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
        archive.addfile(header("cat/x.jpg", size=512, pax_headers=records), io.BytesIO(b"9" * 512))
    path.write_bytes(path.read_bytes()[: 512 * 4])
    refused(gather, path)


@pytest.mark.usefixtures("untouched")
def test_a_tar_that_claims_a_terabyte_is_refused(make_tar, gather):
    path = make_tar(PETS)
    huge = header("cat/huge.jpg", size=2**40).tobuf(tarfile.GNU_FORMAT)
    path.write_bytes(path.read_bytes()[:2048] + huge + bytes(1024))
    assert "holds more than 52428800 bytes" in refused(gather, path)


@pytest.mark.usefixtures("untouched")
def test_a_long_name_record_of_any_size_is_not_held_in_memory(tmp_path, gather):
    path = tmp_path / "long.tar.gz"
    block = header("././@LongLink", type=tarfile.GNUTYPE_LONGNAME, size=2**33)
    path.write_bytes(gzip.compress(block.tobuf(tarfile.GNU_FORMAT) + bytes(2**20)))
    assert "record of 8589934592 bytes" in refused(gather, path)


def bomb(tmp_path, kind):
    """Write 40 MiB of zeros as one member, well packed."""
    path, zeros = tmp_path / "bomb", bytes(40 * 2**20)
    if kind in ("gz", "bz2", "xz"):
        with tarfile.open(path, f"w:{kind}") as archive:
            archive.addfile(header("cat/1.jpg", size=len(zeros)), io.BytesIO(zeros))
        return path
    with zipfile.ZipFile(path, "w", int(kind)) as archive:
        archive.writestr("cat/1.jpg", zeros)
        archive.writestr("dog/1.jpg", b"dog")
    if kind == "8":  # let the headers claim 1,000 bytes
        size, lie = struct.pack("<L", len(zeros)), struct.pack("<L", 1000)
        path.write_bytes(path.read_bytes().replace(size, lie))
    return path


@pytest.mark.parametrize("kind", ["8", "12", "14", "gz", "bz2", "xz"])
@pytest.mark.usefixtures("untouched")
def test_a_bomb_is_refused_in_little_memory(kind, tmp_path, gather):
    path = bomb(tmp_path, kind)
    tracemalloc.start()
    try:
        message = refused(gather, path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 40e6
    if kind != "8":  # that one is caught by its checksum, after the 1,000 bytes
        assert "unpacks to more than 200 times" in message


def test_overlapping_members_count_as_often_as_they_are_read(make_zip, gather, tmp_path):
    path = make_zip([("cat/1.jpg", bytes(9_000_000)), ("dog/1.jpg", b"dog")])
    content = path.read_bytes()
    at = content.index(b"PK\x01\x02")
    entry = content[at : content.index(b"PK\x01\x02", at + 4)]
    end = content.index(b"PK\x05\x06")
    more = content[:at] + entry * 200 + content[at + len(entry) : end]
    tail = bytearray(content[end:])
    tail[8:12] = struct.pack("<HH", 201, 201)
    tail[12:16] = struct.pack("<L", len(more) - at)
    path.write_bytes(more + tail)
    assert "as only a bomb does" in refused(gather, path)


LIMITED = [
    (ArchiveLimits(members=2), "more than 2 entries"),
    (ArchiveLimits(member_bytes=100), "holds more than 100 bytes"),
    (
        ArchiveLimits(total_bytes=300),
        "more than 300 bytes; if it is meant, raise data.max_total_bytes",
    ),
    (ArchiveLimits(name_chars=8), "a name of more than 8 characters"),
    (ArchiveLimits(depth=0), "more than 0 folders deep"),
]


@pytest.mark.parametrize(
    ("kind", "limits", "message"),
    [
        (kind, limits, message)
        for kind in ("make_zip", "make_tar", "make_folder")
        for limits, message in LIMITED
        if (kind, limits.member_bytes) != ("make_folder", 100)  # skipped there: test_folders
    ],
)
@pytest.mark.usefixtures("untouched")
def test_each_limit_is_enforced(limits, message, kind, request, target, tmp_path):
    source = request.getfixturevalue(kind)(PETS)
    with pytest.raises(DataError) as caught:
        collect(str(source), target, sha256=None, root=tmp_path, limits=limits)
    assert message in str(caught.value)


def test_two_thousand_folders_inside_each_other_are_refused(make_zip, make_tar, gather):
    deep = "a/" * 500 + "1.jpg"
    for make in (make_zip, make_tar):
        assert "folders deep" in refused(gather, make([*PETS, (deep, b"1")], str(make)))
        assert "a name of" in refused(gather, make([*PETS, (deep * 4, b"1")], str(make)))
