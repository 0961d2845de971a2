#!/usr/bin/env bash
# ipykernel 6.31.0: a kernel ends by itself when the process that started it is killed, but only where its orphans go to
# process 1. Where another process has asked for them (Linux: PR_SET_CHILD_SUBREAPER, as a user's systemd does),
# the kernel is adopted by that one, takes it for its parent, and lives on with all its memory.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/python" -m pip install --quiet --disable-pip-version-check ipykernel==6.31.0 jupyter_client==8.10.0 psutil==7.2.2
cd "$work"
PATH="$work/env/bin:$PATH" IPYTHONDIR="$work" JUPYTER_RUNTIME_DIR="$work" python - <<'PYTHON'
import ctypes
import os
import signal
import subprocess
import sys
from importlib.metadata import version

import psutil

PR_SET_CHILD_SUBREAPER = 36
CLIENT = """
import sys
from jupyter_client.manager import start_new_kernel
manager, _ = start_new_kernel(kernel_name="python3")
print(manager.provisioner.pid, flush=True)
sys.stdin.read()
"""


def outlives(seconds: float) -> bool:
    """Whether a kernel is there so long after its parent was killed."""
    client = subprocess.Popen([sys.executable, "-c", CLIENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    kernel = psutil.Process(int(client.stdout.readline()))
    client.send_signal(signal.SIGKILL)
    client.wait()
    _, alive = psutil.wait_procs([kernel], seconds)
    for process in alive:
        process.kill()
    return bool(alive)


usual = outlives(15)
ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
adopted = outlives(15)
print("ipykernel", version("ipykernel"), "jupyter_client", version("jupyter_client"))
print("15 s after its parent was killed a kernel is there, where process 1 adopts it:", usual)
print("15 s after its parent was killed a kernel is there, where a subreaper does:", adopted)
sys.exit(usual or not adopted)
PYTHON
