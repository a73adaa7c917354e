"""Which images the page shows and where, within bounds that keep it small."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pipeline.analysis import ranking
from pipeline.analysis.dataset import samples_per_class
from pipeline.analysis.lineup import Column, line_up
from pipeline.analysis.ranking import Rows
from pipeline.core.artifacts import Predictions, Sample

MAX_PANEL_IMAGES = 200
"""Of one panel with every class; a page of five panels stays below 20 MB."""
MAX_SAMPLES = 96
LINE_UP_COLUMNS, LINE_UP_DEPTH = 12, 4
MAX_GALLERY_EXTRA = 200
"""Wrong images that only the gallery shows."""


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

    def paths(self) -> Iterator[str]:
        """Yield the path of each image, repeated where it is shown twice."""
        for paths in self.samples.values():
            yield from paths
        for row in self.gallery:  # holds the rows of the line-up and of every panel
            yield row.path


def select(
    predictions: Predictions, samples: Sequence[Sample], *, per_panel: int, seed: int
) -> Selection:
    """Return the images to show.

    Args:
        predictions: of the test split.
        samples: all usable images.
        per_panel: images of a panel, or of each class where a panel goes by class.
        seed: of every random choice.
    """
    columns = line_up(predictions, columns=LINE_UP_COLUMNS, depth=LINE_UP_DEPTH, seed=seed)
    panels = _panels(predictions, n=per_panel, seed=seed)
    extra = ranking.wrong_of_every_kind(predictions, n=MAX_GALLERY_EXTRA)
    shown = [row for column in columns for row in column.rows]
    shown += [row for panel in panels for row in panel.rows]
    classes = predictions.classes[:MAX_SAMPLES]
    n_samples = min(per_panel, max(1, MAX_SAMPLES // len(classes)))
    return Selection(
        samples=samples_per_class(samples, classes, n=n_samples, seed=seed),
        line_up=columns,
        panels=panels,
        gallery=ranking.without_repeats([*shown, *extra]),
    )


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
