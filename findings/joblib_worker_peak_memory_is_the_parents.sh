#!/usr/bin/env bash
# joblib 1.6.0 on Linux: the peak memory that a worker process reports by `resource.getrusage(RUSAGE_SELF).ru_maxrss` is at
# least that of the process which started the pool, although loky starts workers as new programs that share none of its
# memory: the kernel carries the figure of the old address space over `exec`. A benchmark that asks each worker for its
# peak so reads the parent's. The worker's own peak is VmHWM in /proc/self/status.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/python" -m pip install --quiet --disable-pip-version-check joblib==1.6.0
cat > "$work/peaks.py" <<'PYTHON'
import re
import resource
import sys

import joblib

HELD = 800  # MiB, each page of which is written


def peaks():
    own = re.search(r"VmHWM:\s+(\d+) kB", open("/proc/self/status").read())
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10, int(own[1]) >> 10


if __name__ == "__main__":
    held = bytearray(HELD << 20)
    held[:: 4096] = b"x" * len(held[:: 4096])
    [(asked, own)] = joblib.Parallel(2)([joblib.delayed(peaks)()])
    print(f"joblib {joblib.__version__}: the parent holds {HELD} MiB")
    print(f"worker: ru_maxrss {asked} MiB, VmHWM {own} MiB")
    sys.exit(not (asked >= HELD > 4 * own))
PYTHON
cd "$work"
"$work/env/bin/python" peaks.py
