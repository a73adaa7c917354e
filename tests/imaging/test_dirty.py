"""The collection of dirty images: every verdict right, alone and in a scan, quick and small."""

import csv
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from imaging.dirty import Dirty, collection, encoded, noise, picture, refused_files
from PIL import Image

from pipeline.core.archive import write_archive
from pipeline.core.errors import ImageError
from pipeline.core.layout import Layout
from pipeline.core.params import load_params
from pipeline.imaging.decode import REASONS, decode
from stages import split

pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).parents[2]
MEASURE = """\
import json, sys, time
from pathlib import Path
from pipeline.core.errors import ImageError
from pipeline.imaging.decode import decode

def status_kb(key):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(key + ":"))

for line in sys.stdin:
    content = Path(line.rstrip("\\n")).read_bytes()
    before_kb = status_kb("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    start = time.monotonic()
    try:
        decode(content)
        verdict = "accepted"
    except ImageError as error:
        verdict = error.reason
    seconds = time.monotonic() - start
    print(json.dumps([verdict, seconds, (status_kb("VmHWM") - before_kb) / 1024]), flush=True)
"""


def outcome(content: bytes) -> str:
    try:
        decode(content)
    except ImageError as error:
        return error.reason if error.detail.isprintable() else f"not one line: {error.detail!r}"
    except BaseException as error:
        return f"raised {type(error).__name__}"
    return "accepted"


def wrong(verdicts: dict[str, str]) -> dict[str, str]:
    """Return `verdict, expected ...` for the files whose verdict is wrong."""
    return {
        file.name: f"{verdicts[file.name]}, expected {' or '.join(sorted(file.verdicts))}"
        for file in collection()
        if verdicts[file.name] not in file.verdicts
    }


def test_the_collection_holds_every_verdict_and_only_words_of_the_vocabulary():
    named = set().union(*(file.verdicts for file in collection()))
    assert named == {"accepted", *REASONS}
    assert len(collection()) >= 500
    for reason in named:
        assert any(file.verdicts == {reason} for file in collection()), reason


def test_every_verdict_is_right():
    assert wrong({file.name: outcome(file.content) for file in collection()}) == {}


def test_what_is_accepted_looks_as_it_was_made():
    wrongly_shown = {}
    for file in collection():
        if file.verdicts == {"accepted"} and (file.size or file.corners):
            differences = list(_differences(file))
            if differences:
                wrongly_shown[file.name] = differences
    assert wrongly_shown == {}


def _differences(file: Dirty) -> Iterator[str]:
    image = decode(file.content)
    width, height = image.size
    if file.size and file.size != image.size:
        yield f"{image.size}, made as {file.size}"
    if file.corners:
        pixels = np.asarray(image).astype(int)
        rows, columns = (height // 4, 3 * height // 4), (width // 4, 3 * width // 4)
        found = [pixels[y, x].tolist() for y in rows for x in columns]
        if np.abs(np.array(found) - np.array(file.corners)).max() > file.within:
            yield f"{found}, made as {file.corners}"


def test_a_scan_by_two_workers_gives_the_same_verdicts_and_loses_no_file(tmp_path):
    layout = Layout(tmp_path)
    contents = {f"mess/{file.name}": file.content for file in collection()}
    contents |= {f"plain/{k}.png": encoded(noise(f"plain{k}"), "PNG") for k in range(9)}
    members = [(path, path, contents[path]) for path in sorted(contents)]
    write_archive(layout.raw_archive, members)
    layout.corrections.write_text("path,action,label\n")
    layout.metadata.write_text("path,split,group\n")
    params = load_params(REPOSITORY / "params.yaml")
    split.run(replace(params, runtime=replace(params.runtime, workers=2)), layout)
    verdicts = dict.fromkeys(paths_and(layout.split, "split"), "accepted")
    assert verdicts.keys() >= {path for path in contents if path.startswith("plain/")}
    for path, reason in paths_and(layout.rejected, "reason").items():
        assert path not in verdicts
        # Set aside among usable images, so it was let in.
        verdicts[path] = "accepted" if reason in ("duplicate", "conflict") else reason
    assert verdicts.keys() == contents.keys()
    assert wrong({path.removeprefix("mess/"): verdict for path, verdict in verdicts.items()}) == {}


def paths_and(table: Path, column: str) -> dict[str, str]:
    with table.open(newline="", encoding="utf-8") as file:
        return {row["path"]: row[column] for row in csv.DictReader(file)}


def measured(contents: dict[str, bytes], folder: Path) -> dict[str, tuple[str, float, float]]:
    """Return verdict, seconds and peak MB above idle of each file, decoded in one fresh process."""
    for number, content in enumerate(contents.values()):
        (folder / str(number)).write_bytes(content)
    listing = "".join(f"{folder / str(number)}\n" for number in range(len(contents)))
    done = subprocess.run(
        [sys.executable, "-c", MEASURE],
        input=listing,
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    answers = map(json.loads, done.stdout.splitlines())
    return dict(zip(contents, map(tuple, answers), strict=True))


def test_every_refusal_takes_less_than_a_second_and_400_mb(tmp_path):
    contents = {file.name: file.content for file in refused_files()}
    found = measured(contents, tmp_path)
    assert {name: seen for name, seen in found.items() if seen[1] >= 1 or seen[2] >= 400} == {}


def test_the_largest_images_that_are_let_in_take_less_than_600_mb(tmp_path):
    tile = picture(((200, 60, 50), (60, 190, 80), (70, 80, 200), (200, 190, 70)))
    large = tile.resize((6320, 6320))
    gray16 = np.asarray(large.convert("L")).astype(np.uint16) * 257
    contents = {
        "rgb.jpg": encoded(large, "JPEG"),
        "progressive.jpg": encoded(large, "JPEG", progressive=True),
        "cmyk.jpg": encoded(large.convert("CMYK"), "JPEG"),
        "rgb.png": encoded(large, "PNG", compress_level=1),
        "rgba.png": encoded(large.convert("RGBA"), "PNG", compress_level=1),
        "palette.png": encoded(large.quantize(4), "PNG", compress_level=1),
        "gray-16.png": encoded(Image.fromarray(gray16), "PNG", compress_level=1),
        "rgb.webp": encoded(tile.resize((5000, 5000)), "WEBP", method=0),
        "palette.gif": encoded(large.quantize(4), "GIF"),
    }
    found = measured(contents, tmp_path)
    assert {verdict for verdict, _, _ in found.values()} == {"accepted"}
    assert {name: peak_mb for name, (_, _, peak_mb) in found.items() if peak_mb >= 600} == {}
