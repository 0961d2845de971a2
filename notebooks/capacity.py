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
# # Is it the teacher's size, or what goes with it?
#
# *Beyond the paper: what differs between its two teachers beside their size.*
#
# The paper compares two teachers and calls what differs *capacity*. The large one of Table 7 is also regularised, by dropout
# and on CIFAR-10 by batch normalisation; it has more layers; and it may have been trained past the point where it teaches
# best. Here each of these changes by itself.
#
# - Teachers that differ in width alone: does anything rise or fall with size?
# - The large teacher without dropout (of CIFAR-10 without batch normalisation, its dropout kept), and the small one with it.
# - The large teacher after half of its epochs, and one that was trained on smoothed labels.
# - The clusters of both networks before any training.
# - The search for a sweet spot, of the small teacher. Examples needed where the responses have no similarity.

# %% tags=["parameters", "hide-input"]
dataset: str = "digits"  # digits, mnist, fashion_mnist, cifar10, kmnist, usps, svhn, or one of your own
profile: str = None  # smoke, quick, paper-cpu or paper; None: KDLIB_PROFILE, else quick
seeds: int = None  # number of teacher seeds; None here and below: the profile's value
missing_classes: list = None  # classes removed in turn, by index; []: every class
examples_per_class: list = None  # sizes of the transfer set, such as [5, 10, 20]
batch_sizes: list = None  # batch sizes of the small teacher in the search
sweet_spot_epochs: int = None  # epochs of each of those runs
alpha: float = None  # weight of the KL term in equation 4, from 0 to 1
examples: int = None  # stratified subset of the training examples
teacher_epochs: int = None  # epochs of every teacher
teacher_batch_size: int = None  # batch size of every teacher
student_epochs: int = None  # epochs of every student
student_batch_size: int = None  # batch size of every student
seeding: str = None  # common: arms of a comparison share random numbers; configuration: as published before that
learning_rate: float = None  # Adam's learning rate
precision: str = None  # of all training: fp32 or bf16
device: str = None  # auto, cpu, cuda, cuda:N or mps

# %%
import kdlib

study = kdlib.open_study("capacity", globals())
study

# %% [markdown]
# ## What was found

# %% tags=["hide-input"]
tables = study.tables()  # what the store holds is read, what it lacks is computed now and kept
kdlib.present.control_findings(tables, study.dataset.name, "capacity")

# %% tags=["remove-input"]
kdlib.present.page_verdicts(kdlib.verdicts(study, tables).verdicts, "entropy-falls-with-width")

# %% [markdown]
# ## Teachers that differ in one thing
#
# In order of their number of parameters; means over seeds with the half-width of the 95% t interval. *Missing class* is
# the accuracy of students on a class that they never saw, every third class removed in turn, raw and bias corrected, at
# T = 9; *all classes* that of students that saw all.

# %% kdlib={"tables": ["teachers"]} mystnb={"figure": {"caption": "Entropy of the responses of each teacher at T = 9, and bias-corrected accuracy of its students on a class that they never saw ({dataset}), in order of the number of parameters. Lines are 95% t intervals over teacher seeds.", "name": "confounded-teachers"}, "image": {"alt": "Two panels on {dataset} with one row for each teacher, in order of its number of parameters, which stands beside its name: mean entropy in nats, and accuracy in percent on the missing class. A marker for the mean, round for the small teacher and square for the large one, and a line for the interval."}} tags=["hide-input"]
kdlib.figures.confounded_teachers(tables["teachers"])

# %% kdlib={"tables": ["teachers"]} tags=["hide-input"]
kdlib.present.confounded_teachers(tables["teachers"])

# %% tags=["remove-input"]
kdlib.present.control_finding(tables, study.dataset.name, "regularised-large")

# %% tags=["remove-input"]
kdlib.present.control_finding(tables, study.dataset.name, "regularised-small")

# %% tags=["remove-input"]
kdlib.present.control_finding(tables, study.dataset.name, "early-stopping")

# %% tags=["remove-input"]
kdlib.present.control_finding(tables, study.dataset.name, "initialisation")

# %% tags=["remove-input"]
kdlib.present.control_finding(tables, study.dataset.name, "smoothed-teacher")

# %% [markdown]
# ## What similarity is worth in examples
#
# Random examples, equal steps: the best validation accuracy (%) of students of the small teacher's responses, of the same
# with their similarity shuffled within each example, and of label smoothing with the same confidence in each.

# %% kdlib={"tables": ["examples"]} tags=["hide-input"]
kdlib.present.examples_without_similarity(tables["examples"])

# %% [markdown]
# ## Verdicts
#
# What these teachers say of the paper's own claims, by the rules of `kdlib/sections/capacity/claims.yml`:

# %% tags=["hide-input"]
kdlib.verdicts(study, tables)

# %% tags=["hide-input", "nbval-ignore-output"]
kdlib.record(study, tables)
