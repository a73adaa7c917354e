"""Which images the page shows and where, within bounds that keep it small."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pipeline.analysis import ranking
from pipeline.analysis.dataset import samples_per_class
from pipeline.analysis.ranking import Rows
from pipeline.core.artifacts import Predictions, Sample

MAX_PANEL_IMAGES = 200
"""Of one panel with every class; a page of five panels stays below 20 MB."""
MAX_SAMPLES = 96
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
    panels: tuple[Panel, ...]
    gallery: Rows

    def paths(self) -> Iterator[str]:
        """Yield the path of each image, repeated where it is shown twice."""
        for paths in self.samples.values():
            yield from paths
        for row in self.gallery:  # holds the rows of every panel
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
    panels = _panels(predictions, n=per_panel, seed=seed)
    extra = ranking.wrong_of_every_kind(predictions, n=MAX_GALLERY_EXTRA)
    shown = [row for panel in panels for row in panel.rows]
    classes = predictions.classes[:MAX_SAMPLES]
    n_samples = min(per_panel, max(1, MAX_SAMPLES // len(classes)))
    return Selection(
        samples=samples_per_class(samples, classes, n=n_samples, seed=seed),
        panels=panels,
        gallery=ranking.without_repeats([*shown, *extra]),
    )


def _panels(predictions: Predictions, *, n: int, seed: int) -> tuple[Panel, ...]:
    per_class = min(n, max(1, MAX_PANEL_IMAGES // len(predictions.classes)))
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
            **_per_class(ranking.surest_right(predictions, n=per_class)),
        ),
        Panel(
            title="Surest and wrong, per class",
            text="Sure, and mistaken: look here for wrong labels and for odd pictures. "
            "Grouped by the class in the label.",
            empty="No test image was misclassified.",
            **_per_class(ranking.surest_wrong(predictions, n=per_class)),
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


def _per_class(ranked: Mapping[str, Rows]) -> dict[str, tuple[Group, ...] | str]:
    shown = list(ranked.items())[:MAX_PANEL_IMAGES]
    note = f"The first {len(shown)} of {len(ranked)} classes." if len(shown) < len(ranked) else ""
    if not any(rows for _, rows in shown):
        return {"groups": (), "note": note}
    return {"groups": tuple(Group(name=name, rows=rows) for name, rows in shown), "note": note}
