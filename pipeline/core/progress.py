"""A progress bar on a terminal, a plain line now and then elsewhere."""

import logging
import sys
import time
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Any, Self, TypeVar

from tqdm import tqdm

log = logging.getLogger(__name__)
T = TypeVar("T")
SECONDS_BETWEEN_LINES = 5.0


class Progress:
    """Counts work done and shows it; use as a context manager.

    Args:
        title: what is being done, two or three words.
        total: how many units there will be, None if unknown.
        unit: what is counted, as in "120 images".
        shown: false shows nothing, where another process does.
    """

    def __init__(
        self, title: str, *, total: int | None, unit: str = "images", shown: bool = True
    ) -> None:
        self._title, self._total, self._unit = title, total, unit
        self._done, self._start = 0, time.monotonic()
        self._last_line = self._start
        self._shown = shown
        self._bar: Any = None
        if shown and sys.stderr.isatty():
            self._bar = tqdm(
                total=total, desc=title, unit=f" {unit}", unit_scale=unit == "B", leave=False
            )

    def advance(self, n: int = 1, *, note: str = "") -> None:
        """Count `n` more units; `note` is shown behind them."""
        self._done += n
        if self._bar is not None:
            if note:
                self._bar.set_postfix_str(note, refresh=False)
            self._bar.update(n)
        elif self._shown and time.monotonic() - self._last_line >= SECONDS_BETWEEN_LINES:
            self._last_line = time.monotonic()
            of = f" of {self._total}" if self._total else ""
            tail = f"; {note}" if note else ""
            speed = self._speed()
            log.info("%s: %d%s %s%s%s", self._title, self._done, of, self._unit, speed, tail)

    def _speed(self) -> str:
        """Return units per second and, where the total is known, the time left."""
        rate = self._done / max(1e-9, time.monotonic() - self._start)
        left = f", {(self._total - self._done) / rate:.0f} s left" if self._total and rate else ""
        return f", {rate:.0f}/s{left}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.close()


def with_progress(
    items: Iterable[T], title: str, *, total: int | None, unit: str = "images"
) -> Iterator[T]:
    """Yield `items`, showing how many have been taken."""
    with Progress(title, total=total, unit=unit) as progress:
        for item in items:
            yield item
            progress.advance()
