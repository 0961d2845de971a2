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
# # Is there a sweet spot of batch size and epochs?
#
# *Paper: sections 3.4 and 5, figures 1(a), 6 and 9.*
#
# The paper's remedy is to train the large teacher with larger batches, or for fewer epochs, until its responses hold
# enough similarity information, and to take the pair (batch size, epochs) that suits the student.
#
# - Entropy of the responses for batch sizes and epochs; all epochs of a batch size come from one run.
# - A student distilled from every one of these teachers: the map of figure 1(a), measured.
# - The search as a procedure, what it costs, and what the single-layer student gains (figure 9).

# %% tags=["parameters", "hide-input"]
dataset: str = "digits"  # digits, mnist, fashion_mnist, cifar10, kmnist, usps, svhn, or one of your own
profile: str = None  # smoke, quick, paper-cpu or paper; None: KDLIB_PROFILE, else quick
seeds: int = None  # number of teacher seeds; None here and below: the profile's value
temperatures: list = None  # temperatures, such as [3, 6, 9, 12, 15, 20]
missing_classes: list = None  # classes removed in turn, by index; []: every class
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

study = kdlib.open_study("sweet_spot", globals())
study

# %% [markdown]
# ## What was found

# %% tags=["hide-input"]
tables = study.tables()  # what the store holds is read, what it lacks is computed now and kept
kdlib.present.sweet_spot_finding(tables, study.dataset.classes)

# %% tags=["remove-input"]
kdlib.present.page_verdicts(kdlib.verdicts(study, tables).verdicts, "baseline-student")

# %% [markdown]
# ## Entropy of the responses (figure 6)
#
# A larger batch at the same number of epochs makes fewer updates. The right panel shows the same entropies against the
# number of updates: if the curves fall together, it is the length of training that matters and not the batch size.

# %% kdlib={"tables": ["entropy"]} mystnb={"figure": {"caption": "Figure 6 as measured ({dataset}): mean entropy of the large teacher's responses against temperature, for batch sizes at the last epoch, for epochs at one batch size (the paper's 4096, or the nearest in this run), and at T = 9 against the number of updates.", "name": "sweet-spot-entropy"}, "image": {"alt": "Three panels on {dataset}. Left and middle: mean entropy in nats against temperature, one line for each batch size and one for each number of epochs. Right: mean entropy against the number of updates on a logarithmic axis, one line for each batch size."}} tags=["hide-input"]
kdlib.figures.entropy_of_the_large_teacher(tables["entropy"], 4096, study.settings.sweet_spot_epochs)

# %% [markdown]
# ## The map (figure 1(a))
#
# The map shows the best validation accuracy of a student distilled at T = 9 from the large teacher after each kept
# epoch of each batch size, as a mean over teacher seeds; the frame marks the chosen pair. The best cell can belong to a
# teacher that has hardly begun to learn, and so adds little to the labels. The search, below, says how far each chosen
# teacher has learned; what the single-layer student reaches with no teacher is shown beside figure 9, and what the
# general one reaches is on the page on rival explanations.

# %% kdlib={"tables": ["map", "chosen"]} mystnb={"figure": {"caption": "Figure 1(a) as measured ({dataset}): validation accuracy (%) of the general and the baseline student over the large teacher's batch size and epochs, mean over teacher seeds. The frame marks the chosen pair.", "name": "sweet-spot-map"}, "image": {"alt": "Two heat maps on {dataset}, general student and baseline student. Rows: batch size of the large teacher. Columns: epochs of the large teacher. Each cell: the student's validation accuracy in percent. A frame marks the best cell."}} tags=["hide-input"]
kdlib.figures.sweet_spot_map(tables["map"], tables["chosen"])

# %% kdlib={"tables": ["map", "chosen"]} tags=["hide-input"]
kdlib.explore.sweet_spot(tables["map"], tables["chosen"])

# %% kdlib={"tables": ["map"]} mystnb={"figure": {"caption": "The same accuracies against the number of updates of the large teacher ({dataset}). Bands are 95% t intervals over teacher seeds.", "name": "sweet-spot-updates"}, "image": {"alt": "Two panels on {dataset}, general student and baseline student. Horizontal axis: updates of the large teacher, logarithmic. Vertical axis: validation accuracy in percent. One line for each batch size."}} tags=["hide-input"]
kdlib.figures.accuracy_against_updates(tables["map"])

# %% [markdown]
# ## The search and its cost

# %% kdlib={"tables": ["chosen"]} tags=["hide-input"]
kdlib.present.chosen_pairs(tables["chosen"])

# %% [markdown]
# ## The single-layer student (figure 9)
#
# It is distilled from the small teacher, from the large teacher as it is, and from the large teacher at the pair chosen
# for this student; beside them stands the same student trained on the labels alone.

# %% kdlib={"tables": ["baseline"]} mystnb={"figure": {"caption": "Figure 9 as measured ({dataset}): test accuracy of the single-layer student against temperature for the three teachers, and trained on the labels alone (dotted). Bands are 95% t intervals over teacher seeds.", "name": "baseline-student"}, "image": {"alt": "One panel on {dataset}. Horizontal axis: temperature T. Vertical axis: test accuracy of the single-layer student in percent. Lines for the small teacher, the large teacher, and the large teacher at its sweet spot; a dotted line for the student without a teacher."}} tags=["hide-input"]
kdlib.figures.baseline_student(tables["baseline"])

# %% kdlib={"tables": ["baseline"]} tags=["hide-input"]
kdlib.present.by_temperature(
    tables["baseline"].rename(columns={"accuracy": "test accuracy"}), "test accuracy", study.settings.temperatures, 1
)

# %% tags=["remove-input"]
kdlib.present.control_finding(tables, study.dataset.name, "no-teacher")

# %% [markdown]
# ## The missing class at the sweet spot
#
# The paper does not show this result. The pair is the general student's, chosen with every class present; the search,
# above, says how far its teacher has learned, and a teacher can pass on only what it knows about a class. The table
# gives the accuracy (%) on the removed class at T = 9, as a mean over the removed classes (guessing gives 100 divided
# by the number of classes):

# %% kdlib={"tables": ["missing"]} tags=["hide-input"]
kdlib.present.missing_at_sweet_spot(tables["missing"])

# %% [markdown]
# ## Verdicts
#
# The rules are those of `kdlib/sections/sweet_spot/claims.yml`. If one of them is newer than a number of this page, the book
# says so at the top of the page.
#
# Claims that draw on several sections are judged on the scoreboard.

# %% tags=["hide-input"]
kdlib.verdicts(study, tables)

# %% tags=["hide-input", "nbval-ignore-output"]
kdlib.record(study, tables)
