"""Checkpoints come back as they were, or not at all."""

import pytest
import torch

from pipeline.core.atomic import write_sha256
from pipeline.core.errors import ArtifactError
from pipeline.imaging.spec import ModelSpec, PreprocessSpec
from pipeline.modeling.checkpoint import load_checkpoint, save_checkpoint
from pipeline.modeling.zoo import build_model

SPEC = ModelSpec(arch="compact", classes=("a", "b"), preprocess=PreprocessSpec(size_px=32))


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "model.pt"
    save_checkpoint(path, weights=build_model("compact", n_classes=2).state_dict(), spec=SPEC)
    return path


def test_weights_and_spec_survive(path):
    model, spec = load_checkpoint(path)
    original = build_model("compact", n_classes=2).state_dict()
    assert spec == SPEC
    assert all(torch.equal(original[n], v) for n, v in model.state_dict().items())
    assert not model.training


def test_equal_weights_give_equal_bytes_under_any_name(path, tmp_path):
    other = tmp_path / "another-name.bin"
    save_checkpoint(other, weights=build_model("compact", n_classes=2).state_dict(), spec=SPEC)
    assert other.read_bytes() == path.read_bytes()


def test_damage_is_noticed_by_the_checksum(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(ArtifactError, match="the file is damaged"):
        load_checkpoint(path)


@pytest.mark.parametrize("fraction", [0.0, 0.01, 0.3, 0.9, 0.999])
def test_a_truncated_file_with_a_matching_checksum_is_still_refused(path, fraction):
    content = path.read_bytes()
    path.write_bytes(content[: int(fraction * len(content))])
    write_sha256(path)
    with pytest.raises(ArtifactError, match="not a checkpoint"):
        load_checkpoint(path)


def test_weights_of_another_network_are_refused(tmp_path):
    path = tmp_path / "model.pt"
    save_checkpoint(path, weights=build_model("compact", n_classes=3).state_dict(), spec=SPEC)
    with pytest.raises(ArtifactError, match="weights do not fit compact"):
        load_checkpoint(path)
