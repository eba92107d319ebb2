"""Paper 2's training: batches of (source, target) pairs, MixUp within a language, SupCon across both; two presets."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from xltlib.errors import InputError, choice
from xltlib.losses import mixup_cross_entropy, musc_loss, musc_total, supcon_loss
from xltlib.models import Classifier
from xltlib.training import Encoded, Settings, length_batches, optimise

METHODS = ("ce", "sc", "mu", "sc+mu", "musc")
"""Rows of Tables 5 and 9: cross-entropy alone, with SupCon, with MixUp, with both, and the full loss."""
PROJECTION = 128
"""Width of the projector's output, as released; the paper does not print d_p."""


@dataclass(frozen=True)
class Preset:
    """How the losses are put together. What the paper leaves open (temperature, alpha's distribution, projector,
    optimiser) comes from the released code in both presets. Left out of `released`: the 1e-4 that it adds to |P(i)|;
    its choice of the checkpoint on test text is measured (`audit`), never followed."""

    name: str
    form: str  # of SupCon: "in" is the logarithm outside the mean over positives, "out" inside
    reduction: str  # of SupCon over anchors
    scale: float  # factor on the SupCon terms
    classification: float  # weight of each language's CE and MU
    level: str  # where MixUp mixes, see `mixing`
    every_language: bool  # a step takes a batch of every target language, and averages their losses
    weight: float | None  # lambda; None takes Table 7's for the task
    pooler: bool  # whether BERT's tanh pooler stands before the classifier (the projector never sees it)
    temperature: float = 0.3
    schedule: str = "constant"


PRESETS = {
    preset.name: preset
    for preset in (
        Preset("paper", "in", "sum", 1.0, 1.0, "words", False, None, False),
        Preset("released", "out", "mean", 0.3, 0.5, "embeddings", True, 0.1, True),
    )
}


def preset(name: str) -> Preset:
    """The preset of a name; InputError names the two when it is neither."""
    return PRESETS[choice(name, PRESETS, "preset")]


@dataclass(frozen=True)
class PairSettings:
    """One condition of the loss: a method, a preset, and lambda."""

    method: str
    preset: Preset
    weight: float

    def __post_init__(self) -> None:
        choice(self.method, METHODS, "method")
        if self.method == "sc+mu" and self.preset.name == "released":
            raise InputError("the released code has no 'sc+mu': with both switches on it trains the full loss, 'musc'")

    @property
    def mixes(self) -> bool:
        """Whether mixtures are made."""
        return self.method in ("mu", "sc+mu", "musc")


@dataclass(frozen=True)
class PairData:
    """A training set: all rows encoded; per target language the pairs of row numbers (source, target), or (source,)
    alone; and each row's label."""

    encoded: Encoded
    labels: Tensor
    pairs: dict[str, list[tuple[int, ...]]]


def projector(width: int) -> nn.Module:
    """The head g of the contrastive terms, Linear-ReLU-Linear as released; it is dropped at test time."""
    return nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, PROJECTION))


def embed_views(
    model: Classifier, encoded: Encoded, rows: Sequence[int], alphas: tuple[float, float] | None, level: str
) -> Tensor:
    """Pooled embeddings of 2 n rows, n sources and their n targets; with `alphas`, then those of their mixtures, source
    with source and target with target: (2 n or 4 n, d)."""
    device = next(model.parameters()).device
    plain = model.embed(*encoded.batch(rows, device))
    if alphas is None:
        return plain
    n = len(rows) // 2
    parts = [(slice(0, n), alphas[0]), (slice(n, 2 * n), alphas[1])]
    return torch.cat([plain, model.embed_mixed(*encoded.batch(rows, device, ids=True), parts, level)])


def pair_loss(
    model: Classifier, data: PairData, pairs: Sequence[tuple[int, int]], settings: PairSettings, rng: random.Random
) -> Tensor:
    """The loss of a batch of n pairs: the terms that the method has, in the total of the paper (see `musc_total`).

    alpha is uniform in (0, 1), one number a batch and language, as released.
    """
    how, n = settings.preset, len(pairs)
    sources, targets = zip(*pairs, strict=True)
    alphas = (rng.random(), rng.random()) if settings.mixes else None
    pooled = embed_views(model, data.encoded, [*sources, *targets], alphas, how.level)
    logits, z = model.classify(pooled), model.projector(pooled)
    labels = data.labels.to(pooled.device)
    y_s, y_t = labels[list(sources)], labels[list(targets)]
    classification = [cross_entropy(logits[:n], y_s), cross_entropy(logits[n : 2 * n], y_t)]
    if settings.mixes:
        mixed = zip(logits[2 * n :].split(n), (y_s, y_t), alphas, strict=True)
        classification += [mixup_cross_entropy(*arguments) for arguments in mixed]
    contrast = {"temperature": how.temperature, "form": how.form, "reduction": how.reduction}
    contrastive = []
    if settings.method in ("sc", "sc+mu", "musc"):
        contrastive.append(supcon_loss(z[: 2 * n], torch.cat([y_s, y_t]), **contrast))
    if settings.method == "musc":
        z_s, z_t, mixed_s, mixed_t = z.split(n)
        contrastive += [musc_loss(mixed_s, z_t, y_s, alphas[0], **contrast)]
        contrastive += [musc_loss(mixed_t, z_s, y_t, alphas[1], **contrast)]
    classification = [how.classification * term for term in classification]
    return musc_total(classification, [how.scale * t for t in contrastive], settings.weight if contrastive else 0.0)


def source_loss(model: Classifier, data: PairData, pairs: Sequence[tuple[int]]) -> Tensor:
    """Cross-entropy of sources alone: zero-shot transfer, and the classifier of translate-test."""
    rows = [row for (row,) in pairs]
    device = next(model.parameters()).device
    return cross_entropy(model(*data.encoded.batch(rows, device))[0], data.labels[rows].to(device))


def batches(data: PairData, size: int, rng: random.Random, every_language: bool) -> list[list[list[tuple]]]:
    """An epoch's steps; a step is one batch of `size` pairs of one target language, or one of each language."""
    lengths = data.encoded.lengths
    of_language = []
    for pairs in data.pairs.values():
        chosen = length_batches([max(lengths[i] for i in pair) for pair in pairs], size, rng)
        of_language.append([[pairs[i] for i in batch] for batch in chosen])
    if every_language:
        return [list(step) for step in zip(*of_language, strict=True)]
    steps = [[batch] for language in of_language for batch in language]
    rng.shuffle(steps)
    return steps


def train_pairs(
    model: Classifier, data: PairData, settings: PairSettings, fit: Settings, seed: int,
    validate: Callable[[], float] | None = None,
) -> list[float]:  # fmt: skip
    """Fine-tune in place (see `training.optimise`); `model` needs a `projector`. Returns each step's loss.

    InputError for an empty training set, and for a contrastive or mixing method without pairs; Diverged as soon as a
    loss is not finite.
    """
    every = [pair for pairs in data.pairs.values() for pair in pairs]
    if not every:
        raise InputError("the training set is empty")
    paired = len(every[0]) == 2
    if not paired and settings.method != "ce":
        raise InputError(f"method {settings.method!r} needs sources with their targets; this training set has none")
    torch.manual_seed(seed)
    rng = random.Random(seed)
    alphas = random.Random(f"alpha:{seed}")  # of its own, so that every method sees the same batches

    def step(chosen: list[list[tuple]]) -> Tensor:
        if not paired:
            return torch.stack([source_loss(model, data, pairs) for pairs in chosen]).mean()
        return torch.stack([pair_loss(model, data, pairs, settings, alphas) for pairs in chosen]).mean()

    epoch = lambda: batches(data, fit.batch, rng, settings.preset.every_language)  # noqa: E731
    steps = fit.steps or fit.epochs * len(batches(data, fit.batch, random.Random(0), settings.preset.every_language))
    about = f"seed {seed}, method {settings.method}, preset {settings.preset.name}"
    return optimise(model, fit, steps, epoch, step, validate, about)
