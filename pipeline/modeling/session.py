"""A training that is watched, saved now and then, and gone on with after it was stopped."""

import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from pipeline.core.artifacts import EpochRecord
from pipeline.core.errors import ArtifactError
from pipeline.core.progress import Progress
from pipeline.modeling.fit import Fitting
from pipeline.modeling.resume import Checkpoints
from pipeline.modeling.stopping import StopRequest, stop_requests

log = logging.getLogger(__name__)

SAVE_SHARE = 0.05
"""Saving takes at most this share of the time, however large the network and slow the disk."""
NOTE_S = 1.0
"""How often the loss is looked at: that waits for the device."""


@dataclass
class Session:
    """Runs a fitting to its end, or to a request to stop.

    Args:
        fitting: the training.
        checkpoints: where its state is kept; None in processes of a group that do not write.
        every_s: seconds between two checkpoints, more if saving would take too large a share; 0
            saves after every step.
    """

    fitting: Fitting
    checkpoints: Checkpoints | None
    every_s: float
    _saved_at: float = field(default_factory=time.monotonic)
    _noted_at: float = field(default_factory=time.monotonic)
    _cost_s: float = 0.0
    _note: str = ""

    def begin(self, *, resume: bool) -> None:
        """Take up the newest whole checkpoint if there is one, or remove them all."""
        if not resume and self.checkpoints:
            self.checkpoints.clear()
        fitting, device = self.fitting, self.fitting.compute.device
        state = self.checkpoints.load(device=device) if self.checkpoints else None
        state = fitting.group.shared(state, device=device)
        if state is None:
            return
        fitting.load_state_dict(state)
        log.info(
            "continues in epoch %d after step %d of %d",
            *(fitting.epoch, fitting.step, fitting.n_steps),
        )

    def run(self, progress: Progress) -> Iterator[EpochRecord]:
        """Train what is left, yielding a record per epoch.

        Raises:
            TrainingError: as in `Fitting.run`.
            SystemExit: SIGTERM or Ctrl-C; the state is saved.
        """
        with stop_requests() as request:

            def on_step(n_images: int) -> None:
                progress.advance(n_images, note=self._look())
                self._tend(request)

            for record in self.fitting.run(on_step):
                yield record
                self._tend(request)

    def save(self) -> bool:
        """Save the state, and tell whether that worked.

        A full disk is no reason to stop: the older checkpoints are kept.
        """
        if self.checkpoints is None:
            return False
        fitting, start = self.fitting, time.monotonic()
        state, saved = fitting.state_dict(), True
        try:
            self.checkpoints.save(state, epoch=fitting.epoch, step=fitting.step)
        except ArtifactError as error:
            log.warning("%s; the training goes on without this checkpoint", error)
            saved = False
        self._saved_at = time.monotonic()
        self._cost_s = self._saved_at - start
        return saved

    def _tend(self, request: StopRequest) -> None:
        """Save if it is time, and leave if somebody asks any process of the group for it."""
        if signum := self.fitting.group.largest(request.signum or 0):
            where = (self.fitting.epoch, self.fitting.step, self.fitting.n_steps)
            saved = self.save()
            if self.checkpoints is not None:
                log.info("stopped in epoch %d after step %d of %d, %s", *where, _what_next(saved))
            raise SystemExit(128 + signum)
        waited = time.monotonic() - self._saved_at
        if not self.every_s or waited >= max(self.every_s, self._cost_s / SAVE_SHARE):
            self.save()

    def _look(self) -> str:
        """Return what is shown beside the progress: epoch, loss so far, accuracy of the last."""
        fitting, now = self.fitting, time.monotonic()
        if now - self._noted_at >= NOTE_S and fitting.step:
            self._noted_at = now
            self._note = f"epoch {fitting.epoch}, loss {fitting.mean_loss():.3f}"
            if fitting.history:
                self._note += f", valid accuracy {fitting.history[-1].valid_accuracy:.3f}"
        return self._note


def _what_next(saved: bool) -> str:
    if saved:
        return "saved; the next run continues from there"
    return "not saved; the next run continues from the checkpoint before, if there is one"
