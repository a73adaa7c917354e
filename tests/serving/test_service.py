"""The queue and its lanes, without HTTP."""

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.core.errors import RequestError
from pipeline.serving.lanes import Answer, Job, Lanes
from pipeline.serving.limits import Limits
from pipeline.serving.model import load
from pipeline.serving.multipart import form_files
from pipeline.serving.service import Service, encoded
from pipeline.serving.versions import Place

Pixels = NDArray[np.uint8]
Probs = NDArray[np.float32]


class Model:
    """A model that answers with the first pixel, once it is let go; it remembers its batches."""

    has_cam = False

    def __init__(self, *, add: int = 0) -> None:
        self.go = threading.Event()
        self.sizes: list[int] = []
        self._add = add

    def predict(self, pixels: Pixels) -> Probs:
        self.go.wait(5)
        self.sizes.append(len(pixels))
        if (pixels == 13).any():
            raise ValueError("unlucky")
        return pixels[:, 0, 0, :].astype(np.float32) + self._add


def job(value: int, **kwargs: Any) -> Job:
    def prepare(model: Any) -> Pixels:
        if value == 99:
            raise ValueError("no image")
        return np.full((2, 2, 3), value, np.uint8)

    return Job(prepare=prepare, answer=asyncio.get_running_loop().create_future(), **kwargs)


def first_pixel(answer: Any) -> float:
    assert isinstance(answer, Answer), answer
    return float(answer.probs[0])


def lanes_of(model: Any, *, lanes: int = 1, max_batch: int = 4) -> Lanes:
    return Lanes(lambda: model, lanes=lanes, max_batch=max_batch)


def test_a_free_lane_takes_what_waits_up_to_the_limit() -> None:
    model = Model()

    async def main() -> list[float]:
        lanes = lanes_of(model)
        jobs = [job(i) for i in range(7)]
        for each in jobs:
            lanes.add(each)
        assert lanes.n_waiting == 6
        model.go.set()
        return [first_pixel(await each.answer) for each in jobs]

    assert asyncio.run(main()) == [0, 1, 2, 3, 4, 5, 6]
    assert model.sizes == [1, 4, 2]


def test_a_lane_leaves_the_other_lanes_their_share() -> None:
    model = Model()

    async def main() -> None:
        lanes = lanes_of(model, lanes=2, max_batch=8)
        jobs = [job(i) for i in range(10)]
        for each in jobs:
            lanes.add(each)
        model.go.set()
        await asyncio.gather(*(each.answer for each in jobs))

    asyncio.run(main())
    # Two went alone; of the eight that waited, whoever came first took half, and so on.
    assert sorted(model.sizes) == [1, 1, 1, 1, 2, 4]


def test_no_image_spoils_the_answers_of_its_batch() -> None:
    model = Model()

    async def main() -> list[Any]:
        lanes = lanes_of(model, max_batch=8)
        jobs = [job(value) for value in (1, 2, 99, 3, 13, 4)]
        for each in jobs:
            lanes.add(each)
        model.go.set()
        return await asyncio.gather(*(each.answer for each in jobs), return_exceptions=True)

    answers = asyncio.run(main())
    assert [str(a) for a in answers if isinstance(a, Exception)] == ["no image", "unlucky"]
    assert [first_pixel(a) for a in answers if isinstance(a, Answer)] == [1, 2, 3, 4]


def test_who_has_given_up_or_hung_up_is_not_computed() -> None:
    model = Model()

    async def main() -> None:
        lanes = lanes_of(model)
        first, gone, left, last = job(1), job(2), job(3, connected=lambda: False), job(4)
        for each in (first, gone, left, last):
            lanes.add(each)
        gone.answer.cancel()
        model.go.set()
        assert first_pixel(await first.answer) == 1
        assert first_pixel(await last.answer) == 4
        assert "has left" in str(left.answer.exception())

    asyncio.run(main())
    assert model.sizes == [1, 1]


def test_a_new_model_takes_over_between_two_batches() -> None:
    old, new = Model(), Model(add=100)
    current = [old]

    async def main() -> list[float]:
        lanes = Lanes(lambda: current[0], lanes=1, max_batch=2)  # type: ignore[arg-type, return-value]
        jobs = [job(i) for i in range(3)]
        for each in jobs:
            lanes.add(each)
        current[0] = new
        old.go.set()
        new.go.set()
        return [first_pixel(await each.answer) for each in jobs]

    assert asyncio.run(main()) == [0, 101, 102]


def served(model_path: Path, limits: Limits) -> Service:
    model = load(Place(model_path).newest(), device="cpu")
    return Service(model, limits=limits, lanes=1, max_batch=4)


def test_a_request_past_its_deadline_gets_504(model_path: Path, draw: Callable[..., bytes]) -> None:
    async def main() -> None:
        service = served(model_path, Limits(answer_s=0.001))
        await service.classify([encoded(draw((96, 0, 0), (2000, 2000)))])

    with pytest.raises(RequestError) as caught:
        asyncio.run(main())
    assert (caught.value.status, str(caught.value)) == (504, "no answer within 0.001 s")


def test_a_request_without_a_place_in_the_queue_gets_503(
    model_path: Path, draw: Callable[..., bytes]
) -> None:
    async def main() -> list[Any]:
        service = served(model_path, Limits(waiting=2))
        image = encoded(draw((96, 0, 0)))
        sizes = (3, 1, 1)  # alone a request may be larger than the queue
        work = [service.classify([image] * size) for size in sizes]
        return await asyncio.gather(*work, return_exceptions=True)

    first, second, third = asyncio.run(main())
    assert [type(answer) for answer in first] == [Answer] * 3
    assert [error.status for error in (second, third)] == [503, 503]


def test_files_come_out_of_a_form_byte_for_byte() -> None:
    content = bytes(range(256)) * 40 + b"\r\n--b\r-\n--bb\r\n"
    part = b'--bound\r\nContent-Disposition: form-data; name="%d"; filename="f%d"\r\n\r\n%s\r\n'
    body = part % (1, 1, content) + part % (2, 2, b"second") + b"--bound--\r\n"
    files = form_files(body, 'multipart/form-data; boundary="bound"')
    assert [(file.name, file.content) for file in files] == [("f1", content), ("f2", b"second")]
