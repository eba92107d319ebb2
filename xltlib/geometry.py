"""What a loss does to the embedding space: pair and random cosines, alignment, uniformity, retrieval, classes."""

import math

import torch
from torch import Tensor
from torch.nn.functional import normalize

from xltlib.errors import InputError


def describe(originals: Tensor, translations: Tensor) -> dict[str, float]:
    """Five numbers about n pairs of (n, d) embeddings, n > 1; rows are L2-normalised first.

    pair_cosine and random_cosine: mean cosine of a text with its translation, and with other texts' translations.
    alignment: mean squared distance of pairs; uniformity: log mean exp(-2 squared distance) over all pairs of different
    texts, of each side (Wang & Isola 2020; both: lower is better). retrieval: P@1 by cosine, both directions averaged.
    """
    if originals.shape != translations.shape or len(originals) < 2:
        raise InputError(
            f"geometry needs two (n, d) tensors, n > 1: {tuple(originals.shape)}, {tuple(translations.shape)}"
        )
    a, b = normalize(originals.double(), dim=-1), normalize(translations.double(), dim=-1)
    cosines, n = a @ b.T, len(a)
    pairs = cosines.diagonal()
    gold = torch.arange(n)
    hits = [(cosines.argmax(dim) == gold).double().mean() for dim in (0, 1)]
    return {
        "pair_cosine": float(pairs.mean()),
        "random_cosine": float((cosines.sum() - pairs.sum()) / (n * (n - 1))),
        "alignment": float((2 - 2 * pairs).mean()),
        "uniformity": float(sum(_uniformity(side) for side in (a, b)) / 2),
        "retrieval": float(sum(hits) / 2),
    }


def class_cosines(a: Tensor, b: Tensor, labels: Tensor) -> dict[str, float]:
    """Mean cosine of embeddings of one side, (n, d), with those of another's different items: of the same class, and of
    other classes. labels: (n,) classes of both sides."""
    cosines = normalize(a.double(), dim=-1) @ normalize(b.double(), dim=-1).T
    same = labels[:, None] == labels[None, :]
    itself = torch.eye(len(labels), dtype=torch.bool)
    return {"same_class": float(cosines[same & ~itself].mean()), "other_class": float(cosines[~same].mean())}


def plane(embeddings: Tensor) -> Tensor:
    """Coordinates (n, 2) on the first two principal components of (n, d) embeddings of unit length; signs are fixed:
    the largest weight of each component is positive."""
    z = normalize(embeddings.double(), dim=-1)
    z = z - z.mean(0)
    axes = torch.linalg.eigh(z.T @ z).eigenvectors[:, [-1, -2]]
    largest = axes.abs().argmax(0)
    return z @ (axes * axes[largest, [0, 1]].sign())


def _uniformity(z: Tensor) -> Tensor:
    squared = torch.pdist(z).square()
    return torch.logsumexp(-2 * squared, dim=0) - math.log(len(squared))
