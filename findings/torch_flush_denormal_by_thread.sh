#!/usr/bin/env bash
# torch 2.13.0 on an x86 CPU: `torch.set_flush_denormal` sets the calling thread alone. Threads of the pool that are there
# already go on as they were, and those that start later take what their maker has; so an elementwise product of two
# threads whose every element is subnormal comes out as zeros in one half and as subnormal numbers in the other: what an
# element becomes depends on its place in the tensor, and on whether anything ran on two threads before the switch. The
# call returns True, and switching back leaves the pool's threads flushing if they were started in between. One thread,
# or the switch before anything else, is the way to equal numbers.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/python" -m pip install --quiet --disable-pip-version-check torch==2.13.0 numpy
cat > "$work/flush.py" <<'PYTHON'
import platform
import sys

import torch

torch.set_num_threads(2)
HALF = 1 << 19


def left():
    """Share of subnormal numbers in each half of a product all of whose elements are 2e-39."""
    product = torch.full((2 * HALF,), 2e-38) * 0.1
    bits = product.numpy().view("int32")  # a comparison of numbers would flush them too
    return [float((half != 0).mean()) for half in (bits[:HALF], bits[HALF:])]


if sys.argv[1] == "pool first":
    seen = [left(), torch.set_flush_denormal(True), left()]
    wanted = [[1, 1], True, [0, 1]]
else:
    seen = [torch.set_flush_denormal(True), left(), torch.set_flush_denormal(False), left()]
    wanted = [True, [0, 0], True, [1, 0]]
print(f"torch {torch.__version__} {platform.machine()}, {sys.argv[1]}: {seen}")
sys.exit(seen != wanted)
PYTHON
"$work/env/bin/python" "$work/flush.py" "pool first" 2> "$work/errors" || { cat "$work/errors"; exit 1; }
"$work/env/bin/python" "$work/flush.py" "switch first" 2> "$work/errors" || { cat "$work/errors"; exit 1; }
