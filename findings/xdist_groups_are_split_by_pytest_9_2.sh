#!/usr/bin/env bash
# pytest 9.2.0 with pytest-xdist 3.8.0: `--dist loadgroup` no longer keeps the tests of an `xdist_group` on one worker, and
# says nothing. xdist's worker writes the group into the item's private `_nodeid` ("...@group"), from which its scheduler
# reads it; since 9.2 pytest makes `nodeid` from a structured `_id`, so that what is written there is never seen, and every
# test is a group of its own. With pytest 9.1.0 and the same xdist, twelve tests of one group run on one worker. Tests that
# share a server, a port or a device by such a group then run at once, and fail by chance.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
cd "$work"
cat > test_groups.py <<'PY'
import os
import time

import pytest


@pytest.mark.xdist_group("one_server")
@pytest.mark.parametrize("number", range(12))
def test_that_needs_the_server(number):
    with open("workers.txt", "a") as file:
        file.write(os.environ["PYTEST_XDIST_WORKER"] + "\n")
    time.sleep(0.1)
PY
workers_with() {
    "$work/env/bin/python" -m pip install --quiet --disable-pip-version-check "pytest==$1" pytest-xdist==3.8.0 >&2
    rm -f workers.txt
    "$work/env/bin/python" -m pytest -q -W error -p no:cacheprovider -n 3 --dist loadgroup > run.log
    grep -q "12 passed" run.log && ! grep -qi warn run.log  # nothing is said
    sort -u workers.txt | wc -l
}
before=$(workers_with 9.1.0)
after=$(workers_with 9.2.0)
echo "workers that ran the one group, pytest-xdist 3.8.0: $before with pytest 9.1.0, $after with pytest 9.2.0"
[ "$before" = 1 ] && [ "$after" -gt 1 ]
