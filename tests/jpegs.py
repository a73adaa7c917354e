"""Small JPEGs of noise, and the rows of split.csv that name them."""

import hashlib
import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from pipeline.core.archive import write_archive
from pipeline.core.artifacts import Sample


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
