"""The drawing of the lesson's pictures, kept out of its way; the ideas are in docs/lesson1.md.

Colours are those of Okabe and Ito, which colour-blind people can tell apart.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from pipeline.core.artifacts import EpochRecord, Prediction
from pipeline.imaging.decode import decode

Array = NDArray[Any]
BLUE, ORANGE, GREEN, RED, GREY = "#0072b2", "#e69f00", "#009e73", "#d55e00", "#777777"
STYLE = {
    "figure.dpi": 100,
    "figure.constrained_layout.use": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "axes.labelsize": 9,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "figure.titlesize": 11,
}
plt.rcParams.update(STYLE)


def _picture(axes: Axes, image: Any, title: str = "", *, colour: str = "black", **how: Any) -> None:
    axes.imshow(image, **how)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    axes.set_title(title, fontsize=9, color=colour)


def _grid(n: int, columns: int, *, width: float = 1.35, height: float = 1.6) -> tuple[Any, Array]:
    rows = -(-n // columns)
    figure, axes = plt.subplots(
        rows, columns, figsize=(columns * width, rows * height), squeeze=False
    )
    for place in axes.flat[n:]:
        place.axis("off")
    return figure, axes.ravel()


def gallery(contents: Sequence[bytes], labels: Sequence[str], *, title: str) -> None:
    """Show the images of files, each with its label."""
    figure, axes = _grid(len(contents), 6)
    for place, content, label in zip(axes, contents, labels, strict=False):
        _picture(place, decode(content), label)
    figure.suptitle(title)


def answers(
    images: Sequence[Image.Image], probs: Array, classes: Sequence[str], *, title: str
) -> None:
    """Show images with the class of highest probability."""
    figure, axes = _grid(len(images), 4, width=2, height=2)
    for place, image, row in zip(axes, images, probs, strict=False):
        _picture(place, image, f"{classes[row.argmax()]} {100 * row.max():.1f} %")
    figure.suptitle(title)


def tensor(pixels: Array, *, top: int, left: int, side: int = 6) -> None:
    """Show an image (H, W, 3), its three colours, and the numbers of a small part."""
    figure, axes = plt.subplots(1, 5, figsize=(11.5, 2.9), width_ratios=[1, 1, 1, 1, 1.7])
    _picture(axes[0], pixels, f"{pixels.shape[0]} × {pixels.shape[1]} pixels")
    edge = plt.Rectangle((left - 0.5, top - 0.5), side, side, fill=False, color=RED, lw=1.5)
    axes[0].add_patch(edge)
    for k, name in enumerate(("red", "green", "blue")):
        _picture(axes[k + 1], pixels[..., k], f"[:, :, {k}], {name}", cmap="gray", vmin=0, vmax=255)
    part = pixels[top : top + side, left : left + side]
    _picture(axes[4], part, f"[{top}:{top + side}, {left}:{left + side}, :], red green blue")
    for row in range(side):
        for column in range(side):
            red, green, blue = part[row, column]
            ink = "white" if part[row, column].mean() < 110 else "black"
            axes[4].text(
                *(column, row, f"{red}\n{green}\n{blue}"),
                **{"ha": "center", "va": "center", "fontsize": 6.5, "color": ink},
            )
    figure.suptitle("An image is a box of numbers: rows × columns × 3 colours")


def loss_of_probability() -> None:
    """Draw the loss over the probability of the right class."""
    _, axes = plt.subplots(figsize=(5, 2.8))
    p = np.linspace(0.01, 1, 300)
    axes.plot(p, -np.log(p), color=BLUE)
    for at, text in ((0.99, "sure and right"), (0.5, "called it even"), (0.02, "sure and wrong")):
        axes.plot(at, -np.log(at), "o", color=RED)
        axes.annotate(
            f"{text}: {-np.log(at):.2f}",
            (at, -np.log(at)),
            xytext=(10, 4) if at < 0.9 else (-100, 14),
            textcoords="offset points",
            fontsize=8,
        )
    axes.set(xlabel="probability given to the right class", ylabel="loss, nats", ylim=(-0.1, 4.8))
    axes.set_title("Loss of one answer: −log(probability of the right class)")


def curve_fits(x: Tensor, curve: Tensor, fits: Mapping[int, tuple[float, Tensor]]) -> None:
    """Draw what networks of so many units made of a curve."""
    figure, axes = plt.subplots(1, len(fits), figsize=(10, 2.8), sharey=True)
    for place, (units, (error, fitted)) in zip(axes, fits.items(), strict=True):
        place.plot(x, curve, color=GREY, lw=4, alpha=0.4, label="to be fitted")
        place.plot(x, fitted, color=BLUE, label="network")
        place.set(xlabel="input", title=f"{units} units, mean squared error {error:.2g}")
    axes[0].set_ylabel("output")
    axes[0].legend(loc="upper left")
    figure.suptitle("One hidden layer: the more units, the more bends")


def depth(line: Tensor, deep: Tensor, half: Tensor) -> None:
    """Draw the zigzag of folds, what as few units do in one layer, and the units needed."""
    figure, axes = plt.subplots(1, 3, figsize=(10, 2.9))
    axes[0].plot(line, deep, color=BLUE)
    axes[0].set(xlabel="input", ylabel="output", title="4 layers of 2 units: 16 pieces")
    axes[1].plot(line, deep, color=GREY, lw=3, alpha=0.35)
    axes[1].plot(line, half, color=ORANGE)
    axes[1].set(xlabel="input", title="1 layer of 8 units: 8 bends, then lost", ylim=(-0.6, 1.1))
    layers = np.arange(1, 11)
    axes[2].semilogy(layers, 2.0**layers, "o-", color=ORANGE, label="in one layer")
    axes[2].semilogy(layers, 2 * layers, "o-", color=BLUE, label="in layers of 2")
    for value in (2 * layers[-1], 2 ** layers[-1]):
        axes[2].annotate(
            f"{value:,}", (10, value), xytext=(-4, 6), textcoords="offset points",
            ha="right", fontsize=8,
        )  # fmt: skip
    axes[2].set(xlabel="times folded", ylabel="units", title="units for the zigzag", xlim=(0.5, 11))
    axes[2].legend(loc="upper left")
    figure.suptitle("Depth saves units: every layer folds what the one before it folded")


def descent(loss_at: Callable[[Tensor], Tensor], paths: Mapping[float, Sequence[float]]) -> None:
    """Draw steps of gradient descent on the curve of a loss, a panel for each learning rate."""
    figure, axes = plt.subplots(1, len(paths), figsize=(10, 3.1), sharey=True, sharex=True)
    w = torch.linspace(-1.9, 4.9, 200)
    curve = [loss_at(one).item() for one in w]
    names = ("too small: creeps", "about right: arrives", "too large: explodes")
    for place, (lr, path), name in zip(axes, paths.items(), names, strict=True):
        losses = [loss_at(torch.tensor(at)).item() for at in path]
        place.plot(w, curve, color=GREY, lw=1)
        place.plot(path, losses, "o-", color=BLUE, ms=4, lw=0.8)
        for k in (0, len(path) - 1):
            place.annotate(
                "start" if k == 0 else f"step {k}", (path[k], losses[k]),
                xytext=(6, 4), textcoords="offset points", fontsize=8, color=RED,
            )  # fmt: skip
        place.set(xlabel="weight", title=f"learning rate {lr}, {name}")
    axes[0].set_ylabel("loss (mean squared error)")
    figure.suptitle("The same eight steps, three learning rates")


def borders(points: Tensor, classes: Tensor, networks: Mapping[str, nn.Module]) -> None:
    """Draw two classes of points and where each network puts the border between them."""
    figure, axes = plt.subplots(1, len(networks), figsize=(7.6, 3.6), sharey=True)
    ticks = torch.linspace(-2.4, 2.4, 160)
    places = torch.cartesian_prod(ticks, ticks)
    for place, (name, network) in zip(axes, networks.items(), strict=True):
        with torch.no_grad():
            inside = network(places)[:, 0].sigmoid().reshape(160, 160).T
            right = ((network(points)[:, 0] > 0) == (classes > 0.5)).float().mean()
        place.contourf(ticks, ticks, inside, levels=[0, 0.5, 1], colors=["#fbe3c5", "#cfe3f2"])
        for value, colour, label in ((1, BLUE, "inner"), (0, ORANGE, "outer")):
            chosen = points[classes == value]
            place.scatter(*chosen.T, s=7, color=colour, label=label)
        place.set(title=f"{name}: {100 * right:.0f} % right", xlabel="first input", aspect="equal")
    axes[0].set_ylabel("second input")
    axes[0].legend(loc="lower left", frameon=True)
    figure.suptitle("Shaded: where the network says inner (blue) and outer (orange)")


def activations() -> None:
    """Draw sigmoid and ReLU, and their slopes."""
    figure, axes = plt.subplots(1, 2, figsize=(8, 2.7))
    z = torch.linspace(-6, 6, 401)
    curves = {"sigmoid": (z.sigmoid(), z.sigmoid() * (1 - z.sigmoid()), ORANGE),
              "ReLU": (z.relu(), (z > 0).float(), BLUE)}  # fmt: skip
    for name, (value, slope, colour) in curves.items():
        axes[0].plot(z, value, color=colour, label=name)
        axes[1].plot(z, slope, color=colour, label=name)
    axes[0].set(title="the function", xlabel="input", ylabel="output", ylim=(-0.2, 3))
    axes[1].set(title="its slope", xlabel="input", ylabel="slope")
    axes[1].annotate("never above 0.25", (0, 0.25), xytext=(-5.8, 0.42), fontsize=8, color=ORANGE)
    axes[0].legend(loc="upper left")
    figure.suptitle("Two non-linearities")


def arithmetic(grey: Tensor, kernel: Tensor, *, row: int, column: int) -> None:
    """Show one step of a convolution in numbers."""
    patch = grey[row : row + 3, column : column + 3]
    figure, axes = plt.subplots(1, 4, figsize=(9, 2.6), width_ratios=[1.2, 1, 1, 1])
    _picture(axes[0], grey, "the place", cmap="gray", vmin=0, vmax=255)
    frame = plt.Rectangle((column - 1.5, row - 1.5), 5, 5, fill=False, color=RED, lw=1.5)
    axes[0].add_patch(frame)
    product = patch * kernel
    panels = {"nine pixels": patch, "times the kernel": kernel, "nine products": product}
    for place, (title, values) in zip(axes[1:], panels.items(), strict=True):
        reach = 255.0 if values is patch else float(values.abs().max())
        low = 0.0 if values is patch else -reach
        _picture(place, values, title, cmap="gray", vmin=low, vmax=reach)
        for y in range(3):
            for x in range(3):
                light = (float(values[y, x]) - low) / (reach - low)
                place.text(
                    *(x, y, f"{values[y, x]:.0f}"),
                    **{"ha": "center", "va": "center", "fontsize": 9,
                       "color": "white" if light < 0.45 else "black"},
                )  # fmt: skip
    figure.suptitle(f"One step by hand: the nine products add up to {product.sum():.0f}")


def edges(grey: Tensor, upright: Tensor, level: Tensor) -> None:
    """Show what the two Sobel kernels make of an image."""
    figure, axes = plt.subplots(1, 4, figsize=(9, 3.1))
    strength = (upright**2 + level**2).sqrt()
    reach = float(torch.quantile(strength, 0.99))
    _picture(axes[0], grey, "grey image", cmap="gray")
    _picture(axes[1], upright, "upright: right minus left", cmap="gray", vmin=-reach, vmax=reach)
    _picture(axes[2], level, "level: below minus above", cmap="gray", vmin=-reach, vmax=reach)
    _picture(axes[3], strength, "strength of both", cmap="gray", vmin=0, vmax=reach)
    figure.suptitle("Two kernels find the outlines (middle grey is zero)")


def kernels(first: Sequence[Array], second: Sequence[Array], *, titles: tuple[str, str]) -> None:
    """Show the kernels of the first two layers."""
    figure = plt.figure(figsize=(10, 2.9))
    parts = figure.subfigures(1, 2)
    for part, tiles, title in zip(parts, (first, second), titles, strict=True):
        axes = part.subplots(-(-len(tiles) // 8), 8, squeeze=False)
        for place in axes.flat:
            place.axis("off")
        for place, tile in zip(axes.flat, tiles, strict=False):
            place.imshow(tile, cmap="gray", vmin=0, vmax=255)
            edge = {"fill": False, "color": GREY, "lw": 0.8, "clip_on": False}
            place.add_patch(plt.Rectangle((-0.5, -0.5), tile.shape[1], tile.shape[0], **edge))
        part.suptitle(title, fontsize=9)


def layers(
    images: Array,
    places: Sequence[Sequence[Sequence[tuple[int, float, float]]]],
    sees_px: Sequence[int],
) -> None:
    """Show the parts of images that channels answer to most, a row of channels for each layer."""
    figure = plt.figure(figsize=(11, 0.95 * len(places)))
    parts = figure.subfigures(len(places), len(places[0]), wspace=0.04)
    side = images.shape[1]
    for row, (channels, px) in enumerate(zip(places, sees_px, strict=True)):
        for column, found in enumerate(channels):
            axes = parts[row, column].subplots(1, len(found))
            for place, (image, y, x) in zip(axes, found, strict=True):
                top, left = (int(np.clip(round(at * side - px / 2), 0, side - px)) for at in (y, x))
                _picture(place, images[image, top : top + px, left : left + px])
            if column == 0:
                axes[0].set_ylabel(f"layer {row + 1}", fontsize=9)
    figure.suptitle("What three channels of each layer answer to most, five places each")


def views(original: Array, seen: Sequence[Array]) -> None:
    """Show an image as it is and as several epochs saw it."""
    figure, axes = _grid(1 + len(seen), 1 + len(seen), width=1.4, height=1.9)
    _picture(axes[0], original, "the image")
    for k, (place, view) in enumerate(zip(axes[1:], seen, strict=True), start=1):
        _picture(place, view, f"time {k}")
    figure.suptitle("One image as training saw it, epoch after epoch")


def lr_curve(rates: Sequence[float], losses: Sequence[float], suggested: float) -> None:
    """Draw the range test with its four regions."""
    _, axes = plt.subplots(figsize=(7, 3.4))
    x, y = np.array(rates), np.array(losses)
    axes.semilogx(x, y, color=BLUE)
    low = int(y.argmin())
    drop = max(y[0] - y[low], 1e-6)
    falls = int(np.argmax(y < y[0] - 0.1 * drop))
    above = np.flatnonzero(y[low:] > y[0])  # worse than before the first step
    wall = low + int(above[0]) if len(above) else len(y) - 1
    regions = {"flat": (0, falls), "falling": (falls, low), "bottom": (low, wall),
               "wall": (wall, len(x) - 1)}  # fmt: skip
    bottom, top = y[low] - 0.4 * drop, min(y.max(), y[0] + 3 * drop)
    for k, (name, (start, end)) in enumerate(regions.items()):
        if end > start:
            axes.axvspan(x[start], x[end], color=GREY, alpha=0.2 if k % 2 else 0.05, lw=0)
            middle = np.sqrt(x[start] * x[end])
            axes.text(middle, top, name, ha="center", va="bottom", fontsize=8)
    axes.axvline(suggested, color=RED, lw=1.2)
    axes.annotate(
        f"suggested: {suggested:g}", (suggested, top - 0.15 * (top - bottom)), xytext=(-6, 0),
        textcoords="offset points", ha="right", color=RED, fontsize=9,
    )  # fmt: skip
    axes.set(xlabel="learning rate (log scale)", ylabel="loss, nats", ylim=(bottom, top))
    axes.set_title("Learning rate finder", pad=16)


def three_rates(runs: Mapping[float, Sequence[float]], *, suggested: float) -> None:
    """Draw the loss of each step for several learning rates."""
    _, axes = plt.subplots(figsize=(6.5, 3.2))
    names = ("too small", "suggested", "too large")
    for (lr, losses), colour, name in zip(
        sorted(runs.items()), (ORANGE, BLUE, RED), names, strict=True
    ):
        smooth = np.convolve(losses, np.ones(3) / 3, mode="valid")
        axes.plot(np.arange(2, 2 + len(smooth)), smooth, color=colour, label=f"{lr:.2g}, {name}")
    axes.axhline(np.log(2), color=GREY, lw=0.8, ls=":")
    axes.text(0, np.log(2), "guessing", fontsize=8, color=GREY, va="top")
    axes.xaxis.get_major_locator().set_params(integer=True)
    highest = max(max(losses) for losses in runs.values())
    axes.set(xlabel="step", ylabel="loss, nats", ylim=(0.3, min(highest, 2.0)))
    axes.set_title(f"Two epochs at three rates (mean of three steps; suggested: {suggested:g})")
    axes.legend(title="learning rate", title_fontsize=8)


def overfitting(history: Sequence[EpochRecord], *, n_images: int) -> None:
    """Draw both losses and the accuracy per epoch, the best epoch marked."""
    figure, axes = plt.subplots(1, 2, figsize=(9.5, 3.2))
    epochs = [record.epoch for record in history]
    axes[0].plot(epochs, [r.train_loss for r in history], color=ORANGE, label="training")
    axes[0].plot(epochs, [r.valid_loss for r in history], color=BLUE, label="validation")
    (kept,) = [record.epoch for record in history if record.kept]
    for place in axes:
        place.axvline(kept, color=GREEN, lw=1, ls="--")
    axes[0].annotate(
        f"keep epoch {kept}", (kept, axes[0].get_ylim()[1]), xytext=(4, -10),
        textcoords="offset points", color=GREEN, fontsize=8,
    )  # fmt: skip
    axes[0].set(xlabel="epoch", ylabel="loss, nats", title="loss")
    axes[0].legend()
    axes[1].plot(epochs, [100 * r.valid_accuracy for r in history], color=BLUE)
    axes[1].set(xlabel="epoch", ylabel="accuracy, %", title="validation accuracy")
    figure.suptitle(f"Learning {n_images} images by heart")


def with_and_without(plain: Sequence[EpochRecord], augmented: Sequence[EpochRecord]) -> None:
    """Draw the validation losses of two trainings."""
    _, axes = plt.subplots(figsize=(6, 3))
    for history, colour, name in (
        (plain, GREY, "without augmentation"),
        (augmented, BLUE, "with augmentation"),
    ):
        axes.plot([r.epoch for r in history], [r.valid_loss for r in history], color=colour)
        axes.plot([r.epoch for r in history], [r.train_loss for r in history], color=colour, ls=":")
        axes.plot([], [], color=colour, label=name)
    axes.plot([], [], color="black", label="validation")
    axes.plot([], [], color="black", ls=":", label="training")
    axes.set(xlabel="epoch", ylabel="loss, nats", title="The same images, mirrored and cropped")
    axes.legend()


def rows_of_images(
    rows: Mapping[str, Sequence[Prediction]], *, read: Callable[[str], bytes]
) -> None:
    """Show images of predictions in named rows, each with its folder and the answer."""
    columns = max(len(row) for row in rows.values())
    figure = plt.figure(figsize=(1.6 * columns, 2.4 * len(rows)))
    parts = np.atleast_1d(figure.subfigures(len(rows), 1))
    for part, (name, row) in zip(parts, rows.items(), strict=True):
        axes = part.subplots(1, columns, squeeze=False)[0]
        for place in axes:
            place.axis("off")
        for place, shown in zip(axes, row, strict=False):
            right = shown.label == shown.predicted
            _picture(
                place, decode(read(shown.path)),
                f"folder: {shown.label}\nsays {shown.predicted} {100 * shown.confidence:.0f} %",
                colour="black" if right else RED,
            )  # fmt: skip
        part.suptitle(name, fontsize=10)
