"""Export the model to ONNX and prove that it answers as the checkpoint does.

Reads   data/packed, models/model.pt, models/model.pt.sha256
Writes  models/model.onnx, models/model.onnx.sha256, models/repository,
        reports/export_onnx/parity.json
Params  export_onnx
"""

import logging
import tempfile
from dataclasses import asdict
from pathlib import Path

from pipeline.core.atomic import sha256_file, write_bytes, write_json, write_sha256
from pipeline.core.layout import Layout
from pipeline.core.params import Params
from pipeline.core.process import available_cores
from pipeline.core.stage import run_stage
from pipeline.export.onnx_file import to_onnx
from pipeline.export.parity import measure_parity, require_parity, with_extremes
from pipeline.export.repository import write_repository
from pipeline.inference.classifier import OnnxClassifier
from pipeline.modeling.checkpoint import load_checkpoint
from pipeline.modeling.device import choose_compute
from pipeline.packing.packed import read_packed

log = logging.getLogger(__name__)


def run(params: Params, layout: Layout) -> None:
    model, spec = load_checkpoint(layout.model)
    valid = read_packed(layout.packed, workers=params.runtime.workers or available_cores()).valid
    n_images = min(len(valid), params.export_onnx.parity_images)
    pixels, paths = with_extremes(valid.pixels[:n_images], valid.paths[:n_images])
    # The CPU computes in plain fp32; a GPU's shortcuts are no measure of an export.
    compute = choose_compute(device="cpu", threads=params.runtime.threads, precision="fp32")
    content = to_onnx(
        model,
        spec,
        opset=params.export_onnx.opset,
        metadata={"checkpoint_sha256": sha256_file(layout.model)},
    )
    with tempfile.TemporaryDirectory() as folder:
        candidate = Path(folder, layout.onnx_model.name)
        write_bytes(candidate, content)
        write_sha256(candidate)
        classifier = OnnxClassifier(candidate, device="cpu")
        parity = measure_parity(model, classifier, pixels, paths, compute=compute)
    log.info(
        "largest difference of a probability %.2g, %d labels flipped, n = %d",
        *(parity.max_prob_diff, len(parity.flipped), parity.n),
    )
    require_parity(parity, max_prob_diff=params.export_onnx.max_prob_diff)
    write_bytes(layout.onnx_model, content)
    write_sha256(layout.onnx_model)
    write_repository(layout.repository, model=content, spec=spec)
    # One digit: the last bits of a sum differ between machines, and the file is kept in Git.
    rounded = float(f"{parity.max_prob_diff:.0e}")
    write_json(layout.parity, {**asdict(parity), "max_prob_diff": rounded})


if __name__ == "__main__":
    run_stage(run)
