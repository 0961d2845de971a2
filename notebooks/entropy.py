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
# # What do a teacher's responses hold?
#
# *Paper: sections 2, 3 and 4.1; tables 1, 2, 3 and 7; figures 1, 2, 3 and 10.*
#
# A response softened at a temperature T has a *confidence label*, the probability of the right class, and *similarity
# labels*, those of all others. The paper holds that a large teacher loses the similarity information, that its responses
# approach label smoothing, and that their average entropy shows it.
#
# - Soft labels of single examples, from both teachers, beside label smoothing.
# - Average entropy against temperature and against training length.
# - Where each teacher lies between one-hot labels and label smoothing.

# %% tags=["parameters", "hide-input"]
dataset: str = "digits"  # digits, mnist, fashion_mnist, cifar10, kmnist, usps, svhn, or one of your own
profile: str = None  # smoke, quick, paper-cpu or paper; None: KDLIB_PROFILE, else quick
seeds: int = None  # number of teacher seeds; None here and below: the profile's value
temperatures: list = None  # temperatures, such as [3, 6, 9, 12, 15, 20]
examples: int = None  # stratified subset of the training examples
teacher_epochs: int = None  # epochs of both teachers
teacher_batch_size: int = None  # batch size of both teachers
learning_rate: float = None  # Adam's learning rate
precision: str = None  # of all training: fp32 or bf16
device: str = None  # auto, cpu, cuda, cuda:N or mps

# %%
import kdlib

study = kdlib.open_study("entropy", globals())
study

# %% [markdown]
# ## What was found

# %% tags=["hide-input"]
tables = study.tables()  # what the store holds is read, what it lacks is computed now and kept
kdlib.present.entropy_finding(tables)

# %% tags=["remove-input"]
kdlib.present.page_verdicts(kdlib.verdicts(study, tables).verdicts, "entropy-order")

# %% [markdown]
# ## The teachers
#
# Both are trained alike, with the same optimizer, batch size and number of epochs. The accuracy floor is stated
# beforehand: a teacher below it has not learned its task. The results of such a teacher are counted, and it is named
# here and on the scoreboard.

# %% kdlib={"tables": ["teachers"]} tags=["hide-input"]
kdlib.present.teachers(tables["teachers"], study.settings.accuracy_floor)

# %% [markdown]
# ## Label smoothing (table 1)
#
# $$y^{LS}_c = (1 - \alpha_{LS})\, y_c + \frac{\alpha_{LS}}{C} \tag{1}$$
#
# At $\alpha_{LS} = 0.6$ the labels hold one number for the class and one for all the others. Nothing says which classes
# are alike.

# %% tags=["hide-input"]
kdlib.present.label_smoothing_table(0.6, study.dataset.classes, study.shown_class)

# %% [markdown]
# ## Soft labels of five examples (tables 2 and 3, figure 1)
#
# These are five validation examples of one class at T = 9, with both teachers of the first seed. The coloured bar is
# the confidence label; the grey bars are the similarity labels.

# %% kdlib={"tables": ["soft_labels"]} mystnb={"figure": {"caption": "Figure 1(b) and (c) as measured: five examples of one class ({dataset}) and their soft labels at T = 9 from the small and the large teacher of the first seed.", "name": "soft-labels"}, "image": {"alt": "Five rows, one for each example of {dataset}: the image, then a bar chart of the ten class probabilities from the small teacher, then one from the large teacher. Horizontal axis: class. Vertical axis: probability."}} tags=["hide-input"]
kdlib.figures.soft_labels(
    study.shown_images(), kdlib.present.first_seed(tables["soft_labels"]), study.shown_class, study.dataset.class_names
)

# %% kdlib={"tables": ["soft_labels"]} tags=["hide-input"]
kdlib.explore.soft_labels(
    study.shown_images(), kdlib.present.first_seed(tables["soft_labels"]), study.shown_class, study.dataset.class_names
)

# %% kdlib={"tables": ["soft_labels"]} tags=["hide-input"]
kdlib.present.soft_labels_beside_paper(tables["soft_labels"], study.dataset.class_names)

# %% [markdown]
# As printed in the paper for five sixes of MNIST (its tables 2 and 3):

# %% tags=["hide-input"]
kdlib.present.printed_soft_labels()

# %% [markdown]
# Confidence over all test examples of the class:

# %% kdlib={"tables": ["shown"]} tags=["hide-input"]
kdlib.present.confidence_on_shown_class(tables["shown"], study.dataset.name)

# %% [markdown]
# ## Average entropy against temperature (figure 3)
#
# $$E = -\sum_{c=1}^{C} p_c \log p_c$$
#
# in nats; the largest possible value is $\log C$.

# %% kdlib={"tables": ["entropy"]} mystnb={"figure": {"caption": "Figure 3 as measured: mean entropy of the responses against temperature for both teachers ({dataset}), on training and on held-out examples. Bands are 95% t intervals over teacher seeds.", "name": "entropy-temperature"}, "image": {"alt": "Two panels on {dataset}, training and validation examples. Horizontal axis: temperature T from 1 to 20. Vertical axis: mean entropy in nats. One line for the small and one for the large teacher, and a dotted line at the largest possible entropy."}} tags=["hide-input"]
kdlib.figures.entropy_against_temperature(tables["entropy"], study.dataset.classes)

# %% kdlib={"tables": ["entropy"]} tags=["hide-input"]
kdlib.present.by_temperature(kdlib.present.last_epoch(tables["entropy"]), "entropy", study.settings.temperatures)

# %% [markdown]
# What the average is made of: over the examples of a class it equals the entropy of their mean response, *less* the mean
# divergence of single responses from it (the page on similarity information, where it was run, has the figure and each
# class). More entropy can mean softer classes, or less said of single examples.

# %% kdlib={"tables": ["parts"]} tags=["hide-input"]
kdlib.present.entropy_in_two_parts(tables["parts"], study.settings.temperatures)

# %% [markdown]
# ## Training length
#
# Which teacher's entropy is higher can depend on when one looks. Here it is shown after every kept epoch, for both teachers
# alike, and against the accuracy that each teacher has reached by then.

# %% kdlib={"tables": ["entropy", "teachers"]} mystnb={"figure": {"caption": "Mean entropy at T = 9, validation accuracy, and one against the other, after each kept epoch of both teachers ({dataset}). Bands are 95% t intervals over teacher seeds; in the right panel each mark is one epoch, a mean over seeds.", "name": "entropy-epochs"}, "image": {"alt": "Three panels on {dataset}. Left and middle: mean entropy in nats at T = 9, and validation accuracy in percent, against epochs of the teacher. Right: mean entropy against validation accuracy. One line for each teacher."}} tags=["hide-input"]
kdlib.figures.entropy_against_epochs(tables["entropy"], tables["teachers"], 9)

# %% [markdown]
# ## Between one-hot labels and label smoothing (figures 2 and 10)
#
# The dashed curve is where label smoothing lies: of all responses with a given confidence it has the *largest* entropy.
# How far a single response lies below it is its distance (KL divergence) from label smoothing of equal confidence, which
# this book takes as the measure of how uneven the similarity labels are. Its mean over responses is drawn on the right. On
# the left each point is a mean over responses. Because the curve bends, a mean lies below it even if every response lies on
# it: read distances from the right panel only. Like entropy, the distance does not change when similarity labels are
# shuffled within an example; only students of shuffled responses can tell whether the unevenness is similarity (see the
# page on rival explanations).

# %% kdlib={"tables": ["position"]} mystnb={"figure": {"caption": "Figures 2 and 10 as measured ({dataset}): entropy against confidence as the temperature rises, with the label-smoothing curve; and the mean distance of responses from label smoothing of equal confidence.", "name": "position"}, "image": {"alt": "Two panels on {dataset}. Left: mean confidence on the horizontal and mean entropy on the vertical axis, a curve for each teacher over temperatures, a dashed curve for label smoothing and a star for one-hot labels. Right: distance from label smoothing in nats against temperature."}} tags=["hide-input"]
kdlib.figures.between_one_hot_and_label_smoothing(tables["position"], study.dataset.classes)

# %% [markdown]
# ## Variance in response (section 3.3)
#
# Row-wise, it is how much the similarity labels of one example differ; column-wise, how much the label of one class
# differs between examples of another. Both are given raw, and relative to the mean similarity label, which allows for
# the smaller probabilities of a confident teacher.

# %% kdlib={"tables": ["variance"]} mystnb={"figure": {"caption": "Variance in response against temperature ({dataset}): within an example and across the examples of a class, raw and relative to the mean similarity label. Bands are 95% t intervals over teacher seeds.", "name": "variance"}, "image": {"alt": "Four panels on {dataset}: row-wise and column-wise variance of the similarity labels, raw and relative. Horizontal axis: temperature. One line for each teacher."}} tags=["hide-input"]
kdlib.figures.variance_against_temperature(tables["variance"])

# %% [markdown]
# ## The networks (table 7)

# %% tags=["hide-input"]
kdlib.present.table7()

# %% [markdown]
# ## Verdicts
#
# The rules are those of `kdlib/sections/entropy/claims.yml`. If one of them is newer than a number of this page, the book
# says so at the top of the page.
#
# Claims that draw on several sections are judged on the scoreboard.

# %% tags=["hide-input"]
kdlib.verdicts(study, tables)

# %% tags=["hide-input", "nbval-ignore-output"]
kdlib.record(study, tables)
