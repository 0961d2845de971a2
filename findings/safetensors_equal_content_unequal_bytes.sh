#!/usr/bin/env bash
# safetensors 0.8.0: saving the same tensors with the same metadata again gives other bytes, even within one process.
# The metadata are kept in a hash map whose order is drawn anew at each call; only the order of tensors is fixed. So a
# file's digest does not identify its content, and what is content-addressed needs its header sorted first. With one
# metadata entry (or none) the bytes are equal.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/python" -m pip install --quiet --disable-pip-version-check safetensors==0.8.0 numpy
"$work/env/bin/python" - <<'PYTHON'
import json
import sys

import numpy
import safetensors
from safetensors.numpy import load, save

tensors = {name: numpy.arange(4, dtype="float32") for name in "ab"}
many = {str(i): "x" for i in range(8)}
different = {save(tensors, many) for _ in range(20)}
alike = {save(tensors, {"0": "x"}) for _ in range(20)}


def content(payload):
    size = int.from_bytes(payload[:8], "little")
    return json.dumps(json.loads(payload[8 : 8 + size]), sort_keys=True), payload[8 + size :]


print("safetensors", safetensors.__version__, "numpy", numpy.__version__)
print(f"20 saves with 8 metadata entries: {len(different)} different files, {len({content(p) for p in different})} content")
print(f"20 saves with 1 metadata entry: {len(alike)} file")
assert all((load(p)["a"] == tensors["a"]).all() for p in different)
sys.exit(not (len(different) > 1 and len({content(p) for p in different}) == 1 == len(alike)))
PYTHON
