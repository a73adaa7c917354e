#!/bin/sh
# Resolve pyproject.toml into the two lock files, with hashes and without naming an index host.
set -eu
options="--universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url --quiet"
# shellcheck disable=SC2086
uv pip compile $options --group pyproject.toml:dev pyproject.toml -o requirements.txt
python3 -c 'import tomllib
extras = tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]
print("\n".join(extras["serve"]))' |
    # shellcheck disable=SC2086
    uv pip compile $options - -o requirements-serve.txt
