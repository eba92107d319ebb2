"""Probing with features computed once and all heads side by side, against a forward pass of the model per epoch.

    python benchmarks/probing.py [--objective MLM] [--items 1000] [--seeds 5] [--epochs 10] [--task pos]

Both train the same heads (the released form: dropout, 256, GELU) on the same frozen model, items, batches and seeds.
The other side does what the released scripts do: for each seed, in each epoch, each batch goes through the model, and
one head learns from it; its batches are padded to their longest text. The model has the size of scale mini and random
weights, which take the same time as trained ones.

The clock is CPU time on one thread; both sides tokenise beforehand. Predictions on other items must be equal, but for
the rounding of states that comes of other company in a batch: at most SLACK of them may differ. Exit 1 when more differ
or the ratio is below FLOOR.
"""

import argparse
import os
import sys
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["TOKENIZERS_PARALLELISM"] = "false"

import tempfile
from pathlib import Path

import torch

from xltlib import downstream, objective_runs, probing
from xltlib.objective_training import ObjectiveRecipe, build_tokenizer
from xltlib.objectives import OBJECTIVES
from xltlib.probing import ProbeSettings
from xltlib.stacks import Stack

FLOOR = 10.0
SLACK = 0.002
LIMIT = 128


class PerEpoch:
    """The other side: features made anew for each batch of each epoch, one seed after the other."""

    def __init__(self, model: Stack, train: objective_runs.Encoding, settings: ProbeSettings):
        self.model, self.train, self.settings = model, train, settings

    def head(self, seed: int) -> probing.Heads:
        """One trained head; the draws are those of `probing.train_heads`."""
        labels, groups = objective_runs.kept_labels(self.train), self.train.groups
        ends = torch.tensor([0, *groups]).cumsum(0)
        draw = torch.Generator().manual_seed(seed + 10**6)
        heads = probing.Heads(self.train.sides * self.model.settings.width, self.settings, (seed,))
        optimiser = torch.optim.AdamW(heads.parameters(), lr=self.settings.learning_rate, weight_decay=0.0)
        for _ in range(self.settings.epochs):
            order = torch.randperm(len(groups), generator=draw).tolist()
            for start in range(0, len(order), self.settings.batch):
                rows = order[start : start + self.settings.batch]
                with torch.no_grad():
                    seen = objective_runs.represent(self.model, self.train, rows, "mean")
                kept = (torch.rand(seen.shape, generator=draw) >= self.settings.dropout) / (1 - self.settings.dropout)
                wanted = torch.cat([labels[ends[row] : ends[row + 1]] for row in rows])
                loss = torch.nn.functional.cross_entropy(heads(seen * kept)[0], wanted)
                optimiser.zero_grad(set_to_none=True)
                loss.backward()
                optimiser.step()
        return heads


def main() -> int:
    """Run the benchmark; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--objective", default="MLM", choices=list(OBJECTIVES))
    parser.add_argument("--task", default="pos", choices=list(downstream.TASKS))
    parser.add_argument("--items", type=int, default=1000)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=10)
    options = parser.parse_args()
    torch.set_num_threads(1)
    train_items = downstream.items(options.task, "en", "train", options.items)
    test_items = downstream.items(options.task, "en", "test", 500)
    with tempfile.TemporaryDirectory() as folder:
        lines = [text for item in train_items for text in ([item.text] if hasattr(item, "text") else item.texts)]
        tokenizer = build_tokenizer(Path(folder), 2000, lines)
    torch.manual_seed(0)
    model = Stack(options.objective, ObjectiveRecipe(options.objective, vocabulary=len(tokenizer)).settings).eval()
    train, test = (objective_runs.encode(found, tokenizer, LIMIT) for found in (train_items, test_items))
    settings = ProbeSettings(len(downstream.TASKS[options.task].classes), options.epochs, learning_rate=1e-3)
    seeds = tuple(range(options.seeds))

    start = time.process_time()
    once = objective_runs.features(model, train, "mean")
    heads = probing.train_heads(once, objective_runs.kept_labels(train), settings, seeds, train.groups)
    ours = time.process_time() - start
    start = time.process_time()
    others = [PerEpoch(model, train, settings).head(seed) for seed in seeds]
    theirs = time.process_time() - start

    seen = objective_runs.features(model, test, "mean")
    first = probing.predict(heads, seen)
    second = torch.cat([probing.predict(other, seen) for other in others])
    different = (first != second).float().mean().item()
    print(f"{options.objective}, {options.task}: {len(train_items)} items, {len(seeds)} seeds, {options.epochs} epochs")
    print(f"features once: {ours:.1f} s CPU; a forward pass per epoch: {theirs:.1f} s CPU")
    print(f"predictions that differ: {different:.4f} of {first.numel()} (at most {SLACK})")
    print(f"ratio: {theirs / ours:.2f} (floor {FLOOR})")
    return int(different > SLACK or theirs / ours < FLOOR)


if __name__ == "__main__":
    sys.exit(main())
