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
# # How tight are the clusters of the penultimate layer?
#
# *Paper: sections 4.3 and 5, figures 5 and 7.*
#
# [Müller et al. (2019)](https://arxiv.org/abs/1906.02629) project the penultimate activations of three classes onto the
# plane through the three classes' templates. The paper finds tighter clusters in the large teacher, reads them as a
# loss of similarity information, and finds that they spread out again when the large teacher is trained with other
# batch sizes and epochs.
#
# - The exact projection: three classes chosen at random, up to 300 training examples each.
# - UMAP of the same activations beside it.
# - Two numbers for tightness over *all* classes: NC1 and the silhouette, on training and on held-out examples.

# %% tags=["parameters", "hide-input"]
dataset: str = "digits"  # digits, mnist, fashion_mnist, cifar10, kmnist, usps, svhn, or one of your own
profile: str = None  # smoke, quick, paper-cpu or paper; None: KDLIB_PROFILE, else quick
seeds: int = None  # number of teacher seeds; None here and below: the profile's value
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

study = kdlib.open_study("penultimate_layer", globals())
study

# %% [markdown]
# ## What was found

# %% kdlib={"tables": ["tightness"]} tags=["hide-input"]
tables = study.tables()  # what the store holds is read, what it lacks is computed now and kept
kdlib.present.tightness_finding(tables["tightness"])

# %% tags=["remove-input"]
kdlib.present.page_verdicts(kdlib.verdicts(study, tables).verdicts, "tighter-clusters")

# %% [markdown]
# ## The projection (figures 5 and 7)
#
# The teachers are those of the first seed. The axes are the coordinates on the plane through the three templates; their
# scale differs between panels, since the last layers differ.

# %% kdlib={"tables": ["points"]} mystnb={"figure": {"caption": "Figures 5 and 7 as measured ({dataset}): penultimate activations of three classes projected on the plane through their templates; small teacher, large teacher, and the large teacher with other batch sizes and epochs (first seed).", "name": "projection"}, "image": {"alt": "A row of scatter plots on {dataset}, one for each teacher and setting: the projection of the penultimate activations of three classes, each class with a colour and a marker of its own. Axes: coordinates on the plane through the three class templates."}} tags=["hide-input"]
kdlib.figures.penultimate_layer(tables["points"], study.dataset.class_names)

# %% kdlib={"tables": ["points"]} tags=["hide-input"]
kdlib.explore.projection(tables["points"], kdlib.present.projected_images(study), study.dataset.class_names)

# %% [markdown]
# ## UMAP of the same activations

# %% mystnb={"figure": {"caption": "UMAP of the same activations ({dataset}). Distances between clusters mean little in UMAP; it is shown since many readers know it.", "name": "umap"}, "image": {"alt": "A row of scatter plots on {dataset}, one for each teacher and setting: a two-dimensional UMAP embedding of the penultimate activations of three classes, each class with a colour and a marker of its own."}} tags=["hide-input"]
kdlib.figures.penultimate_layer(kdlib.present.umap_points(study), study.dataset.class_names)

# %% [markdown]
# ## A number for tightness
#
# NC1 ([Papyan et al. 2020](https://arxiv.org/abs/2008.08186)) is the within-class scatter measured in units of the
# between-class scatter: smaller is tighter. The silhouette is larger for tighter clusters. Both are taken over all
# classes. A teacher that has made few updates can have wide clusters because it has not yet learned to tell the classes
# apart.

# %% kdlib={"tables": ["tightness"]} mystnb={"figure": {"caption": "NC1 and silhouette of each teacher and setting on training (filled) and held-out (open) examples ({dataset}). Lines are 95% t intervals over teacher seeds, of NC1 on the log scale around the geometric mean.", "name": "tightness"}, "image": {"alt": "Two panels on {dataset}: NC1 on a logarithmic horizontal axis, and silhouette. One row for each teacher and setting, with a filled marker for training and an open marker for held-out examples and a line for the interval."}} tags=["hide-input"]
kdlib.figures.tightness(tables["tightness"])

# %% kdlib={"tables": ["tightness"]} tags=["hide-input"]
kdlib.present.tightness(tables["tightness"])

# %% [markdown]
# ## Verdicts
#
# The rules are those of `kdlib/sections/penultimate_layer/claims.yml`. If one of them is newer than a number of this page, the book
# says so at the top of the page.
#
# Claims that draw on several sections are judged on the scoreboard.

# %% tags=["hide-input"]
kdlib.verdicts(study, tables)

# %% tags=["hide-input", "nbval-ignore-output"]
kdlib.record(study, tables)
