"""Archives of small noise images, laid out as the download stage leaves them."""

import io
from pathlib import Path

import numpy as np
from PIL import Image

from pipeline.core.archive import write_archive
from pipeline.core.layout import Layout

CORRECTIONS = "path,action,label\n"
METADATA = "path,split,group\n"


def picture(seed: int) -> bytes:
    """Return the bytes of a small PNG, another one for each number."""
    pixels = np.random.default_rng(seed).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def lay_out(
    root: Path,
    contents: dict[str, bytes],
    *,
    corrections: str = CORRECTIONS,
    metadata: str = METADATA,
) -> Layout:
    """Write everything that the split stage reads; the source of `a/b` is `mine/a/b`."""
    layout = Layout(root)
    members = [(name, f"mine/{name}", contents[name]) for name in sorted(contents)]
    write_archive(layout.raw_archive, members)
    layout.corrections.write_text(corrections)
    layout.metadata.write_text(metadata)
    return layout
