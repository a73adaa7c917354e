"""Bring every image of the split into the form that all later stages read.

Reads   data/raw.zip, data/split.csv
Writes  data/packed
Params  pack, model
"""

import logging

from pipeline.core.artifacts import Sample, read_records
from pipeline.core.layout import Layout
from pipeline.core.params import Params
from pipeline.core.process import available_cores
from pipeline.core.progress import Progress
from pipeline.core.stage import run_stage
from pipeline.packing.packed import write_packed
from pipeline.pretrained.facts import chosen_preprocess, weights_facts

log = logging.getLogger(__name__)


def run(params: Params, layout: Layout) -> None:
    samples = read_records(layout.split, Sample, stage="split")
    spec = chosen_preprocess(
        weights_facts(params.model.arch, params.model.weights),
        size_px=params.pack.size_px,
        fit=params.pack.fit,
        resample=params.pack.resample,
    )
    with Progress("pack", total=len(samples)) as progress:
        write_packed(
            layout.packed,
            archive_path=layout.raw_archive,
            samples=samples,
            spec=spec,
            mode=params.pack.mode,
            workers=params.runtime.workers or available_cores(),
            on_progress=progress.advance,
        )
    log.info(
        "packed %d images of %d px, fit %s (%s), mode %s",
        *(len(samples), spec.size_px, spec.fit, spec.resample, params.pack.mode),
    )


if __name__ == "__main__":
    run_stage(run)
