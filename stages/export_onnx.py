"""Export the model to ONNX and prove that it answers as the checkpoint does.

Reads   data/packed, data/raw.zip, models/model.pt, models/model.pt.sha256,
        reports/evaluate/metrics.json
Writes  models/model.onnx, models/model.onnx.sha256, models/preprocess.onnx,
        models/preprocess.onnx.sha256, models/int8, models/golden, models/repository,
        reports/export_onnx/metrics.json
Params  export_onnx
"""

import logging
from functools import partial

from pipeline.core.archive import RawArchive
from pipeline.core.artifacts import read_json
from pipeline.core.atomic import sha256_file
from pipeline.core.layout import Layout
from pipeline.core.params import Params
from pipeline.core.process import available_cores
from pipeline.core.stage import run_stage
from pipeline.export.bundle import Bundle, removing_unproved, write_bundle
from pipeline.export.facts import calibrated, facts
from pipeline.export.int8 import prove_int8
from pipeline.export.onnx_file import to_onnx
from pipeline.export.parity import Gate, Limits, refer, spread
from pipeline.export.preprocess_graph import prove_preprocess
from pipeline.export.proof import prove_one
from pipeline.modeling.checkpoint import load_checkpoint
from pipeline.modeling.device import choose_compute
from pipeline.packing.packed import read_packed

log = logging.getLogger(__name__)


def run(params: Params, layout: Layout) -> None:
    model, spec = load_checkpoint(layout.model)
    metrics = read_json(layout.metrics, stage="evaluate")
    spec = calibrated(spec, metrics, where=layout.metrics)
    packed = read_packed(layout.packed, workers=params.runtime.workers or available_cores())
    threads = params.runtime.threads or available_cores()
    # The CPU computes in plain fp32; a GPU's shortcuts are no measure of an export.
    compute = choose_compute(device="cpu", threads=threads, precision="fp32")
    reference = refer(
        model, spec, packed.valid, n_images=params.export_onnx.parity_images, compute=compute
    )
    limits = Limits(
        max_logit_diff=params.export_onnx.max_logit_diff,
        max_prob_diff=params.export_onnx.max_prob_diff,
        max_metric_diff=params.export_onnx.max_metric_diff,
        max_flipped=params.export_onnx.max_flipped,
        max_accuracy_drop=params.export_onnx.int8_max_accuracy_drop,
    )
    gate = Gate(reference=reference, limits=limits, threads=threads)
    hashes = {
        "checkpoint_sha256": sha256_file(layout.model),
        "data_sha256": sha256_file(layout.raw_archive),
    }
    export = partial(
        to_onnx,
        model,
        spec,
        opset=params.export_onnx.opset,
        cam=params.export_onnx.cam,
        metadata=facts(spec, metrics=metrics, hashes=hashes, root=layout.root),
    )
    with RawArchive(layout.raw_archive) as archive:
        contents = [archive.read(path) for path in reference.real_paths]
    with removing_unproved(layout):
        proved = prove_one(params.export_onnx.exporter, export=export, check=gate.check)
        log.info("exporter %s: %s", proved.exporter, proved.parity.in_words())
        preprocess = prove_preprocess(
            spec.preprocess, contents, reference, max_pixel_diff=params.export_onnx.max_pixel_diff
        )
        int8 = prove_int8(
            proved.content,
            packed.train.pixels[spread(len(packed.train), params.export_onnx.calibration_images)],
            mode=params.export_onnx.int8,
            check=gate.check_accuracy,
        )
    bundle = Bundle(
        spec=spec,
        gate=gate,
        contents=tuple(contents),
        proved=proved,
        preprocess=preprocess,
        int8=int8,
    )
    write_bundle(bundle, layout, n_golden=params.export_onnx.golden_images)


if __name__ == "__main__":
    run_stage(run)
