"""Turned, CMYK, 16-bit, palette and clear images: server, batch prediction and pack agree."""

import csv
import io
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from pipeline.imaging.decode import decode
from pipeline.imaging.preprocess import preprocess
from pipeline.imaging.spec import PreprocessSpec
from pipeline.inference.classifier import OnnxClassifier

pytestmark = pytest.mark.slow

SIZE = (64, 48)
TOLERANCE = 1e-5


def scene() -> Image.Image:
    """Return a picture of soft patches, of another mean in each channel."""
    rng = np.random.default_rng(5)
    coarse = rng.integers(0, 200, (6, 8, 3)).astype(np.uint8)
    return Image.fromarray(coarse).resize(SIZE, Image.Resampling.BICUBIC)


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def files() -> Iterator[tuple[str, bytes]]:
    image = scene()
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        yield f"exif{orientation}.jpg", saved(image, "JPEG", quality=95, exif=exif)
    yield "cmyk.jpg", saved(image.convert("CMYK"), "JPEG", quality=95)
    grey16 = (np.asarray(image.convert("L")).astype(np.uint16) * 257).astype(np.uint16)
    yield "grey16.png", saved(Image.fromarray(grey16), "PNG")
    yield "palette.png", saved(image.quantize(32), "PNG")
    yield "palette-clear.png", saved(image.quantize(32), "PNG", transparency=3)
    alpha = image.convert("RGBA")
    alpha.putalpha(Image.linear_gradient("L").resize(SIZE))
    yield "alpha.png", saved(alpha, "PNG")
    yield "alpha.webp", saved(alpha, "WEBP", lossless=True)
    yield "grey-alpha.png", saved(alpha.convert("LA"), "PNG")
    yield "palette.gif", saved(image.quantize(16), "GIF")
    yield "plain.bmp", saved(image, "BMP")


def test_server_batch_prediction_and_pack_see_the_same_pixels(
    server: Any, model_path: Path, tmp_path: Path
) -> None:
    everything = dict(files())
    folder = tmp_path / "images"
    folder.mkdir()
    for name, content in everything.items():
        (folder / name).write_bytes(content)
    out = tmp_path / "out.csv"
    command = [sys.executable, "-m", "pipeline.inference", str(model_path), str(folder)]
    subprocess.run([*command, "--out", str(out)], check=True, capture_output=True)
    with out.open() as file:
        batch = {Path(row["path"]).name: row for row in csv.DictReader(file)}
    classifier = OnnxClassifier(model_path, device="cpu")
    for name, content in everything.items():
        served = httpx.post(f"{server.url}/predict", content=content).json()["probabilities"]
        # As stages/pack does: decode, then preprocess to the packed size.
        packed = preprocess(decode(content), PreprocessSpec(size_px=16))
        (expected,) = classifier.predict(packed[None])
        for label, probability in zip(classifier.spec.classes, expected, strict=True):
            assert served[label] == pytest.approx(probability, abs=TOLERANCE), name
            found = float(batch[name][f"prob_{label}"])
            assert found == pytest.approx(probability, abs=TOLERANCE), name


def test_modes_and_turns_change_what_they_should(server: Any) -> None:
    """Expected values from Pillow's own conversions, not from our gate."""

    def probabilities(content: bytes) -> Any:
        found = httpx.post(f"{server.url}/predict", content=content).json()["probabilities"]
        return np.array(list(found.values()))

    def worked(image: Image.Image) -> Any:
        # The model is softmax of the mean of (blue, green, red) / 32; resizing keeps the mean.
        mean = np.asarray(image.resize((16, 16), Image.Resampling.BILINEAR)).mean(axis=(0, 1))
        scores = np.exp(mean[::-1] / 32)
        return scores / scores.sum()

    images, plain = dict(files()), scene()
    for orientation in range(1, 9):
        np.testing.assert_allclose(
            probabilities(images[f"exif{orientation}.jpg"]), worked(plain), atol=0.03
        )
    grey = plain.convert("L").convert("RGB")
    np.testing.assert_allclose(probabilities(images["grey16.png"]), worked(grey), atol=0.01)
    white = Image.new("RGB", SIZE, "white")
    mask = Image.linear_gradient("L").resize(SIZE)
    over_white = Image.composite(plain, white, mask)
    for name in ("alpha.png", "alpha.webp"):
        np.testing.assert_allclose(probabilities(images[name]), worked(over_white), atol=0.02)
