"""Images that wait together go through the model together; nobody waits for company."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field

import numpy as np

from pipeline.core.errors import ArtifactError, PipelineError
from pipeline.imaging.preprocess import Pixels
from pipeline.inference.classifier import Probs
from pipeline.serving.model import Cams, Model
from pipeline.serving.refusal import Refusal

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a model says about one image, and how long each part took."""

    model: Model
    probs: Probs
    """(K,) probabilities."""
    cam: Cams | None
    """(K, h, w), where it was asked for and the model has it."""
    queue_s: float
    decode_s: float
    model_s: float
    """Of the whole batch."""
    batch_size: int


@dataclass(slots=True, eq=False)
class Job:
    """One image on its way.

    Args:
        prepare: makes (S, S, 3) pixels for a model; called in a lane, may raise PipelineError.
        answer: takes the answer; a job whose answer nobody awaits any more is dropped.
        wants_cam: whether the heat-map is asked for.
        connected: tells whether the client is still there.
    """

    prepare: Callable[[Model], Pixels]
    answer: "asyncio.Future[Answer]"
    wants_cam: bool = False
    connected: Callable[[], bool] = lambda: True
    arrived: float = field(default_factory=time.perf_counter)

    @property
    def wanted(self) -> bool:
        """Tell whether anybody still waits."""
        return not self.answer.done() and self.connected()


class Lanes:
    """Threads that each take a share of what waits when they fall free: decode, then one batch.

    With one client every image goes alone and at once; under load batches form by themselves. All
    state belongs to the event loop's thread.

    Args:
        current: returns the model to use; asked once per batch, so that a new version can take
            over between two batches.
        lanes: batches at the same time.
        max_batch: images in one batch.
    """

    def __init__(self, current: Callable[[], Model], *, lanes: int, max_batch: int) -> None:
        self._current, self._max_batch = current, max_batch
        self._lanes = self._free_lanes = lanes
        self._pool = ThreadPoolExecutor(lanes, thread_name_prefix="lane")
        self._waiting: deque[Job] = deque()

    @property
    def n_waiting(self) -> int:
        """Images that no lane has taken yet."""
        return len(self._waiting)

    def add(self, job: Job) -> None:
        """Let an image in; its answer comes through `job.answer`."""
        self._waiting.append(job)
        self._fill_lanes()

    def _fill_lanes(self) -> None:
        while self._free_lanes and (batch := self._take()):
            self._free_lanes -= 1
            loop = asyncio.get_running_loop()
            running = self._pool.submit(_answers, self._current(), batch)

            def hand_over(
                done: "Future[list[Answer | BaseException]]",
                batch: list[Job] = batch,
                loop: asyncio.AbstractEventLoop = loop,
            ) -> None:
                with suppress(RuntimeError):  # the loop has ended, and with it all who waited
                    loop.call_soon_threadsafe(self._finish, batch, done)

            running.add_done_callback(hand_over)

    def _take(self) -> list[Job]:
        """Take this lane's share: the others will be free soon, and batching gains little."""
        share = min(self._max_batch, -(-len(self._waiting) // self._lanes))
        batch: list[Job] = []
        while self._waiting and len(batch) < share:
            job = self._waiting.popleft()
            if job.wanted:
                batch.append(job)
            else:
                _tell(job, Refusal(499, "client_left", "the client has left"))
        return batch

    def _finish(self, batch: list[Job], done: "Future[list[Answer | BaseException]]") -> None:
        self._free_lanes += 1
        for job, answer in zip(batch, done.result(), strict=True):
            _tell(job, answer)
        self._fill_lanes()


def _tell(job: Job, answer: Answer | BaseException) -> None:
    if job.answer.done():  # too late, nobody listens
        return
    if isinstance(answer, BaseException):
        job.answer.set_exception(answer)
    else:
        job.answer.set_result(answer)


def _answers(model: Model, batch: list[Job]) -> list[Answer | BaseException]:
    """Return one answer or error per job; never raises, and no job spoils another's answer."""
    started = time.perf_counter()
    results: list[Answer | BaseException] = []
    usable: list[tuple[int, Pixels, float]] = []
    for index, job in enumerate(batch):
        before = time.perf_counter()
        try:
            usable.append((index, job.prepare(model), time.perf_counter() - before))
            results.append(ArtifactError("no answer"))  # replaced below
        except Exception as error:  # the job's own, whatever it is
            results.append(error)
    before = time.perf_counter()
    found = _predict(model, [pixels for _, pixels, _ in usable])
    model_s = time.perf_counter() - before
    for (index, pixels, decode_s), probs in zip(usable, found, strict=True):
        job = batch[index]
        if isinstance(probs, BaseException):
            results[index] = probs
            continue
        results[index] = Answer(
            model=model,
            probs=probs,
            cam=_cam(model, pixels) if job.wants_cam else None,
            queue_s=started - job.arrived,
            decode_s=decode_s,
            model_s=model_s,
            batch_size=len(usable),
        )
    return results


def _predict(model: Model, images: list[Pixels]) -> list[Probs | BaseException]:
    """Return probabilities; where a batch fails, each of its images is asked about alone."""
    if not images:
        return []
    try:
        return list(model.predict(np.stack(images)))
    except Exception as error:
        if len(images) == 1:
            return [error]
        return [answer for image in images for answer in _predict(model, [image])]


def _cam(model: Model, pixels: Pixels) -> Cams | None:
    """Return the heat-map; without one the answer is still an answer."""
    if not model.has_cam:
        return None
    try:
        return model.cam(pixels)
    except Exception as error:
        if isinstance(error, PipelineError):
            log.warning("no heat-map: %s", error)
        else:
            log.exception("no heat-map")
        return None
