"""Our training loop against the Hugging Face Trainer on the same model, data and number of steps; examples a second.

    python benchmarks/finetuning.py [--rounds 3] [--epochs 5] [--size 600]

All train the upper half of mini-mbert and a linear head on English reviews, from the texts: tokenising is in the time,
and so is computing the frozen layers' output, which our loop does once and the Trainer in each step. Head, frozen
layers, optimiser and schedule are the same. Three contestants, interleaved:

- xltlib: our loop, texts of like length in one batch.
- Trainer: shuffled batches, as it makes them by itself, padded to the longest text of the batch.
- Trainer, our batches: the same batches in the same order. It must learn what our loop learns (see TOLERANCES), and
  shows how much of the gain is the frozen features' and how much the batches' (the Trainer's group_by_length is
  similar).

The time is processor time of one thread, so that other programs count less; wall time stands beside it. The target is
for the Trainer as it is. Exit 1 when results differ or the ratio is below TARGET.
"""

import argparse
import os
import random
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from functools import partial

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["TOKENIZERS_PARALLELISM"] = "false"

import numpy as np
import torch
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader
from transformers import PrinterCallback, Trainer, TrainingArguments
from transformers.utils import logging

from xltlib import otc, training
from xltlib.models import Classifier, HeadSettings, load_encoder, load_tokenizer
from xltlib.scales import MINI
from xltlib.training import Row, Settings

TARGET = 1.5
LAST = 20
TOLERANCES = {"loss": 0.02, "accuracy": 0.01, "same predictions": 0.95}
"""Our features are rounded to half precision, so runs drift apart a little: mean loss of the last 20 steps and test
accuracy may differ by so much, and so large a share of the test predictions must be the same."""


@dataclass
class Run:
    """What one training took and gave."""

    cpu: float
    wall: float
    losses: list[float]
    predictions: np.ndarray


class Clock:
    """Processor and wall time of a block."""

    def __enter__(self):
        self.start = time.process_time(), time.perf_counter()
        return self

    def __exit__(self, *_):
        self.cpu, self.wall = time.process_time() - self.start[0], time.perf_counter() - self.start[1]


def new_classifier(frozen: int) -> Classifier:
    """The scale's encoder and a head with the same first weights in each run; no dropout, so that runs can be
    compared."""
    encoder = load_encoder(MINI.encoder)
    torch.manual_seed(0)
    return Classifier(encoder, HeadSettings(pooling=MINI.pooling, frozen_layers=frozen, dropout=0.0))


def ours(train: otc.Labelled, test: otc.Labelled, settings: Settings) -> Run:
    """xltlib.training: frozen features once, nothing kept from earlier runs."""
    tokenizer, model = load_tokenizer(MINI.encoder), new_classifier(MINI.frozen_layers)
    groups = [(Row(text, label, "en"),) for text, label in zip(train.texts, train.labels, strict=True)]
    with Clock() as clock:
        data = training.as_data(groups, training.encode(train.texts, tokenizer, model))
        losses = training.train(model, data, settings, seed=0)
    guesses = training.predict(model, training.encode(test.texts, tokenizer, model)).argmax(1)
    return Run(clock.cpu, clock.wall, losses, guesses)


class Whole(torch.nn.Module):
    """The same classifier as the Trainer takes it: token ids in, loss and logits out, lower layers frozen but
    computed."""

    def __init__(self):
        super().__init__()
        self.classifier = new_classifier(0)
        encoder = self.classifier.encoder
        for module in (encoder.embeddings, *encoder.encoder.layer[: MINI.frozen_layers]):
            module.requires_grad_(False)

    def forward(self, input_ids, attention_mask, labels=None):
        logits = self.classifier(input_ids, attention_mask)[0]
        return {"logits": logits} if labels is None else {"loss": cross_entropy(logits, labels), "logits": logits}


class SameBatches(Trainer):
    """The Trainer on a list of batches, with each step's loss kept."""

    def __init__(self, *arguments, batches, **options):
        super().__init__(*arguments, **options)
        self.batches, self.losses = batches, []

    def get_train_dataloader(self):
        return DataLoader(self.train_dataset, batch_sampler=self.batches, collate_fn=self.data_collator)

    def compute_loss(self, model, inputs, return_outputs=False, **_):
        loss = model(**inputs)["loss"]
        self.losses.append(loss.item())
        return loss


def collate(rows: list[dict]) -> dict[str, torch.Tensor]:
    """Pad to the longest of the batch."""
    ids = [torch.tensor(row["input_ids"]) for row in rows]
    padded = torch.nn.utils.rnn.pad_sequence(ids, batch_first=True)
    mask = torch.nn.utils.rnn.pad_sequence([torch.ones_like(i) for i in ids], batch_first=True)
    return {"input_ids": padded, "attention_mask": mask, "labels": torch.tensor([row["label"] for row in rows])}


def by_length(lengths: list[int], settings: Settings) -> list[list[int]]:
    """The batches that our loop draws with seed 0, over all epochs."""
    rng = random.Random(0)
    return [b for _ in range(settings.epochs) for b in training.length_batches(lengths, settings.batch, rng)]


def schedule(steps: int, warmup: float):
    """Our loop's learning rate at a step, as a factor."""
    return lambda t: max(0.0, min(1.0, (t + 1) / max(1, warmup * steps), (steps - t) / (steps * (1 - warmup))))


def shuffled(lengths: list[int], settings: Settings) -> list[list[int]]:
    """Batches as the Trainer's random sampler makes them, over all epochs."""
    rng, batches = random.Random(0), []
    for _ in range(settings.epochs):
        order = rng.sample(range(len(lengths)), len(lengths))
        batches += [order[i : i + settings.batch] for i in range(0, len(order), settings.batch)]
    return batches


def trainer(train: otc.Labelled, test: otc.Labelled, settings: Settings, batches_of=shuffled) -> Run:
    """transformers.Trainer: plain collator, same frozen layers, same AdamW (fused, its default) and schedule."""
    tokenizer, model = load_tokenizer(MINI.encoder), Whole()
    parameters = [p for p in model.parameters() if p.requires_grad]
    rates = {"lr": settings.learning_rate, "weight_decay": settings.weight_decay}
    optimiser = torch.optim.AdamW(parameters, fused=True, **rates)
    options = {"save_strategy": "no", "logging_strategy": "no", "report_to": "none", "disable_tqdm": True}
    with tempfile.TemporaryDirectory() as folder, Clock() as clock:
        ids = tokenizer(list(train.texts), truncation=True, max_length=MINI.max_length)["input_ids"]
        rows = [{"input_ids": i, "label": label} for i, label in zip(ids, train.labels, strict=True)]
        batches = batches_of([len(i) for i in ids], settings)
        rate = torch.optim.lr_scheduler.LambdaLR(optimiser, schedule(len(batches), settings.warmup))
        arguments = TrainingArguments(folder, max_steps=len(batches), max_grad_norm=0.0, use_cpu=True, **options)
        run = SameBatches(
            model, arguments, data_collator=collate, train_dataset=rows, optimizers=(optimiser, rate), batches=batches
        )
        run.remove_callback(PrinterCallback)
        run.train()
    guesses = training.predict(model.classifier, training.encode(test.texts, tokenizer, model.classifier)).argmax(1)
    return Run(clock.cpu, clock.wall, run.losses, guesses)


def differences(a: Run, b: Run, labels: np.ndarray) -> list[str]:
    """What lies outside the tolerances, and a line that says how near the two runs are."""
    loss = abs(statistics.fmean(a.losses[-LAST:]) - statistics.fmean(b.losses[-LAST:]))
    accuracy = abs((a.predictions == labels).mean() - (b.predictions == labels).mean())
    same = (a.predictions == b.predictions).mean()
    scores = f"{(a.predictions == labels).mean():.3f} and {(b.predictions == labels).mean():.3f}"
    print(
        f"loss of the last {LAST} steps differs by {loss:.4f}; accuracy {scores}; "
        f"{same:.1%} of predictions are the same"
    )
    outside = {
        "numbers of steps": len(a.losses) != len(b.losses),
        "losses": loss > TOLERANCES["loss"],
        "accuracies": accuracy > TOLERANCES["accuracy"],
        "predictions": same < TOLERANCES["same predictions"],
    }
    return [what for what, wrong in outside.items() if wrong]


CONTESTANTS = {"xltlib": ours, "Trainer": trainer, "Trainer, our batches": partial(trainer, batches_of=by_length)}


def ratio(runs: dict[str, list[Run]], name: str) -> float:
    """Examples/s of xltlib over another's: the median over rounds. Steps and examples are the same."""
    ratios = [b.cpu / a.cpu for a, b in zip(runs["xltlib"], runs[name], strict=True)]
    median = statistics.median(ratios)
    print(f"examples/s, xltlib over {name}: {' '.join(f'{r:.2f}' for r in ratios)}, median {median:.2f}")
    return median


def main() -> int:
    """Measure, compare, and print the ratio last."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=3, help="runs of each, interleaved (3)")
    parser.add_argument("--epochs", type=int, default=MINI.epochs)
    parser.add_argument("--size", type=int, default=MINI.train_size, help="training texts")
    options = parser.parse_args()
    torch.set_num_threads(1)
    logging.set_verbosity_error()
    train, test = (otc.data_of(MINI, "en", split) for split in ("train", "test"))
    train = train.first(options.size)
    settings = Settings(epochs=options.epochs, batch=MINI.batch, learning_rate=MINI.learning_rate)
    for run in CONTESTANTS.values():  # first calls import and allocate
        run(train.first(64), test.first(8), Settings(epochs=1, batch=MINI.batch))
    runs: dict[str, list[Run]] = {name: [] for name in CONTESTANTS}
    for number in range(options.rounds):
        for name in sorted(CONTESTANTS, reverse=number % 2 == 1):
            run = CONTESTANTS[name](train, test, settings)
            runs[name].append(run)
            speed = len(train) * options.epochs / run.cpu
            times = f"{run.cpu:6.2f} s processor, {run.wall:6.2f} s wall"
            print(f"round {number + 1} {name:21} {times}, {speed:5.0f} examples/s", flush=True)
    wrong = differences(runs["xltlib"][0], runs["Trainer, our batches"][0], np.array(test.labels))
    if wrong:
        print(f"results differ: {', '.join(wrong)}")
    ratio(runs, "Trainer, our batches")
    found = ratio(runs, "Trainer")
    print(f"{found:.2f} (target {TARGET})")
    return int(bool(wrong) or found < TARGET)


if __name__ == "__main__":
    sys.exit(main())
