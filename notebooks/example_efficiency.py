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
# # How many examples does distillation need?
#
# *Paper: sections 4.2 and 5, figures 4 and 8.*
#
# If one example teaches about many classes, a handful should be enough. The paper distils from 5 to 2000 examples of
# each class, chosen by the entropy of the teacher's responses at T = 9, and finds that the large teacher's student
# needs 10 (MNIST), 15 (Fashion-MNIST) and 18 (CIFAR-10) times as many; with the large teacher at its sweet spot it
# needs five times fewer than before.
#
# - Best validation accuracy at each number of examples, at equal epochs and at equal steps.
# - Examples chosen by highest entropy and at random.
# - The large teacher as it is, and at its sweet spot.

# %% tags=["parameters", "hide-input"]
dataset: str = "digits"  # digits, mnist, fashion_mnist, cifar10, kmnist, usps, svhn, or one of your own
profile: str = None  # smoke, quick, paper-cpu or paper; None: KDLIB_PROFILE, else quick
seeds: int = None  # number of teacher seeds; None here and below: the profile's value
examples_per_class: list = None  # sizes of the transfer set, such as [5, 10, 20]
selections: list = None  # how examples are chosen: entropy, random, lowest
batch_sizes: list = None  # batch sizes of the large teacher in the search
sweet_spot_epochs: int = None  # epochs of each of those runs
alpha: float = None  # weight of the KL term in equation 4, from 0 to 1
t_squared: bool = None  # multiply the KL term by T squared (equation 4 does not)
student_epochs: int = None  # epochs of every student
student_batch_size: int = None  # batch size of every student
seeding: str = None  # common: arms of a comparison share random numbers; configuration: as published before that
examples: int = None  # stratified subset of the training examples
teacher_epochs: int = None  # epochs of both teachers
teacher_batch_size: int = None  # batch size of both teachers
learning_rate: float = None  # Adam's learning rate
precision: str = None  # of all training: fp32 or bf16
device: str = None  # auto, cpu, cuda, cuda:N or mps

# %%
import kdlib

study = kdlib.open_study("example_efficiency", globals())
study

# %% [markdown]
# ## What was found

# %% kdlib={"tables": ["cells"]} tags=["hide-input"]
tables = study.tables()  # what the store holds is read, what it lacks is computed now and kept
kdlib.present.efficiency_finding(tables["cells"], study.dataset.classes)

# %% tags=["remove-input"]
kdlib.present.page_verdicts(kdlib.verdicts(study, tables).verdicts, "efficiency-order")

# %% [markdown]
# ## Small against large teacher (figure 4)
#
# With few examples an epoch has few steps. At equal epochs, a small transfer set therefore also means a shorter training;
# at equal steps every student takes as many steps as one that sees the whole set.

# %% kdlib={"tables": ["cells"]} mystnb={"figure": {"caption": "Figure 4 as measured ({dataset}): best validation accuracy of the student against the number of examples of each class, chosen by entropy. Bands are 95% t intervals over teacher seeds.", "name": "efficiency"}, "image": {"alt": "Two panels on {dataset}, equal epochs and equal steps. Horizontal axis: examples per class, logarithmic. Vertical axis: validation accuracy in percent. One line for each teacher."}} tags=["hide-input"]
kdlib.figures.accuracy_against_examples(tables["cells"], "entropy", ("small", "large"))

# %% [markdown]
# At equal epochs, validation accuracy (%):

# %% kdlib={"tables": ["cells"]} tags=["hide-input"]
kdlib.present.efficiency(tables["cells"], "entropy", "epochs")

# %% [markdown]
# At equal steps, validation accuracy (%):

# %% kdlib={"tables": ["cells"]} tags=["hide-input"]
kdlib.present.efficiency(tables["cells"], "entropy", "steps")

# %% [markdown]
# ## How many times more examples?
#
# For each accuracy that both curves reach, the number of examples that the large teacher's student needs is divided by
# the number that the small teacher's student needs; the result is the geometric mean over these levels. Where the
# curves share no level, the seed enters with the bound.

# %% tags=["remove-input"]
kdlib.present.examples_ratio_finding(tables, study.dataset.name)

# %% [markdown]
# ## Does choosing by entropy help?
#
# Each teacher ranks the examples of a class by the entropy of its own responses.

# %% kdlib={"tables": ["cells"]} mystnb={"figure": {"caption": "Examples chosen by entropy and at random, at equal steps ({dataset}). Bands are 95% t intervals over teacher seeds.", "name": "selections"}, "image": {"alt": "Two panels on {dataset}, small and large teacher. Horizontal axis: examples per class, logarithmic. Vertical axis: validation accuracy in percent. One line for each way of choosing examples."}} tags=["hide-input"]
kdlib.figures.selections_compared(tables["cells"])

# %% [markdown]
# Random examples at equal epochs, validation accuracy (%):

# %% kdlib={"tables": ["cells"]} tags=["hide-input"]
kdlib.present.efficiency(tables["cells"], "random", "epochs")

# %% [markdown]
# Random examples at equal steps, validation accuracy (%):

# %% kdlib={"tables": ["cells"]} tags=["hide-input"]
kdlib.present.efficiency(tables["cells"], "random", "steps")

# %% [markdown]
# ## The large teacher at its sweet spot (figure 8)
#
# The pair (batch size, epochs) comes from the search of section 5, which is made on validation accuracy.

# %% kdlib={"tables": ["chosen"]} tags=["hide-input"]
kdlib.present.chosen_pairs(tables["chosen"])

# %% kdlib={"tables": ["cells"]} mystnb={"figure": {"caption": "Figure 8 as measured ({dataset}): the same with the large teacher at its sweet spot. Bands are 95% t intervals over teacher seeds.", "name": "efficiency-sweet-spot"}, "image": {"alt": "Two panels on {dataset}, equal epochs and equal steps. Horizontal axis: examples per class, logarithmic. Vertical axis: validation accuracy in percent. Lines for the small teacher, the large teacher, and the large teacher at its sweet spot."}} tags=["hide-input"]
kdlib.figures.accuracy_against_examples(tables["cells"], "entropy", ("small", "large", "large_sweet"))

# %% [markdown]
# ## Verdicts
#
# The rules are those of `kdlib/sections/example_efficiency/claims.yml`. If one of them is newer than a number of this page, the book
# says so at the top of the page.
#
# Claims that draw on several sections are judged on the scoreboard.

# %% tags=["hide-input"]
kdlib.verdicts(study, tables)

# %% tags=["hide-input", "nbval-ignore-output"]
kdlib.record(study, tables)
