"""A new version takes over without a lost request; a bad one never does."""

import asyncio
import io
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import onnx
import pytest
from colour import colour_model
from onnx import numpy_helper
from PIL import Image
from serving.models import full_model, put

from pipeline.inference.golden import write_golden

pytestmark = pytest.mark.slow

Draw = Callable[..., bytes]


@contextmanager
def serving(start: Any, model: Path) -> Iterator[Any]:
    command = ["-m", "pipeline.serving", "--model", str(model), "--port", "0"]
    with start([*command, "--reload-every", "1"]) as server:
        yield server


def ready(server: Any) -> dict[str, Any]:
    return dict(httpx.get(f"{server.url}/v2/health/ready").json())


def constant_model() -> onnx.ModelProto:
    """Return a model that says the same of every image: (1, 1, 1) / 3."""
    model = colour_model()
    model.graph.initializer[1].CopyFrom(
        numpy_helper.from_array(np.zeros((3, 3), np.float32), "weights")
    )
    return model


def test_a_higher_version_takes_over_and_no_request_is_lost(
    start: Any, tmp_path: Path, draw: Draw
) -> None:
    repository = tmp_path / "repository"
    put(repository / "classifier/1/model.onnx", full_model())
    with serving(start, repository) as server:
        answers: list[tuple[int, str, float]] = []
        enough = threading.Event()

        def ask() -> None:
            with httpx.Client(base_url=server.url, timeout=20) as client:
                while not enough.is_set():
                    response = client.post("/predict", content=draw((96, 0, 0)))
                    content = response.json()
                    version = content["model"]["version"]
                    found = response.status_code, version, content["probabilities"]["red"]
                    answers.append(found)

        askers = [threading.Thread(target=ask) for _ in range(4)]
        for asker in askers:
            asker.start()
        time.sleep(0.5)
        put(repository / "classifier/10/model.onnx", constant_model())  # 10 is more than 9
        put(repository / "classifier/9/model.onnx", full_model())
        server.wait_for("version 10 answers now, instead of version 1")
        time.sleep(0.5)
        enough.set()
        for asker in askers:
            asker.join()
        assert {status for status, _, _ in answers} == {200}
        assert {version for _, version, _ in answers} == {"1", "10"}
        for _, version, red in answers:
            assert red == pytest.approx(0.909443 if version == "1" else 1 / 3, abs=1e-6)
        assert ready(server)["version"] == "10"
        # Taking the new version away brings the next one back.
        shutil.rmtree(repository / "classifier/10")
        server.wait_for("version 9 answers now, instead of version 10")
        # And taking everything away does not matter to what is loaded.
        shutil.rmtree(repository)
        time.sleep(1.5)
        assert httpx.post(f"{server.url}/predict", content=draw((96, 0, 0))).status_code == 200


def broken_checksum(path: Path) -> None:
    put(path, full_model())
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def no_checksum(path: Path) -> None:
    put(path, full_model())
    path.with_name("model.onnx.sha256").unlink()


def not_a_model(path: Path) -> None:
    put(path, colour_model(out="scores"))


def not_finite(path: Path) -> None:
    model = colour_model()
    weights = np.full((3, 3), np.nan, np.float32)
    model.graph.initializer[1].CopyFrom(numpy_helper.from_array(weights, "weights"))
    put(path, model)


def no_threshold(path: Path) -> None:
    model = full_model()
    (threshold,) = [prop for prop in model.metadata_props if prop.key == "threshold"]
    threshold.value = "a lot"
    put(path, model)


def depends_on_its_batch(path: Path) -> None:
    model = colour_model()
    (mean,) = [node for node in model.graph.node if node.op_type == "ReduceMean"]
    mean.output[0] = "each"
    axis = numpy_helper.from_array(np.array([0], np.int64), "batch")
    model.graph.initializer.append(axis)
    spread = onnx.helper.make_node("ReduceMean", ["each", "batch"], ["all"], keepdims=1)
    both = onnx.helper.make_node("Add", ["each", "all"], ["mean"])
    nodes = list(model.graph.node)
    at = nodes.index(mean) + 1
    del model.graph.node[:]
    model.graph.node.extend([*nodes[:at], spread, both, *nodes[at:]])
    put(path, model)


def answers_other_than_the_golden_ones(path: Path) -> None:
    put(path, full_model())
    image = io.BytesIO()
    Image.new("RGB", (16, 16), (96, 0, 0)).save(image, "PNG")
    write_golden(
        path.parent / "golden",
        classes=("blue", "green", "red"),
        paths=["red/1.png"],
        contents=[image.getvalue()],
        probs=np.full((1, 3), 1 / 3),
        tolerance={"fp32": 1e-4},
    )


BAD = (
    (broken_checksum, "the file is damaged"),
    (no_checksum, "sha256: not found"),
    (not_a_model, "expected probabilities"),
    (not_finite, "not finite"),
    (no_threshold, "threshold is"),
    (answers_other_than_the_golden_ones, "1 of 1 golden images differ"),
    (depends_on_its_batch, "depend on the others"),
)


def test_a_bad_version_is_refused_and_reported_while_the_old_one_answers(
    start: Any, tmp_path: Path, draw: Draw
) -> None:
    folder = tmp_path / "colours"
    put(folder / "1/model.onnx", full_model())
    with serving(start, folder) as server:
        for number, (spoil, why) in enumerate(BAD, start=2):
            spoil(folder / f"{number}/model.onnx")
            server.process.send_signal(signal.SIGHUP)  # for a quick test; it looks by itself too
            line = server.wait_for(f"version {number} refused, version 1 goes on: .*{why}")
            assert len(line.splitlines()) == 1
            state = ready(server)
            assert (state["ready"], state["version"]) == (True, "1")
            assert state["refused_version"] == str(number)
            response = httpx.post(f"{server.url}/predict", content=draw((96, 0, 0)))
            assert response.json()["model"] == {"name": "colours", "version": "1"}
        loads = [
            line
            for line in httpx.get(f"{server.url}/metrics").text.splitlines()
            if line.startswith("classifier_model_loads_total")
        ]
        assert sorted(loads) == [
            'classifier_model_loads_total{result="loaded"} 1.0',
            f'classifier_model_loads_total{{result="refused"}} {len(BAD)}.0',
        ]
        time.sleep(2.5)  # what was refused is not tried over and over
        assert sum("refused, version 1" in line for line in server.log) == len(BAD)
        put(folder / f"{len(BAD) + 1}/model.onnx", full_model())
        server.wait_for(f"version {len(BAD) + 1} answers now")
        assert ready(server)["refused_version"] is None


def test_a_file_that_is_replaced_is_loaded_anew_at_the_signal(
    start: Any, tmp_path: Path, draw: Draw
) -> None:
    path = put(tmp_path / "model.onnx", full_model())
    command = ["-m", "pipeline.serving", "--model", str(path), "--port", "0"]
    with start([*command, "--reload-every", "3600"]) as server:
        before = httpx.get(f"{server.url}/model").json()["sha256"]
        put(path, constant_model())
        server.process.send_signal(signal.SIGHUP)
        server.wait_for("answers now")
        assert httpx.get(f"{server.url}/model").json()["sha256"] != before
        content = httpx.post(f"{server.url}/predict", content=draw((96, 0, 0))).json()
        assert content["probabilities"]["red"] == pytest.approx(1 / 3, abs=1e-6)
        assert ready(server)["ready"] is True


def test_a_name_that_is_not_how_its_number_is_written_is_no_version(tmp_path: Path) -> None:
    from pipeline.serving.versions import Place

    for name in ("2", "03", "0004", "x5"):
        put(tmp_path / name / "model.onnx", full_model())
    newest = Place(tmp_path).newest()
    assert (newest.number, newest.path) == ("2", tmp_path / "2/model.onnx")


def test_a_file_replaced_while_it_is_loaded_is_known_by_what_was_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipeline.core.atomic import sha256_file
    from pipeline.serving import model as module
    from pipeline.serving.versions import Place

    path = put(tmp_path / "model.onnx", full_model())
    before = sha256_file(path)

    class ReplacedMeanwhile(module.OnnxClassifier):
        def __init__(self, path: Path, **kwargs: Any) -> None:
            super().__init__(path, **kwargs)
            put(path, constant_model())

    monkeypatch.setattr(module, "OnnxClassifier", ReplacedMeanwhile)
    assert module.load(Place(path).newest(), device="cpu").sha256 == before


def test_a_file_that_is_gone_is_no_refused_version(tmp_path: Path) -> None:
    from pipeline.serving.limits import Limits
    from pipeline.serving.model import load
    from pipeline.serving.reload import Watch
    from pipeline.serving.service import Service
    from pipeline.serving.versions import Place

    place = Place(put(tmp_path / "model.onnx", full_model()))
    first = place.newest()
    old = load(first, device="cpu")
    service = Service(old, limits=Limits(), lanes=1, max_batch=1)
    watch = Watch(service, place, first, device="cpu", every_s=1)

    async def look(times: int) -> None:
        for _ in range(times):
            await watch.look()

    place.path.unlink()
    asyncio.run(look(3))
    assert service.refused_version is None
    assert b'loads_total{result="refused"} 0.0' in service.metrics.text()
    put(place.path, constant_model())
    asyncio.run(look(2))
    assert service.model.sha256 != old.sha256  # but its successor is taken


def test_a_repository_without_a_version_is_said_in_one_line(tmp_path: Path) -> None:
    from pipeline.core.errors import ArtifactError
    from pipeline.serving.versions import Place

    (tmp_path / "classifier/not-a-number").mkdir(parents=True)
    with pytest.raises(ArtifactError, match=r"classifier: no folder <version>/model.onnx"):
        Place(tmp_path).newest()


@pytest.mark.parametrize("bit", range(0, 200, 8))
def test_a_flipped_bit_is_refused_wherever_it_is(tmp_path: Path, bit: int) -> None:
    from pipeline.core.errors import ArtifactError
    from pipeline.serving.model import load
    from pipeline.serving.versions import Place

    path = put(tmp_path / "model.onnx", full_model())
    content = bytearray(path.read_bytes())
    place = bit * len(content) * 8 // 200
    content[place // 8] ^= 1 << place % 8
    path.write_bytes(content)
    with pytest.raises(ArtifactError, match="the file is damaged"):
        load(Place(path).newest(), device="cpu")
