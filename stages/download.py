"""Bring the images, from wherever they are, into one deterministic archive.

Reads   what data.source names
Writes  data/raw.zip
Params  data
"""

import logging

from pipeline.core.layout import Layout
from pipeline.core.params import Params
from pipeline.core.process import available_cores
from pipeline.core.stage import run_stage
from pipeline.sources.collect import collect, draw, summary
from pipeline.sources.locations import SYNTHETIC, repository_root
from pipeline.sources.partials import remove_partials

log = logging.getLogger(__name__)


def run(params: Params, layout: Layout) -> None:
    if params.data.source == SYNTHETIC:
        counts = draw(
            layout.raw_archive,
            n_images=params.data.synthetic_images,
            seed=params.data.synthetic_seed,
            workers=params.runtime.workers or available_cores(),
            sha256=params.data.sha256,
        )
    else:
        counts = collect(
            params.data.source,
            layout.raw_archive,
            sha256=params.data.sha256,
            root=repository_root(),
        )
    remove_partials(layout.raw_archive.parent)
    log.info("%s", summary(counts))


if __name__ == "__main__":
    run_stage(run)
