"""Paper 4's downstream runs: probing with frozen features, and fine-tuning, of models with different objectives.

The unit of the comparison is the pretraining seed: heads and fine-tunings of one model share its weights. A probing run
trains all its heads at once and has a row for each head's seed.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, gelu

from xltlib import downstream, probing
from xltlib.downstream import CUT, TASKS, TextItem, WordItem, first_subwords, token_scores
from xltlib.errors import Diverged, InputError, finite
from xltlib.evaluation import f1_macro
from xltlib.objectives import END, PAD, START
from xltlib.pretraining import pad
from xltlib.probing import EarlyStopping, ProbeSettings
from xltlib.stacks import Stack, pooled
from xltlib.training import length_batches

BATCH = 64


@dataclass(frozen=True)
class Encoding:
    """Items as a model takes them: for each text its ids, for each word the place of its first subword (None when
    cut), all labels in order, and how many labels each item has."""

    ids: tuple[tuple[int, ...], ...]
    places: tuple[tuple[int | None, ...], ...]
    labels: tuple[int, ...]
    sides: int

    @property
    def kept(self) -> np.ndarray:
        """Which labels belong to words that were not cut; all of them for texts."""
        if not any(self.places):
            return np.ones(len(self.labels), dtype=bool)
        return np.array([place is not None for places in self.places for place in places])

    @property
    def groups(self) -> list[int]:
        """How many kept labels each item has."""
        if not any(self.places):
            return [1] * len(self.labels)
        return [sum(place is not None for place in places) for places in self.places]


def encode(items: Sequence[WordItem | TextItem], tokenizer, limit: int, start: int = START) -> Encoding:
    """Items as ids, `start` first and </s> last, cut at `limit` subwords, these two included. InputError for none."""
    if not items:
        raise InputError("there are no items to encode")
    words = isinstance(items[0], WordItem)
    sides = 1 if words else len(items[0].texts)
    texts = [item.text for item in items] if words else [text for item in items for text in item.texts]
    found = tokenizer(
        texts, add_special_tokens=False, return_offsets_mapping=True, truncation=True, max_length=limit - 2
    )  # fmt: skip
    ids = tuple((start, *row, END) for row in found["input_ids"])
    if not words:
        return Encoding(ids, ((),) * len(ids), tuple(item.label for item in items), sides)
    places = []
    for item, row, offsets in zip(items, found["input_ids"], found["offset_mapping"], strict=True):
        firsts = first_subwords(offsets, item.starts, tokenizer.convert_ids_to_tokens(row))
        places.append(tuple(None if place is None else place + 1 for place in firsts))  # `start` stands before
    return Encoding(ids, tuple(places), tuple(label for item in items for label in item.labels), sides)


def represent(model: Stack, encoding: Encoding, rows: Sequence[int], pooling: str) -> Tensor:
    """The features that a head sees of some items: a word's state at its first subword, (kept words, width); or the
    pooled states of a text, those of a pair side by side, (items, sides x width)."""
    texts = [encoding.ids[row * encoding.sides + side] for row in rows for side in range(encoding.sides)]
    ids = pad([list(text) for text in texts], PAD).to(next(model.parameters()).device)
    states = model.states(ids)
    if any(encoding.places):
        where = [(i, place) for i, row in enumerate(rows) for place in encoding.places[row] if place is not None]
        return states[[i for i, _ in where], [place for _, place in where]]
    return pooled(states, ids, pooling).view(len(rows), -1)


@torch.no_grad()
def features(model: Stack, encoding: Encoding, pooling: str, batch: int = BATCH) -> Tensor:
    """Frozen features of all items in order, computed once, float32."""
    model.eval()
    return in_order(encoding, pooling, batch, lambda rows: represent(model, encoding, rows, pooling))


def in_order(encoding: Encoding, pooling: str, batch: int, compute: Callable[[Sequence[int]], Tensor]) -> Tensor:
    """What `compute` makes of all items, in their order, float32. Items of like length share a batch, but for "sum with
    pads", where company counts: there they stand in order, as released."""
    lengths = lengths_of(encoding)
    n = len(lengths)
    order = list(range(n)) if pooling == "sum with pads" else sorted(range(n), key=lengths.__getitem__)
    groups, parts = encoding.groups, [torch.empty(0)] * n
    for start in range(0, n, batch):
        rows = order[start : start + batch]
        made = compute(rows).float().cpu().split([groups[row] for row in rows])
        for row, part in zip(rows, made, strict=True):
            parts[row] = part
    return torch.cat(parts)


def lengths_of(encoding: Encoding) -> list[int]:
    """How long each item is, in subwords: the longer of a pair's two texts."""
    found = [len(ids) for ids in encoding.ids]
    return [max(found[start : start + encoding.sides]) for start in range(0, len(found), encoding.sides)]


def kept_labels(encoding: Encoding) -> Tensor:
    """Labels of what has features."""
    return torch.tensor(np.asarray(encoding.labels)[encoding.kept])


def scores(encoding: Encoding, guesses: np.ndarray, words: bool) -> dict[str, float]:
    """Metrics of predicted classes of what has features: accuracy and macro-F1 (`evaluation.F1_MACRO`); of words also
    the accuracy with cut words as errors, and the share that was cut."""
    truth = np.asarray(encoding.labels)
    if not words:
        macro = f1_macro(truth, guesses)  # first, as it checks that there is a guess for each label
        return {"accuracy": float((truth == guesses).mean()), "f1_macro": macro}
    every = np.full(len(truth), CUT)
    every[encoding.kept] = guesses
    found = token_scores(truth, every)
    return {
        "accuracy": found.accuracy, "accuracy_all": found.accuracy_all, "f1_macro": found.f1_macro,
        "cut": found.cut / found.words,
    }  # fmt: skip


def probe(
    model: Stack, task: str, sets: dict[str, Encoding], settings: ProbeSettings, seeds: Sequence[int], pooling: str,
    found: dict[str, Tensor] | None = None,
) -> list[dict]:  # fmt: skip
    """Train heads on frozen features of `sets["train"]` and score them on the other sets: a row for each head's seed,
    set and metric. `found`: the features of each set where they are known already."""
    found = found or {name: features(model, encoding, pooling) for name, encoding in sets.items()}
    train = sets["train"]
    held = (found["validation"], kept_labels(sets["validation"])) if settings.patience else None
    try:
        heads = probing.train_heads(found["train"], kept_labels(train), settings, seeds, train.groups, held)
    except Diverged as error:
        raise Diverged(f"{task}: {error}") from None
    rows = []
    for name, encoding in sets.items():
        if name != "train":
            for seed, guesses in zip(seeds, probing.predict(heads, found[name]).numpy(), strict=True):
                rows += _rows(scores(encoding, guesses, TASKS[task].words), name, seed, len(encoding.labels))
    return rows


class Tuned(nn.Module):
    """A model with a head of the same form as in probing, all of it trained."""

    def __init__(self, model: Stack, settings: ProbeSettings, sides: int, seed: int, pooling: str):
        super().__init__()
        heads = probing.Heads(sides * model.settings.width, settings, (seed,))
        self.model, self.pooling, self.dropout = model, pooling, nn.Dropout(settings.dropout)
        self.first, self.second = nn.Parameter(heads.first[0].detach()), nn.Parameter(heads.second[0].detach())
        self.first_bias, self.second_bias = (
            nn.Parameter(bias[0, 0].detach()) for bias in (heads.first_bias, heads.second_bias)
        )

    def forward(self, encoding: Encoding, rows: Sequence[int]) -> Tensor:
        """Logits of some items' labels."""
        hidden = self.dropout(represent(self.model, encoding, rows, self.pooling))
        return gelu(hidden @ self.first + self.first_bias) @ self.second + self.second_bias


def fine_tune(
    model: Stack, task: str, sets: dict[str, Encoding], settings: ProbeSettings, seed: int, pooling: str,
) -> list[dict]:  # fmt: skip
    """Train model and head together at a constant rate (AdamW, no decay) for `settings.epochs`, or until the validation
    loss has not fallen for `settings.patience` of them; score them on the other sets. The model given is changed.

    Batches are of items of like length, but for "sum with pads". All in float32: for models of this size bfloat16 is
    not faster. Diverged, which names task, seed and epoch, as soon as a loss is not finite.
    """
    torch.manual_seed(seed)
    tuned = Tuned(model, settings, sets["train"].sides, seed, pooling)
    rng, lengths = random.Random(seed), lengths_of(sets["train"])
    window = 1 if pooling == "sum with pads" else 10
    optimiser = torch.optim.AdamW(tuned.parameters(), lr=settings.learning_rate, weight_decay=0.0)
    stopping = EarlyStopping([p[None] for p in tuned.parameters()], settings.patience) if settings.patience else None
    about = f"fine-tuning on {task}, seed {seed}, learning rate {settings.learning_rate:g}"
    for epoch in range(1, settings.epochs + 1):
        batches = length_batches(lengths, settings.batch, rng, window)
        _epoch(tuned, optimiser, sets["train"], batches, f"epoch {epoch}", about)
        if stopping:
            lost = finite(validation_loss(tuned, sets["validation"]), "validation loss", f"epoch {epoch}", about)
            if stopping.stop(torch.tensor([lost])):
                break
    if stopping:
        stopping.restore()
    found = []
    for name, encoding in sets.items():
        if name != "train":
            found += _rows(
                scores(encoding, guessed(tuned, encoding), TASKS[task].words), name, seed, len(encoding.labels)
            )
    return found


def _epoch(
    tuned: Tuned, optimiser: torch.optim.Optimizer, train: Encoding, batches: Sequence[Sequence[int]], where: str,
    about: str,
) -> None:  # fmt: skip
    """One pass over batches of training items; `where` and `about` name it when it diverges."""
    tuned.train()
    labels, groups = kept_labels(train), train.groups
    ends = np.cumsum([0, *groups])
    for rows in batches:
        wanted = torch.cat([labels[ends[row] : ends[row + 1]] for row in rows])
        loss = cross_entropy(tuned(train, rows), wanted)
        finite(loss.item(), "loss", where, about)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()


@torch.no_grad()
def logits(tuned: Tuned, encoding: Encoding, batch: int = BATCH) -> Tensor:
    """Logits (n, classes) of all that has features, in order, without dropout. Diverged when they are not finite."""
    tuned.eval()
    found = in_order(encoding, tuned.pooling, batch, lambda rows: tuned(encoding, rows))
    if not torch.isfinite(found).all():
        raise Diverged("the fine-tuned model's logits are not finite: the training diverged; lower the learning rate")
    return found


def guessed(tuned: Tuned, encoding: Encoding, batch: int = BATCH) -> np.ndarray:
    """Predicted classes of all that has features, in order."""
    return logits(tuned, encoding, batch).argmax(-1).numpy()


def validation_loss(tuned: Tuned, encoding: Encoding) -> float:
    """Mean cross-entropy of all that has features."""
    return cross_entropy(logits(tuned, encoding), kept_labels(encoding)).item()


def majority(task: str, sets: dict[str, Encoding], seed: int) -> list[dict]:
    """What the most frequent class of the training labels scores on the other sets: the same metrics, named
    majority_accuracy and majority_f1_macro."""
    most, rows = np.bincount(sets["train"].labels).argmax(), []
    for name, encoding in sets.items():
        if name != "train":
            found = scores(encoding, np.full(int(encoding.kept.sum()), most), TASKS[task].words)
            named = {f"majority_{metric}": found[metric] for metric in ("accuracy", "f1_macro")}
            rows += _rows(named, name, seed, len(encoding.labels))
    return rows


def _rows(values: dict[str, float], name: str, seed: int, n: int) -> list[dict]:
    return [
        {"split": name, "head_seed": seed, "metric": metric, "value": value, "n": n, "n_effective": n}
        for metric, value in values.items()
    ]


def sets_of(
    task: str, code: str, tokenizer, limit: int, sizes: dict[str, int], start: int = START
) -> dict[str, Encoding]:  # fmt: skip
    """The encoded train, validation and test items of a task and language, in these sizes."""
    found = {split: downstream.items(task, code, split, size) for split, size in sizes.items()}
    return {split: encode(part, tokenizer, limit, start) for split, part in found.items()}
