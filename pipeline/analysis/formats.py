"""Numbers as people read them; the page's only way to write one."""

import math


def percent(value: float, digits: int = 1) -> str:
    """Return a fraction in percent; a value that only rounds to 0 or 100 % is shown as beyond."""
    text = f"{100 * value:.{digits}f}"
    nearly_all, nearly_none = f"{100 - 10.0**-digits:.{digits}f}", f"{10.0**-digits:.{digits}f}"
    if value < 1 and float(text) == 100:
        return f"> {nearly_all} %"
    if value > 0 and float(text) == 0:
        return f"< {nearly_none} %"
    return f"{text} %"


def thousands(value: int) -> str:
    """Return a count with commas between thousands."""
    return f"{value:,}"


def count(value: int, noun: str) -> str:
    """Return a count with its noun, as in "1 image" and "12 images"."""
    return f"{thousands(value)} {noun}{'' if value == 1 else 's'}"


def number(value: float | None, digits: int = 4) -> str:
    """Return a figure with fixed decimals; None is a dash."""
    return "–" if value is None or not math.isfinite(value) else f"{value:.{digits}f}"


def one_in(n: int, total: int) -> str:
    """Return a share as in "1 in 15"; "none" where n is 0."""
    return "none" if n == 0 else f"1 in {max(1, round(total / n)):,}"


def question(classes: tuple[str, ...]) -> str:
    """Return what the model decides, as a title: "cat or dog?", or "Which of 37 classes?"."""
    if len(classes) > 4 or sum(map(len, classes)) > 40:
        return f"Which of {len(classes)} classes?"
    return f"{', '.join(classes[:-1])} or {classes[-1]}?"
