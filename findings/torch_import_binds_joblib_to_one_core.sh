#!/usr/bin/env bash
# torch 2.13.0 (its Linux wheel brings libgomp) and joblib 1.5.3: with OMP_PROC_BIND set, as clusters' settings for OpenMP
# programs have it, `import torch` by itself binds the importing process to one core, before any thread is started. joblib
# counts cores by affinity, so n_jobs=-1 becomes one worker; and asked for more, all workers inherit the one core, although
# each uses one thread. With joblib imported and asked first, or without torch, the count is whole. Needs two cores or more.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/python" -m pip install --quiet --disable-pip-version-check torch==2.13.0 numpy joblib==1.5.3
cat > "$work/count.py" <<'PYTHON'
import os
import sys

import joblib

before = joblib.cpu_count(), len(os.sched_getaffinity(0))
import torch

after = joblib.cpu_count(), len(os.sched_getaffinity(0))
workers = joblib.Parallel(n_jobs=2)(joblib.delayed(os.sched_getaffinity)(0) for _ in range(4))
print(f"torch {torch.__version__}, joblib {joblib.__version__}: cores before and after `import torch`: {before}, {after}")
print("cores that two workers may use together:", len(set().union(*workers)))
bound = after == (1, 1) and len(set().union(*workers)) == 1
sys.exit(bound != (sys.argv[1] == "bound") or before[1] < 2)
PYTHON
for setting in close spread true; do
    OMP_PROC_BIND=$setting "$work/env/bin/python" "$work/count.py" bound 2> /dev/null
done
env -u OMP_PROC_BIND -u OMP_PLACES -u GOMP_CPU_AFFINITY "$work/env/bin/python" "$work/count.py" free 2> /dev/null
