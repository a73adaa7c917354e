#!/bin/sh
# Create the virtual environment with exactly the locked packages. Called by make setup.
set -eu

"$PYTHON" - <<'EOF' || exit 1
import sys
if not (3, 11) <= sys.version_info[:2] <= (3, 13):
    sys.exit(f"setup: error: Python {sys.version.split()[0]} found, 3.11 to 3.13 needed; "
             "run: make PYTHON=/path/to/python3.12 ...")
EOF
# Debian ships venv without ensurepip, in a package of its own.
if ! "$PYTHON" -c "import ensurepip, venv" 2>/dev/null; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        apt-get update -qq && apt-get install -y -qq python3-venv
    else
        echo "setup: error: $PYTHON has no venv module; run: sudo apt-get install python3-venv" >&2
        exit 1
    fi
fi
echo "setup: installing the locked packages into $VENV (about 7.5 GB, some minutes)"
rm -rf "$VENV"
"$PYTHON" -m venv "$VENV"
"$VENV/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
