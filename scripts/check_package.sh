#!/bin/sh
# Build wheel and source distribution and try them in environments of their own: sh scripts/check_package.sh [part ...]
#   core      the wheel alone: a small journey, the command line
#   extras    the wheel with all extras: each can be imported
#   sdist     the unpacked source distribution builds, installs and passes tests of its own
#   newcomer  an empty environment and pip, the lines of README as they stand there, a picture in the end; timed
# Without a part: core, extras and sdist. SDIST_TESTS names the tests, PACKAGE_DIR the folder (default build/package).
set -eu
cd "$(dirname "$0")/.."
root="$PWD"
folder="${PACKAGE_DIR:-build/package}"
python="${PYTHON:-$([ -x .venv/bin/python ] && echo .venv/bin/python || echo python3)}"
[ -z "${PIP_FIND_LINKS:-}" ] || export UV_FIND_LINKS="$PIP_FIND_LINKS"
# what is tried is what was installed, not the checkout
unset PYTHONPATH PYTHONHOME
export OMP_NUM_THREADS=1 MPLBACKEND=agg

say() {
    echo "== package: $*"
}

environment() { # name, requirements ...
    name="$1"
    shift
    rm -rf "$folder/$name"
    $uv venv --quiet --python "$python" "$folder/$name"
    $uv pip install --quiet --python "$folder/$name/bin/python" -c constraints.txt "$@"
    $uv pip check --quiet --python "$folder/$name/bin/python"
}

core() {
    say "the wheel alone"
    environment core "$wheel"
    cd "$folder/core"
    bin/python -I - <<'END'
import importlib.metadata as metadata
import importlib.util

import histodecon as hd

assert hd.__version__ == metadata.version("histodecon")
for absent in ("pytest", "sphinx", "cell2location", "openslide", "transformers", "distributed"):
    print(f"  {absent}: {'there' if importlib.util.find_spec(absent) else 'absent'}")
sdata = hd.datasets.toy_slide(n_patients=2, n_rows=6, n_cols=6)
hd.pp.tile_spots(sdata)
hd.pp.embed_tiles(sdata, "color_stats", show_progress_bar=False)
hd.tl.set_targets(sdata["table"], "true_abundance")
hd.tl.train_regressor(sdata["table"], use_rep="X_color_stats", learner="ridge")
hd.tl.predict_abundance(sdata["table"])
hd.tl.colocalization(sdata["table"])
hd.pl.abundance(sdata, library_id="toy_1", save="abundance.png")
assert len(hd.encoders.list_encoders()) > 10 and len(hd.models.list_learners()) > 2
END
    test -s abundance.png
    bin/histodecon --version
    bin/histodecon learners >/dev/null
    bin/histodecon encoders >/dev/null
    cd "$root"
}

extras() {
    say "the wheel with all extras"
    environment extras "$wheel[all]"
    "$folder/extras/bin/python" -I - <<'END'
from histodecon._core import declare_vision_operators

declare_vision_operators()
import cell2location, distributed, openslide, scvi, transformers

import histodecon as hd

print(hd.tl.list_deconvolution_methods().to_string())
END
}

sdist() {
    say "the source distribution"
    rm -rf "$folder/unpacked"
    mkdir -p "$folder/unpacked"
    tar -xzf "$archive" -C "$folder/unpacked" --strip-components 1
    environment sdist "$folder/unpacked[all]" --group "$folder/unpacked/pyproject.toml:test"
    cd "$folder/unpacked"
    # shellcheck disable=SC2086 several names
    ../sdist/bin/python -m pytest -q -p no:cacheprovider ${SDIST_TESTS:-tests/contract tests/stats tests/cli tests/test_demo.py}
    cd "$root"
}

newcomer() {
    say "a newcomer"
    begin="$(date +%s)"
    rm -rf "$folder/newcomer"
    mkdir -p "$folder/newcomer"
    "$python" scripts/readme_blocks.py bash >"$folder/newcomer/install.sh"
    "$python" scripts/readme_blocks.py python >"$folder/newcomer/ten_lines.py"
    "$python" -m venv "$folder/newcomer/env"
    (
        # the wheel instead of the registry; nothing else of the checkout
        PIP_FIND_LINKS="$(dirname "$wheel") ${PIP_FIND_LINKS:-}"
        PIP_CONSTRAINT="$root/constraints.txt"
        export PIP_FIND_LINKS PIP_CONSTRAINT PIP_QUIET=1 PIP_DISABLE_PIP_VERSION_CHECK=1
        cd "$folder/newcomer"
        # shellcheck disable=SC1091 made above
        . env/bin/activate
        sh -e install.sh
        echo "   installed after $(($(date +%s) - begin)) s"
        python ten_lines.py 2>/dev/null
        test -s abundance.png
    )
    say "from nothing to $folder/newcomer/abundance.png in $(($(date +%s) - begin)) s"
}

mkdir -p "$folder"
folder="$(cd "$folder" && pwd)"
case "$python" in /*) ;; */*) python="$root/$python" ;; esac
uv="$python -m uv"
$uv --version >/dev/null 2>&1 || uv="uv"
rm -rf "$folder/dist"
say "build"
$uv build --quiet --out-dir "$folder/dist" .
wheel="$(echo "$folder"/dist/*.whl)"
archive="$(echo "$folder"/dist/*.tar.gz)"
for part in ${@:-core extras sdist}; do
    start="$(date +%s)"
    "$part"
    say "$part took $(($(date +%s) - start)) s"
done
