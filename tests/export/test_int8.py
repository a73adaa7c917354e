"""The quantised model: what is in it, how close it is, and that its gate works."""

import subprocess
import sys

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, numpy_helper

from pipeline.core.errors import ExportError
from pipeline.export.int8 import ProvedInt8, prove_int8, to_int8
from pipeline.inference.classifier import OnnxClassifier

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def quantised(content, pixels):
    return to_int8(content, pixels)


def test_weights_are_signed_per_channel_and_activations_unsigned(quantised):
    proto = onnx.load_from_string(quantised)
    constants = {t.name: t for t in proto.graph.initializer}
    convolutions = [n for n in proto.graph.node if n.op_type == "Conv" and n.name != "cam_conv"]
    makers = {out: n for n in proto.graph.node for out in n.output}
    assert len(convolutions) == 9  # whitening, four stages, two residual blocks of two
    for node in convolutions:
        image, weight = (makers[name] for name in node.input[:2])
        assert (image.op_type, weight.op_type) == ("DequantizeLinear", "DequantizeLinear")
        assert constants[image.input[2]].data_type == TensorProto.UINT8
        assert constants[weight.input[0]].data_type == TensorProto.INT8
        channels = constants[weight.input[0]].dims[0]
        assert numpy_helper.to_array(constants[weight.input[1]]).shape == (channels,)
    assert {entry.domain for entry in proto.opset_import} == {""}


def test_two_products_never_saturate_a_16_bit_sum(quantised):
    # As `vpmaddubsw` adds them on CPUs without VNNI.
    weights = [
        numpy_helper.to_array(tensor).astype(int)
        for tensor in onnx.load_from_string(quantised).graph.initializer
        if tensor.data_type == TensorProto.INT8 and len(tensor.dims) > 1
    ]
    assert len(weights) >= 9
    largest = max(abs(each).max() for each in weights)
    assert largest > 32  # 7 bits are used
    assert 2 * 255 * largest <= 32767


def test_it_is_a_quarter_of_the_size_and_still_the_same_model(content, quantised, pixels, save):
    assert len(quantised) < 0.3 * len(content)
    small = OnnxClassifier(save(quantised), device="cpu")
    probs = small.predict(pixels)
    large = ort.InferenceSession(content, providers=["CPUExecutionProvider"])
    (expected,) = large.run(["probabilities"], {"pixels": pixels})
    assert np.abs(probs - expected).max() < 0.1
    assert (probs.argmax(1) == expected.argmax(1)).mean() >= 0.9
    assert (small.metadata["precision"], small.metadata["calibration_images"]) == ("int8", "40")
    assert small.outputs == ("probabilities", "logits", "cam")


def test_quantising_twice_gives_the_same_bytes(content, pixels, quantised):
    assert to_int8(content, pixels) == quantised


def test_the_fused_normalisation_is_the_same_function(content, pixels):
    from pipeline.export.int8 import _fuse_normalisation

    proto = onnx.load_from_string(content)
    _fuse_normalisation(proto.graph)
    assert not {n.op_type for n in proto.graph.node} & {"Sub", "Div"} - {"Div"}
    onnx.checker.check_model(proto, full_check=True)
    answers = [
        ort.InferenceSession(model, providers=["CPUExecutionProvider"]).run(
            ["logits"], {"pixels": pixels}
        )[0]
        for model in (content, proto.SerializeToString())
    ]
    assert answers[0] == pytest.approx(answers[1], abs=1e-4)


def test_a_model_that_loses_too_much_is_left_out_or_an_error(content, pixels, caplog):
    def refuse(model: bytes) -> None:
        raise ExportError("INT8 is right on 0.5")

    left_out = prove_int8(content, pixels, mode="auto", check=refuse)
    assert left_out == ProvedInt8(status="refused", reason="INT8 is right on 0.5")
    assert "no INT8 model: INT8 is right on 0.5" in caplog.text
    with pytest.raises(ExportError, match=r"right on 0\.5"):
        prove_int8(content, pixels, mode="require", check=refuse)
    assert prove_int8(content, pixels, mode="off", check=refuse).status == "off"


def test_a_file_that_cannot_be_quantised_is_refused_in_one_line(pixels):
    with pytest.raises(ExportError, match="cannot quantise") as caught:
        to_int8(onnx.ModelProto().SerializeToString(), pixels)
    assert "\n" not in str(caught.value)


def test_the_benchmark_runs():
    done = subprocess.run(
        [
            *(sys.executable, "-m", "benchmarks.int8", "--arch", "compact", "--size-px", "32"),
            *("--rounds", "2"),
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "compact at 32 px" in done.stdout
    assert len(done.stdout.splitlines()) == 5
