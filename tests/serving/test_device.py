"""Which device is asked for, which is used, and who is told."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from pipeline.core.errors import InstallationError
from pipeline.inference import classifier, providers
from pipeline.serving.model import load
from pipeline.serving.versions import Place


def test_cuda_fails_hard_where_the_session_fell_back(
    model_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As ONNX Runtime does where CUDA is listed and cannot start: a session on the CPU, no error.
    monkeypatch.setattr(classifier, "choose_providers", lambda device: [providers.CPU])
    with pytest.raises(InstallationError, match="fell back to the CPU"):
        load(Place(model_path).newest(), device="cuda")


@pytest.mark.slow
def test_auto_says_what_it_really_runs_on(model_path: Path, start: Any) -> None:
    command = ["-m", "pipeline.serving", "--model", str(model_path), "--port", "0"]
    with start([*command, "--device", "auto"]) as server:
        used = load(Place(model_path).newest(), device="auto").classifier.provider
        assert used in server.log[-1]
        assert httpx.get(f"{server.url}/v2/health/ready").json()["provider"] == used
        assert f'provider="{used}"' in httpx.get(f"{server.url}/metrics").text
