"""From the bytes of a request to probabilities, with a place in a bounded queue."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from pipeline.core.errors import ImageError, RequestError
from pipeline.core.process import available_cores
from pipeline.imaging.decode import FORMATS
from pipeline.imaging.preprocess import Pixels
from pipeline.inference.classifier import OnnxClassifier, Probs
from pipeline.serving.batcher import Batcher
from pipeline.serving.limits import Limits
from pipeline.serving.multipart import single_file

# Pillow's own words stay inside: an error text can carry addresses and paths.
PLAIN_WORDS = {
    "not_an_image": f"not an image in one of the formats {', '.join(FORMATS)}",
    "truncated": "the image is damaged or cut off",
}


class Service:
    """One model with its queue; everything runs on the event loop but decoding and the model.

    Args:
        classifier: the model.
        limits: see `Limits`.
        lanes: batches at the same time.
        max_batch: images in one batch.
    """

    def __init__(
        self, classifier: OnnxClassifier, *, limits: Limits, lanes: int, max_batch: int
    ) -> None:
        self.classifier, self.limits = classifier, limits
        self.leaving = False
        """True once the server has been told to stop: not ready, but still answering."""
        self._batcher = Batcher(classifier.predict, lanes=lanes, max_batch=max_batch)
        self._decoders = ThreadPoolExecutor(available_cores(), thread_name_prefix="decode")
        self._admitted = 0

    async def classify(self, body: bytes, *, form_type: str | None) -> Probs:
        """Return the (K,) probabilities of the image in `body`.

        Args:
            body: the image's bytes, or a form that holds them.
            form_type: the content type of a multipart form, None for a bare image.

        Raises:
            RequestError: 400 malformed form, 422 unusable image, 503 queue full, 504 too late.
            ArtifactError: the model failed.
        """
        with self._admission():
            try:
                async with asyncio.timeout(self.limits.answer_s):
                    loop = asyncio.get_running_loop()
                    decoding = loop.run_in_executor(self._decoders, self._pixels, body, form_type)
                    return await self._batcher.predict(await decoding)
            except TimeoutError as error:
                raise RequestError(504, f"no answer within {self.limits.answer_s:g} s") from error

    @contextmanager
    def _admission(self) -> Iterator[None]:
        if self._admitted >= self.limits.waiting:
            raise RequestError(503, "the queue is full; try again")
        self._admitted += 1
        try:
            yield
        finally:
            self._admitted -= 1

    def _pixels(self, body: bytes, form_type: str | None) -> Pixels:
        content = body if form_type is None else single_file(body, form_type)
        try:
            return self.classifier.pixels(content)
        except ImageError as error:
            status = 400 if error.reason == "empty" else 422
            raise RequestError(status, PLAIN_WORDS.get(error.reason, error.detail)) from error
