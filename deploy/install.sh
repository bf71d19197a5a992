#!/bin/sh
# What the image installs, from the folder of its requirements: `sh deploy/install.sh cpu`, or cuda.
set -eu

install() {
    python -m pip install -r requirements.txt -r requirements-diarization.txt -r requirements-server.txt "$@"
}

case "${1:-}" in
cpu)
    # PyPI's torch for Linux brings gigabytes of CUDA along; the one of this index does not.
    install -c constraints.txt --extra-index-url "${TORCH_INDEX:-https://download.pytorch.org/whl/cpu}"
    ;;
cuda)
    # constraints.txt, except where CUDA has a version of its own.
    merged=$(mktemp)
    own=$(sed -n 's/==.*//p' deploy/constraints-cuda.txt | paste -sd '|' -)
    grep -vE "^($own)==" constraints.txt | cat - deploy/constraints-cuda.txt > "$merged"
    install -c "$merged"
    rm "$merged"
    ;;
*)
    echo "usage: sh deploy/install.sh cpu|cuda" >&2
    exit 2
    ;;
esac
