"""The losses the papers are about, as pure functions of float tensors. They know nothing of data or models."""

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize

from xltlib.errors import InputError

OTC_FORMS = ("infonce", "cosine", "margin")


def otc_loss(
    original: Tensor, translated: Tensor, *, temperature: float = 0.1, form: str = "infonce", margin: float = 0.5
) -> Tensor:
    """The original-translated contrastive loss of n pairs, a scalar averaged over pairs and both directions.

    original, translated: (n, d) float embeddings; row i of one is the translation of row i of the other. They are
    L2-normalised inside, so similarities are cosines. arXiv 2405.05478 names the loss but prints no formula; three
    forms:

    - "infonce": each text must find its partner among all n of the other side, softmax of cosine / temperature
      (van den Oord et al. 2018, symmetric as in Radford et al. 2021). First choice.
    - "cosine": 1 - cos of each pair; it only pulls, there are no negatives.
    - "margin": a pair's cosine must exceed that of every non-pair by `margin`, else the shortfall is the loss.

    Raises InputError for an unknown form, unequal shapes, no pair at all, or a temperature that is not positive.
    """
    if form not in OTC_FORMS:
        raise InputError(f"unknown OTC form {form!r}: use one of {', '.join(OTC_FORMS)}")
    if original.shape != translated.shape or original.ndim != 2:
        raise InputError(
            f"OTC needs two (n, d) tensors of one shape, got {tuple(original.shape)} and {tuple(translated.shape)}"
        )
    if not len(original):
        raise InputError("OTC needs at least one pair of an original and its translation in each batch")
    if temperature <= 0:
        raise InputError(f"the temperature must be positive, got {temperature}")
    cosines = normalize(original, dim=-1) @ normalize(translated, dim=-1).T
    if form == "cosine":
        return 1 - cosines.diagonal().mean()
    if form == "margin":
        return _margin(cosines, margin)
    partner = torch.arange(len(cosines), device=cosines.device)
    logits = cosines / temperature
    return (cross_entropy(logits, partner) + cross_entropy(logits.T, partner)) / 2


def _margin(cosines: Tensor, margin: float) -> Tensor:
    """Mean shortfall over the n - 1 non-pairs of each text, both directions; 0 when there is only one pair."""
    n = len(cosines)
    if n < 2:
        return cosines.sum() * 0
    others = ~torch.eye(n, dtype=torch.bool, device=cosines.device)
    pairs = cosines.diagonal()
    forward = (margin - pairs[:, None] + cosines).clamp(min=0)[others].mean()
    backward = (margin - pairs[None, :] + cosines).clamp(min=0)[others].mean()
    return (forward + backward) / 2


def supcon_loss(
    embeddings: Tensor,
    labels: Tensor,
    *,
    temperature: float = 0.1,
    form: str = "in",
    reduction: str = "mean",
    normalize: bool = True,
) -> Tensor:
    """Supervised contrastive loss (Khosla et al. 2020) of (n, d) embeddings with (n,) integer labels.

    form "in" has the log outside the mean over positives (their L_in; as printed in the MUSC paper), "out" inside it
    (L_out; as in MUSC's released code). `reduction` is "mean" or "sum" over the anchors that have a positive; the
    others are left out. Returns 0 (with a gradient) when no anchor has a positive. Raises InputError for an unknown
    option, shapes that do not fit, or a temperature that is not positive.
    """
    if form not in ("in", "out") or reduction not in ("mean", "sum"):
        raise InputError(f"unknown SupCon option: form {form!r} (in, out), reduction {reduction!r} (mean, sum)")
    if embeddings.ndim != 2 or labels.shape != embeddings.shape[:1]:
        raise InputError(
            f"SupCon needs (n, d) and (n,) tensors, got {tuple(embeddings.shape)} and {tuple(labels.shape)}"
        )
    if temperature <= 0:
        raise InputError(f"the temperature must be positive, got {temperature}")
    z = torch.nn.functional.normalize(embeddings, dim=-1) if normalize else embeddings
    itself = torch.eye(len(z), dtype=torch.bool, device=z.device)
    logits = (z @ z.T / temperature).masked_fill(itself, float("-inf"))
    log_prob = logits - logits.logsumexp(dim=1, keepdim=True)
    positive = (labels[:, None] == labels[None, :]) & ~itself
    anchors = positive.any(dim=1)
    if not anchors.any():
        return embeddings.sum() * 0
    positive, log_prob = positive[anchors], log_prob[anchors]
    count = positive.sum(dim=1)
    if form == "in":
        losses = count.to(z.dtype).log() - log_prob.masked_fill(~positive, float("-inf")).logsumexp(dim=1)
    else:
        losses = -log_prob.masked_fill(~positive, 0.0).sum(dim=1) / count
    return losses.mean() if reduction == "mean" else losses.sum()


def combine(classification: Tensor, contrastive: Tensor, *, weight: float = 0.4, total: str = "sum") -> Tensor:
    """Cross-entropy plus a weighted contrastive term: "sum" is CE + w L, "convex" is (1 - w) CE + w L (paper 1 fits
    both)."""
    if total == "sum":
        return classification + weight * contrastive
    if total == "convex":
        return (1 - weight) * classification + weight * contrastive
    raise InputError(f"unknown total {total!r}: use sum or convex")
