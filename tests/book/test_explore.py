"""Interactive figures: their data are the tables', and nothing in them can break out of the page."""

import json
import re

import numpy as np
import pandas as pd
import pytest

from kdlib.book import explore
from kdlib.claims.intervals import t_interval

NAMES = [str(i) for i in range(10)]


def data(explorer) -> dict:
    text = re.search(r"<script type='application/json'>(.*)</script>", explorer._repr_html_(), re.S)[1]
    return json.loads(text)


def soft_label_rows(images: int = 2) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    rows = []
    for teacher in ("small", "large"):
        for example in range(1, images + 1):
            z = rng.normal(0, 8, 10)
            p = np.exp(z / 9) / np.exp(z / 9).sum()
            rows += [
                {"seed": 0, "teacher": teacher, "example": example, "class": c, "soft_label": p[c]} for c in range(10)
            ]
    return pd.DataFrame(rows)


def test_soft_labels_at_nine_come_back_from_the_stored_logits():
    labels = soft_label_rows()
    found = data(explore.soft_labels(np.zeros((2, 1, 8, 8)), labels, 6, NAMES))
    for teacher in ("small", "large"):
        for example in (1, 2):
            z = np.array(found["logits"][teacher][example - 1])
            back = np.exp(z / 9) / np.exp(z / 9).sum()
            own = labels[(labels.teacher == teacher) & (labels.example == example)].soft_label
            np.testing.assert_allclose(back, own, atol=1e-5)


def test_missing_class_data_are_means_and_intervals_over_seeds_and_the_printed_values():
    rng = np.random.default_rng(0)
    cells = pd.DataFrame(
        [
            {"seed": s, "teacher": t, "missing_class": c, "temperature": temperature, "raw": v, "corrected": v + 1}
            for s in range(3)
            for t in ("small", "large")
            for c in range(10)
            for temperature in (3, 9)
            for v in [rng.uniform(0, 99)]
        ]
    )
    shown = explore.missing_class(cells, NAMES, "mnist")
    found = data(shown)
    part = cells[(cells.teacher == "small") & (cells.missing_class == 6) & (cells.temperature == 9)]
    interval = t_interval(part.raw)
    assert found["rows"]["small"]["6"]["raw"][1] == pytest.approx(
        [interval.mean, max(0, interval.low), min(100, interval.high)], abs=0.006
    )
    assert interval.low < 0 or interval.high > 100  # which no accuracy is
    assert len(found["rows"]["large"]["mean"]["paper"]) == 2 and found["rows"]["large"]["mean"]["paper"][1] > 0
    own = explore.missing_class(cells, NAMES, "digits")  # the paper never saw them
    assert "paper" not in data(own)["rows"]["small"]["6"] and "paper" not in own.caption and "paper" in shown.caption


def one_seed() -> pd.DataFrame:
    cell = {"seed": 0, "missing_class": 0, "temperature": 9, "raw": 5.0, "corrected": 6.0}
    return pd.DataFrame([cell | {"teacher": teacher} for teacher in ("small", "large")])


def test_one_seed_has_no_interval_and_valid_json():
    cells = one_seed()
    assert data(explore.missing_class(cells, NAMES, "digits"))["rows"]["small"]["0"]["raw"] == [[5.0, None, None]]


def test_class_names_cannot_end_the_script_or_the_caption():
    cells = one_seed()
    shown = explore.missing_class(cells, ["</script><b>"], "digits")
    assert shown._repr_html_().count("</script>") == 1
    assert data(shown)["classes"]["0"] == "</script><b>"


@pytest.mark.parametrize("channels", [1, 3])
def test_each_image_lies_where_the_page_looks_for_it(channels):
    import base64
    import io

    from PIL import Image

    images = np.zeros((35, channels, 4, 4), np.float32)
    images[31] = 1.0  # second row, second column
    points = pd.DataFrame({"teacher": "small", "setting": "default", "class": 3, "x": range(35), "y": range(35)})
    found = data(explore.projection(points, images, NAMES))
    assert (found["columns"], found["rows"]) == (30, 2)
    encoded = found["sprite"].partition(",")[2]
    sheet = np.asarray(Image.open(io.BytesIO(base64.b64decode(encoded))).convert("L"), dtype=float)
    assert sheet.shape == (8, 120)
    tile = sheet[4:8, 4:8].mean()
    others = np.delete(sheet.reshape(2, 4, 30, 4).mean((1, 3)).ravel(), 31)
    assert abs(tile - others.mean()) > 150 and others.std() < 30


def test_the_map_marks_the_chosen_pair():
    search = pd.DataFrame(
        [
            {"seed": s, "student": "general", "batch_size": b, "epoch": e, "updates": 100 * e // b}
            | {"validation_accuracy": 80.0 + e - s, "test_accuracy": 79.0 + e}
            for s in range(2)
            for b in (10, 20)
            for e in (1, 2)
        ]
    )
    chosen = pd.DataFrame([{"student": "general", "batch_size": 20, "epoch": 2}])
    found = data(explore.sweet_spot(search, chosen))["students"]["general"]
    assert found["chosen"] == [20, 2] and len(found["cells"]) == 4
    last = next(cell for cell in found["cells"] if cell["batch_size"] == 20 and cell["epoch"] == 2)
    assert last["validation"][0] == 81.5 and last["updates"] == 10
