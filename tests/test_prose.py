"""No measured number is typed into prose: pages get theirs from results. The paper's own numbers are checked."""

import math
import re
from pathlib import Path

import jupytext
import numpy as np
import pandas as pd
import pytest

from kdlib.data.paper import paper_table
from kdlib.training.losses import entropy, label_smoothing_labels

from .conftest import ROOT

OPEN = ROOT / "book" / "open_questions.md"
PAGES = [*sorted((ROOT / "book").rglob("*.md")), *sorted((ROOT / "notebooks").glob("*.py")), *ROOT.glob("*.md")]
UNITS = r"percent|points?|nats?|times|seconds?|minutes?|hours?|ms|MB|GB|MiB|GiB"
NUMBER = re.compile(rf"(?<![\w.])\d+(?:,\d{{3}})*(?:\.\d+)?\s?(?:%|(?:{UNITS})\b)|(?<![\w.])\d+\.\d+|±|\[-?\d")
# What may stand in prose, and why.
ADMITTED = {
    r"[Ss]ections? [\d., and]+": "a section of the paper",
    r"\| [\d., ]+; (?:tables|figures)[^|]*": "a row of the sections of the paper",
    r"\barXiv \d+\.\d+": "the paper's own number",
    r"95%": "the level of every interval",
    r"Python 3\.\d+": "what is needed to run it",
    r"about 3 GB of room": "what is needed to run it",
    r"-p [a-z_]+=\S+": "a parameter",
}


def prose(path: Path) -> str:
    """What a reader sees as text: no code, formula, quotation of the paper, address, picture."""
    text = path.read_text()
    if path.suffix == ".py":
        text = "\n\n".join(c.source for c in jupytext.read(path).cells if c.cell_type == "markdown")
    for what in (
        r"(?s)^---\n.*?\n---\n",
        r"(?s)```(?:text|bash|sh|python|\{raw\} html)\n.*?```",
        r"(?s)\$\$.*?\$\$",
        r"\$[^$\n]*\$",
        r"`[^`\n]*`",
        r"^>.*$",
        r"\]\([^)]*\)",
    ):
        text = re.sub(what, " ", text, flags=re.M)
    return text


def measured(text: str) -> list[str]:
    """What reads like a measurement."""
    for admitted in ADMITTED:
        text = re.sub(admitted, " ", text)
    return [match.group() for match in NUMBER.finditer(text)]


@pytest.mark.parametrize("page", [p for p in PAGES if p != OPEN], ids=lambda p: str(p.relative_to(ROOT)))
def test_prose_holds_no_measured_number(page):
    assert measured(prose(page)) == []


@pytest.mark.parametrize(
    "typed",
    [
        "students recognise 92.3% of the class",
        "it gains 0.4 points",
        "the entropy is 1.87",
        "some 38 times faster",
        "it took 12 minutes",
        "accuracy 97 ± 1",
        "a mean of 5 [3, 7]",
    ],
)
def test_a_typed_measurement_would_be_noticed(typed):
    assert measured(typed)


def arithmetic() -> list[float]:
    """Numbers that the page on open questions may print: the paper's tables, and arithmetic on them."""
    found: list[float] = [0.5, 0.6, 0.99]  # settings: dropout, alpha of table 1, alpha of distillation
    for number in (4, 5, 6):
        table = paper_table(number)
        found += [*table.accuracy_percent, *table.groupby(["teacher", "temperature"]).accuracy_percent.mean()]
    for number in (2, 3):
        table = paper_table(number).pivot_table(index="example", columns="class", values="soft_label")
        rows, others = table.to_numpy(), table.drop(columns=6).to_numpy()
        found += [*rows.sum(1), np.sort(rows.sum(1))[1]]
        found += [others.var(1).mean(), (others.std(1) / others.mean(1)).mean()]
        spread = others.std(0, ddof=1)
        found += [spread.mean(), (spread / others.mean(0)).mean()]
        margins = 9 * np.log(table[6].to_numpy() / others.max(1))
        found += [margins.min(), margins.max(), table[6].mean()]
        distributions = rows / rows.sum(1, keepdims=True)
        confidence = distributions[:, 6]
        surrogate = -confidence * np.log(confidence) - (1 - confidence) * np.log((1 - confidence) / 9)
        own = -(distributions * np.log(distributions)).sum(1)
        found += [(surrogate - own).mean(), np.delete(surrogate - own, 1).mean(), own.mean()]
        smooth = table[6].mean()
        found.append(-smooth * math.log(smooth) - (1 - smooth) * math.log((1 - smooth) / 9))
    import torch

    found.append(entropy(label_smoothing_labels(torch.tensor([6]), 10, 0.6).double()).item())
    found += [99 / t**2 for t in (3, 6, 9, 12, 15, 20)]
    counts = paper_table(7).pivot_table(index="dataset", columns="role", values="parameters")
    found += [*(counts.large_teacher / counts.small_teacher)]
    return [float(v) for v in found if not pd.isna(v)]


def test_every_number_on_what_the_paper_leaves_open_is_arithmetic_on_its_tables():
    known = arithmetic()
    text = re.sub(r"[Ss]ections? [\d., and]+", " ", prose(OPEN))
    decimals = re.findall(r"(?<![\w.])\d+\.\d+", text)
    assert len(decimals) > 60

    def stands_for_one(printed: str) -> bool:
        places = len(printed.partition(".")[2])
        return any(abs(value - float(printed)) <= 0.5001 * 10**-places for value in known)

    assert [printed for printed in decimals if not stands_for_one(printed)] == []
