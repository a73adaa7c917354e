"""Hostile and odd archives, and what each must come to.

A case writes one file. Its verdict is the members that must come out of it, as {path: content}, or
the words with which it must be refused.
"""

import bz2
import gzip
import io
import lzma
import random
import stat
import struct
import tarfile
import unicodedata
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from pipeline.core.archive import marked_path

PETS = {"cat/1.jpg": b"meow" * 50, "cat/2.jpg": b"purr", "dog/1.jpg": b"woof" * 50}
NOISE = {f"{c}/{k}.jpg": random.Random(k).randbytes(4000) for c in ("cat", "dog") for k in (1, 2)}
MIB = 1 << 20


@dataclass(frozen=True)
class Case:
    """One archive."""

    name: str
    write: Callable[[Path], None]
    verdict: dict[str, bytes] | str


CASES: list[Case] = []


def case(verdict: dict[str, bytes] | str, **variants: object):
    """Register a function that returns the bytes of an archive, once for each variant."""

    def register(make: Callable[..., bytes]) -> Callable[..., bytes]:
        def add(name: str, *arguments: object) -> None:
            CASES.append(
                Case(name, lambda path: path.write_bytes(make(*arguments)) and None, verdict)
            )

        if variants:
            for suffix, argument in variants.items():
                add(f"{make.__name__}_{suffix}", argument)
        else:
            add(make.__name__)
        return make

    return register


# Zip archives ------------------------------------------------------------------------------------


def zipped(
    files: Iterable[tuple[str | zipfile.ZipInfo, bytes]],
    method: int = zipfile.ZIP_DEFLATED,
    comment: bytes = b"",
) -> bytes:
    buffer = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(buffer, "w", method) as archive:
        warnings.simplefilter("ignore")  # names are written twice on purpose
        for name, content in files:
            archive.writestr(name, content)
        archive.comment = comment
    return buffer.getvalue()


def info(name: str, mode: int = 0, **fields: object) -> zipfile.ZipInfo:
    made = zipfile.ZipInfo(name)
    made.external_attr = mode << 16
    made.create_system = 3
    for field, value in fields.items():
        setattr(made, field, value)
    return made


def pets_zip(**more: object) -> bytes:
    return zipped(PETS.items(), **more)


def entry(name: bytes, *, extra: bytes = b"", comment: bytes = b"", **fields: int) -> bytes:
    """Return an entry of the central directory; by default of an empty file at offset 0."""
    f = {"flags": 0, "method": 0, "crc": 0, "packed": 0, "size": 0, "offset": 0, **fields}
    lengths = len(name), len(extra), len(comment)
    return (
        struct.pack(
            "<4s4B4HL2L5H2L",
            *(b"PK\x01\x02", 20, 3, 20, 0, f["flags"], f["method"], 0, 33),
            *(f["crc"], f["packed"], f["size"], *lengths, 0, 0, 0, f["offset"]),
        )
        + name
        + extra
        + comment
    )


def local(name: bytes, content: bytes, *, method: int = 0, **fields: int) -> bytes:
    """Return a local header and its content."""
    f = {"crc": zlib.crc32(content), "size": len(content), **fields}
    head = (b"PK\x03\x04", 20, 0, method, 0, 33, f["crc"], len(content), f["size"], len(name), 0)
    return struct.pack("<4s5H3L2H", *head) + name + content


def end(directory: bytes, offset: int, *, count: int = 1, size: int | None = None) -> bytes:
    n_bytes = len(directory) if size is None else size
    count = min(count, 0xFFFF)
    return struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, count, count, n_bytes, offset, 0)


def patched(
    content: bytes, signature: bytes, offset: int, new: bytes, *, last: bool = False
) -> bytes:
    """Return `content` with bytes changed behind the first or last signature."""
    at = (content.rindex if last else content.index)(signature) + offset
    return content[:at] + new + content[at + len(new) :]


@case(PETS, stored=0, deflated=8, bzip2=12, lzma=14)
def zip_plain(method):
    return pets_zip(method=method)


@case(PETS)
def zip_64_bit():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in PETS.items():
            with archive.open(zipfile.ZipInfo(name), "w", force_zip64=True) as file:
                file.write(content)
    return buffer.getvalue()


@case(PETS)
def zip_with_data_descriptors():
    class Pipe(io.RawIOBase):
        def __init__(self):
            self.chunks = []

        def writable(self):
            return True

        def write(self, chunk):
            self.chunks.append(bytes(chunk))
            return len(chunk)

    pipe = Pipe()  # cannot seek, so that sizes and checksums follow the content
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in PETS.items():
            archive.writestr(name, content)
    return b"".join(pipe.chunks)


@case(PETS)
def zip_behind_a_program():
    return b"MZ" + bytes(3000) + pets_zip()


@case(PETS)
def zip_with_garbage_behind():
    return pets_zip() + b"garbage" * 1000


@case(PETS)
def zip_with_the_longest_comment():
    return pets_zip(comment=b"c" * 65535)


@case(PETS)
def zip_without_utf8_flag_nor_dates():
    return patched(pets_zip(), b"PK\x01\x02", 12, bytes(4))


@case({**PETS, "cat/3.jpg": b"up", "dog/4.jpg": b"around"})
def zip_traversal():
    return zipped(
        [*PETS.items(), ("../../../cat/3.jpg", b"up"), ("dog/../../dog/4.jpg", b"around")]
    )


@case({**PETS, "cat/3.jpg": b"root"})
def zip_absolute():
    return zipped([*PETS.items(), ("/cat/3.jpg", b"root")])


@case({"cat/1.jpg": b"1", "dog/1.jpg": b"2"})
def zip_drive_letter():
    return zipped([("C:\\pets\\cat\\1.jpg", b"1"), ("C:\\pets\\dog\\1.jpg", b"2")])


@case({"cat/1.jpg": b"1", "dog/1.jpg": b"2"})
def zip_backslashes_that_lead_up():
    return zipped([("..\\..\\cat\\1.jpg", b"1"), ("dog\\1.jpg", b"2")])


@case(PETS)
def zip_symlinks():
    link, folder = stat.S_IFLNK | 0o777, info("out", stat.S_IFLNK | 0o777)
    return zipped([*PETS.items(), (info("cat/p.jpg", link), b"/etc/passwd"), (folder, b"/tmp")])


@case({**PETS, "cat/3.jpg": b"through"})
def zip_symlink_and_a_file_through_it():
    return zipped([*PETS.items(), (info("cat", stat.S_IFLNK), b"/tmp"), ("cat/3.jpg", b"through")])


@case(PETS)
def zip_devices():
    kinds = enumerate((stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO, stat.S_IFSOCK))
    return zipped([*PETS.items(), *((info(f"cat/d{k}", kind), b"") for k, kind in kinds)])


@case({**PETS, "cat/s.jpg": b"setuid"})
def zip_setuid():
    return zipped([*PETS.items(), (info("cat/s.jpg", stat.S_IFREG | 0o6777), b"setuid")])


@case(PETS)
def zip_empty_name():
    content = local(b"", b"nameless")
    whole, entries = content, [entry(b"", crc=zlib.crc32(b"nameless"), packed=8, size=8)]
    for name, one in PETS.items():
        entries.append(
            entry(
                name.encode(),
                crc=zlib.crc32(one),
                packed=len(one),
                size=len(one),
                offset=len(whole),
            )
        )
        whole += local(name.encode(), one)
    directory = b"".join(entries)
    return whole + directory + end(directory, len(whole), count=4)


@case({**PETS, f"cat/{'n' * 120}.jpg": b"long"})
def zip_name_of_300_bytes():
    return zipped([*PETS.items(), (f"cat/{'n' * 292}.jpg", b"long")])


@case("a name of more than 1024 characters")
def zip_name_of_65_000_bytes():
    return zipped([*PETS.items(), (f"cat/{'n' * 65_000}", b"long")])


@case("a name of more than 1024 characters", zip="zip")
def levels_2000(_):
    return zipped([*PETS.items(), ("d/" * 2000 + "1.jpg", b"deep")])


@case("lies more than 20 folders deep")
def zip_levels_400():
    return zipped([*PETS.items(), ("d/" * 400 + "1.jpg", b"deep")])


def marked(name: str, source: str | None = None, *, content: bytes | None = None) -> str:
    """Return the path of a file whose name others have; of one source, the content counts too."""
    identity = f"{source or name}" + (f" {zlib.crc32(content):08x}" if content else "")
    return marked_path(name.removesuffix(".jpg"), ".jpg", identity)


def repeated(*contents: bytes) -> dict[str, bytes]:
    """Return what becomes of files that an archive holds under one name."""
    return {marked("cat/1.jpg", content=content): content for content in contents}


@case({**repeated(b"one", b"two", b"three"), "dog/1.jpg": b"dog"})
def zip_duplicate_names():
    files = [("cat/1.jpg", word) for word in (b"one", b"two", b"three")]
    return zipped([*files, ("dog/1.jpg", b"dog")])


@case(
    {
        marked("cat/A.jpg"): b"1",
        marked("cat/a.jpg"): b"2",
        marked("Cat/a.jpg"): b"3",
        "dog/1.jpg": b"4",
    }
)
def zip_names_that_differ_in_case():
    names = ("cat/A.jpg", "cat/a.jpg", "Cat/a.jpg", "dog/1.jpg")
    return zipped((name, b"%d" % k) for k, name in enumerate(names, 1))


COMPOSED, DECOMPOSED = "caf\u00e9", unicodedata.normalize("NFD", "caf\u00e9")
BOTH_FORMS = [(f"{COMPOSED}/1.jpg", b"C"), (f"{DECOMPOSED}/1.jpg", b"D"), ("dog/1.jpg", b"dog")]
ONE_FORM = {
    marked(f"{COMPOSED}/1.jpg"): b"C",
    marked(f"{COMPOSED}/1.jpg", f"{DECOMPOSED}/1.jpg"): b"D",
    "dog/1.jpg": b"dog",
}


@case(ONE_FORM)
def zip_nfc_and_nfd():
    return zipped(BOTH_FORMS)


@case({**PETS, "cat/Θ.jpg": b"latin"})
def zip_name_that_is_not_utf8():
    return zipped([*PETS.items(), ("cat/~.jpg", b"latin")]).replace(b"cat/~", b"cat/\xe9")


ODD_NAMES = {
    "cat/new\nline.jpg": "cat/new_line.jpg",
    'cat/"quote,comma".jpg': 'cat/"quote,comma".jpg',
    "cat/=cmd|' C calc'!A0.jpg": "cat/=cmd|' C calc'!A0.jpg",
    "cat/\x1b[2J\x07.jpg": "cat/_[2J_.jpg",
    "cat/\u202egpj.exe": "cat/_gpj.exe",
    "cat/ .jpg": "cat/ .jpg",
    "cat/nul\x85.jpg": "cat/nul_.jpg",
}
ODD_FILES = [(name, b"%d" % k) for k, name in enumerate(ODD_NAMES)]
ODD_MEMBERS = {**PETS, **{safe: b"%d" % k for k, safe in enumerate(ODD_NAMES.values())}}


@case(ODD_MEMBERS)
def zip_names_with_control_characters_and_formulas():
    return zipped([*PETS.items(), *ODD_FILES])


@case({"cat/1.jpg": b"in", "dog/1.jpg": b"dog"})
def zip_file_and_folder_of_one_name():
    return zipped([("cat", b"file"), ("cat/", b""), ("cat/1.jpg", b"in"), ("dog/1.jpg", b"dog")])


@case("cannot be read", at_10_percent=0.1, at_50_percent=0.5, at_99_percent=0.99)
def zip_cut(share):
    whole = zipped(NOISE.items())
    return whole[: int(len(whole) * share)]


@case("Bad CRC-32")
def zip_bad_crc():
    return pets_zip(method=0).replace(b"purr", b"hiss")


@case("cannot be read")
def zip_damaged_deflate_stream():
    whole = zipped(NOISE.items())
    return whole[:2000] + bytes(1000) + whole[3000:]


@case("cannot be read")
def zip_two_names_for_one_file():
    return patched(pets_zip(), b"PK\x03\x04", 30, b"dog/7.jpg")


@case("cannot be read")
def zip_member_outside_the_file():
    return patched(pets_zip(), b"PK\x01\x02", 42, struct.pack("<L", 10**8))


@case("encrypted with a password", zipcrypto=8, aes=99)
def zip_encrypted(method):
    content = patched(pets_zip(), b"PK\x01\x02", 8, b"\x01")
    return patched(content, b"PK\x01\x02", 10, struct.pack("<H", method))


@case("compression", ppmd=98, method_97=97, deflate64=9, zstd=93)
def zip_unknown_method(method):
    content = patched(pets_zip(), b"PK\x01\x02", 10, struct.pack("<H", method))
    return patched(content, b"PK\x03\x04", 8, struct.pack("<H", method))


@case("as only a bomb does", deflated=8, bzip2=12, lzma=14)
def zip_bomb(method):
    return zipped([("cat/1.jpg", bytes(40 * MIB)), ("dog/1.jpg", b"dog")], method)


@case("holds more than 52428800 bytes")
def zip_bomb_of_one_gigabyte():
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    content = b"".join(packer.compress(bytes(16 * MIB)) for _ in range(64)) + packer.flush()
    crc = 0
    for _ in range(64):
        crc = zlib.crc32(bytes(16 * MIB), crc)
    head = local(b"cat/1.jpg", content, method=8, crc=crc, size=2**30)
    one = entry(b"cat/1.jpg", method=8, crc=crc, packed=len(content), size=2**30)
    return head + one + end(one, len(head))


@case("cannot be read")
def zip_bomb_that_claims_1000_bytes():
    whole = zipped([("cat/1.jpg", bytes(40 * MIB)), ("dog/1.jpg", b"dog")])
    return whole.replace(struct.pack("<L", 40 * MIB), struct.pack("<L", 1000))


@case("as only a bomb does")
def zip_bomb_of_overlapping_members():
    """One kernel in a thousand entries, as in Fifield 2019, A better zip bomb, figure 2."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    content = packer.compress(bytes(20 * MIB)) + packer.flush()
    crc = zlib.crc32(bytes(20 * MIB))
    name = b"cat/1.jpg"
    head = local(name, content, method=8, crc=crc, size=20 * MIB)
    fields = {"method": 8, "crc": crc, "packed": len(content), "size": 20 * MIB}
    directory = entry(name, **fields) * 1000
    return head + directory + end(directory, len(head), count=1000)


@case("holds more than 52428800 bytes")
def zip_claims_1_tb():
    extra = struct.pack("<HHQQ", 1, 16, 10**12, 10**12)
    one = entry(b"cat/1.jpg", extra=extra, packed=0xFFFFFFFF, size=0xFFFFFFFF)
    head = local(b"cat/1.jpg", b"")
    return head + one + end(one, len(head))


@case("unpack that and give the result", zip="zip", tar="tar.gz")
def nested_only(suffix):
    return zipped([(f"pets/inner.{suffix}", pets_zip())])


@case("unpack that and give the result")
def zip_nested_five_times():
    content = pets_zip()
    for level in range(5):
        content = zipped([(f"{level}.zip", content)])
    return content


def many_empty(count: int, claimed: int) -> bytes:
    head = local(b"x", b"")
    directory = b"".join(entry(b"cat/%07d" % k) for k in range(count))
    return head + directory + end(directory, len(head), count=claimed)


@case("more than 100000 entries", claimed=65535, hidden=1)
def zip_120_000_empty_members(claimed):
    return many_empty(120_000, claimed)


@case("more than 100000 entries, or their names and comments are too long")
def zip_comments_of_100_mb():
    head = local(b"x", b"")
    directory = entry(b"cat/1.jpg", comment=b"c" * 65535) * 1500
    return head + directory + end(directory, len(head), count=1500)


@case("an extra field of 65532 bytes")
def zip_extra_fields_of_45_mb():
    """Each is 16,383 empty fields, over which zipfile copies the rest each time."""
    head = local(b"x", b"")
    directory = entry(b"cat/1.jpg", extra=bytes(65532)) * 700
    return head + directory + end(directory, len(head), count=700)


@case("cannot be read")
def zip_directory_of_4_gb_claimed():
    whole = pets_zip()
    return patched(whole, b"PK\x05\x06", 12, struct.pack("<L", 0xFFFFFFF0))


@case("cannot be read")
def zip_directory_that_is_none():
    return patched(pets_zip(), b"PK\x01\x02", 0, b"XXXX")


@case("cannot be read")
def zip_last_of_several_disks():
    whole = pets_zip()
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 1, 0, 2)
    at = whole.index(b"PK\x05\x06")
    return whole[:at] + locator + patched(whole[at:], b"PK\x05\x06", 4, struct.pack("<2H", 1, 1))


@case("a part of a divided zip archive")
def zip_first_of_several_disks():
    return b"PK\x07\x08" + pets_zip()[:200]


@case("holds no files")
def zip_empty():
    return zipped([])


@case("class folder cat is empty")
def zip_of_folders_only():
    return zipped([("cat/", b""), ("dog/", b"")])


@case("only one class, cat (2 files)")
def zip_one_class():
    return zipped([("cat/1.jpg", b"1"), ("cat/2.jpg", b"2")])


@case("no class found")
def zip_no_class():
    return zipped([("1.jpg", b"1"), ("2.jpg", b"2")])


@case("class folder fox is empty")
def zip_empty_class_folder():
    return zipped([*PETS.items(), ("fox/", b"")])


# Files that are no archives ----------------------------------------------------------------------

NO_ARCHIVES = {
    "empty": (b"", "the file is empty"),
    "html": (b"<!DOCTYPE html><html>Please log in</html>", "a web page"),
    "jpeg": (b"\xff\xd8\xff\xe0" + bytes(600), "an image"),
    "png": (b"\x89PNG\r\n\x1a\n" + bytes(600), "an image"),
    "text": (b"Hello, I am a text.", "something else"),
    "rar": (b"Rar!\x1a\x07\x01\x00" + bytes(600), "a RAR archive"),
    "7z": (b"7z\xbc\xaf\x27\x1c" + bytes(600), "a 7z archive"),
    "zstd": (b"(\xb5/\xfd" + bytes(600), "a Zstandard archive"),
    "zip_magic_alone": (b"PK\x03\x04", "cannot be read"),
    "gzip_magic_alone": (b"\x1f\x8b", "cut off"),
    "noise": (random.Random(1).randbytes(2000), "something else"),
}
for _name, (_content, _words) in NO_ARCHIVES.items():
    case(_words, **{_name: _content})(lambda content: content)
    CASES[-1] = Case(f"no_archive_{_name}", CASES[-1].write, _words)


# Tar archives ------------------------------------------------------------------------------------


def header(name: str, **fields: object) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    for field, value in fields.items():
        setattr(made, field, value)
    return made


def tarred(
    members: Iterable[tarfile.TarInfo | tuple[str, bytes]],
    *,
    mode: str = "w",
    form: int = tarfile.GNU_FORMAT,
) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode, format=form) as archive:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                archive.addfile(member)
            else:
                archive.addfile(header(member[0], size=len(member[1])), io.BytesIO(member[1]))
    return buffer.getvalue()


def blocks(content: bytes) -> bytes:
    return content + bytes(-len(content) % 512)


def raw_header(name: str, size: int, kind: bytes = b"0", **patches: bytes) -> bytes:
    """Return a header block; patches are `at_OFFSET=bytes`."""
    block = bytearray(header(name, size=size, type=kind).tobuf(tarfile.GNU_FORMAT)[-512:])
    for place, new in patches.items():
        at = int(place.removeprefix("at_"))
        block[at : at + len(new)] = new
    block[148:156] = b"        "
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def pax(records: dict[str, str] | bytes, kind: bytes = b"x") -> bytes:
    """Return a PAX header block and its records."""
    if isinstance(records, dict):
        lines = []
        for key, value in records.items():
            rest = f" {key}={value}\n".encode()
            length = len(rest) + len(str(len(rest)))
            length += len(str(length)) - len(str(len(rest)))
            lines.append(str(length).encode() + rest)
        records = b"".join(lines)
    return raw_header("pax", len(records), kind) + blocks(records)


def members(files: Iterable[tuple[str, bytes]] = tuple(PETS.items())) -> bytes:
    return b"".join(raw_header(name, len(content)) + blocks(content) for name, content in files)


END = bytes(1024)


@case(PETS, plain="w:", gz="w:gz", bz2="w:bz2", xz="w:xz")
def tar(mode):
    return tarred(PETS.items(), mode=mode)


@case(PETS, ustar=tarfile.USTAR_FORMAT, pax=tarfile.PAX_FORMAT)
def tar_format(form):
    return tarred(PETS.items(), form=form)


@case(PETS)
def tar_of_unix_version_7():
    old = b"".join(
        raw_header(name, len(content), b"\0", at_257=bytes(255)) + blocks(content)
        for name, content in PETS.items()
    )
    return old + END


@case({**PETS, "cat/7.jpg": b"contiguous"})
def tar_unusual_types():
    return (
        members()
        + raw_header("cat/7.jpg", 10, b"7")
        + blocks(b"contiguous")
        + raw_header("cat/Z.jpg", 17, b"Z")
        + blocks(b"of a type to come")
        + END
    )


@case(PETS, gzip=gzip.compress, bzip2=bz2.compress, xz=lzma.compress)
def tar_in_several_streams(compress):
    whole = tarred(PETS.items())
    return b"".join(compress(whole[at : at + 700]) for at in range(0, len(whole), 700))


@case(PETS, gzip=gzip.compress, bzip2=bz2.compress, xz=lzma.compress, none=bytes)
def tar_with_garbage_behind(compress):
    return compress(tarred(PETS.items())) + b"garbage" * 100


@case(PETS)
def tar_with_one_end_block():
    return members() + bytes(512)


@case("the end marker is missing")
def tar_without_end():
    return members()


@case("cannot be read", gz="w:gz", bz2="w:bz2", xz="w:xz", plain="w:")
def tar_cut_in_the_middle(mode):
    whole = tarred(NOISE.items(), mode=mode)
    return whole[: len(whole) // 2]


@case("cannot be read", early=40, in_a_header=5500, in_a_block=700)
def tar_cut(at):
    return tarred(NOISE.items())[:at] if at != 40 else tarred(NOISE.items(), mode="w:gz")[:at]


@case("incorrect data check")
def tar_gz_bad_crc():
    whole = bytearray(tarred(PETS.items(), mode="w:gz"))
    whole[-8] ^= 1
    return bytes(whole)


@case("incorrect length check")
def tar_gz_bad_length():
    whole = bytearray(tarred(PETS.items(), mode="w:gz"))
    whole[-1] ^= 1
    return bytes(whole)


@case("cannot be read", bz2="w:bz2", xz="w:xz")
def tar_bad_check(mode):
    whole = bytearray(tarred(NOISE.items(), mode=mode))
    whole[len(whole) // 2] ^= 1
    return bytes(whole)


@case("damaged tar header (bad checksum)")
def tar_bad_header():
    return tarred(PETS.items()).replace(b"cat/2.jpg", b"cat/3.jpg")


@case({**PETS, "cat/3.jpg": b"up", "cat/4.jpg": b"root"})
def tar_traversal_and_absolute():
    return members([*PETS.items(), ("../../cat/3.jpg", b"up"), ("/cat/4.jpg", b"root")]) + END


@case(PETS)
def tar_links():
    links = [
        header("cat/a", type=tarfile.SYMTYPE, linkname="/etc/passwd"),
        header("cat/b", type=tarfile.SYMTYPE, linkname="1.jpg"),
        header("cat/c", type=tarfile.LNKTYPE, linkname="cat/1.jpg"),
        header("cat/d", type=tarfile.LNKTYPE, linkname="../../../etc/passwd"),
    ]
    return tarred([*PETS.items(), *links])


@case({**PETS, "out/9.jpg": b"not through"})
def tar_link_and_a_file_through_it():
    out = header("out", type=tarfile.SYMTYPE, linkname="../../..")
    return tarred([*PETS.items(), out, ("out/cat/9.jpg", b"not through")])


@case(PETS)
def tar_links_beyond_the_longest_path():
    """A chain of links whose resolved path is too long for realpath, CVE-2025-4517."""
    chain, path = [], "cat/"
    long = "d" * 200
    for step in "abcdefghijklmnop":
        chain.append(header(f"{path}{long}/", type=tarfile.DIRTYPE))
        chain.append(header(f"{path}{step}", type=tarfile.SYMTYPE, linkname=long))
        path += f"{step}/"
    chain.append(header(path + "l" * 250, type=tarfile.SYMTYPE, linkname="../" * 16))
    chain.append(header("escape", type=tarfile.SYMTYPE, linkname=path + "l" * 250 + "/../../.."))
    return tarred([*PETS.items(), *chain, header("escape/x", type=tarfile.LNKTYPE, linkname="a")])


@case(PETS)
def tar_devices():
    kinds = (tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE)
    return tarred([*PETS.items(), *(header(f"cat/{k!r}", type=k) for k in kinds)])


@case({**PETS, "cat/s.jpg": b""})
def tar_setuid():
    return tarred([*PETS.items(), header("cat/s.jpg", mode=0o6777)])


@case("negative size", one=-1, block=-512, terabyte=-(2**40))
def tar_negative_size(size):
    odd = (256**12 + size).to_bytes(13, "big")[1:]
    return members() + raw_header("cat/x.jpg", 0, at_124=odd) + END


@case("a member whose size is", minus_1="-1", large="-1000000", text="abc", huge="9" * 5000)
def tar_pax_size(size):
    return members() + pax({"size": size}) + raw_header("cat/x.jpg", 0) + END


@case("holds more than 52428800 bytes", octal=8**11 - 1, terabyte=10**12)
def tar_claims(size):
    return members() + raw_header("cat/x.jpg", size) + bytes(5000)


LONG = {**PETS, f"cat/{'n' * 120}.jpg": b"long"}


@case(LONG, gnu=tarfile.GNU_FORMAT, pax=tarfile.PAX_FORMAT)
def tar_name_of_300_bytes(form):
    return tarred([*PETS.items(), (f"cat/{'n' * 292}.jpg", b"long")], form=form)


@case("a name or attribute record of 70", gnu=tarfile.GNU_FORMAT, pax=tarfile.PAX_FORMAT)
def tar_name_of_70_000_bytes(form):
    return tarred([*PETS.items(), ("n" * 70_000, b"long")], form=form)


@case("a name of more than 1024 characters", gnu=tarfile.GNU_FORMAT, pax=tarfile.PAX_FORMAT)
def tar_levels_2000(form):
    return tarred([*PETS.items(), ("d/" * 2000 + "1.jpg", b"deep")], form=form)


@case("record of 8589934592 bytes")
def tar_name_of_8_gib_claimed():
    return gzip.compress(members() + raw_header("@LongLink", 2**33, b"L") + bytes(MIB))


@case({**PETS, "cat/s.jpg": b"\0\0\0\0\0abc"})
def tar_sparse():
    hole = b"00000000005\x0000000000003\x00"  # 3 bytes at offset 5, of 8
    block = raw_header("cat/s.jpg", 3, b"S", at_386=hole, at_483=b"00000000010\x00")
    return members() + block + blocks(b"abc") + END


@case("holds more than 52428800 bytes")
def tar_sparse_of_1_tb():
    block = raw_header("cat/s.jpg", 0, b"S", at_483=b"\x80" + (10**12).to_bytes(11, "big"))
    return members() + block + END


@case("headers take more than")
def tar_sparse_with_an_endless_map():
    row = (b"00000000001\x00" * 42).ljust(504, b"\0") + b"\x01" + bytes(7)
    block = raw_header("cat/s.jpg", 3, b"S", at_482=b"\x01", at_483=b"00000000010\x00")
    return gzip.compress(members() + block + row * 100_000)


@case("headers take more than")
def tar_pax_sparse_with_an_endless_map():
    records = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "9"}
    head = pax({**records, "GNU.sparse.name": "cat/s.jpg"}) + raw_header("cat/s.jpg", 2**30)
    return gzip.compress(members() + head + b"900000000\n" + b"0\n" * (25 * MIB))


@case(PETS)
def tar_with_a_global_header():
    return pax({"comment": "0123456789" * 4}, b"g") + members() + END


@case("attributes for all members")
def tar_global_headers_that_pile_up():
    bomb = b"".join(
        pax({f"k{k}.{n}": "v" for n in range(3000)}, b"g") + raw_header(f"cat/{k}.jpg", 0)
        for k in range(50)
    )
    return gzip.compress(bomb + members() + END)


@case("cannot be read")
def tar_global_headers_in_a_chain():
    return gzip.compress(pax({"comment": "c" * 400}, b"g") * 3000 + members() + END)


@case("cannot be read")
def tar_long_names_in_a_chain():
    one = raw_header("@LongLink", 400, b"L") + blocks(b"n" * 400)
    return gzip.compress(one * 5000 + members() + END)


@case({**PETS, "cat/3.jpg": b"3"})
def tar_pax_record_of_digits():
    """Over which a pattern of tarfile takes the square of its length in time, CVE-2024-6232."""
    digits = pax(b"9" * 8000)
    return members() + digits + members([("cat/3.jpg", b"3")]) + END


@case({**repeated(b"one", b"two"), "dog/1.jpg": b"dog"})
def tar_duplicate_names():
    return tarred([("cat/1.jpg", b"one"), ("cat/1.jpg", b"two"), ("dog/1.jpg", b"dog")])


@case({marked("cat/A.jpg"): b"1", marked("cat/a.jpg"): b"2", "dog/1.jpg": b"4"})
def tar_names_that_differ_in_case():
    return tarred([("cat/A.jpg", b"1"), ("cat/a.jpg", b"2"), ("dog/1.jpg", b"4")])


@case(ONE_FORM, gnu=tarfile.GNU_FORMAT, pax=tarfile.PAX_FORMAT)
def tar_nfc_and_nfd(form):
    return tarred(BOTH_FORMS, form=form)


@case({**PETS, "cat/_.jpg": b"latin"})
def tar_name_that_is_not_utf8():
    return tarred([*PETS.items(), ("cat/\udce9.jpg", b"latin")])


@case(ODD_MEMBERS)
def tar_names_with_control_characters_and_formulas():
    return tarred([*PETS.items(), *ODD_FILES])


@case("as only a bomb does", gz="gz", bz2="bz2", xz="xz")
def tar_bomb(mode):
    return tarred([("cat/1.jpg", bytes(40 * MIB)), ("dog/1.jpg", b"dog")], mode=f"w:{mode}")


@case("as only a bomb does")
def tar_bomb_of_one_gigabyte_in_small_members():
    one = raw_header("cat/1.jpg", 8 * MIB) + bytes(8 * MIB)
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    return b"".join(packer.compress(one) for _ in range(128)) + packer.flush()


@case("as only a bomb does")
def tar_bomb_behind_its_end():
    return gzip.compress(tarred(PETS.items()) + bytes(200 * MIB))


@case("as only a bomb does")
def tar_bomb_in_a_link():
    link = raw_header("cat/l", 100 * MIB, b"2") + bytes(100 * MIB)
    return gzip.compress(members() + link + END)


@case("Memory usage limit exceeded")
def tar_xz_that_wants_a_gigabyte_to_unpack():
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 2**20}]
    whole = bytearray(lzma.compress(tarred(PETS.items()), filters=filters))
    # The block header: size, flags, filter id, properties' size, dictionary size, CRC.
    length = (whole[12] + 1) * 4
    at = whole.index(b"\x21\x01", 12, 12 + length) + 2
    whole[at] = 37  # 1.5 GiB
    whole[12 + length - 4 : 12 + length] = struct.pack("<L", zlib.crc32(whole[12 : 8 + length]))
    return bytes(whole)


@case("more than 100000 entries")
def tar_120_000_empty_members():
    return gzip.compress(raw_header("cat/1", 0) * 120_000 + END, compresslevel=1)


@case("holds no files")
def tar_empty():
    return END


@case("only one class, cat (1 files)")
def tar_one_class():
    return tarred([("cat/1.jpg", b"1")])


@case("class folder fox is empty")
def tar_empty_class_folder():
    return tarred([*PETS.items(), header("fox/", type=tarfile.DIRTYPE)])


@case("damaged tar header")
def gzip_of_no_tar():
    return gzip.compress(b"not a tar at all" * 100)


@case("cut off")
def gzip_of_nothing():
    return gzip.compress(b"")


# Large ones that are no attack -------------------------------------------------------------------


def many_in_a_zip(names: Iterable[str]) -> bytes:
    """Return a zip of files of one byte."""
    whole, directory, offset = [], [], 0
    for name in names:
        whole.append(local(name.encode(), b"1"))
        fields = {"crc": zlib.crc32(b"1"), "packed": 1, "size": 1, "offset": offset}
        directory.append(entry(name.encode(), **fields))
        offset += len(whole[-1])
    ending = end(b"".join(directory), offset, count=len(directory))
    return b"".join([*whole, *directory, ending])


def many_in_a_tar(names: Iterable[str]) -> bytes:
    """Return a gzipped tar of empty files."""
    packer = zlib.compressobj(1, zlib.DEFLATED, 31)
    parts = [packer.compress(header(name).tobuf()) for name in names]
    return b"".join([*parts, packer.compress(END), packer.flush()])
