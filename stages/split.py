"""Judge every image and assign it to the train, valid or test split.

Reads   data/raw.zip, data/corrections.csv
Writes  data/split.csv, data/rejected.csv, reports/data/summary.json
Params  split
"""

import logging

from pipeline.core.archive import RawArchive
from pipeline.core.artifacts import Rejected, Sample, write_records
from pipeline.core.atomic import write_json
from pipeline.core.layout import Layout
from pipeline.core.params import Params
from pipeline.core.process import available_cores
from pipeline.core.progress import Progress
from pipeline.core.stage import run_stage
from pipeline.data.corrections import apply_corrections, read_corrections, without_effect
from pipeline.data.duplicates import set_aside_duplicates
from pipeline.data.scan import scan_archive
from pipeline.data.split import given_split, hash_split, to_samples
from pipeline.data.summary import in_words, require_usable, summarize_data, warnings_about

log = logging.getLogger(__name__)


def run(params: Params, layout: Layout) -> None:
    with RawArchive(layout.raw_archive) as archive:
        members = archive.members
    corrections = read_corrections(layout.corrections, members)
    with Progress("scan", total=len(members)) as progress:
        scanned, refused = scan_archive(
            layout.raw_archive,
            members,
            workers=params.runtime.workers or available_cores(),
            on_progress=progress.advance,
        )
    images, dropped = apply_corrections(scanned, corrections)
    images, duplicates = set_aside_duplicates(
        images, relabelled=corrections.relabel, kept=corrections.keep
    )
    rejected = sorted([*refused, *dropped, *duplicates], key=lambda row: row.path)
    write_records(layout.rejected, rejected, Rejected)  # first: the errors below refer to it
    require_usable(images, expected=corrections.classes_of(members))
    assign = given_split if params.split.keep_given else hash_split
    splits = assign(
        images,
        valid_fraction=params.split.valid_fraction,
        test_fraction=params.split.test_fraction,
        seed=params.split.seed,
    )
    samples = to_samples(images, splits)
    for warning in (*without_effect(corrections, refused), *warnings_about(samples)):
        log.warning("%s", warning)
    write_records(layout.split, samples, Sample)
    write_json(layout.data_summary, summarize_data(samples, rejected))
    log.info("%s", in_words(samples, rejected))


if __name__ == "__main__":
    run_stage(run)
