"""The repository, read as Triton reads it: by its own protobuf schema."""

import importlib.util
import json
import shutil
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
from google.protobuf import text_format
from PIL import Image

from pipeline.core.atomic import check_sha256
from pipeline.export.int8 import to_int8
from pipeline.export.preprocess_graph import preprocess_graph
from pipeline.export.repository import write_repository
from pipeline.imaging.preprocess import preprocess

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def schema():
    """tritonclient's generated module; its package imports gRPC, which this file needs not."""
    found = importlib.util.find_spec("tritonclient")
    assert found is not None
    assert found.submodule_search_locations is not None
    path = Path(found.submodule_search_locations[0], "grpc/model_config_pb2.py")
    spec = importlib.util.spec_from_file_location("model_config_pb2", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def folder(tmp_path_factory, content, pixels, spec):
    folder = tmp_path_factory.mktemp("models") / "repository"
    (folder / "stale").mkdir(parents=True)
    write_repository(
        folder,
        model=content,
        preprocess=preprocess_graph(spec.preprocess).SerializeToString(),
        int8=to_int8(content, pixels[:16]),
    )
    return folder


def config(schema, folder, name):
    return text_format.Parse((folder / name / "config.pbtxt").read_text(), schema.ModelConfig())


def test_it_has_the_layout_that_servers_read(folder):
    found = sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())
    assert found == [
        *("classifier/1/model.onnx", "classifier/1/model.onnx.sha256", "classifier/config.pbtxt"),
        "classifier_int8/1/model.onnx",
        "classifier_int8/1/model.onnx.sha256",
        "classifier_int8/config.pbtxt",
        *("pipeline/1/README", "pipeline/config.pbtxt"),
        *("preprocess/1/model.onnx", "preprocess/1/model.onnx.sha256", "preprocess/config.pbtxt"),
    ]
    for model in folder.rglob("model.onnx"):
        check_sha256(model, stage="export_onnx")


@pytest.mark.parametrize("name", ["classifier", "classifier_int8", "preprocess"])
def test_tensors_are_those_of_the_file(schema, folder, name):
    parsed = config(schema, folder, name)
    assert (parsed.name, parsed.platform) == (name, "onnxruntime_onnx")
    assert parsed.max_batch_size == 64
    session = ort.InferenceSession(
        folder / name / "1/model.onnx", providers=["CPUExecutionProvider"]
    )
    types = {"tensor(uint8)": schema.TYPE_UINT8, "tensor(float)": schema.TYPE_FP32}
    for described, real in (
        (parsed.input, session.get_inputs()),
        (parsed.output, session.get_outputs()),
    ):
        expected = {
            (n.name, types[n.type], tuple(-1 if isinstance(d, str) else d for d in n.shape[1:]))
            for n in real
        }
        assert {(t.name, t.data_type, tuple(t.dims)) for t in described} == expected
    batched = parsed.HasField("dynamic_batching")
    assert batched == name.startswith("classifier")


def test_the_ensemble_leads_from_an_image_to_probabilities(schema, folder):
    parsed = config(schema, folder, "pipeline")
    assert parsed.platform == "ensemble"
    available = {t.name: (t.data_type, tuple(t.dims)) for t in parsed.input}
    assert available == {"image": (schema.TYPE_UINT8, (-1, -1, 3))}
    for step in parsed.ensemble_scheduling.step:
        member = config(schema, folder, step.model_name)
        inputs = {t.name: (t.data_type, tuple(t.dims)) for t in member.input}
        outputs = {t.name: (t.data_type, tuple(t.dims)) for t in member.output}
        assert set(step.input_map) == set(inputs)
        for name, tensor in step.input_map.items():
            assert available[tensor] == inputs[name]
        available |= {tensor: outputs[name] for name, tensor in step.output_map.items()}
        assert member.max_batch_size >= parsed.max_batch_size
    for tensor in parsed.output:
        assert available[tensor.name] == (tensor.data_type, tuple(tensor.dims))


def test_both_steps_in_a_row_give_the_probabilities_of_the_classifier(folder, spec):
    first, second = (
        ort.InferenceSession(folder / name / "1/model.onnx", providers=["CPUExecutionProvider"])
        for name in ("preprocess", "classifier")
    )
    image = np.random.default_rng(2).integers(0, 256, (50, 70, 3), dtype=np.uint8)
    (pixels,) = first.run(["pixels"], {"image": image[None]})
    (probs,) = second.run(["probabilities"], {"pixels": pixels})
    direct = preprocess(Image.fromarray(image), spec.preprocess)
    (expected,) = second.run(["probabilities"], {"pixels": direct[None]})
    assert probs == pytest.approx(expected, abs=0.02)


def test_a_config_with_a_wrong_field_does_not_parse(schema, folder, tmp_path):
    shutil.copytree(folder, tmp_path / "r")
    path = tmp_path / "r/classifier/config.pbtxt"
    path.write_text(path.read_text().replace("max_batch_size", "max_batch"))
    with pytest.raises(text_format.ParseError, match="max_batch"):
        config(schema, tmp_path / "r", "classifier")


def test_without_an_int8_model_there_is_no_folder_for_it(tmp_path, content, spec):
    preprocess_file = preprocess_graph(spec.preprocess).SerializeToString()
    write_repository(tmp_path / "r", model=content, preprocess=preprocess_file)
    assert not (tmp_path / "r/classifier_int8").exists()
    assert json.dumps(sorted(p.name for p in (tmp_path / "r").iterdir())) == (
        '["classifier", "pipeline", "preprocess"]'
    )
