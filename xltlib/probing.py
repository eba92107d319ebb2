"""Probing: frozen features once, classification heads many times.

The head is the released one of paper 4: dropout, a linear layer to 256, GELU, a linear layer to the classes, Xavier
weights and zero biases. Heads of several seeds train side by side as one batched computation; each has its own first
weights, batch order and dropout, drawn from its own seed, so that a head is the same whatever its company. With
`patience` each stops by itself, too, as in the released code (the paper trains for ten epochs).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, gelu

from xltlib.errors import Diverged, InputError

IGNORED = -100
"""Label of what is no example: filling of batches of unequal size."""


@dataclass(frozen=True)
class ProbeSettings:
    """Hyper-parameters of a head; the paper's are 10 epochs, batch 128, AdamW at a constant 1e-4 (no decay in its
    code), hidden size 256, dropout 0.1. `patience`: epochs without a lower validation loss after which training stops
    and the best epoch is restored (3 in the released code); None trains all epochs."""

    classes: int
    epochs: int = 10
    batch: int = 128
    learning_rate: float = 1e-4
    hidden: int = 256
    dropout: float = 0.1
    patience: int | None = None


class Heads(nn.Module):
    """Heads of several seeds, each parameter with a leading dimension of their number S."""

    def __init__(self, width: int, settings: ProbeSettings, seeds: Sequence[int]):
        super().__init__()
        self.settings, self.seeds = settings, tuple(seeds)
        firsts, seconds = [], []
        for seed in seeds:
            draw = torch.Generator().manual_seed(seed)
            firsts.append(_xavier(width, settings.hidden, draw))
            seconds.append(_xavier(settings.hidden, settings.classes, draw))
        self.first, self.second = nn.Parameter(torch.stack(firsts)), nn.Parameter(torch.stack(seconds))
        self.first_bias = nn.Parameter(torch.zeros(len(seeds), 1, settings.hidden))
        self.second_bias = nn.Parameter(torch.zeros(len(seeds), 1, settings.classes))

    def forward(self, features: Tensor, kept: Tensor | None = None) -> Tensor:
        """Logits (S, n, classes) of features (S, n, width), or (n, width) for all alike. `kept`: dropout's mask of
        features, already scaled."""
        if features.dim() == 2:
            features = features.expand(len(self.seeds), -1, -1)
        if kept is not None:
            features = features * kept
        return torch.baddbmm(self.second_bias, gelu(torch.baddbmm(self.first_bias, features, self.first)), self.second)


def _xavier(rows: int, columns: int, draw: torch.Generator) -> Tensor:
    """Xavier's uniform weights (Glorot & Bengio 2010), as (rows, columns)."""
    bound = (6 / (rows + columns)) ** 0.5
    return (torch.rand(rows, columns, generator=draw) * 2 - 1) * bound


class EarlyStopping:
    """Keeps the parameters of the epoch with the lowest validation loss. `parameters` have a leading dimension of
    trainings that run side by side; each stops for itself, `patience` epochs after its best one."""

    def __init__(self, parameters: Sequence[Tensor], patience: int):
        self.parameters, self.patience = [p.detach() for p in parameters], patience
        self.best = [p.clone() for p in self.parameters]
        runs = len(self.parameters[0])
        self.loss, self.waited = torch.full((runs,), torch.inf), torch.zeros(runs, dtype=torch.long)

    def stop(self, losses: Tensor) -> bool:
        """Whether all trainings have stopped, after an epoch with these validation losses, one a training. Diverged
        when one is no number: it would never be better than what came before."""
        if losses.isnan().any():
            raise Diverged(f"validation loss {int(losses.isnan().nonzero()[0])} is nan: the training diverged")
        better = (losses < self.loss) & (self.waited < self.patience)
        self.waited = torch.where(better, 0, self.waited + 1)
        self.loss = torch.where(better, losses, self.loss)
        for kept, p in zip(self.best, self.parameters, strict=True):
            kept[better] = p[better]
        return bool((self.waited >= self.patience).all())

    def restore(self) -> None:
        """Put the best epoch's parameters back."""
        for kept, p in zip(self.best, self.parameters, strict=True):
            p.copy_(kept)


def train_heads(
    features: Tensor, labels: Tensor, settings: ProbeSettings, seeds: Sequence[int],
    groups: Sequence[int] | None = None, held: tuple[Tensor, Tensor] | None = None,
) -> Heads:  # fmt: skip
    """Train a head for each seed on frozen features (n, width) with labels (n,); the loss is mean cross-entropy.

    `groups`: how many rows each text has, in order (a text's words stand together in a batch, and `settings.batch`
    counts texts); None: one row each. `held`: validation features and labels, which early stopping looks at.
    InputError when numbers do not fit together; Diverged when features are not finite, or, with the head's seed, as
    soon as a loss is not.
    """
    groups = [1] * len(labels) if groups is None else list(groups)
    if not len(features) == len(labels) == sum(groups) or not len(labels):
        found = f"{len(features)} features, {len(labels)} labels, {sum(groups)} rows in groups"
        raise InputError(f"probing needs as many features as labels, at least one: {found}")
    if settings.patience and held is None:
        raise InputError("early stopping needs validation features and labels: give them, or set patience to None")
    if not torch.isfinite(features).all():
        raise Diverged("probing needs finite features: the model that gave these has diverged")
    heads = Heads(features.shape[1], settings, seeds).to(features.device)
    stopping = EarlyStopping(list(heads.parameters()), settings.patience) if settings.patience else None
    optimiser = torch.optim.AdamW(heads.parameters(), lr=settings.learning_rate, weight_decay=0.0)
    draws = [torch.Generator().manual_seed(seed + 10**6) for seed in seeds]
    starts = torch.tensor([0, *groups]).cumsum(0)
    for epoch in range(1, settings.epochs + 1):
        orders = [torch.randperm(len(groups), generator=draw) for draw in draws]
        for start in range(0, len(groups), settings.batch):
            rows = [_rows(order[start : start + settings.batch], starts) for order in orders]
            chosen, wanted = _side_by_side(rows, labels)
            kept = _dropout_masks(rows, chosen.shape[1], features.shape[1], settings.dropout, draws)
            logits = heads(features[chosen], kept.to(features.device))
            losses = _means_by_seed(logits, wanted.to(features.device))
            _check(heads, losses, "loss", epoch)
            loss = losses.sum()  # a seed's gradient does not depend on the others
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
        if stopping:
            lost = validation_losses(heads, *held)
            _check(heads, lost, "validation loss", epoch)
            if stopping.stop(lost):
                break
    if stopping:
        stopping.restore()
    sums = torch.stack([p.detach().flatten(1).sum(1) for p in heads.parameters()]).sum(0)
    _check(heads, sums, "sum of weights", settings.epochs)
    return heads


def _check(heads: Heads, values: Tensor, what: str, epoch: int) -> None:
    """Diverged for the first head whose value, of (S,), is not finite."""
    if not torch.isfinite(values).all():
        i = int((~torch.isfinite(values)).nonzero()[0])
        about = f"head's seed {heads.seeds[i]}, learning rate {heads.settings.learning_rate:g}"
        where = f"epoch {epoch} is {values[i].item()}"
        raise Diverged(f"the probing ({about}) diverged: the {what} of {where}; lower the learning rate")


@torch.no_grad()
def validation_losses(heads: Heads, features: Tensor, labels: Tensor) -> Tensor:
    """Each head's mean cross-entropy without dropout, (S,)."""
    logits = heads(features)
    losses = cross_entropy(logits.flatten(0, 1), labels.to(features.device).repeat(len(logits)), reduction="none")
    return losses.view(len(logits), -1).mean(1).cpu()


def _rows(texts: Tensor, starts: Tensor) -> Tensor:
    """The rows of some texts."""
    return torch.cat([torch.arange(int(starts[i]), int(starts[i + 1])) for i in texts.tolist()])


def _side_by_side(rows: Sequence[Tensor], labels: Tensor) -> tuple[Tensor, Tensor]:
    """Row numbers (S, most) and their labels; where a seed's batch has fewer rows, row 0 with the label IGNORED."""
    chosen = nn.utils.rnn.pad_sequence(list(rows), batch_first=True, padding_value=0)
    wanted = labels[chosen].clone()
    for i, found in enumerate(rows):
        wanted[i, len(found) :] = IGNORED
    return chosen, wanted


def _dropout_masks(
    rows: Sequence[Tensor], most: int, width: int, share: float, draws: Sequence[torch.Generator]
) -> Tensor:
    """Each seed's own dropout of its own rows, scaled by 1 / (1 - share)."""
    kept = torch.zeros(len(rows), most, width)
    for i, (found, draw) in enumerate(zip(rows, draws, strict=True)):
        kept[i, : len(found)] = (torch.rand(len(found), width, generator=draw) >= share) / (1 - share)
    return kept


def _means_by_seed(logits: Tensor, wanted: Tensor) -> Tensor:
    """Each seed's mean loss, (S,)."""
    losses = cross_entropy(logits.flatten(0, 1), wanted.flatten(), ignore_index=IGNORED, reduction="none")
    losses = losses.view(wanted.shape)
    return losses.sum(1) / wanted.ne(IGNORED).sum(1).clamp(min=1)


@torch.no_grad()
def predict(heads: Heads, features: Tensor, batch: int = 4096) -> Tensor:
    """Predicted classes (S, n) of features (n, width), without dropout. Diverged when logits are not finite."""
    parts = []
    for start in range(0, len(features), batch):
        logits = heads(features[start : start + batch])
        if not torch.isfinite(logits).all():
            raise Diverged(f"the heads' logits for rows from {start} on are not finite: the training diverged")
        parts.append(logits.argmax(-1))
    return torch.cat(parts, dim=1)
