"""One image as the page shows it, and the panels made of such cards."""

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.analysis import rankings
from pipeline.analysis.pictures import Album
from pipeline.core.artifacts import Prediction, Predictions

MAX_BARS = 3
MAX_CLASS_CARDS = 300
"""Of the two panels that show every class; keeps the page small with many classes."""
MAX_WRONG_CARDS = 240
MIN_RIGHT_CARDS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """The probability of one class."""

    class_name: str
    prob: float
    is_label: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """One image with what the model says about it."""

    row: Prediction
    picture: str
    """Data URI."""
    right: bool
    bars: tuple[Bar, ...]
    label_index: int
    predicted_index: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Some cards of a panel, under the name of their class; without a name for all classes."""

    class_name: str
    cards: tuple[Card, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One question about the model, answered with pictures."""

    key: str
    title: str
    note: str
    empty: str
    """What is said where there is no image."""
    groups: tuple[Group, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dealer:
    """Makes cards of the predictions of one split."""

    predictions: Predictions
    album: Album

    def card(self, row: Prediction) -> Card:
        """Return the card of one image."""
        classes = self.predictions.classes
        return Card(
            row=row,
            picture=self.album.card(row.path),
            right=rankings.is_right(row),
            bars=top_bars(row, classes),
            label_index=classes.index(row.label),
            predicted_index=classes.index(row.predicted),
        )

    def group(self, rows: Sequence[Prediction], class_name: str = "") -> Group:
        """Return the cards of several images."""
        return Group(class_name=class_name, cards=tuple(map(self.card, rows)))


def top_bars(row: Prediction, classes: Sequence[str]) -> tuple[Bar, ...]:
    """Return the most probable classes, and the true one if it is not among them."""
    ranked = sorted(range(len(classes)), key=lambda k: (-row.probs[k], k))
    shown = ranked[:MAX_BARS]
    label = classes.index(row.label)
    shown = shown if label in shown else [*shown, label]
    return tuple(Bar(class_name=classes[k], prob=row.probs[k], is_label=k == label) for k in shown)


def lesson_panels(dealer: Dealer, *, n: int, seed: int) -> list[Panel]:
    """Return the panels of the lesson, `n` images each; the per-class ones fewer if K is large."""
    rows = dealer.predictions.rows
    return [
        Panel(
            key="right",
            title="Right, picked at random",
            note="What an ordinary success looks like.",
            empty="Not one test image was classified rightly.",
            groups=(dealer.group(rankings.right_at_random(rows, n=n, seed=seed)),),
        ),
        Panel(
            key="wrong",
            title="Wrong, picked at random",
            note="What an ordinary mistake looks like.",
            empty="Not one test image was classified wrongly.",
            groups=(dealer.group(rankings.wrong_at_random(rows, n=n, seed=seed)),),
        ),
        *_class_panels(dealer, n=n),
        Panel(
            key="unsure",
            title="Least sure",
            note="Where the model hesitates: the nearest calls, whether right or wrong.",
            empty="There is no test image.",
            groups=(dealer.group(rankings.least_sure(rows, n=n)),),
        ),
    ]


def gallery(dealer: Dealer, *, seed: int) -> Group:
    """Return the mistakes, worst first, then some right images; bounded for a small page."""
    rows = dealer.predictions.rows
    wrong = rankings.top_losses(
        [row for row in rows if not rankings.is_right(row)], n=MAX_WRONG_CARDS
    )
    right = rankings.right_at_random(rows, n=max(MIN_RIGHT_CARDS, len(wrong) // 2), seed=seed)
    return dealer.group([*wrong, *rankings.top_losses(right, n=len(right))])


def _class_panels(dealer: Dealer, *, n: int) -> list[Panel]:
    predictions = dealer.predictions
    per_class = max(1, min(n, MAX_CLASS_CARDS // len(predictions.classes)))
    shown = predictions.classes[:MAX_CLASS_CARDS]
    cut = len(predictions.classes) - len(shown)
    remark = f" The other {cut} classes are left out." if cut else ""

    def groups(choose: rankings.ClassRanking) -> tuple[Group, ...]:
        return tuple(
            dealer.group(choose(predictions.rows, name, n=per_class), name) for name in shown
        )

    return [
        Panel(
            key="surest-right",
            title="Surest and right",
            note=f"The most typical of each class, in the model’s eyes.{remark}",
            empty="Not one image of this class was classified rightly.",
            groups=groups(rankings.surest_right),
        ),
        Panel(
            key="surest-wrong",
            title="Surest and wrong",
            note="Certain and mistaken. Look for wrong labels here first, then for what the "
            f"training images lack.{remark}",
            empty="Not one image of this class was classified wrongly.",
            groups=groups(rankings.surest_wrong),
        ),
    ]
