"""Accuracy on parts of a split: where is the model weak?"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.core.artifacts import Sample, SliceRow
from pipeline.core.errors import ArtifactError
from pipeline.data.corrections import Corrections
from pipeline.data.look import look_at
from pipeline.evaluation.interval import wilson_interval
from pipeline.packing.encoded import pixel_batches
from pipeline.packing.packed import PackedSplit

MAX_VALUES = 20
"""Of a column of words: its most frequent values have a row each, the others one together."""
FEW_NUMBERS = 8
"""A column of numbers with more different ones than this is parted into quartiles."""
BATCH_IMAGES = 256
EMPTY, OTHERS = "(empty)", "(others)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trait:
    """Something by which images differ."""

    name: str
    values: tuple[str, ...] | NDArray[np.float64]
    """One per image: words, which part the images as they are, or numbers, by their quartiles."""


def slice_rows(right: NDArray[np.bool_], traits: Sequence[Trait]) -> list[SliceRow]:
    """Return the accuracy on each part, part by part; a trait that parts nothing has no row.

    Args:
        right: (N,) whether each image was classified right.
        traits: with N values each.
    """
    return [_row(name, value, right[where]) for name, value, where in slices_of(traits)]


def slices_of(traits: Sequence[Trait]) -> Iterator[tuple[str, str, NDArray[np.bool_]]]:
    """Yield trait, value and which of the N images have it, as (N,) booleans."""
    for trait in traits:
        parts = list(_parts(trait.values))
        if len(parts) > 1:
            yield from ((trait.name, value, where) for value, where in parts)


def image_traits(split: PackedSplit, samples: Mapping[str, Sample]) -> list[Trait]:
    """Return what can be measured on the images.

    `size_px` is the shorter side and `aspect` width by height of the original image; `brightness`
    and `sharpness` (see `pipeline.data.look`) are those of the packed pixels, as the network sees
    them.

    Args:
        split: N images.
        samples: the rows of data/split.csv by path.

    Raises:
        ArtifactError: split.csv does not know an image.
    """
    missing = [path for path in split.paths if path not in samples]
    if missing:
        raise ArtifactError(
            f"data/split.csv: no row for {missing[0]}, which data/packed holds; run: dvc repro pack"
        )
    sizes = np.array([(samples[p].width, samples[p].height) for p in split.paths], np.float64)
    batches = [slice(start, start + BATCH_IMAGES) for start in range(0, len(split), BATCH_IMAGES)]
    looks = [
        look_at(Image.fromarray(image))
        for pixels in pixel_batches(split.pixels, batches)
        for image in pixels
    ]
    return [
        Trait(name="size_px", values=sizes.min(axis=1)),
        Trait(name="aspect", values=(sizes[:, 0] / sizes[:, 1]).round(3)),
        Trait(name="brightness", values=np.array([look.brightness for look in looks])),
        Trait(name="sharpness", values=np.array([look.sharpness for look in looks])),
    ]


def people_traits(
    split: PackedSplit,
    *,
    classes: Sequence[str],
    corrections: Corrections,
    columns: Mapping[str, Mapping[str, str]],
) -> list[Trait]:
    """Return what people said about the images.

    `class` is the label, `correction` what data/corrections.csv says (`relabel`, `keep`, `none`),
    and `metadata.COLUMN` a further column of data/metadata.csv.

    Args:
        split: N images.
        classes: K names.
        corrections: of any images.
        columns: cells by path, by column.
    """
    corrected = {path: "relabel" for path in corrections.relabel}
    corrected |= {path: "keep" for path in corrections.keep}
    return [
        Trait(name="class", values=tuple(classes[label] for label in split.labels)),
        Trait(name="correction", values=tuple(corrected.get(p, "none") for p in split.paths)),
        *(
            Trait(name=f"metadata.{name}", values=_column([cells.get(p, "") for p in split.paths]))
            for name, cells in sorted(columns.items())
        ),
    ]


def _column(cells: Sequence[str]) -> tuple[str, ...] | NDArray[np.float64]:
    """Return a column as numbers if its filled cells are many different ones, else as words."""
    filled = [cell for cell in cells if cell]
    if len(set(filled)) > FEW_NUMBERS:
        try:
            numbers = np.array([float(cell) if cell else np.nan for cell in cells])
        except ValueError:
            return tuple(cells)
        if np.isfinite([float(cell) for cell in filled]).all():
            return numbers
    return tuple(cells)


def _parts(
    values: tuple[str, ...] | NDArray[np.float64],
) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    return _quartiles(values) if isinstance(values, np.ndarray) else _words(values)


def _words(values: tuple[str, ...]) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    array = np.array(values, dtype=object)
    counts = Counter(value for value in values if value)
    most = sorted(counts, key=lambda value: (-counts[value], value))[:MAX_VALUES]
    for value in sorted(most):
        yield value, array == value
    others = np.array([bool(value) and value not in most for value in values], np.bool_)
    if others.any():
        yield OTHERS, others
    if (array == "").any():
        yield EMPTY, array == ""


def _quartiles(values: NDArray[np.float64]) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """Yield up to four parts, named by their least and largest value; equal values stay together.

    Fewer where many values are equal.
    """
    known = ~np.isnan(values)
    if known.any():
        edges = np.unique(np.quantile(values[known], (0.25, 0.5, 0.75)))
        numbers = np.searchsorted(edges, values, side="left")  # an edge belongs to the part below
        parts = [known & (numbers == number) for number in np.unique(numbers[known])]
        ends = [(float(values[part].min()), float(values[part].max())) for part in parts]
        yield from zip(_names(ends), parts, strict=True)
    if not known.all():
        yield EMPTY, ~known


def _names(ends: Sequence[tuple[float, float]]) -> list[str]:
    """Return `low to high` of each part, with as many digits as tell all ends apart, at least 6."""
    different = {end for pair in ends for end in pair}
    for digits in range(6, 18):  # 17 tell any two floats apart
        texts = {end: f"{end:.{digits}g}" for end in different}
        if len(set(texts.values())) == len(different):
            break
    return [texts[low] if low == high else f"{texts[low]} to {texts[high]}" for low, high in ends]


def _row(name: str, value: str, right: NDArray[np.bool_]) -> SliceRow:
    count, n = int(right.sum()), len(right)
    low, high = wilson_interval(count, n)
    return SliceRow(
        slice=name, value=value, n=n, accuracy=count / n, accuracy_low=low, accuracy_high=high
    )
