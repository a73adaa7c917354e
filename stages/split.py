"""Judge every image and assign it to the train, valid or test split.

Reads   data/raw.zip, data/corrections.csv
Writes  data/split.csv, data/rejected.csv, reports/data/summary.json
Params  split
"""

import logging
from collections import Counter

from pipeline.core.archive import RawArchive
from pipeline.core.artifacts import Rejected, Sample, write_records
from pipeline.core.atomic import write_json
from pipeline.core.layout import Layout
from pipeline.core.params import Params
from pipeline.core.process import available_cores
from pipeline.core.progress import Progress
from pipeline.core.stage import run_stage
from pipeline.data.corrections import read_corrections
from pipeline.data.duplicates import set_aside_duplicates
from pipeline.data.scan import apply_corrections, scan_archive
from pipeline.data.split import given_split, group_of, hash_split, require_all_splits
from pipeline.data.summary import require_classes, summarize_data, warnings_about

log = logging.getLogger(__name__)


def run(params: Params, layout: Layout) -> None:
    with RawArchive(layout.raw_archive) as archive:
        members = archive.members
    labels = sorted({member.label for member in members})
    corrections = read_corrections(
        layout.corrections, paths={member.path for member in members}, classes=labels
    )
    with Progress("scan", total=len(members)) as progress:
        images, rejected = scan_archive(
            layout.raw_archive,
            workers=params.runtime.workers or available_cores(),
            on_progress=progress.advance,
        )
    images, dropped = apply_corrections(images, corrections)
    images, duplicates = set_aside_duplicates(images, kept=corrections.keep)
    rejected = sorted([*rejected, *dropped, *duplicates], key=lambda row: row.path)
    assign = given_split if params.split.keep_given else hash_split
    splits = assign(
        images,
        valid_fraction=params.split.valid_fraction,
        test_fraction=params.split.test_fraction,
        seed=params.split.seed,
    )
    samples = [
        Sample(
            path=image.path,
            label=image.label,
            split=splits[image.path],
            sha256=image.sha256,
            width=image.width,
            height=image.height,
            group=group_of(image),
            source=image.source,
        )
        for image in images
    ]
    write_records(layout.rejected, rejected, Rejected)  # first: the errors below refer to it
    require_classes(samples, labels=[member.label for member in members])
    require_all_splits(splits)
    for warning in warnings_about(samples):
        log.warning("%s", warning)
    write_records(layout.split, samples, Sample)
    write_json(layout.data_summary, summarize_data(samples, rejected))
    log.info("images per split: %s", dict(sorted(Counter(splits.values()).items())))
    log.info("rejected: %s", dict(sorted(Counter(row.reason for row in rejected).items())))


if __name__ == "__main__":
    run_stage(run)
