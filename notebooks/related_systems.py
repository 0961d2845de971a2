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
# # Does any other system of distillation pay?
#
# *Beyond the paper: every system that it discusses, and others since, in one table.*
#
# The paper argues against teacher assistants, teacher-free distillation, residual distillation and others, and runs none. Each
# of them was measured by its own source, on other networks, tuned by its own rules. Here all have equal networks, data, random
# numbers, lengths and numbers of trials. What each costs stands in two columns: with its teacher's training, and given a trained
# teacher.
#
# The honest rival of every one is a student of the labels alone that may be trained for as long as the same computation lasts,
# and stops at the length that does best on validation.

# %% tags=["parameters", "hide-input"]
dataset: str = "digits"  # digits, mnist, fashion_mnist, cifar10, kmnist, usps, svhn, or one of your own
profile: str = None  # smoke, quick, paper-cpu or paper; None: KDLIB_PROFILE, else quick
seeds: int = None  # number of teacher seeds; None here and below: the profile's value
system_teachers: list = None  # from which systems start: small, large, large_sweet (the large one at its sweet spot)
trials: int = None  # values of each system's main weight that are tried, from 1 (the default one) to 3
label_lengths: list = None  # lengths of students of labels alone, as multiples of student_epochs
missing_classes: list = None  # every fifth of these classes is removed in turn; []: of all
batch_sizes: list = None  # batch sizes of the large teacher in the search for its sweet spot
sweet_spot_epochs: int = None  # epochs of each of those runs
examples: int = None  # stratified subset of the training examples
teacher_epochs: int = None  # epochs of every teacher
teacher_batch_size: int = None  # batch size of every teacher
student_epochs: int = None  # epochs of every student but longer ones of labels alone
student_batch_size: int = None  # batch size of every student
seeding: str = None  # common: arms of a comparison share random numbers; configuration: as published before that
learning_rate: float = None  # Adam's learning rate
precision: str = None  # of all training: fp32 or bf16
device: str = None  # auto, cpu, cuda, cuda:N or mps

# %%
import kdlib

study = kdlib.open_study("related_systems", globals())
study

# %% [markdown]
# ## What was found

# %% kdlib={"tables": ["cells", "missing"]} tags=["hide-input"]
tables = study.tables()  # what the store holds is read, what it lacks is computed now and kept
kdlib.present.equal_compute_finding(tables["cells"], tables["missing"])

# %% [markdown]
# ## Accuracy against computation
#
# Every arm beside students of labels alone of several lengths. A system pays where it lies above their curve.

# %% kdlib={"tables": ["cells"]} mystnb={"figure": {"caption": "Test accuracy of the student of every system against the floating-point operations behind it, as multiples of one student's of labels alone ({dataset}): left, given a trained teacher; right, with its training. Full markers: default weights; hollow: tuned on validation. Grey: labels alone, trained for longer. Named: arms that no other beats in both.", "name": "accuracy-against-compute"}, "image": {"alt": "Two scatter plots on {dataset} of test accuracy in percent against operations on a logarithmic axis, given a trained teacher and with its training. A marker for each system, teacher and choice of weights; a grey line with diamonds joins students of labels alone of growing length; arms on the front that no other beats are named."}} tags=["hide-input"]
kdlib.figures.accuracy_against_compute(tables["cells"])

# %% [markdown]
# ## Differences to equation 4 and to labels alone
#
# Means over teacher seeds with 95% t intervals, from students that share their random numbers; all examples.

# %% kdlib={"tables": ["cells", "missing"]} mystnb={"figure": {"caption": "Test accuracy of every system minus that of equation 4 at the same choice of weights, and minus that of labels alone of the same length, all examples ({dataset}). Lines are 95% t intervals over teacher seeds, not adjusted; those that are wider than the axis are cut. Systems in order of their lead over labels alone.", "name": "differences-of-systems"}, "image": {"alt": "Two panels on {dataset} with one row for each system: difference of test accuracy in percentage points to equation 4 and to labels alone. A marker for the mean and a line for the 95% interval; colours tell the teachers apart, hollow markers are tuned weights; a dashed line stands at zero."}} tags=["hide-input"]
kdlib.figures.differences_of_systems(tables["cells"], tables["missing"])

# %% [markdown]
# ## One table
#
# Test accuracy (%) with all examples, with few random ones of each class at as many steps, and on a class that was never seen
# (every fifth removed in turn), raw and bias corrected; in brackets minus labels alone. Differences in points with the half-width
# of their 95% interval; a star marks those that stand among all arms of their column (Benjamini and Hochberg, those ahead and
# those behind each by themselves), a dagger those to labels alone that still improved at their longest training, with less
# computation than the arm. Costs are multiples of one student's of labels alone; that of tuned weights has all trials in it, that of the
# sweet spot its search. Students of few examples are all trained to the end, those of labels alone too.
#
# The default weights are a system's published ones where its source has any for a loss of this kind, else those of equation 4,
# else ours: `kdlib systems --json` says which. The main weight of each system is tuned on the validation accuracy of the first
# seed's student of all examples, with the same number of trials for each system, and used for all seeds and numbers of examples.
# "Both": the default value won, or was the only trial. With labels alone there is nothing to tune, and no missing class to learn of.

# %% kdlib={"tables": ["cells", "missing"]} tags=["hide-input"]
kdlib.present.related_systems(tables["cells"], tables["missing"])

# %% [markdown]
# The trials: value of the main weight, and validation accuracy (%); a star where it was chosen.

# %% kdlib={"tables": ["trials"]} tags=["hide-input", "hide-output"]
kdlib.present.system_trials(tables["trials"])

# %% [markdown]
# ## The paper's systems as wholes
#
# All from the large teacher, with all examples, at default weights: paths of assistants, and the same networks without their
# distillation; the student divided between two networks, with an ensemble of the same sizes as a control; TF-KD reg as its paper
# writes it and as its public code computes it; class distance by responses and by features.

# %% kdlib={"tables": ["variants"]} tags=["hide-input"]
kdlib.present.system_variants(tables["variants"])

# %% [markdown]
# Which assistant? Mirzadeh et al. (2020) take the one whose own accuracy is nearest to the mean of teacher's and student's. The
# mean over all candidates is what a choice at random gives.

# %% kdlib={"tables": ["assistants"]} tags=["hide-input"]
kdlib.present.assistant_candidates(tables["assistants"])

# %% [markdown]
# The class-distance loss tightens clusters on purpose, which Section 4.3 of the paper takes for lost similarity information;
# `mcmi` is to give responses more information on single examples, given their class.

# %% kdlib={"tables": ["clusters"]} tags=["hide-input"]
kdlib.present.teachers_clusters(tables["clusters"])

# %% [markdown]
# ## Verdicts
#
# Each system's own claim, by its source, and the paper's on other systems, by the rules of
# `kdlib/sections/related_systems/claims.yml`. A size that a source gives for CIFAR-100 or ImageNet is none for this data set:
# there the verdict is at most "direction only".

# %% tags=["hide-input"]
kdlib.verdicts(study, tables)

# %% tags=["hide-input", "nbval-ignore-output"]
kdlib.record(study, tables)
