"""The one training loop: batches by length, frozen features computed once, validation-selected checkpoint."""

import copy
import math
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn.functional import cross_entropy

from xltlib.errors import Diverged, InputError, finite
from xltlib.evaluation import finite_rows
from xltlib.losses import combine, otc_loss, supcon_loss
from xltlib.models import Classifier


@dataclass(frozen=True)
class Row:
    """One training text: its label (0-based class), its language, and whether it is a machine translation."""

    text: str
    label: int
    language: str
    translated: bool = False


Group = tuple[Row, ...]
"""Rows that must share a batch: originals first, then translations. Row 0's translations are the translated rows."""


@dataclass(frozen=True)
class Settings:
    """Hyper-parameters of fine-tuning. `steps` limits the number of optimisation steps (None: all epochs)."""

    epochs: int = 5
    batch: int = 32
    learning_rate: float = 1e-3
    warmup: float = 0.1
    weight_decay: float = 0.01
    steps: int | None = None
    contrast: str | None = None  # None, "infonce", "cosine", "margin" (OTC) or "supcon" (control)
    temperature: float = 0.1
    weight: float = 0.4
    total: str = "sum"
    schedule: str = "linear"  # warm-up, then linear decay; "cosine": warm-up, then half a cosine; or "constant"


class Encoded:
    """Texts as the trainable part of a classifier takes them: token ids, or the frozen layers' output in float16.
    `pad` is the tokenizer's id for padding."""

    def __init__(self, ids: Tensor, lengths: Tensor, states: Tensor | None, pad: int = 0):
        self.ids, self.lengths, self.states, self.pad = ids, lengths.tolist(), states, pad
        self.starts = [0, *lengths.cumsum(0).tolist()]

    def __len__(self) -> int:
        return len(self.lengths)

    def batch(self, indices: Sequence[int], device="cpu", ids: bool = False) -> tuple[Tensor, Tensor]:
        """Inputs and mask of some texts, padded to the longest of them. `ids`: token ids even when states are there."""
        flat = self.ids if ids or self.states is None else self.states
        rows = [flat[self.starts[i] : self.starts[i + 1]] for i in indices]
        padding = self.pad if flat is self.ids else 0  # a mixture of unequal texts holds the embedding of the padding
        inputs = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=padding)
        lengths = torch.tensor([self.lengths[i] for i in indices])
        mask = torch.arange(inputs.shape[1])[None, :] < lengths[:, None]
        inputs = inputs.long() if ids or self.states is None else inputs.float()
        return inputs.to(device), mask.long().to(device)

    def join(self, other: "Encoded") -> "Encoded":
        """The texts of both, in order."""
        states = None if self.states is None else torch.cat([self.states, other.states])
        return Encoded(torch.cat([self.ids, other.ids]), torch.tensor(self.lengths + other.lengths), states, self.pad)


def encode(
    texts: Sequence[str] | Sequence[tuple[str, str]],
    tokenizer,
    model: Classifier,
    *,
    cache: Path | None = None,
    name: str = "",
    limit: int = 128,
) -> Encoded:
    """Tokenise texts, or pairs of texts, and, when layers are frozen, run those once. With `cache`, the result is kept
    in a file.

    `name` identifies the checkpoint; the file's name is a hash of it, the frozen layers and the texts.
    """
    settings = f"{model.settings.frozen_layers}{' bfloat16' if model.settings.bfloat16 else ''}"
    settings += "" if model.settings.separator is None else f" separator {model.settings.separator}"
    flat = [text if isinstance(text, str) else "\x1e".join(text) for text in texts]
    key = sha256("\x1f".join([name, settings, str(limit), *flat]).encode()).hexdigest()[:24]
    path = cache / f"{key}.safetensors" if cache else None
    if path and (stored := _stored(path)):
        return Encoded(stored["ids"], stored["lengths"], stored.get("states"), tokenizer.pad_token_id)
    sides = [list(texts)] if isinstance(texts[0], str) else map(list, zip(*texts, strict=True))
    rows = tokenizer(
        *sides, truncation=True, max_length=limit, return_attention_mask=False, return_token_type_ids=False
    )["input_ids"]
    ids = torch.tensor([i for row in rows for i in row], dtype=torch.int32)
    result = Encoded(ids, torch.tensor([len(row) for row in rows]), None, tokenizer.pad_token_id)
    if model.settings.frozen_layers:
        result.states = frozen_states(result, model)
    if path:
        _store(path, result)
    return result


def _store(path: Path, encoded: Encoded) -> None:
    """Write under a name of its own, then rename: several processes may write the same features."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {"ids": encoded.ids, "lengths": torch.tensor(encoded.lengths), "states": encoded.states}
    temporary = path.with_suffix(f".{random.SystemRandom().getrandbits(32):x}")
    save_file({name: tensor for name, tensor in tensors.items() if tensor is not None}, temporary)
    temporary.replace(path)


def _stored(path: Path) -> dict[str, Tensor] | None:
    """What `_store` wrote; None when there is nothing, or a damaged file: features can always be computed again."""
    try:
        return load_file(path) if path.exists() else None
    except SafetensorError:
        return None


def frozen_states(encoded: Encoded, model: Classifier, batch: int = 64) -> Tensor:
    """The frozen layers' output of all texts, (tokens, d) float16, batched by length. Always rounded, cached or not."""
    model.eval()
    device = next(model.parameters()).device
    out: list[Tensor] = [None] * len(encoded)
    order = sorted(range(len(encoded)), key=encoded.lengths.__getitem__)
    for start in range(0, len(order), batch):
        chosen = order[start : start + batch]
        ids, mask = encoded.batch(chosen, device)
        hidden = model.lower(ids, mask).half().cpu()
        for row, i in enumerate(chosen):
            out[i] = hidden[row, : encoded.lengths[i]]
    return torch.cat(out)


def length_batches(lengths: Sequence[int], size: int, rng: random.Random, window: int = 10) -> list[list[int]]:
    """Shuffled batches of indices; inside windows of `window` batches, items of like length stand together."""
    order = list(range(len(lengths)))
    rng.shuffle(order)
    batches = []
    for start in range(0, len(order), size * window):
        part = sorted(order[start : start + size * window], key=lengths.__getitem__)
        batches += [part[i : i + size] for i in range(0, len(part), size)]
    rng.shuffle(batches)
    return batches


@dataclass
class Data:
    """A training set on the model's side: all rows encoded, and each group as row numbers into them."""

    encoded: Encoded
    labels: list[int]
    groups: list[tuple[int, ...]]
    originals: set[int]


def as_data(groups: Sequence[Group], encoded: Encoded) -> Data:
    """Number the rows of the groups in order; `encoded` holds their texts in that order."""
    rows = [row for group in groups for row in group]
    numbers, start = [], 0
    for group in groups:
        numbers.append(tuple(range(start, start + len(group))))
        start += len(group)
    return Data(encoded, [row.label for row in rows], numbers, {i for i, row in enumerate(rows) if not row.translated})


def pairs_in(groups: Sequence[tuple[int, ...]], originals: set[int], position: dict[int, int]) -> list[tuple[int, int]]:
    """Positions in the batch of each original and its translation."""
    return [(position[g[0]], position[i]) for g in groups if g[0] in originals for i in g[1:] if i not in originals]


def otc_of_pairs(pooled: Tensor, pairs: Sequence[tuple[int, int]], settings: Settings) -> Tensor:
    """OTC over (original, translation) positions. First translations make one set of pairs, second ones another, and so
    on, averaged over pairs: within one set, two translations of one original would be each other's negatives."""
    seen, sets = Counter(), defaultdict(list)
    for original, translation in pairs:
        sets[seen[original]].append((original, translation))
        seen[original] += 1
    if not pairs:
        raise InputError("OTC needs originals with translations in each batch: this training set has none")
    total = torch.zeros((), device=pooled.device)
    for chosen in sets.values():
        left, right = (pooled[list(side)] for side in zip(*chosen, strict=True))
        loss = otc_loss(left, right, temperature=settings.temperature, form=settings.contrast)
        total = total + loss * (len(chosen) / len(pairs))
    return total


def batch_loss(model: Classifier, data: Data, chosen: Sequence[int], settings: Settings, device="cpu") -> Tensor:
    """Cross-entropy of a batch of groups, plus the contrastive term of its pairs (OTC) or its labels (SupCon)."""
    groups = [data.groups[i] for i in chosen]
    rows = [i for group in groups for i in group]
    inputs, mask = data.encoded.batch(rows, device)
    labels = torch.tensor([data.labels[i] for i in rows], device=device)
    logits, pooled = model(inputs, mask)
    loss = cross_entropy(logits, labels)
    if settings.contrast is None:
        return loss
    if settings.contrast == "supcon":
        term = supcon_loss(pooled, labels, temperature=settings.temperature)
    else:
        pairs = pairs_in(groups, data.originals, {row: i for i, row in enumerate(rows)})
        term = otc_of_pairs(pooled, pairs, settings)
    return combine(loss, term, weight=settings.weight, total=settings.total)


def train(
    model: Classifier, data: Data, settings: Settings, seed: int, validate: Callable[[], float] | None = None
) -> list[float]:
    """Fine-tune in place on groups of rows; returns each step's loss. Batch order and dropout depend on `seed`; see
    `optimise`. InputError for an empty training set, Diverged as soon as a loss is not finite."""
    if not data.groups:
        raise InputError("the training set is empty")
    torch.manual_seed(seed)
    rng, device = random.Random(seed), next(model.parameters()).device
    lengths = [max(data.encoded.lengths[i] for i in group) for group in data.groups]
    size = max(1, round(settings.batch * len(data.groups) / len(data.labels)))
    steps = settings.steps or settings.epochs * -(-len(lengths) // size)
    loss_of = lambda chosen: batch_loss(model, data, chosen, settings, device)  # noqa: E731
    epoch = lambda: length_batches(lengths, size, rng)  # noqa: E731
    about = f"seed {seed}, contrast {settings.contrast or 'none'}"
    return optimise(model, settings, steps, epoch, loss_of, validate, about)


def rate_at(settings: Settings, step: int, steps: int) -> float:
    """The learning rate of a step: warm-up over a share of the steps, then down to 0 along a line or a cosine."""
    warm = (step + 1) / max(1, settings.warmup * steps)
    left = (steps - step) / (steps * (1 - settings.warmup))
    if settings.schedule == "cosine":
        left = 0.5 * (1 - math.cos(math.pi * min(1.0, left)))
    return settings.learning_rate * (1.0 if settings.schedule == "constant" else min(1.0, warm, left))


def optimise(
    model: torch.nn.Module,
    settings: Settings,
    steps: int,
    epoch: Callable[[], list],
    loss_of: Callable[..., Tensor],
    validate: Callable[[], float] | None = None,
    about: str = "",
) -> list[float]:
    """The loop: `steps` optimisation steps over the batches of one `epoch()` after the other; returns their losses.

    AdamW with the rate of `rate_at`, or Adam at a constant rate (`settings.schedule` "constant"). After each epoch
    `validate()` gives the validation score; the weights of the best epoch (the first, when equal) are kept. Diverged
    when a loss, a validation score or, after an epoch, a weight is not finite; `about` names the training (its seed).
    """
    parameters = [p for p in model.parameters() if p.requires_grad]
    frozen = {name for name, p in model.named_parameters() if not p.requires_grad}
    decay = 0.0 if settings.schedule == "constant" else settings.weight_decay
    optimiser = torch.optim.AdamW(parameters, lr=settings.learning_rate, weight_decay=decay)  # without decay it is Adam
    losses, best, kept, epochs = [], -1.0, None, 0
    rate = f"learning rate {settings.learning_rate:g}"
    about = f"{about}, {rate}" if about else rate
    while len(losses) < steps:
        model.train()
        epochs += 1
        for chosen in epoch()[: steps - len(losses)]:
            optimiser.param_groups[0]["lr"] = rate_at(settings, len(losses), steps)
            loss = loss_of(chosen)
            losses.append(finite(loss.item(), "loss", f"step {len(losses) + 1} of {steps}, epoch {epochs}", about))
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
        check_weights(model, f"epoch {epochs}", about)
        score = finite(validate() if validate else 0.0, "validation score", f"epoch {epochs}", about)
        if validate and score > best:
            best, kept = score, copy.deepcopy({k: v for k, v in model.state_dict().items() if k not in frozen})
    if kept:
        model.load_state_dict(kept, strict=False)
    return losses


def check_weights(model: torch.nn.Module, where: str, about: str) -> None:
    """Diverged when a trained weight is not finite; the last step's loss does not show what that step did."""
    for name, p in model.named_parameters():
        if p.requires_grad and not torch.isfinite(p).all():
            what = f"the weights {name} are not finite after {where}"
            raise Diverged(f"the training ({about}) diverged: {what}; lower the learning rate")


def predict(model: Classifier, encoded: Encoded, batch: int = 100) -> np.ndarray:
    """Class probabilities (n, classes) of encoded texts, batched by length, in the texts' order."""
    return predict_and_embed(model, encoded, batch)[0]


@torch.no_grad()
def predict_and_embed(model: Classifier, encoded: Encoded, batch: int = 100) -> tuple[np.ndarray, Tensor]:
    """Class probabilities (n, classes) and pooled embeddings (n, d) from the same pass, in the texts' order. Diverged
    when they are not finite."""
    model.eval()
    device = next(model.parameters()).device
    order = sorted(range(len(encoded)), key=encoded.lengths.__getitem__)
    out = np.zeros((len(encoded), model.settings.classes), dtype=np.float32)
    vectors = torch.zeros(len(encoded), model.head.in_features)
    for start in range(0, len(order), batch):
        chosen = order[start : start + batch]
        logits, pooled = model(*encoded.batch(chosen, device))
        out[chosen] = logits.softmax(-1).float().cpu().numpy()
        vectors[chosen] = pooled.float().cpu()
    finite_rows(out, "the model's probabilities")
    finite_rows(vectors.numpy(), "the model's embeddings")
    return out, vectors


def embeddings(model: Classifier, encoded: Encoded, batch: int = 100) -> Tensor:
    """Pooled embeddings (n, d) of encoded texts, in the texts' order."""
    return predict_and_embed(model, encoded, batch)[1]
