"""The gate lets a faithful file pass and notices every sabotage."""

import dataclasses
import sys

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from pipeline.core.errors import ExportError
from pipeline.export.onnx_file import to_onnx
from pipeline.export.parity import BATCH_SIZES, Gate, Limits, Parity, require_accuracy, spread
from pipeline.export.proof import prove_one

pytestmark = pytest.mark.slow

LIMITS = Limits(
    max_logit_diff=1e-3,
    max_prob_diff=1e-4,
    max_metric_diff=1e-4,
    max_flipped=0,
    max_accuracy_drop=0.01,
)


@pytest.fixture(scope="module")
def gate(reference):
    return Gate(reference=reference, limits=LIMITS, threads=1)


def weights(proto: onnx.ModelProto) -> list[onnx.TensorProto]:
    return [t for t in proto.graph.initializer if len(t.dims) == 4 and t.dims[0] > 3]


def change_weight(proto: onnx.ModelProto) -> None:
    """Change one number of one filter."""
    tensor = weights(proto)[1]
    values = numpy_helper.to_array(tensor).copy()
    values[0, 0, 1, 1] += 1
    tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))


def swap_channels(proto: onnx.ModelProto) -> None:
    """Read BGR for RGB."""
    first = next(t for t in weights(proto) if t.dims[1] == 3)
    values = numpy_helper.to_array(first)[:, ::-1].copy()
    first.CopyFrom(numpy_helper.from_array(values, first.name))


def fix_batch(proto: onnx.ModelProto) -> None:
    """Declare that there are two images, always."""
    for value in (*proto.graph.input, *proto.graph.output):
        value.type.tensor_type.shape.dim[0].Clear()
        value.type.tensor_type.shape.dim[0].dim_value = 2


def fix_batch_inside(proto: onnx.ModelProto) -> None:
    """Declare that the batch is free, but divide it into two inside."""
    softmax = next(n for n in proto.graph.node if n.op_type == "Softmax")
    shape = numpy_helper.from_array(np.array([2, 2], np.int64), "two_images")
    proto.graph.initializer.append(shape)
    place = list(proto.graph.node).index(softmax)
    node = helper.make_node("Reshape", [softmax.input[0], "two_images"], ["two"])
    proto.graph.node.insert(place, node)
    softmax.input[0] = "two"


def forget_temperature(proto: onnx.ModelProto) -> None:
    """Take the softmax of the logits themselves."""
    softmax = next(n for n in proto.graph.node if n.op_type == "Softmax")
    softmax.input[0] = "logits"


def swap_maps(proto: onnx.ModelProto) -> None:
    """Give each class the map of the other."""
    conv = next(n for n in proto.graph.node if n.name == "cam_conv")
    order = numpy_helper.from_array(np.array([1, 0], np.int64), "order")
    proto.graph.initializer.append(order)
    place = list(proto.graph.node).index(conv)
    proto.graph.node.insert(
        place, helper.make_node("Gather", [conv.input[1], "order"], ["swapped"], axis=0)
    )
    conv.input[1] = "swapped"


def test_a_faithful_file_passes_at_every_batch_size(gate, content):
    parity = gate.check(content)
    assert parity.n == 43  # 40, black, white and noise
    assert parity.batch_sizes == BATCH_SIZES == (1, 7, 32)
    assert parity.max_logit_diff < 1e-4
    assert parity.max_prob_diff < 1e-5
    assert parity.max_cam_diff < 1e-4
    assert (parity.flipped, parity.accuracy_diff) == ((), 0.0)
    assert abs(parity.log_loss_diff) < 1e-6
    assert "0 labels flipped, n = 43 in batches of 1, 7, 32" in parity.in_words()


@pytest.mark.parametrize(
    ("sabotage", "told"),
    [
        (change_weight, r"a logit differs by .*max_logit_diff.*a probability differs"),
        (swap_channels, r"a logit differs by"),
        (fix_batch, r"does not run in a clean process: .*model\.onnx: has .*expected"),
        (fix_batch_inside, r"does not run in a clean process: "),
        (forget_temperature, r"^the exported model disagrees with the checkpoint: a probability"),
        (swap_maps, r"^the exported model disagrees with the checkpoint: a map differs"),
    ],
)
def test_a_sabotaged_file_is_caught_in_one_line(gate, content, sabotage, told):
    proto = onnx.load_from_string(content)
    sabotage(proto)
    with pytest.raises(ExportError, match=told) as caught:
        gate.check(proto.SerializeToString())
    assert "\n" not in str(caught.value)
    assert "/tmp" not in str(caught.value)


def test_flipped_labels_are_counted_and_named(gate, other_model, spec):
    content = to_onnx(other_model, spec, opset=20, metadata={})
    with pytest.raises(ExportError, match=r"of 43 labels flipped \['c/.*max_flipped") as caught:
        gate.check(content)
    told = str(caught.value)
    assert all(key in told for key in ("max_logit_diff", "max_prob_diff", "max_metric_diff"))


def test_the_clean_process_never_saw_torch(gate, content):
    assert "torch" in sys.modules  # this process did
    assert gate.check(content).n == 43  # the other refuses to answer if it did


def test_a_process_that_has_torch_loaded_refuses(tmp_path):
    from pipeline.core.errors import InstallationError
    from pipeline.inference import replay

    arguments = ["replay", *(str(tmp_path / name) for name in ("m", "p.npy", "o.npz"))]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", arguments)
        with pytest.raises(InstallationError, match="torch is loaded"):
            replay.main()


def test_images_are_taken_from_all_over_the_split():
    assert spread(10, 4).tolist() == [0, 3, 6, 9]
    assert spread(3, 1000).tolist() == [0, 1, 2]
    assert spread(1, 1).tolist() == [0]


def test_accuracy_may_fall_by_the_limit_and_no_more():
    parity = Parity(
        n=100,
        batch_sizes=(32,),
        max_logit_diff=1,
        prob_diffs=(1.0,),
        max_cam_diff=None,
        flipped=("c/1",),
        accuracy=0.95,
        accuracy_diff=-0.02,
        log_loss=1,
        log_loss_diff=1,
    )
    require_accuracy(parity, max_drop=0.021)
    with pytest.raises(ExportError, match=r"right on 0\.9500 .* 0\.0200 less .* limit 0\.019"):
        require_accuracy(parity, max_drop=0.019)
    require_accuracy(dataclasses.replace(parity, accuracy_diff=0.5), max_drop=0.0)


def test_auto_takes_the_first_exporter_that_passes_and_tells_of_the_others(gate, content, caplog):
    def export(*, exporter: str) -> bytes:
        if exporter == "dynamo":
            raise ExportError("cannot translate it")
        return content

    proved = prove_one("auto", export=export, check=gate.check)
    assert proved.exporter == "legacy"
    assert proved.failed == {"dynamo": "cannot translate it"}
    assert "exporter dynamo: cannot translate it" in caplog.text
    with pytest.raises(ExportError, match=r"^exporter dynamo: cannot translate it$"):
        prove_one("dynamo", export=export, check=gate.check)


def test_auto_falls_back_when_the_first_file_fails_the_gate(gate, content, other_model, spec):
    wrong = to_onnx(other_model, spec, opset=20, metadata={})
    files = {"dynamo": wrong, "legacy": content}
    proved = prove_one("auto", export=lambda *, exporter: files[exporter], check=gate.check)
    assert proved.exporter == "legacy"
    assert "disagrees with the checkpoint" in proved.failed["dynamo"]
