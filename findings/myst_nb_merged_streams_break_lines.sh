#!/usr/bin/env bash
# myst-nb 1.4.0, nb_merge_streams: a line that reached the notebook in two pieces, as a kernel sends what a program prints
# and flushes in parts, is shown as two lines, since every piece is ended with a newline of its own; and the backspaces of
# a progress bar stay in the page, although the option means to apply them: the loop that would do so compares a text with
# itself, and never begins. nbclient's coalesce_streams, asked to merge the same pieces, keeps the line.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/python" -m pip install --quiet --disable-pip-version-check myst-nb==1.4.0 nbclient==0.10.2 ipykernel==6.30.1
cd "$work"
PATH="$work/env/bin:$PATH" python - <<'PYTHON'
import html
import re
import subprocess
import sys
from importlib.metadata import version

import nbformat
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_notebook, new_output

pieces = ["epoch 1 ", "of 2\n", "10%\b\b\b20%\n"]
cell = new_code_cell("train()", execution_count=1, outputs=[new_output("stream", name="stdout", text=p) for p in pieces])
nbformat.write(new_notebook(cells=[cell]), "pieces.ipynb")
command = ["mystnb-docutils-html", "--nb-execution-mode=off", "--nb-merge-streams=yes", "pieces.ipynb"]
page = subprocess.run(command, capture_output=True, text=True, check=True).stdout
shown = [html.unescape(re.sub("<[^>]+>", "", one)) for one in re.findall(r"<pre[^>]*>(.*?)</pre>", page, re.DOTALL)]
merged = next(text for text in shown if "epoch" in text)

printing = "import sys, time\nfor piece in ('epoch 1 ', 'of 2\\n'):\n    sys.stdout.write(piece), sys.stdout.flush(), time.sleep(0.5)"
executed = new_notebook(cells=[new_code_cell(printing)])
NotebookClient(executed, coalesce_streams=True).execute()
(joined,) = executed.cells[0].outputs
print("myst-nb", version("myst-nb"), "nbclient", version("nbclient"))
print("pieces:", pieces)
print("myst-nb shows:", repr(merged))
print("nbclient joins the first two:", repr(joined.text))
sys.exit(not ("epoch 1\nof 2\n" in merged and "\b" in merged and joined.text == "epoch 1 of 2\n"))
PYTHON
