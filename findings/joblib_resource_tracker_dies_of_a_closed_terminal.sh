#!/usr/bin/env bash
# joblib 1.6.0: the process that keeps account of semaphores and shared memory survives SIGINT and SIGTERM on
# purpose, so that it can clean up after all others, but not the SIGHUP that a closed terminal sends to the whole group. A
# program that lives on ends its work as usual; the tracker that is started in its place knows none of the names that are
# then taken off its list, and prints a traceback with KeyError for each.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/python" -m pip install --quiet --disable-pip-version-check joblib==1.6.0
cd "$work"
cat > program.py <<'PYTHON'
import os
import signal
import sys
import time

from joblib import Parallel, delayed
from joblib.externals.loky.backend.resource_tracker import _resource_tracker as tracker

if __name__ == "__main__":
    number = getattr(signal, sys.argv[1])
    Parallel(2)(delayed(abs)(-k) for k in range(4))
    signal.signal(number, signal.SIG_IGN)  # this program goes on
    before = tracker._pid
    os.kill(before, number)
    time.sleep(2)
    Parallel(3)(delayed(abs)(-k) for k in range(4))
    print("the same tracker:", tracker._pid == before, flush=True)
PYTHON
PATH="$work/env/bin:$PATH" python - <<'PYTHON'
import subprocess
import sys
from importlib.metadata import version

print("joblib", version("joblib"))
found = {}
for name in ("SIGINT", "SIGTERM", "SIGHUP"):
    done = subprocess.run([sys.executable, "program.py", name], capture_output=True, text=True)
    found[name] = ("the same tracker: True" in done.stdout, done.stderr.count("KeyError"))
    print(f"{name}: exit code {done.returncode}, {done.stdout.strip()}, {found[name][1]} KeyErrors on standard error")
survived = found["SIGINT"] == found["SIGTERM"] == (True, 0)
sys.exit(not (survived and not found["SIGHUP"][0] and found["SIGHUP"][1]))
PYTHON
