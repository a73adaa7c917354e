"""Judge every image and assign it to the train, valid or test split.

Reads   data/raw.zip, data/corrections.csv, data/metadata.csv
Writes  data/split.csv, data/rejected.csv, reports/data/summary.json
Params  split
"""

import logging

from pipeline.core.archive import read_members
from pipeline.core.artifacts import Rejected, Sample, remove_artifact, write_records
from pipeline.core.atomic import write_json
from pipeline.core.layout import Layout
from pipeline.core.params import Params
from pipeline.core.process import available_cores
from pipeline.core.progress import Progress
from pipeline.core.stage import run_stage
from pipeline.data.corrections import (
    apply_corrections,
    dropped_classes,
    read_corrections,
    without_effect,
)
from pipeline.data.duplicates import among_usable, set_aside_duplicates
from pipeline.data.given import divided_groups, given_splits, warn_divided
from pipeline.data.groups import group_images
from pipeline.data.metadata import read_metadata, warn_ignored
from pipeline.data.near import find_pairs
from pipeline.data.scan import scan_archive
from pipeline.data.split import split_images, to_samples, warn_inexact
from pipeline.data.summary import (
    in_words,
    require_no_leak,
    require_usable,
    summarize_data,
    warnings_about,
)

log = logging.getLogger(__name__)


def run(params: Params, layout: Layout) -> None:
    members = read_members(layout.raw_archive)
    corrections = read_corrections(layout.corrections, members)
    metadata = read_metadata(layout.metadata, members)
    workers = params.runtime.workers or available_cores()
    with Progress("scan", total=len(members)) as progress:
        scanned, refused = scan_archive(
            layout.raw_archive, members, workers=workers, on_progress=progress.advance
        )
    with Progress("compare", total=None, unit="pairs") as progress:
        pairs = find_pairs(
            scanned,
            places={member.path: member.place for member in members},
            archive_path=layout.raw_archive,
            workers=workers,
            on_progress=progress.advance,
        )
    groups = group_images(scanned, pairs=pairs, given=metadata.group)
    images, dropped = apply_corrections(scanned, corrections)
    images, duplicates = set_aside_duplicates(
        images, pairs, relabelled=corrections.relabel, kept=corrections.keep
    )
    pairs = among_usable(pairs, scanned, images)
    rejected = sorted([*refused, *dropped, *duplicates], key=lambda row: row.path)

    # split.csv goes first and comes last: whoever finds it finds the files that belong to it.
    remove_artifact(layout.split)
    write_records(layout.rejected, rejected, Rejected)  # the errors below refer to it
    require_usable(images, expected=corrections.classes_of(members))

    given = given_splits(images, metadata.split) if params.split.keep_given else {}
    fractions = {"valid": params.split.valid_fraction, "test": params.split.test_fraction}
    splits = split_images(
        images,
        groups,
        given=given,
        method=params.split.method,
        fractions=fractions,
        seed=params.split.seed,
    )
    samples = to_samples(images, groups, splits)
    divided = divided_groups(groups, given)
    summary = summarize_data(
        samples,
        rejected,
        images=images,
        pairs=pairs,
        divided=divided,
        wanted={} if given else fractions,
    )
    require_no_leak(summary)
    exact = params.split.method == "exact" and not given
    for warning in (
        *without_effect(corrections, refused, groups),
        *dropped_classes(corrections, members),
        *([] if params.split.keep_given else warn_ignored(metadata)),
        *warn_divided(groups, divided),
        *(warn_inexact(images, splits, fractions) if exact else []),
        *warnings_about(samples, pairs),
    ):
        log.warning("%s", warning)
    write_json(layout.data_summary, summary)
    write_records(layout.split, samples, Sample)
    for line in in_words(summary):
        log.info("%s", line)


if __name__ == "__main__":
    run_stage(run)
