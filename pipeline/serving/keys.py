"""Who may ask: API keys, compared in constant time."""

import hmac
from collections.abc import Mapping
from pathlib import Path

from pipeline.core.errors import InstallationError
from pipeline.serving.refusal import Refusal

MIN_LENGTH = 16


def read_keys(path: Path) -> tuple[bytes, ...]:
    """Read one key per line; a file, since a command line is seen by every user of a machine.

    Raises:
        InstallationError: the file cannot be read, or a key is too short to be one.
    """
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise InstallationError(f"{path}: cannot be read: {error.strerror or error}") from error
    keys = tuple(line.strip() for line in lines if line.strip())
    if not keys or min(map(len, keys)) < MIN_LENGTH:
        raise InstallationError(
            f"{path}: expected one API key per line, each of at least {MIN_LENGTH} characters; "
            "make one with: openssl rand -hex 32"
        )
    return keys


def check_key(headers: Mapping[str, str], keys: tuple[bytes, ...]) -> None:
    """Check `Authorization: Bearer KEY` or `X-API-Key: KEY`; without `keys` everybody may ask.

    Raises:
        Refusal: 401.
    """
    if not keys:
        return
    scheme, _, token = headers.get("authorization", "").partition(" ")
    offered = token if scheme.lower() == "bearer" else headers.get("x-api-key", "")
    given = offered.strip().encode("utf-8", "replace")
    # Every key is compared: how long it takes must not tell which of them was nearly right.
    if not any([hmac.compare_digest(given, key) for key in keys]):
        raise Refusal(401, "key", "an API key is needed: Authorization: Bearer KEY")
