"""Small JPEGs of noise, the rows of split.csv that name them, and two classes of them, packed."""

import hashlib
import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from pipeline.core.archive import write_archive
from pipeline.core.artifacts import Sample, Suggestion, write_suggestion
from pipeline.core.layout import Layout
from pipeline.imaging.spec import PreprocessSpec
from pipeline.packing.packed import write_packed


def jpeg(seed: int, *, mode: str = "RGB") -> bytes:
    """Return an image whose sides are between 20 and 60 pixels."""
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (*rng.integers(20, 60, 2), 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(buffer, "JPEG")
    return buffer.getvalue()


def sample(path: str, content: bytes, split: str = "train") -> Sample:
    """Return the row of an image whose class is its folder."""
    return Sample(
        path=path,
        label=path.partition("/")[0],
        split=split,
        sha256=hashlib.sha256(content).hexdigest(),
        width=30,
        height=30,
        group="0" * 12,
        source=path,
    )


def archive_of(path: Path, contents: Mapping[str, bytes]) -> Path:
    """Write raw.zip with these images."""
    write_archive(path, [(name, name, contents[name]) for name in sorted(contents)])
    return path


def pack_two_classes(root: Path, *, per_class: int, mode: str = "array") -> Layout:
    """Pack drawn images, a quarter of each class for validation, and write a suggestion."""
    layout = Layout(root)
    names = [f"{label}/{k:02d}.jpg" for label in ("cat", "dog") for k in range(per_class)]
    contents = {name: jpeg(k) for k, name in enumerate(names)}
    splits = ("train", "train", "train", "valid")
    write_packed(
        layout.packed,
        archive_path=archive_of(root / "data/raw.zip", contents),
        samples=[sample(path, contents[path], splits[k % 4]) for k, path in enumerate(names)],
        spec=PreprocessSpec(size_px=24),
        mode=mode,
        workers=1,
    )
    write_suggestion(layout.suggestion, Suggestion(lr=0.02, status="ok"))
    return layout
