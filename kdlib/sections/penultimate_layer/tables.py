"""Tables and sentences of the penultimate layer (section 4.3)."""

import numpy as np
import pandas as pd

from ...claims.intervals import t_interval
from ...report.formatting import (
    Markdown,
    format_interval,
    index_name_as_header,
    mean_and_half_width,
    ratio_and_ends,
    setting_name,
)
from ...study.study import Study
from .experiment import rows_of_points, settings, shown_members, umap_embedding


def tightness(table: pd.DataFrame) -> pd.DataFrame:
    """NC1 and silhouette of each teacher and setting, on training and held-out examples; how far it was trained."""
    rows = []
    for (teacher, setting), part in table.groupby(["teacher", "setting"], sort=False):
        row = {
            "teacher": setting_name(teacher, setting),
            "updates": f"{part.updates.iloc[0]:,}",
        }
        for split in ("train", "validation"):
            one = part[part.split == split]
            row[f"NC1, {split}"] = ratio_and_ends(one.nc1, 3)
            row[f"silhouette, {split}"] = mean_and_half_width(one.silhouette, 3)
        train = part[part.split == "train"]
        rows.append(row | {"entropy at T = 9, train (nats)": mean_and_half_width(train.entropy, 2)})
    return index_name_as_header(pd.DataFrame(rows).set_index("teacher"))


def tightness_finding(table: pd.DataFrame) -> Markdown:
    """Sentence on the tightness of both teachers' clusters in the penultimate layer."""
    part = table[(table.setting == "default") & (table.split == "train")]
    by_teacher = {t: part[part.teacher == t] for t in ("small", "large")}
    small, large = (ratio_and_ends(rows.nc1, 3) for rows in by_teacher.values())
    entropies = (format_interval(t_interval(rows.entropy), " nats", 2) for rows in by_teacher.values())
    return Markdown(
        "NC1 on training examples (geometric mean and 95% interval over seeds), smaller being tighter: small teacher "
        f"{small}, large teacher {large}. "
        "The paper takes spread-out clusters for similarity information, and so for entropy; the entropy at T = 9: "
        f"small teacher {next(entropies)}, large teacher {next(entropies)}."
    )


def umap_points(study: Study) -> pd.DataFrame:
    """UMAP coordinates of the same examples and teachers as in `points` (needs umap-learn; slow to start)."""
    seed = study.seeds[0]
    rows = []
    for _, capacity, setting, teacher, epoch in settings(study, seed):
        who = {"seed": seed, "teacher": capacity, "setting": setting}
        rows += [who | row for row in rows_of_points(study, umap_embedding(study, teacher, epoch))]
    return pd.DataFrame(rows)


def projected_images(study: Study) -> np.ndarray:
    """The examples of the projection, in the order of its points: [n, C, H, W] in [0, 1]."""
    return study.dataset.images[shown_members(study)].cpu().numpy()
