"""Bring the images, from wherever they are, into one deterministic archive.

Reads   what data.source names
Writes  data/raw.zip
Params  data
"""

import logging

from pipeline.core.layout import Layout
from pipeline.core.params import Params
from pipeline.core.process import available_cores
from pipeline.core.seen import record_seen
from pipeline.core.stage import run_stage
from pipeline.sources.collect import collect, draw, summary
from pipeline.sources.limits import ArchiveLimits
from pipeline.sources.locations import is_synthetic, repository_root
from pipeline.sources.partials import remove_partials

log = logging.getLogger(__name__)


def run(params: Params, layout: Layout) -> None:
    if is_synthetic(params.data.source):
        collected = draw(
            layout.raw_archive,
            n_images=params.data.synthetic_images,
            seed=params.data.synthetic_seed,
            workers=params.runtime.workers or available_cores(),
            sha256=params.data.sha256,
        )
    else:
        collected = collect(
            params.data.source,
            layout.raw_archive,
            sha256=params.data.sha256,
            root=repository_root(),
            limits=ArchiveLimits(
                members=params.data.max_members,
                member_bytes=params.data.max_member_bytes,
                total_bytes=params.data.max_total_bytes,
                ratio=params.data.max_ratio,
                name_chars=params.data.max_name_chars,
                depth=params.data.max_depth,
            ),
        )
    remove_partials(layout.raw_archive.parent)
    record_seen(collected.seen)
    log.info("%s", summary(collected.counts))


if __name__ == "__main__":
    run_stage(run)
