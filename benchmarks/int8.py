"""CPU time per image of a model in fp32 and in INT8, and what INT8 changes.

    python -m benchmarks.int8                                  # models/model.onnx and models/int8
    python -m benchmarks.int8 --arch resnet18 --size-px 224    # random weights: speed alone

One thread; both models take turns in every round, so that whatever else the machine does meets
both. The figure is CPU time of the calling thread, not wall time.
"""

import argparse
import platform
import statistics
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np

from pipeline.core.atomic import write_bytes, write_sha256
from pipeline.export.int8 import to_int8
from pipeline.export.onnx_file import to_onnx
from pipeline.imaging.spec import ModelSpec, PreprocessSpec
from pipeline.inference.classifier import OnnxClassifier, Probs
from pipeline.modeling.zoo import build_model

BATCH_SIZES = (1, 8)
CALIBRATION = 32


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--fp32", type=Path, default=Path("models/model.onnx"))
    parser.add_argument("--int8", type=Path, default=Path("models/int8/model.onnx"))
    parser.add_argument("--arch", help="export this network with random weights instead")
    parser.add_argument("--size-px", type=int, default=224, help="of --arch (%(default)s)")
    parser.add_argument("--rounds", type=int, default=60)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if arguments.arch:
            paths = _random(arguments.arch, arguments.size_px, Path(folder))
        else:
            paths = (arguments.fp32, arguments.int8)
        models = [OnnxClassifier(path, device="cpu", threads=1) for path in paths]
        sizes = [path.stat().st_size / 1e6 for path in paths]
    spec = models[0].spec
    side = spec.preprocess.size_px
    print(f"{spec.arch} at {side} px, {sizes[0]:.1f} and {sizes[1]:.1f} MB, {platform.machine()},")
    print(f"onnxruntime {_runtime()}, {arguments.rounds} rounds, one thread")
    pixels = np.random.default_rng(0).integers(0, 256, (max(BATCH_SIZES), side, side, 3), np.uint8)
    print("batch   fp32 ms/image   INT8 ms/image   ratio (quartiles)")
    for size in BATCH_SIZES:
        rounds = [_round(models, pixels[:size]) for _ in range(arguments.rounds)]
        fp32, int8 = (statistics.median(column) for column in zip(*rounds, strict=True))
        low, _, high = statistics.quantiles([a / b for a, b in rounds], n=4)
        print(f"{size:5d} {fp32:15.2f} {int8:15.2f} {fp32 / int8:7.2f} ({low:.2f} to {high:.2f})")


def _round(models: list[OnnxClassifier], pixels: Probs) -> tuple[float, float]:
    """Return CPU milliseconds per image of both models, in turn."""
    found = []
    for model in models:
        start = time.thread_time()
        model.predict(pixels)
        found.append(1e3 * (time.thread_time() - start) / len(pixels))
    return found[0], found[1]


def _random(arch: str, size_px: int, folder: Path) -> tuple[Path, Path]:
    spec = ModelSpec(arch=arch, classes=("a", "b"), preprocess=PreprocessSpec(size_px=size_px))
    content = to_onnx(build_model(arch, n_classes=2).eval(), spec, opset=20, metadata={})
    shape = (CALIBRATION, size_px, size_px, 3)
    noise = np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)
    paths = folder / "fp32.onnx", folder / "int8.onnx"
    for path, each in zip(paths, (content, to_int8(content, noise)), strict=True):
        write_bytes(path, each)
        write_sha256(path)
    return paths


def _runtime() -> str:
    for name in ("onnxruntime-gpu", "onnxruntime"):
        try:
            return version(name)
        except ModuleNotFoundError:
            continue
    return "unknown"


if __name__ == "__main__":
    main()
