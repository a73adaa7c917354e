"""The folder layout that Triton and KServe read: one folder a model, one a version."""

import shutil
from pathlib import Path

from pipeline.core.atomic import write_bytes, write_sha256, write_text
from pipeline.imaging.spec import ModelSpec

MODEL_NAME = "classifier"

CONFIG = """\
name: "{name}"
platform: "onnxruntime_onnx"
max_batch_size: 64
input [ {{ name: "pixels" data_type: TYPE_UINT8 dims: [ {size}, {size}, 3 ] }} ]
output [ {{ name: "probabilities" data_type: TYPE_FP32 dims: [ {classes} ] }} ]
dynamic_batching {{ }}
"""


def write_repository(folder: Path, *, model: bytes, spec: ModelSpec) -> None:
    """Write `classifier/config.pbtxt` and `classifier/1/model.onnx` into `folder`."""
    shutil.rmtree(folder, ignore_errors=True)
    config = CONFIG.format(name=MODEL_NAME, size=spec.preprocess.size_px, classes=len(spec.classes))
    write_text(folder / MODEL_NAME / "config.pbtxt", config)
    write_bytes(folder / MODEL_NAME / "1/model.onnx", model)
    write_sha256(folder / MODEL_NAME / "1/model.onnx")
