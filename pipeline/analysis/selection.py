"""Which images the page shows and where, within bounds that keep it small."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pipeline.analysis import ranking
from pipeline.analysis.dataset import groups_of_several, samples_per_class, set_aside
from pipeline.analysis.lineup import Column, line_up
from pipeline.analysis.ranking import Rows
from pipeline.analysis.suspects import Suspect
from pipeline.core.artifacts import Predictions, Rejected, Sample

MAX_PANEL_IMAGES = 200
"""Of one panel with every class; a page of five panels stays below 20 MB."""
MAX_SAMPLES = 96
LINE_UP_COLUMNS, LINE_UP_DEPTH = 12, 4
MAX_GALLERY = 1200
"""The gallery shows every wrong image, unless there are more than this."""
MAX_SUSPECTS, SUSPECT_SHARE = 300, 0.02
"""Suspected labels shown: all above the threshold and so many of all images, but not more."""
MAX_SET_ASIDE, MAX_GROUPS = 60, 24
GROUP_DEPTH = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Images in a row; `name` is their class, or empty where classes are mixed."""

    name: str
    rows: Rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One question about the predictions, and the images that answer it."""

    title: str
    text: str
    empty: str
    """What it means if there is no image."""
    groups: tuple[Group, ...]
    note: str = ""

    @property
    def rows(self) -> Rows:
        """The images of all groups."""
        return tuple(row for group in self.groups for row in group.rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Every image of the page."""

    samples: Mapping[str, tuple[str, ...]]
    """Paths per class."""
    line_up: tuple[Column, ...]
    panels: tuple[Panel, ...]
    gallery: Rows
    """Holds the rows of the line-up and of every panel as well."""
    suspects: tuple[Suspect, ...]
    set_aside: tuple[Rejected, ...]
    """Images set aside though they can be decoded: conflicts, duplicates, what people dropped."""
    groups: tuple[tuple[Sample, ...], ...]
    """Near duplicates and what else must not be divided between splits."""

    def paths(self) -> Iterator[str]:
        """Yield the path of each image, repeated where it is shown twice."""
        for paths in self.samples.values():
            yield from paths
        for row in self.gallery:
            yield row.path
        for suspect in self.suspects:
            yield suspect.row.path
        for rejected in self.set_aside:
            yield rejected.path
        for group in self.groups:
            for sample in group:
                yield sample.path


def select(
    predictions: Predictions,
    samples: Sequence[Sample],
    *,
    suspects: Sequence[Suspect] = (),
    rejected: Sequence[Rejected] = (),
    per_panel: int,
    seed: int,
) -> Selection:
    """Return the images to show.

    Args:
        predictions: of the test split.
        samples: all usable images.
        suspects: all images, those of the most doubtful labels first.
        rejected: all images that are not used.
        per_panel: images of a panel, or of each class where a panel goes by class.
        seed: of every random choice.
    """
    columns = line_up(predictions, columns=LINE_UP_COLUMNS, depth=LINE_UP_DEPTH, seed=seed)
    panels = _panels(predictions, n=per_panel, seed=seed)
    shown = [row for column in columns for row in column.rows]
    shown += [row for panel in panels for row in panel.rows]
    wrong = ranking.wrong_of_every_kind(predictions, n=max(0, MAX_GALLERY - len(shown)))
    classes = predictions.classes[:MAX_SAMPLES]
    n_samples = min(per_panel, max(1, MAX_SAMPLES // len(classes)))
    return Selection(
        samples=samples_per_class(samples, classes, n=n_samples, seed=seed),
        line_up=columns,
        panels=panels,
        gallery=ranking.without_repeats([*shown, *wrong]),
        suspects=tuple(suspects[: n_suspects(suspects)]),
        set_aside=tuple(set_aside(rejected)[:MAX_SET_ASIDE]),
        groups=tuple(group[:GROUP_DEPTH] for group in groups_of_several(samples)[:MAX_GROUPS]),
    )


def n_suspects(suspects: Sequence[Suspect]) -> int:
    """Return how many of the ranked images are worth showing."""
    above = sum(suspect.above for suspect in suspects)
    return min(MAX_SUSPECTS, max(above, round(SUSPECT_SHARE * len(suspects))))


def _panels(predictions: Predictions, *, n: int, seed: int) -> tuple[Panel, ...]:
    n_classes = len(predictions.classes)
    per_class = min(n, max(1, MAX_PANEL_IMAGES // n_classes))
    many = n_classes > MAX_PANEL_IMAGES
    note = f"The first {MAX_PANEL_IMAGES} of {n_classes} classes." if many else ""
    return (
        Panel(
            title="Right, at random",
            text="What the network usually gets right.",
            empty="No test image was classified correctly.",
            groups=_mixed(ranking.at_random(predictions, right=True, n=n, seed=seed)),
        ),
        Panel(
            title="Wrong, at random",
            text="What its ordinary mistakes look like.",
            empty="No test image was misclassified.",
            groups=_mixed(ranking.at_random(predictions, right=False, n=n, seed=seed)),
        ),
        Panel(
            title="Surest and right, per class",
            text="The pictures that look most like their class to the network.",
            empty="No test image was classified correctly.",
            groups=_per_class(ranking.surest_right(predictions, n=per_class)),
            note=note,
        ),
        Panel(
            title="Surest and wrong, per class",
            text="Sure, and mistaken: look here for wrong labels and for odd pictures. "
            "Grouped by the class in the label.",
            empty="No test image was misclassified.",
            groups=_per_class(ranking.surest_wrong(predictions, n=per_class)),
            note=note,
        ),
        Panel(
            title="Least sure",
            text="Where the network can hardly tell, right or wrong.",
            empty="There is no test image.",
            groups=_mixed(ranking.least_sure(predictions, n=n)),
        ),
    )


def _mixed(rows: Rows) -> tuple[Group, ...]:
    return (Group(name="", rows=rows),) if rows else ()


def _per_class(ranked: Mapping[str, Rows]) -> tuple[Group, ...]:
    shown = list(ranked.items())[:MAX_PANEL_IMAGES]
    if not any(rows for _, rows in shown):
        return ()
    return tuple(Group(name=name, rows=rows) for name, rows in shown)
