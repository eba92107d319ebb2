"""The losses the papers are about, as pure functions of float tensors. They know nothing of data or models.

Half precision (float16, bfloat16) is computed, and given back, in float32: norms and sums of exponentials leave the
range of float16. A vector of zeros has no direction: its cosines are 0, and it gets no gradient.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

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

    Raises InputError for an unknown form, unequal shapes, no pair at all, a temperature that is not positive or not
    finite, or a margin that is not finite.
    """
    if form not in OTC_FORMS:
        raise InputError(f"unknown OTC form {form!r}: use one of {', '.join(OTC_FORMS)}")
    if original.shape != translated.shape or original.ndim != 2:
        raise InputError(
            f"OTC needs two (n, d) tensors of one shape, got {tuple(original.shape)} and {tuple(translated.shape)}"
        )
    if not len(original):
        raise InputError("OTC needs at least one pair of an original and its translation in each batch")
    _check_temperature(temperature)
    if not math.isfinite(margin):
        raise InputError(f"the margin must be finite, got {margin}")
    cosines = _unit(original) @ _unit(translated).T
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
        return (cosines * 0).sum()
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
    option, shapes that do not fit, or a temperature that is not positive and finite.
    """
    if form not in ("in", "out") or reduction not in ("mean", "sum"):
        raise InputError(f"unknown SupCon option: form {form!r} (in, out), reduction {reduction!r} (mean, sum)")
    if embeddings.ndim != 2 or labels.shape != embeddings.shape[:1]:
        raise InputError(
            f"SupCon needs (n, d) and (n,) tensors, got {tuple(embeddings.shape)} and {tuple(labels.shape)}"
        )
    _check_temperature(temperature)
    z = _unit(embeddings) if normalize else _wide(embeddings)
    itself = torch.eye(len(z), dtype=torch.bool, device=z.device)
    logits = (z @ z.T / temperature).masked_fill(itself, float("-inf"))
    log_prob = logits - logits.logsumexp(dim=1, keepdim=True)
    positive = (labels[:, None] == labels[None, :]) & ~itself
    anchors = positive.any(dim=1)
    if not anchors.any():
        return (z * 0).sum()  # not z.sum() * 0: the sum may be infinite
    positive, log_prob = positive[anchors], log_prob[anchors]
    count = positive.sum(dim=1)
    if form == "in":
        losses = count.to(z.dtype).log() - log_prob.masked_fill(~positive, float("-inf")).logsumexp(dim=1)
    else:
        losses = -log_prob.masked_fill(~positive, 0.0).sum(dim=1) / count
    return losses.mean() if reduction == "mean" else losses.sum()


def _wide(values: Tensor) -> Tensor:
    """Half precision as float32, the rest as it is. InputError for what is no float tensor."""
    if not values.is_floating_point():
        raise InputError(f"losses need float tensors, got {values.dtype}")
    return values.float() if values.dtype in (torch.float16, torch.bfloat16) else values


def _unit(vectors: Tensor) -> Tensor:
    """Rows of (n, d) divided by their L2 norm, float32 or wider; rows of zeros stay as they are, without a gradient.

    Rows whose squares would overflow, or fall below the smallest norm that torch divides by, are first divided by their
    largest entry; the others by 1, which changes no bit.
    """
    wide = _wide(vectors)
    largest = wide.detach().abs().amax(-1, keepdim=True) if wide.shape[-1] else wide.sum(-1, keepdim=True).detach()
    extreme = (largest > 1e15) | (largest < 1e-11) & (largest > 0)
    scaled = torch.where(largest == 0, wide.detach(), wide) / torch.where(extreme, largest, 1.0)
    return torch.nn.functional.normalize(scaled, dim=-1)


def _check_temperature(temperature: float) -> None:
    if not (math.isfinite(temperature) and temperature > 0):
        raise InputError(f"the temperature must be finite and positive, got {temperature}")


def combine(classification: Tensor, contrastive: Tensor, *, weight: float = 0.4, total: str = "sum") -> Tensor:
    """Cross-entropy plus a weighted contrastive term: "sum" is CE + w L, "convex" is (1 - w) CE + w L (paper 1 fits
    both). InputError for another total, or a weight that is not finite."""
    if not math.isfinite(weight):
        raise InputError(f"the weight of the contrastive term must be finite, got {weight}")
    if total == "sum":
        return classification + weight * contrastive
    if total == "convex":
        return (1 - weight) * classification + weight * contrastive
    raise InputError(f"unknown total {total!r}: use sum or convex")


def mixup(embeddings: Tensor, alpha: float) -> Tensor:
    """MixUp with the batch in reverse order: alpha E + (1 - alpha) E reversed, for an (n, ...) tensor.

    MUSC, section 4.1 (after Zhang et al. 2018 and Chen et al. 2020); `alpha` in [0, 1] is one number a batch. Raises
    InputError for another alpha.
    """
    _check_alpha(alpha)
    return alpha * embeddings + (1 - alpha) * embeddings.flip(0)


def mixup_cross_entropy(logits: Tensor, labels: Tensor, alpha: float) -> Tensor:
    """L_mu of MUSC: cross-entropy of the mixtures' (n, classes) logits with the labels in normal order, weight alpha,
    and in reverse order, weight 1 - alpha; a mean over the batch. InputError for another alpha, shapes that do not fit,
    or an empty batch."""
    _check_alpha(alpha)
    if logits.ndim != 2 or labels.shape != logits.shape[:1] or not len(labels):
        shapes = f"{tuple(logits.shape)} and {tuple(labels.shape)}"
        raise InputError(f"MixUp's cross-entropy needs (n, classes) and (n,) tensors, n at least 1, got {shapes}")
    logits = _wide(logits)
    return alpha * cross_entropy(logits, labels) + (1 - alpha) * cross_entropy(logits, labels.flip(0))


def musc_loss(
    mixed: Tensor,
    other: Tensor,
    labels: Tensor,
    alpha: float,
    *,
    temperature: float = 0.1,
    form: str = "in",
    reduction: str = "mean",
    normalize: bool = True,
) -> Tensor:
    """L_musc of MUSC: SupCon between mixtures of one side and the other side's texts as they are.

    mixed: (n, d) projections of the mixtures (see `mixup`) of one language; other: (n, d) projections of the other
    language's texts, row by row the same examples; labels: (n,). A mixture belongs by alpha to the labels in normal
    order, and by 1 - alpha to those in reverse order, so:

        alpha SupCon([mixed; other], [y; y]) + (1 - alpha) SupCon([mixed; other reversed], [y reversed; y reversed])

    The options are those of `supcon_loss`. Raises InputError for shapes that do not fit, an alpha outside [0, 1], or an
    option that `supcon_loss` does not know.
    """
    _check_alpha(alpha)
    if mixed.shape != other.shape or mixed.ndim != 2 or labels.shape != mixed.shape[:1]:
        shapes = ", ".join(str(tuple(t.shape)) for t in (mixed, other, labels))
        raise InputError(f"MUSC needs (n, d), (n, d) and (n,) tensors, got {shapes}")
    options = {"temperature": temperature, "form": form, "reduction": reduction, "normalize": normalize}
    normal = supcon_loss(torch.cat([mixed, other]), labels.repeat(2), **options)
    reverse = supcon_loss(torch.cat([mixed, other.flip(0)]), labels.flip(0).repeat(2), **options)
    return alpha * normal + (1 - alpha) * reverse


def musc_total(classification: Sequence[Tensor], contrastive: Sequence[Tensor], weight: float) -> Tensor:
    """The total of MUSC: (1 - weight) [CE_S + CE_T + MU_S + MU_T] + weight [L_sc + L_musc(S) + L_musc(T)].

    `weight` is the paper's lambda, in [0, 1]; either sum may be shorter (an ablation), and an empty one counts 0.
    """
    if not 0 <= weight <= 1:
        raise InputError(f"the weight (lambda) must be in [0, 1], got {weight}")
    return (1 - weight) * sum(classification) + weight * sum(contrastive)


def _check_alpha(alpha: float) -> None:
    if not 0 <= alpha <= 1:
        raise InputError(f"alpha must be in [0, 1], got {alpha}")
