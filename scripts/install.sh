#!/bin/sh
# Make the environment of the checkout: sh scripts/install.sh [folder]. Used by the Makefile; safe to run again.
set -eu
venv="${1:-.venv}"

suits() {
    "$1" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

find_python() {
    for candidate in "${PYTHON:-}" python3.11 python3.12 python3.13 python3 python; do
        if [ -n "$candidate" ] && suits "$candidate"; then
            echo "$candidate"
            return
        fi
    done
    echo "No Python 3.11 or newer with the venv module was found. Install one (Debian, Ubuntu: python3 and" \
        "python3-venv), or name it: PYTHON=/path/to/python3 make ..." >&2
    return 1
}

if ! suits "$venv/bin/python"; then
    python="$(find_python)"
    echo "== environment: $venv with $("$python" --version)"
    rm -rf "$venv"
    "$python" -m venv "$venv"
fi

echo "== install: histodecon, its dependencies and the tools of its developers (minutes the first time)"
quiet=""
[ -t 2 ] || quiet="--quiet"
# uv does not read pip's setting for a folder of local wheels
[ -z "${PIP_FIND_LINKS:-}" ] || export UV_FIND_LINKS="$PIP_FIND_LINKS"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --upgrade "pip>=25.1"
if "$venv/bin/python" -m pip install --quiet uv &&
    "$venv/bin/python" -m uv pip install $quiet --python "$venv/bin/python" -c constraints.txt -e . --group dev; then
    exit 0
fi
echo "== install: uv did not do it; pip takes longer"
"$venv/bin/python" -m pip install $quiet -c constraints.txt -e . --group dev
