"""From the bytes of a request to probabilities, with a place in a bounded queue."""

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from pipeline.core.errors import ImageError
from pipeline.imaging.preprocess import Pixels
from pipeline.serving.lanes import Answer, Job, Lanes
from pipeline.serving.limits import Limits
from pipeline.serving.metrics import Metrics
from pipeline.serving.model import Model
from pipeline.serving.refusal import Refusal, of_image

Prepare = Callable[[Model], Pixels]


class Service:
    """The model that answers now, with its queue; all but decoding and model is on the event loop.

    Args:
        model: the first version; `adopt` changes it.
        limits: see `Limits`.
        lanes: batches at the same time.
        max_batch: images in one batch.
    """

    def __init__(self, model: Model, *, limits: Limits, lanes: int, max_batch: int) -> None:
        self.limits, self.metrics = limits, Metrics()
        self.leaving = False
        """True once the server has been told to stop: not ready, but still answering."""
        self.refused_version: str | None = None
        """A newer version that lies there and cannot be served."""
        self._lanes = Lanes(lambda: self.model, lanes=lanes, max_batch=max_batch)
        self._admitted = 0
        self.adopt(model)
        gauge = self.metrics.gauge
        gauge("queue_images", "Images that no lane has taken yet.", lambda: self._lanes.n_waiting)
        gauge("images_in_flight", "Images admitted and not answered.", lambda: self._admitted)
        gauge("ready", "1 while requests are welcome.", lambda: not self.leaving)

    def adopt(self, model: Model) -> None:
        """Let `model` answer from the next batch on; the old one finishes what it has begun."""
        self.model = model
        self.refused_version = None
        self.metrics.load(model)

    def refuse_version(self, number: str) -> None:
        """Keep the model, and let readiness and metrics tell that a newer one was no good."""
        self.refused_version = number
        self.metrics.load(None)

    async def classify(
        self,
        images: Sequence[Prepare],
        *,
        wants_cam: bool = False,
        connected: Callable[[], bool] = lambda: True,
    ) -> list[Answer | BaseException]:
        """Return an answer or its own error for each image.

        Raises:
            Refusal: 503 queue full, 504 too late.
        """
        with self._places(len(images)):
            loop = asyncio.get_running_loop()
            now = time.perf_counter()
            jobs = [
                Job(prepare, loop.create_future(), wants_cam, connected, now) for prepare in images
            ]
            for job in jobs:
                self._lanes.add(job)
            try:
                async with asyncio.timeout(self.limits.answer_s):
                    answers = [await _settled(job.answer) for job in jobs]
            except TimeoutError as error:
                message = f"no answer within {self.limits.answer_s:g} s"
                raise Refusal(504, "late", message) from error
            finally:
                for job in jobs:
                    if not job.answer.cancel() and not job.answer.cancelled():
                        job.answer.exception()  # noted, even where nobody asks for it any more
        for answer in answers:
            if isinstance(answer, Answer):
                self.metrics.answer(answer)
        return answers

    @contextmanager
    def _places(self, n_images: int) -> Iterator[None]:
        """Hold a place for each image; a request alone may take more than there are."""
        if self._admitted and self._admitted + n_images > self.limits.waiting:
            raise Refusal(503, "queue_full", "the queue is full; try again")
        self._admitted += n_images
        try:
            yield
        finally:
            self._admitted -= n_images


def encoded(content: bytes) -> Prepare:
    """Return what turns an image file's bytes into pixels."""

    def prepare(model: Model) -> Pixels:
        try:
            return model.classifier.pixels(content)
        except ImageError as error:
            raise of_image(error) from error

    return prepare


async def _settled(answer: "asyncio.Future[Answer]") -> Answer | BaseException:
    """Wait for an answer or the error in its place."""
    try:
        return await answer
    except Exception as error:
        return error
