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
# # Has the large teacher lost similarity information?
#
# *Beyond the paper: its sections 4.1 and 4.3, seen from outside.*
#
# The paper takes entropy and spread-out clusters for similarity information, and holds that a large teacher loses it. Both
# can be high in a teacher that is merely less sure. Here the similarities themselves are compared with what others take
# for alike. If a large teacher has lost similarity information, its similarities agree less with them: at every temperature,
# and also where no temperature enters, since equal temperatures are not the same thing to teachers whose logits differ in
# size.
#
# - *Class similarity*: row y holds the mean share of each other class in what responses do not give to y. Rows sum to 1.
# - Yardsticks: people's labels where there are any (CIFAR-10), a linear classifier, the distances of mean images.
# - Single images, which class means know nothing of; and the two parts of the average entropy.

# %% tags=["parameters", "hide-input"]
dataset: str = "digits"  # digits, mnist, fashion_mnist, cifar10, kmnist, usps, svhn, or one of your own
profile: str = None  # smoke, quick, paper-cpu or paper; None: KDLIB_PROFILE, else quick
seeds: int = None  # number of teacher seeds; None here and below: the profile's value
temperatures: list = None  # temperatures, such as [3, 6, 9, 12, 15, 20]
sweet_spot_epochs: int = None  # epochs of the large teacher's runs at larger batches
spread_settings: list = None  # pairs [batch size, epochs] of the large teacher, beside the default
examples: int = None  # stratified subset of the training examples
teacher_epochs: int = None  # epochs of both teachers
teacher_batch_size: int = None  # batch size of both teachers
learning_rate: float = None  # Adam's learning rate
precision: str = None  # of all training: fp32 or bf16
device: str = None  # auto, cpu, cuda, cuda:N or mps

# %%
import kdlib

study = kdlib.open_study("similarity_information", globals())
study

# %% [markdown]
# ## What was found

# %% kdlib={"tables": ["agreement", "yardsticks"]} tags=["hide-input"]
tables = study.tables()  # what the store holds is read, what it lacks is computed now and kept
kdlib.present.similarity_finding(tables["agreement"], tables["yardsticks"])

# %% tags=["remove-input"]
kdlib.present.page_verdicts(kdlib.verdicts(study, tables).verdicts, "lost-similarity-people", "lost-similarity-linear")

# %% [markdown]
# ## Whose similarities

# %% kdlib={"tables": ["agreement"]} tags=["remove-input"]
kdlib.present.people_at_hand(tables["agreement"], study.dataset.name, study.dataset.title)

# %% [markdown]
# The linear classifier is a discriminant analysis of the training images; the mean images are compared by the inverse of
# their distance. Neither knows of a teacher, and neither is the truth. For comparison, how far yardsticks agree with each
# other; a teacher may agree more with one of them, and half of people's votes agree less than all of them would.

# %% kdlib={"tables": ["yardsticks"]} tags=["hide-input"]
kdlib.present.yardsticks_of_each_other(tables["yardsticks"])

# %% kdlib={"tables": ["similarity"]} mystnb={"figure": {"caption": "Class similarity at T = 9, in percent of each row, of both teachers' training responses (first seed) and of a linear classifier ({dataset}). Each panel has colours of its own.", "name": "class-similarity"}, "image": {"alt": "Three heat maps on {dataset}: small teacher, large teacher, linear classifier. Vertical axis: class. Horizontal axis: other class. Each cell: the mean share of the other class in what responses do not give to the class, in percent."}} tags=["hide-input"]
kdlib.figures.class_similarity(tables["similarity"], study.dataset.class_names)

# %% [markdown]
# ## Agreement at every temperature
#
# Rank correlation of the off-diagonal cells of class similarities. Of CIFAR-10H the teacher's responses to the same test
# images are taken, of all others those to the training images, which students are taught.

# %% kdlib={"tables": ["agreement", "yardsticks"]} mystnb={"figure": {"caption": "Rank correlation of class similarities with each yardstick against temperature ({dataset}), last epoch. Bands are 95% t intervals over teacher seeds; dotted, of people's labels, how far they agree among themselves.", "name": "agreement-temperature"}, "image": {"alt": "A panel on {dataset} for each yardstick. Horizontal axis: temperature T. Vertical axis: rank correlation of the class similarity with the yardstick. One line for the small and one for the large teacher."}} tags=["hide-input"]
kdlib.figures.agreement_against_temperature(tables["agreement"], tables["yardsticks"])

# %% kdlib={"tables": ["agreement"]} tags=["hide-input"]
kdlib.present.agreement_by_temperature(tables["agreement"], study.settings.temperatures)

# %% [markdown]
# ### Without any temperature
#
# The mean logit of each other class, above their mean, has the same ranks at every temperature. The large teacher with
# other batch sizes and epochs (figure 7) is shown beside the others:

# %% kdlib={"tables": ["temperature_free"]} tags=["hide-input"]
kdlib.present.agreement_without_temperature(tables["temperature_free"])

# %% [markdown]
# ## Training length
#
# The same at T = 9 after every kept epoch of both teachers, on training images:

# %% kdlib={"tables": ["agreement"]} mystnb={"figure": {"caption": "Rank correlation of class similarities with each yardstick at T = 9 after each kept epoch ({dataset}), training images. Bands are 95% t intervals over teacher seeds.", "name": "agreement-epochs"}, "image": {"alt": "A panel on {dataset} for each yardstick. Horizontal axis: epochs of the teacher. Vertical axis: rank correlation of the class similarity at T = 9 with the yardstick. One line for each teacher."}} tags=["hide-input"]
kdlib.figures.agreement_against_epochs(tables["agreement"])

# %% [markdown]
# ## Single images
#
# Class means say which classes are alike; a teacher can also say to which other class a *single* image comes near. This is
# the mean cosine of the non-target part of a response with that of the yardstick for the same image, minus the same for
# the mean response of the image's class. People are compared on test images with at least five votes for another class,
# the linear classifier on validation images.

# %% kdlib={"tables": ["images"]} mystnb={"figure": {"caption": "Mean cosine with the yardstick on single images, above that of the class's mean response, against temperature ({dataset}), last epoch. Bands are 95% t intervals over teacher seeds.", "name": "single-images"}, "image": {"alt": "A panel on {dataset} for each yardstick that knows single images. Horizontal axis: temperature T. Vertical axis: mean cosine of the non-target part of the response with the yardstick's, minus that of the class's mean response. One line for each teacher; a dashed line at zero."}} tags=["hide-input"]
kdlib.figures.information_on_single_images(tables["images"])

# %% [markdown]
# At T = 9; with people, the largest difference over temperatures from 1/4 to 64; and the temperature at which the response
# as a whole, the label included, predicts the yardstick's distribution best (its cross-entropy can fall no lower than the
# yardstick's entropy):

# %% kdlib={"tables": ["images", "fit"]} tags=["hide-input"]
kdlib.present.agreement_on_single_images(tables["images"], tables["fit"])

# %% [markdown]
# ## What is evident of these classes
#
# Share of the non-target mass that stays within a group of like classes at T = 9; of digits, how often a pair that people
# confuse easily is more similar than one that they do not (pairs after Wei et al. 2025, in our reading):

# %% kdlib={"tables": ["structure"]} tags=["hide-input"]
kdlib.present.known_structure(tables["structure"])

# %% [markdown]
# ## Controls
#
# The same rank correlation at T = 9 for responses whose similarity is shuffled within each example, for class means, and
# for label smoothing of equal confidence, which has no order of other classes at all. In class means, ambiguous images weigh
# more than in the mean over images; so they do in people's labels, which have shares for whole classes only:

# %% kdlib={"tables": ["controls"]} tags=["hide-input"]
kdlib.present.agreement_of_controls(tables["controls"])

# %% [markdown]
# ## The two parts of the average entropy
#
# With $Q_y$ for the mean response of class $y$,
#
# $$\overline{H(t(x))} = H(Q_y) - \overline{\mathrm{KL}(t(x) \,\|\, Q_y)}$$
#
# over the examples of the class. The paper's average entropy is how soft the classes are as a whole, *less* what responses
# say of single examples (the information between example and response, given the class). More entropy can mean softer
# classes, or less said of examples.

# %% kdlib={"tables": ["parts"]} mystnb={"figure": {"caption": "The average entropy of training responses and its two parts against temperature ({dataset}), last epoch. Bands are 95% t intervals over teacher seeds.", "name": "entropy-parts"}, "image": {"alt": "Three panels on {dataset}: average entropy, entropy of the class means, and the information on single examples that is subtracted. Horizontal axis: temperature T. Vertical axis: nats. One line for each teacher."}} tags=["hide-input"]
kdlib.figures.entropy_parts(tables["parts"])

# %% kdlib={"tables": ["parts"]} tags=["hide-input"]
kdlib.present.entropy_in_two_parts(tables["parts"], study.settings.temperatures)

# %% [markdown]
# For each class at T = 9, in nats:

# %% kdlib={"tables": ["parts_by_class"]} tags=["hide-input"]
kdlib.present.entropy_parts_by_class(tables["parts_by_class"], study.dataset.class_names)

# %% [markdown]
# ## Verdicts
#
# The rules are those of `kdlib/sections/similarity_information/claims.yml`. If one of them is newer than a number of this
# page, the book says so at the top of the page.

# %% tags=["hide-input"]
kdlib.verdicts(study, tables)

# %% tags=["hide-input", "nbval-ignore-output"]
kdlib.record(study, tables)
