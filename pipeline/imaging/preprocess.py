"""An RGB image to the network's input; pack, batch prediction and server call this one function."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.core.errors import ArtifactError
from pipeline.imaging.decode import decode
from pipeline.imaging.spec import RESAMPLE, PreprocessSpec

Pixels = NDArray[np.uint8]


def preprocess(image: Image.Image, spec: PreprocessSpec) -> Pixels:
    """Return (H, W, 3) uint8 pixels, H = W = `spec.size_px`.

    Raises:
        ArtifactError: the spec asks for a geometry that this version does not know.
    """
    if spec.fit != "squash" or spec.resample != RESAMPLE:
        raise ArtifactError(
            f"preprocessing {spec.fit!r} with {spec.resample!r} is unknown to this version; "
            "use the version of the pipeline that made the model"
        )
    # Pillow's bilinear is antialiased; an un-antialiased resize differs by up to 97/255.
    size = (spec.size_px, spec.size_px)
    return np.asarray(image.resize(size, Image.Resampling.BILINEAR), dtype=np.uint8)


def pixels_from_bytes(content: bytes, spec: PreprocessSpec) -> Pixels:
    """Decode and preprocess; raises ImageError as `decode` does."""
    return preprocess(decode(content), spec)
