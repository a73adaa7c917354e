"""The queue and its lanes, without HTTP."""

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.core.errors import RequestError
from pipeline.inference.classifier import OnnxClassifier
from pipeline.serving.batcher import Batcher
from pipeline.serving.limits import Limits
from pipeline.serving.multipart import file_parts
from pipeline.serving.service import Service

Pixels = NDArray[np.uint8]
Probs = NDArray[np.float32]


class Model:
    """A model that answers with the first pixel, once it is let go; it remembers its batches."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.sizes: list[int] = []

    def __call__(self, pixels: Pixels) -> Probs:
        self.go.wait(5)
        self.sizes.append(len(pixels))
        if (pixels == 13).any():
            raise ValueError("unlucky")
        return pixels[:, 0, 0, :].astype(np.float32)


def image(value: int) -> Pixels:
    return np.full((2, 2, 3), value, np.uint8)


def test_a_free_lane_takes_what_waits_up_to_the_limit() -> None:
    model = Model()

    async def main() -> list[float]:
        batcher = Batcher(model, lanes=1, max_batch=4)
        waiting = [asyncio.create_task(batcher.predict(image(i))) for i in range(7)]
        await asyncio.sleep(0.05)
        model.go.set()
        return [float(probs[0]) for probs in await asyncio.gather(*waiting)]

    assert asyncio.run(main()) == [0, 1, 2, 3, 4, 5, 6]
    assert model.sizes == [1, 4, 2]


def test_a_failed_batch_is_told_to_those_who_wait_and_the_lane_goes_on() -> None:
    model = Model()
    model.go.set()

    async def main() -> None:
        batcher = Batcher(model, lanes=1, max_batch=1)
        failed, good = await asyncio.gather(
            batcher.predict(image(13)), batcher.predict(image(7)), return_exceptions=True
        )
        assert isinstance(failed, ValueError)
        assert isinstance(good, np.ndarray)
        assert float(good[0]) == 7

    asyncio.run(main())


def test_who_has_given_up_is_not_computed() -> None:
    model = Model()

    async def main() -> None:
        batcher = Batcher(model, lanes=1, max_batch=4)
        first, gone, last = (asyncio.create_task(batcher.predict(image(i))) for i in (1, 2, 3))
        await asyncio.sleep(0.05)
        gone.cancel()
        model.go.set()
        assert float((await first)[0]) == 1
        assert float((await last)[0]) == 3

    asyncio.run(main())
    assert model.sizes == [1, 1]


def refusal(model_path: Path, content: bytes, limits: Limits) -> RequestError:
    async def main() -> None:
        classifier = OnnxClassifier(model_path, device="cpu")
        service = Service(classifier, limits=limits, lanes=1, max_batch=4)
        await service.classify(content, form_type=None)

    with pytest.raises(RequestError) as caught:
        asyncio.run(main())
    return caught.value


def test_a_request_past_its_deadline_gets_504(model_path: Path, draw: Callable[..., bytes]) -> None:
    error = refusal(model_path, draw((96, 0, 0), (2000, 2000)), Limits(answer_s=0.001))
    assert (error.status, str(error)) == (504, "no answer within 0.001 s")


def test_a_request_without_a_place_in_the_queue_gets_503(
    model_path: Path, draw: Callable[..., bytes]
) -> None:
    assert refusal(model_path, draw((96, 0, 0)), Limits(waiting=0)).status == 503


def test_files_come_out_of_a_form_byte_for_byte() -> None:
    content = bytes(range(256)) * 40 + b"\r\n--b\r-\n--bb\r\n"
    part = b'--bound\r\nContent-Disposition: form-data; name="%d"; filename="f"\r\n\r\n%s\r\n'
    body = part % (1, content) + part % (2, b"second") + b"--bound--\r\n"
    assert file_parts(body, 'multipart/form-data; boundary="bound"') == [content, b"second"]
