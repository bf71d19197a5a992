#!/bin/sh
# Install the image's packages, in the folder of pyproject.toml: `sh deploy/install.sh cpu server diarization`.
# The first argument is cpu or cuda; the others are extras.
set -eu

variant=${1:-}
case "$variant" in
cpu) index="--extra-index-url ${TORCH_INDEX:-https://download.pytorch.org/whl/cpu}" ;; # PyPI's torch brings CUDA
cuda) index= ;;
*)
    echo "usage: sh deploy/install.sh cpu|cuda EXTRA..." >&2
    exit 2
    ;;
esac
shift

# The dependencies alone: a change of the code must not install them again.
list=$(mktemp)
python - "$@" > "$list" <<'PYTHON'
import sys, tomllib

project = tomllib.load(open("pyproject.toml", "rb"))["project"]
extras = project["optional-dependencies"]
own = f"{project['name']}["  # an extra that another one includes is named by itself
print(*project["dependencies"], *(one for name in sys.argv[1:] for one in extras[name] if not one.startswith(own)), sep="\n")
PYTHON
# shellcheck disable=SC2086
python -m pip install -r "$list" -c "constraints-$variant.txt" $index
rm "$list"
