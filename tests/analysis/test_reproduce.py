"""What the page says on how it came about."""

import hashlib
from pathlib import Path

import pytest

from pipeline.analysis.reproduce import origin, without_secrets


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("synthetic", "synthetic"),
        ("https://me:secret@host.example/a.zip?token=1", "https://host.example/a.zip"),
        (["a@b", "s3://key@bucket/x"], ["a@b", "s3://bucket/x"]),
        (3, 3),
        (None, None),
    ],
)
def test_passwords_and_tokens_in_addresses_are_left_out(value: object, shown: object) -> None:
    assert without_secrets(value) == shown


def test_the_model_is_named_as_dvc_lock_names_it(tmp_path: Path) -> None:
    file = tmp_path / "model.pt"
    file.write_bytes(b"hello")
    found = origin([file], model=file, parameters={"a": {"b": 1}}, training={"threads": 2})
    assert found.lock_checksum == "5d41402abc4b2a76b9719d911017c592"  # md5sum of hello
    assert found.checksums == {"model.pt": hashlib.sha256(b"hello").hexdigest()}
    assert {"Python", "torch", "numpy"} <= found.versions.keys()
