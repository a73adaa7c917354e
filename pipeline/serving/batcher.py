"""Images that wait together go through the model together; nobody waits for company."""

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from pipeline.imaging.preprocess import Pixels
from pipeline.inference.classifier import Probs

Waiting = tuple[Pixels, "asyncio.Future[Probs]"]


class Batcher:
    """Lanes that each run one batch at a time: what waits when a lane falls free, up to a limit.

    With one client every image goes alone and at once; under load batches form by themselves. All
    state belongs to the event loop's thread, the lanes only call `predict`.

    Args:
        predict: (N, S, S, 3) pixels to (N, K) probabilities; called from several threads.
        lanes: batches at the same time.
        max_batch: images in one batch.
    """

    def __init__(self, predict: Callable[[Pixels], Probs], *, lanes: int, max_batch: int) -> None:
        self._predict, self._max_batch = predict, max_batch
        self._free_lanes = lanes
        self._pool = ThreadPoolExecutor(lanes, thread_name_prefix="lane")
        self._waiting: deque[Waiting] = deque()
        self._running: set[asyncio.Task[None]] = set()

    async def predict(self, pixels: Pixels) -> Probs:
        """Return the (K,) probabilities of one image of (S, S, 3) pixels."""
        answer: asyncio.Future[Probs] = asyncio.get_running_loop().create_future()
        self._waiting.append((pixels, answer))
        self._fill_lanes()
        return await answer

    def _fill_lanes(self) -> None:
        while self._free_lanes and (batch := self._take()):
            self._free_lanes -= 1
            task = asyncio.get_running_loop().create_task(self._run(batch))
            self._running.add(task)  # the loop itself keeps only a weak reference
            task.add_done_callback(self._running.discard)

    def _take(self) -> list[Waiting]:
        batch: list[Waiting] = []
        while self._waiting and len(batch) < self._max_batch:
            pixels, answer = self._waiting.popleft()
            if not answer.done():  # its request may have passed its deadline
                batch.append((pixels, answer))
        return batch

    async def _run(self, batch: list[Waiting]) -> None:
        try:
            pixels = np.stack([pixels for pixels, _ in batch])
            loop = asyncio.get_running_loop()
            probs = await loop.run_in_executor(self._pool, self._predict, pixels)
        except Exception as error:  # to those who wait, and the lane goes on
            for _, answer in batch:
                if not answer.done():
                    answer.set_exception(error)
        else:
            for (_, answer), row in zip(batch, probs, strict=True):
                if not answer.done():
                    answer.set_result(row)
        finally:
            self._free_lanes += 1
            self._fill_lanes()
