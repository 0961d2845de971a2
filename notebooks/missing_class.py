# ---
# jupyter:
#   jupytext:
#     cell_metadata_filter: tags,mystnb,kdlib,-all
#     notebook_metadata_filter: kernelspec,jupytext,-jupytext.text_representation.jupytext_version
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Can a student recognise a class that it never saw?
#
# *Paper: section 4.1, tables 4, 5 and 6.*
#
# One class is taken out of the transfer set, so that the student never sees an example of it. What it still knows of
# that class it can only have, the paper says, from the teacher's soft labels of the other classes; how much of it soft
# labels without any similarity give too, the page of rival explanations asks. The paper finds that students of the small
# teacher know the missing class, and students of the large teacher do not, and concludes that the large teacher's
# responses hold too little similarity information.
#
# - Every class is removed in turn, at every temperature, for both teachers.
# - The accuracy after a **bias correction that uses no label of an example** is given beside the raw accuracy.
# - The paper's printed tables stand beside ours.

# %% tags=["parameters", "hide-input"]
dataset: str = "digits"  # digits, mnist, fashion_mnist, cifar10, kmnist, usps, svhn, or one of your own
profile: str = None  # smoke, quick, paper-cpu or paper; None: KDLIB_PROFILE, else quick
seeds: int = None  # number of teacher seeds; None here and below: the profile's value
temperatures: list = None  # distillation temperatures, such as [3, 6, 9, 12, 15, 20]
missing_classes: list = None  # classes removed in turn, by index; []: every class
alpha: float = None  # weight of the KL term in equation 4, from 0 to 1
t_squared: bool = None  # multiply the KL term by T squared (equation 4 does not)
examples: int = None  # stratified subset of the training examples
teacher_epochs: int = None  # epochs of both teachers
teacher_batch_size: int = None  # batch size of both teachers
student_epochs: int = None  # epochs of every student
student_batch_size: int = None  # batch size of every student
seeding: str = None  # common: arms of a comparison share random numbers; configuration: as published before that
learning_rate: float = None  # Adam's learning rate, for teachers and students
precision: str = None  # of all training: fp32 or bf16
device: str = None  # auto, cpu, cuda, cuda:N or mps

# %%
import kdlib

study = kdlib.open_study("missing_class", globals())
study

# %% [markdown]
# ## What was found

# %% kdlib={"tables": ["cells"]} tags=["hide-input"]
tables = study.tables()  # what the store holds is read, what it lacks is computed now and kept
kdlib.present.missing_class_finding(tables["cells"])

# %% tags=["remove-input"]
kdlib.present.page_verdicts(
    kdlib.verdicts(study, tables).verdicts,
    "missing-mnist",
    "missing-fashion",
    "missing-cifar10",
    "missing-gap-after-correction",
)

# %% kdlib={"cells_again": true, "tables": ["cells"]} tags=["hide-input"]
kdlib.present.missing_class_summary(tables["cells"], study.dataset.name)

# %% [markdown]
# ## Against temperature
#
# Under equation 4 the weight of the soft labels falls with T: their gradient shrinks like 1/T², and no factor T² makes
# up for it. The dotted line shows that the student still knows the other classes.

# %% kdlib={"tables": ["cells"]} mystnb={"figure": {"caption": "Accuracy on the removed class against temperature, mean over the removed classes: raw, and after the label-free bias correction. Bands are 95% t intervals over teacher seeds; crosses are the paper's means where it prints a table ({dataset}).", "name": "missing-class-curves"}, "image": {"alt": "Two panels, small teacher and large teacher, on {dataset}. Horizontal axis: temperature T. Vertical axis: test accuracy in percent. Lines for the removed class raw, the removed class after bias correction, and the other classes."}} tags=["hide-input"]
kdlib.figures.missing_class_curves(tables["cells"], study.dataset.name)

# %% [markdown]
# ## Class by class

# %% kdlib={"tables": ["cells"]} mystnb={"figure": {"caption": "Accuracy on each removed class (rows) at each temperature (columns), in percent ({dataset}): the paper's where it prints a table, and as measured here, raw and after the bias correction, mean over teacher seeds.", "name": "missing-class-heatmaps"}, "image": {"alt": "Heat maps on {dataset}, small teacher above, large teacher below: the paper's printed accuracies where there are any, then raw and bias-corrected accuracies as measured. Rows are removed classes, columns temperatures, each cell the percentage of test examples of the removed class recognised."}} tags=["hide-input"]
kdlib.figures.missing_class_heatmaps(tables["cells"], study.dataset.class_names, study.dataset.name)

# %% kdlib={"tables": ["cells"]} tags=["hide-input"]
kdlib.explore.missing_class(tables["cells"], study.dataset.class_names, study.dataset.name)

# %% [markdown]
# ## The tables, ours and the paper's
#
# Small teacher, raw accuracy (%) on the removed class:

# %% kdlib={"tables": ["cells"]} tags=["hide-input"]
kdlib.present.missing_class(tables["cells"], study.dataset.class_names, "small")

# %% kdlib={"tables": ["cells"]} tags=["hide-input"]
kdlib.present.missing_class_beside_paper(tables["cells"], study.dataset.class_names, "small", study.dataset.name)

# %% [markdown]
# Large teacher, raw accuracy (%) on the removed class:

# %% kdlib={"tables": ["cells"]} tags=["hide-input"]
kdlib.present.missing_class(tables["cells"], study.dataset.class_names, "large")

# %% kdlib={"tables": ["cells"]} tags=["hide-input"]
kdlib.present.missing_class_beside_paper(tables["cells"], study.dataset.class_names, "large", study.dataset.name)

# %% [markdown]
# ## One bias
#
# A student that never saw a class learned from the hard labels and from the low soft labels that this class is *rare*:
# its output bias is low. [Hinton et al. (2015, section 3)](https://arxiv.org/abs/1503.02531) raised that one bias and
# recovered the class. Here the removed class's logit is shifted until its mean predicted probability on held-out inputs
# equals the class's share in the training set. No label of a single example is used, only that share. What is
# recognised after the shift is more than the raw accuracy shows, but not all of it is knowledge of the class: students
# of label smoothing, whose targets hold no similarity, are lifted too; the page on rival explanations shows how far.
#
# Large teacher, after the correction (%):

# %% kdlib={"tables": ["cells"]} tags=["hide-input"]
kdlib.present.missing_class(tables["cells"], study.dataset.class_names, "large", "corrected")

# %% [markdown]
# Small teacher, after the correction (%):

# %% kdlib={"tables": ["cells"]} tags=["hide-input"]
kdlib.present.missing_class(tables["cells"], study.dataset.class_names, "small", "corrected")

# %% [markdown]
# ## What is the removed class taken for?

# %% kdlib={"tables": ["taken_for"]} mystnb={"figure": {"caption": "What test examples of a removed class (rows) are called (columns), in percent, raw, mean over temperatures and teacher seeds ({dataset}). The diagonal is the accuracy of the tables above.", "name": "missing-class-taken-for"}, "image": {"alt": "Two heat maps on {dataset}, small teacher and large teacher. Rows are removed classes, columns the class that the student names, each cell a percentage of the removed class's test examples."}} tags=["hide-input"]
kdlib.figures.taken_for(tables["taken_for"], study.dataset.class_names)

# %% [markdown]
# ## Verdicts
#
# The rules are those of `kdlib/sections/missing_class/claims.yml`. If one of them is newer than a number of this page, the book
# says so at the top of the page.

# %% tags=["hide-input"]
kdlib.verdicts(study, tables)

# %% tags=["hide-input", "nbval-ignore-output"]
kdlib.record(study, tables)
