"""Section 4.3's thesis from outside: does a teacher's class similarity agree with people's, pixels', a line's?"""

import pandas as pd

from ...study.study import Study
from ...training.config import Student, Teacher
from . import yardsticks
from .measures import agreements, lacks_responses, measure, runs, sets_of_people, with_people
from .rows import Rows
from .yardsticks import OF_THE_IMAGES


def units(study: Study) -> tuple[list[Teacher], list[Student]]:
    """Runs whose measures are lacking, and no students: what `tables` takes."""
    names = sets_of_people(study)
    return list(dict.fromkeys(run.teacher for run in runs(study) if lacks_responses(study, run, names))), []


def tables(study: Study) -> dict[str, pd.DataFrame]:
    """Agreement of class similarities with yardsticks, on classes and single images, and the two parts of entropy.

    `agreement`, `temperature_free`, `images`, `fit`, `controls`, `structure`, `parts`, `parts_by_class`, `similarity`
    (of the first seed) and `yardsticks` (of each other).
    """
    study.train_teachers(units(study)[0])
    names, rows = sets_of_people(study), Rows(study)
    for run in runs(study):
        measured = measure(study, run)
        rows.add_run(run, measured)
        for name in OF_THE_IMAGES:
            rows.add_agreement(run, name, agreements(measured, yardsticks.of_the_images(study)[name]))
        rows.add_images(run, "linear", len(study.dataset.validation), measured)
        for name in names:
            found = with_people(study, run, name)
            rows.add_agreement(run, name, found)
            if "images" in found:
                rows.add_images(run, name, int(found["count"]), found)
    rows.add_yardsticks(names)
    return rows.tables()
