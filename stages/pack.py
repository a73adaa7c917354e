"""Bring every image of the split into the form that all later stages read.

Reads   data/raw.zip, data/split.csv
Writes  data/packed
Params  pack
"""

import logging

from pipeline.core.artifacts import Sample, read_records
from pipeline.core.layout import Layout
from pipeline.core.params import Params
from pipeline.core.process import available_cores
from pipeline.core.progress import Progress
from pipeline.core.stage import run_stage
from pipeline.imaging.spec import PreprocessSpec
from pipeline.packing.packed import write_packed

log = logging.getLogger(__name__)


def run(params: Params, layout: Layout) -> None:
    samples = read_records(layout.split, Sample, stage="split")
    with Progress("pack", total=len(samples)) as progress:
        write_packed(
            layout.packed,
            archive_path=layout.raw_archive,
            samples=samples,
            spec=PreprocessSpec(size_px=params.pack.size_px, fit=params.pack.fit),
            mode=params.pack.mode,
            workers=params.runtime.workers or available_cores(),
            on_progress=progress.advance,
        )
    log.info(
        "packed %d images of %d px, fit %s, mode %s",
        *(len(samples), params.pack.size_px, params.pack.fit, params.pack.mode),
    )


if __name__ == "__main__":
    run_stage(run)
