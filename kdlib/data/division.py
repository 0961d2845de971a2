"""Parts of examples that come undivided: stratified, seeded, what belongs together on one side."""

from collections.abc import Sequence
from hashlib import blake2b

import numpy as np

VALIDATING = 0.1  # of the training examples


def digests(images: np.ndarray) -> np.ndarray:
    """A digest of each image [N], equal where two are equal pixel by pixel."""
    rows = np.ascontiguousarray(images).reshape(len(images), -1)
    return np.array([blake2b(row, digest_size=16).hexdigest() for row in rows])


def unordered(arrays: Sequence[np.ndarray]) -> str:
    """A digest of four arrays as sets of labelled images, in hexadecimal: whatever the order within each part."""
    digest = blake2b(digest_size=16)
    for images, labels in zip(arrays[::2], arrays[1::2], strict=True):
        digest.update("".join(sorted(np.char.add(digests(images), labels.astype(str)))).encode())
    return digest.hexdigest()


def units(*keys: np.ndarray) -> np.ndarray:
    """Numbers [N] of what must stay together: examples that share any of their keys, also by way of others."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    count = len(keys[0])
    offset, rows, columns = count, [], []
    for key in keys:
        _, inverse = np.unique(key, return_inverse=True)
        rows.append(np.arange(count))
        columns.append(inverse + offset)
        offset += int(inverse.max()) + 1
    edges = (np.concatenate(rows), np.concatenate(columns))
    graph = coo_array((np.ones(len(edges[0]), dtype=np.int8), edges), shape=(offset, offset))
    return connected_components(graph, directed=False)[1][:count]


def divide(labels: np.ndarray, together: np.ndarray, share: float, seed: int) -> np.ndarray:
    """A mask [N] of the second part: of each class a share of its examples, as nearly as what stays together allows.

    Arguments: `labels` [N], integers from 0; `together` [N], numbers of `units`; `share`, between 0 and 1; `seed` of
    their order. In this order each unit goes to the second part where that brings its classes nearer to their share.
    """
    wanted = np.maximum(1, np.round(share * np.bincount(labels))).astype(int)
    taken = np.zeros_like(wanted)
    order = np.argsort(together, kind="stable")
    bounds = np.flatnonzero(np.diff(together[order], prepend=-1, append=-1))
    members = [order[start:end] for start, end in zip(bounds, bounds[1:], strict=False)]
    second = np.zeros(len(labels), dtype=bool)
    for i in np.random.default_rng(seed).permutation(len(members)):
        own = labels[members[i]]
        if len(own) == 1:
            fits = taken[own[0]] < wanted[own[0]]
        else:
            there, counts = np.unique(own, return_counts=True)
            left = wanted[there] - taken[there]
            fits = np.abs(left - counts).sum() < np.abs(left).sum()
        if fits:
            second[members[i]] = True
            np.add.at(taken, own, 1)
    return second


def validating(labels: np.ndarray, together: np.ndarray) -> np.ndarray | None:
    """A mask [N] of the training examples that validate, which divides nothing; None where a class would lack a part.

    Arguments: `labels` [N], integers from 0; `together` [N], numbers of `units`.
    """
    held_out = divide(labels, together, VALIDATING, seed=0)
    classes = np.unique(labels)
    both = all(np.array_equal(np.unique(labels[part]), classes) for part in (held_out, ~held_out))
    return held_out if both else None
