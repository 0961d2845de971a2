#!/usr/bin/env bash
# torch 2.13.0 on an x86 CPU: in a batched fp32 product the last bits of a slice depend on its place in the batch, where a
# slice does not begin at a multiple of 16 bytes. Seven equal products [125, 64] x [64, 10] in one `bmm` give two different
# results, since every other slice of 125 x 10 numbers begins 8 bytes past such a multiple; with 128 rows all seven are
# equal. So trainings that are batched are not those that run alone, bit for bit, unless every slice is aligned.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/python" -m pip install --quiet --disable-pip-version-check torch==2.13.0 numpy
"$work/env/bin/python" - <<'PYTHON'
import platform
import sys

import torch

torch.set_num_threads(1)


def different(rows):
    """Number of different results among seven equal products in one batch."""
    order = torch.Generator().manual_seed(0)
    inputs, weights = (
        torch.randn(*shape, generator=order).expand(7, -1, -1).contiguous() for shape in ((rows, 64), (64, 10))
    )
    product = torch.bmm(inputs, weights)
    return len({part.numpy().tobytes() for part in product}), (product - product[0]).abs().max().item()


print("torch", torch.__version__, platform.machine(), torch.backends.cpu.get_cpu_capability())
found = {rows: different(rows) for rows in (125, 128)}
for rows, (count, most) in found.items():
    print(f"{rows} rows: {count} different results of 7 equal products, at most {most:.1e} apart")
sys.exit(not (found[125][0] > 1 and found[128][0] == 1))
PYTHON
