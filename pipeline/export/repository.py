"""The folder layout that Triton and KServe read: one folder a model, one a version.

    preprocess/1/model.onnx      images of one size to pixels
    classifier/1/model.onnx      pixels to probabilities, batched across requests
    classifier/1/golden/         what our server replays before it takes a version
    classifier_int8/1/model.onnx the same in 8 bits, where that passed its gate
    pipeline/1/                  both in a row: a Triton ensemble, without a file of its own

Tensors are described as the files themselves describe them, so the two cannot disagree.
"""

from pathlib import Path

import onnx
from onnx import TensorProto

from pipeline.core.atomic import replacing_folder, write_bytes, write_sha256, write_text
from pipeline.export.preprocess_graph import IMAGE, PIXELS
from pipeline.inference.classifier import INPUT, OUTPUT
from pipeline.inference.golden import FOLDER

MODEL_NAME, INT8_NAME = "classifier", "classifier_int8"
PREPROCESS_NAME, ENSEMBLE_NAME = "preprocess", "pipeline"
VERSION = "1"
MAX_BATCH_SIZE = 64
TYPES: dict[int, str] = {TensorProto.UINT8: "TYPE_UINT8", TensorProto.FLOAT: "TYPE_FP32"}
"""Of ONNX, and how Triton's model configuration calls them."""

# A batch is what waits when the device is free: nothing is held back for a fuller one.
BATCHING = "dynamic_batching { max_queue_delay_microseconds: 0 }\n"

# Images of one request have one size, those of others another: nothing to batch.
STEPS = f"""\
ensemble_scheduling {{
  step [
    {{
      model_name: "{PREPROCESS_NAME}"
      model_version: -1
      input_map {{ key: "{IMAGE}" value: "{IMAGE}" }}
      output_map {{ key: "{PIXELS}" value: "{PIXELS}" }}
    }},
    {{
      model_name: "{MODEL_NAME}"
      model_version: -1
      input_map {{ key: "{INPUT}" value: "{PIXELS}" }}
      output_map {{ key: "{OUTPUT}" value: "{OUTPUT}" }}
    }}
  ]
}}
"""


def write_repository(
    folder: Path,
    *,
    model: bytes,
    preprocess: bytes,
    int8: bytes | None = None,
    golden: Path | None = None,
) -> None:
    """Write the models into `folder`, which is replaced as a whole.

    Args:
        folder: models/repository.
        model: the classifier's file.
        preprocess: the file of the preprocessing.
        int8: the quantised classifier's file, if there is one.
        golden: the folder of golden files, which goes along with every version of a classifier.
    """
    classifiers = {MODEL_NAME: model, **({INT8_NAME: int8} if int8 is not None else {})}
    with replacing_folder(folder) as temporary:
        for name, content in {**classifiers, PREPROCESS_NAME: preprocess}.items():
            extra = BATCHING if name in classifiers else ""
            write_text(temporary / name / "config.pbtxt", _config(name, content) + extra)
            write_bytes(temporary / name / VERSION / "model.onnx", content)
            write_sha256(temporary / name / VERSION / "model.onnx")
            for file in sorted(golden.iterdir()) if golden and name in classifiers else ():
                write_bytes(temporary / name / VERSION / FOLDER / file.name, file.read_bytes())
        write_text(temporary / ENSEMBLE_NAME / "config.pbtxt", _ensemble(model, preprocess))
        # A version is a folder, and neither Git nor DVC keeps an empty one.
        write_text(
            temporary / ENSEMBLE_NAME / VERSION / "README",
            "An ensemble has no file: ../config.pbtxt says it all.\n",
        )


def _config(name: str, content: bytes) -> str:
    graph = onnx.load_from_string(content).graph
    return (
        f'name: "{name}"\nplatform: "onnxruntime_onnx"\nmax_batch_size: {MAX_BATCH_SIZE}\n'
        f"input [ {', '.join(map(_tensor, graph.input))} ]\n"
        f"output [ {', '.join(map(_tensor, graph.output))} ]\n"
    )


def _ensemble(model: bytes, preprocess: bytes) -> str:
    first, last = (onnx.load_from_string(content).graph for content in (preprocess, model))
    probabilities = next(value for value in last.output if value.name == OUTPUT)
    return (
        f'name: "{ENSEMBLE_NAME}"\nplatform: "ensemble"\nmax_batch_size: {MAX_BATCH_SIZE}\n'
        f"input [ {_tensor(first.input[0])} ]\noutput [ {_tensor(probabilities)} ]\n{STEPS}"
    )


def _tensor(value: onnx.ValueInfoProto) -> str:
    """Describe a tensor; the batch dimension is implied, others that are free are -1."""
    kind = value.type.tensor_type
    sides = [dim.dim_value or -1 for dim in kind.shape.dim[1:]]
    return (
        f'{{ name: "{value.name}" data_type: {TYPES[kind.elem_type]} '
        f"dims: [ {', '.join(map(str, sides))} ] }}"
    )
