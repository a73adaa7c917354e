"""Write the model card, and measure what the model says to pictures of none of its classes.

Reads   data/raw.zip, data/split.csv, models/model.onnx, models/model.onnx.sha256, models/model.pt,
        reports/data/summary.json, reports/train/metrics.json, reports/evaluate/metrics.json,
        reports/evaluate/slices.csv, reports/export_onnx/metrics.json
Writes  models/MODEL_CARD.md, reports/card/metrics.json
Params  card, data.source, data.sha256, data.synthetic_images, data.synthetic_seed,
        evaluate.reject_risk, evaluate.reject_coverage, model.weights
"""

import logging

from pipeline.card.facts import public_names, read_facts
from pipeline.card.neither import ask_about_neither
from pipeline.card.page import render
from pipeline.core.atomic import write_json, write_text
from pipeline.core.layout import Layout
from pipeline.core.params import Params
from pipeline.core.process import available_cores
from pipeline.core.stage import run_stage
from pipeline.inference.classifier import OnnxClassifier
from pipeline.pretrained.facts import weights_licence

log = logging.getLogger(__name__)


def run(params: Params, layout: Layout) -> None:
    # What is served, asked on the CPU, as the golden files were.
    classifier = OnnxClassifier(
        layout.onnx_model, device="cpu", threads=params.runtime.threads or available_cores()
    )
    neither = ask_about_neither(
        classifier, n_images=params.card.probe_images, seed=params.card.seed
    )
    write_json(layout.card_metrics, neither)
    facts = read_facts(
        layout,
        spec=classifier.spec,
        said=params.card,
        sources=public_names(
            params.data.source,
            params.data.sha256,
            synthetic_images=params.data.synthetic_images,
            synthetic_seed=params.data.synthetic_seed,
        ),
        weights=params.model.weights,
        weights_licence=weights_licence(classifier.spec.arch, params.model.weights),
        reject_risk=params.evaluate.reject_risk,
        reject_coverage=params.evaluate.reject_coverage,
        neither=neither,
    )
    write_text(layout.model_card, render(facts))
    every = neither["all"]
    log.info(
        "%s; sure about %d of %d pictures that show none of the classes",
        layout.model_card,
        every["n_sure"],
        every["n"],
    )


if __name__ == "__main__":
    run_stage(run)
