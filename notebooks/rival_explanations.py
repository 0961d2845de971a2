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
# # Could something else explain it?
#
# *Beyond the paper: the controls that its results call for.*
#
# The paper explains what it finds by the similarity information in a teacher's responses, which a larger teacher is
# said to lose. Each section below takes one rival explanation, changes that one thing, and repeats the measurement.
# Most end in a sentence chosen by a rule of `kdlib/sections/rival_explanations/controls.yml`; what was corrected after a
# run is listed in `kdlib/claims/RULES.md`. A rival *holds* if the interval of what is measured lies wholly above 0 (for a
# ratio, above 1), which is drawn as a dashed line. What is measured is stated beside it; positive values speak for the
# rival. A rival that holds can explain a result only where that result was found: the scoreboard names it beside the
# claims that came out as the paper says.
#
# - The first question: why do students of the small teacher know a class that they never saw, and those of the large one
#   do not?
# - A rival is judged only where there is something to explain: where the interval of the gap (or fall, or lead, or gain) does
#   not lie wholly above 0, there is no finding.
# - Students, seeds and intervals are those of the other pages; a student that two pages need is trained once.

# %% tags=["parameters", "hide-input"]
dataset: str = "digits"  # digits, mnist, fashion_mnist, cifar10, kmnist, usps, svhn, or one of your own
profile: str = None  # smoke, quick, paper-cpu or paper; None: KDLIB_PROFILE, else quick
seeds: int = None  # number of teacher seeds; None here and below: the profile's value
temperatures: list = None  # temperatures, such as [3, 6, 9, 12, 15, 20]
missing_classes: list = None  # classes removed in turn, by index; []: every class
examples_per_class: list = None  # sizes of the transfer set, such as [5, 10, 20]
selections: list = None  # how examples are chosen: entropy, random, lowest
batch_sizes: list = None  # batch sizes of the large teacher in the search
sweet_spot_epochs: int = None  # epochs of each of those runs
spread_settings: list = None  # pairs [batch size, epochs] of the large teacher, beside the default
alpha: float = None  # weight of the KL term in equation 4, from 0 to 1
examples: int = None  # stratified subset of the training examples
teacher_epochs: int = None  # epochs of both teachers
teacher_batch_size: int = None  # batch size of both teachers
student_epochs: int = None  # epochs of every student
student_batch_size: int = None  # batch size of every student
seeding: str = None  # common: arms of a comparison share random numbers; configuration: as published before that
learning_rate: float = None  # Adam's learning rate
precision: str = None  # of all training: fp32 or bf16
device: str = None  # auto, cpu, cuda, cuda:N or mps

# %%
import kdlib

study = kdlib.open_study("rival_explanations", globals())
study

# %% [markdown]
# ## What was found

# %% tags=["hide-input"]
tables = study.tables()  # what the store holds is read, what it lacks is computed now and kept
kdlib.present.control_findings(tables, study.dataset.name)

# %% [markdown]
# ## What the targets hold
#
# Each row shows the same student trained on other targets, at T = 9. *Similarity shuffled* permutes the non-target
# probabilities within each example: entropy and confidence stay as they are, but similarity is lost. *Class means* give
# every example the mean response of its class. *Label smoothing* keeps the confidence of each example and spreads the
# rest evenly.

# %% kdlib={"tables": ["cells"]} mystnb={"figure": {"caption": "Accuracy on the class that was never seen, T = 9, mean over the removed classes, for each control ({dataset}). Marks are means, bars 95% t intervals over teacher seeds.", "name": "controls-missing-class"}, "image": {"alt": "Two panels on {dataset}, raw and bias corrected. One row for each control: the responses, similarity shuffled, class means, label smoothing, hard labels, logits scaled to equal confidence, T squared. Horizontal axis: test accuracy in percent on the removed class; a mark with its interval for the small and for the large teacher."}} tags=["hide-input"]
kdlib.figures.controls(tables["cells"], {"raw": "raw", "corrected": "bias corrected"})

# %% tags=["remove-input"]
kdlib.present.control_finding(tables, study.dataset.name, "entropy-without-similarity")

# %% tags=["remove-input"]
kdlib.present.control_finding(tables, study.dataset.name, "class-means")

# %% tags=["remove-input"]
kdlib.present.control_finding(tables, study.dataset.name, "class-means-corrected")

# %% [markdown]
# ### The same targets with every class present
#
# Test accuracy (%) of students that saw all classes, T = 9; hard labels alone have no teacher, and uniform soft labels are
# equation 4's with a teacher that says nothing, by which a student learns to be less sure:

# %% kdlib={"tables": ["full"]} tags=["hide-input"]
kdlib.present.full_accuracy(tables["full"])

# %% kdlib={"tables": ["full"]} tags=["remove-input"]
kdlib.present.full_accuracy_finding(tables["full"])

# %% tags=["remove-input"]
kdlib.present.control_finding(tables, study.dataset.name, "regularization")

# %% [markdown]
# ## One bias
#
# The removed class never occurs among the hard labels, and so the student's bias for it falls. Shifting that one logit,
# with no label of an example, tells what was only bias (the figure above, right). This is judged here at three
# temperatures; the page on the missing class judges the same question at all six, with the opposite sign (the corrected
# gap minus half of the raw one).

# %% tags=["remove-input"]
kdlib.present.control_finding(tables, study.dataset.name, "bias")

# %% [markdown]
# ## Only another temperature?
#
# The two teachers differ in confidence. Here the large one's logits are multiplied by one number, so that its mean
# confidence at T = 9 equals the small one's; the order of its classes stays as it is.

# %% tags=["remove-input"]
kdlib.present.control_finding(tables, study.dataset.name, "equal-confidence")

# %% [markdown]
# ## Capacity, or training length?
#
# Every kept epoch of both teachers teaches students. A large teacher that is stopped early can be set beside a small
# one trained longer: at equal epochs, at equal accuracy, at equal entropy.

# %% kdlib={"tables": ["epochs"]} mystnb={"figure": {"caption": "Raw accuracy on the missing class of students of every kept epoch of both teachers, T = 9, every third class removed: against epochs, against the teacher's validation accuracy, against the entropy of its responses ({dataset}). Bands are 95% t intervals over teacher seeds; the other panels show means.", "name": "controls-training"}, "image": {"alt": "Three panels on {dataset} sharing the vertical axis, accuracy on the missing class in percent. Horizontal axes: epochs of the teacher, its validation accuracy, the mean entropy of its responses. One line for the small and one for the large teacher."}} tags=["hide-input"]
kdlib.figures.missing_class_against_training(tables["epochs"])

# %% tags=["remove-input"]
kdlib.present.control_finding(tables, study.dataset.name, "accuracy-matched")

# %% tags=["remove-input"]
kdlib.present.control_finding(tables, study.dataset.name, "training-length")

# %% [markdown]
# ## Do spread-out clusters teach the missing class?
#
# The paper reads the spread of the clusters in the penultimate layer (NC1, larger being looser) as similarity
# information. If so, it should go together with what students know about a class that they never saw (here at T = 9):

# %% kdlib={"tables": ["settings"]} tags=["hide-input"]
kdlib.present.spread_and_missing_class(tables["settings"])

# %% [markdown]
# ## Does a fall with temperature come from the loss?
#
# In the paper's tables 5 and 6 the small teacher's students lose the missing class as T rises. Equation 4 has no factor
# T². The gradient of the soft labels then shrinks like 1/T², while that of the hard labels, which never show the missing
# class, does not. Whether the hard labels come to outweigh them is measured below.

# %% kdlib={"tables": ["cells"]} mystnb={"figure": {"caption": "Raw accuracy on the missing class against temperature, under equation 4 and with the KL term multiplied by T\u00b2 ({dataset}). Bands are 95% t intervals over teacher seeds.", "name": "controls-t-squared"}, "image": {"alt": "Two panels on {dataset}, small and large teacher. Horizontal axis: temperature. Vertical axis: accuracy on the missing class in percent. Solid line: equation 4; dashed line: with T squared."}} tags=["hide-input"]
kdlib.figures.t_squared(tables["cells"])

# %% tags=["remove-input"]
kdlib.present.control_finding(tables, study.dataset.name, "t-squared")

# %% kdlib={"tables": ["gradients"]} mystnb={"figure": {"caption": "Mean length of the gradient of the soft labels over that of the hard labels, by the student's logits, along its training under equation 4 ({dataset}). Above the dotted line the soft labels weigh more.", "name": "controls-gradients"}, "image": {"alt": "Two panels on {dataset}, small and large teacher, both axes logarithmic. Horizontal axis: step of the student. Vertical axis: length of the soft labels' gradient over that of the hard labels. One line for each temperature."}} tags=["hide-input"]
kdlib.figures.gradient_norms(tables["gradients"])

# %% tags=["remove-input"]
kdlib.present.control_finding(tables, study.dataset.name, "gradient-weights")

# %% [markdown]
# ## Batch size, or too few updates?
#
# At equal epochs a large batch means fewer updates. Entropy is shown against updates, and against updates times learning
# rate; one more run has a learning rate that is scaled up for its batch size.

# %% kdlib={"tables": ["updates"]} mystnb={"figure": {"caption": "Mean entropy of the large teacher's responses at T = 9 after each kept epoch, against updates and against updates times learning rate ({dataset}). Bands are 95% t intervals over teacher seeds.", "name": "controls-updates"}, "image": {"alt": "Two panels on {dataset} sharing the vertical axis, mean entropy in nats. Horizontal axes, logarithmic: updates, and updates times learning rate. One line for each batch size, a dashed one for the run with scaled learning rate."}} tags=["hide-input"]
kdlib.figures.entropy_against_updates(tables["updates"])

# %% tags=["remove-input"]
kdlib.present.control_finding(tables, study.dataset.name, "distance-travelled")

# %% [markdown]
# ## Are entropy-chosen examples better than random ones?
#
# They are compared at equal steps, so that fewer examples do not also mean less training:

# %% kdlib={"tables": ["selection"]} mystnb={"figure": {"caption": "Best validation accuracy against examples per class at equal steps, examples chosen by entropy and at random, and random examples' labels alone, with no teacher ({dataset}). Bands are 95% t intervals over teacher seeds.", "name": "controls-selection"}, "image": {"alt": "Two panels on {dataset}, small and large teacher. Horizontal axis, logarithmic: examples per class. Vertical axis: validation accuracy in percent. One line for each way of choosing, one for labels alone."}} tags=["hide-input"]
kdlib.figures.selections_compared(tables["selection"])

# %% tags=["remove-input"]
kdlib.present.control_finding(tables, study.dataset.name, "random-examples")

# %% [markdown]
# Each teacher chooses examples of its own. This is how much of the small teacher's lead comes from that:

# %% tags=["remove-input"]
kdlib.present.control_finding(tables, study.dataset.name, "choice-of-examples")

# %% [markdown]
# ## What do a few examples teach without a teacher?
#
# A student that learns from a few examples need not owe it to its teacher. The table gives the best validation accuracy
# (%) of students of each teacher and of the labels alone, at equal steps and with examples chosen at random. At each
# number of examples a lead is judged by its own 95% interval, so some leads may be due to chance:

# %% kdlib={"tables": ["selection"]} tags=["hide-input"]
kdlib.present.efficiency(tables["selection"], "random", "steps")

# %% tags=["remove-input"]
kdlib.present.control_finding(tables, study.dataset.name, "labels-alone")

# %% kdlib={"tables": ["selection"]} tags=["remove-input"]
kdlib.present.labels_alone_finding(tables["selection"])

# %% [markdown]
# ## An assistant in between
#
# [Mirzadeh et al. (2020)](https://arxiv.org/abs/1902.03393) put a network of medium size between the two: it is
# distilled from the large teacher and then teaches the student. The table gives test accuracy (%), and what all
# training steps cost:

# %% kdlib={"tables": ["assistants"]} tags=["hide-input"]
kdlib.present.assistants(tables["assistants"])

# %% [markdown]
# ## Verdicts
#
# What these controls say of the paper's own claims, by the rules of `kdlib/sections/rival_explanations/claims.yml`:

# %% tags=["hide-input"]
kdlib.verdicts(study, tables)

# %% tags=["hide-input", "nbval-ignore-output"]
kdlib.record(study, tables)
