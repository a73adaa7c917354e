"""A small learnable set of packed pixels."""

import pytest
import torch
from modeling_sets import make_split

from pipeline.modeling.device import Compute


@pytest.fixture(autouse=True, scope="package")
def _one_thread():
    """Small tensors gain nothing from threads, which wait for each other on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def train_split():
    return make_split(64)


@pytest.fixture
def valid_split():
    return make_split(32, seed=1)


@pytest.fixture
def cpu():
    return Compute(device=torch.device("cpu"), bf16=False)
