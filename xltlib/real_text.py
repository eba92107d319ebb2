"""Paper 4's heads on real text without any pretraining: POS on Universal Dependencies, sentiment on ar-res-reviews.

The paper compares objectives by what heads of one form make of its models' features, and shows no floor. Here is one:
the same heads, first subwords, limit and scores, over an encoder that has read nothing but the training texts.

| system | what is trained |
|---|---|
| majority | nothing: the most frequent class of the training set |
| lookup (POS) | the most frequent tag of each word form, lower-cased; unknown words get the most frequent tag |
| tf-idf (sentiment) | logistic regression on the whole texts, see `classical` |
| probing | the head, on frozen features of an encoder with random weights |
| fine-tuning | encoder and head, from random weights; of its epochs the one with the best validation accuracy |

The systems of a run share its split and stand in one record, which holds no text and no text's label. A seed draws
first weights and batches, and where upstream has no split it says which tenth is the test set (`real_items`): the
training sets of such seeds overlap, so an interval over them is too narrow (Bengio and Grandvalet 2004).
"""

import random
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from xltlib import classical, objective_runs, probing, scratch
from xltlib.corpora import review_files, token_files
from xltlib.downstream import CUT, WordItem
from xltlib.errors import InputError, choice
from xltlib.objective_runs import Encoding
from xltlib.probing import ProbeSettings
from xltlib.real_items import (
    LANGUAGE,
    PARALLEL,
    REVIEWS,
    SPLITS,
    TENTHS,
    TREEBANKS,
    Sets,
    fingerprint,
    locate,
    same_letters,
    sets_of,
    text_of,
    words_of,
)
from xltlib.records import naming
from xltlib.stacks import POOLINGS, Stack, StackSettings
from xltlib.store import Result, RunSpec, Store
from xltlib.training import Settings, length_batches, optimise

EXPERIMENT = "real-text"
VERSIONS = {"pos": 2, "sentiment": 1}
"""Version of the method for a task: raise it when a change of code changes results. Second version: a word is read at
the first piece that holds one of its characters."""
CHECKPOINT = "none"  # nothing here is pre-trained
SEEDS = 5
"""Of treebanks with upstream's split; the others have one a tenth."""
MOST = 1000
"""Of each file the first so many sentences or reviews are taken, so that a run stays below a minute."""
LIMITS = (128, 32)
"""Subwords of a text, specials included: the released code's limit, and one that cuts a third of GUM's test words."""
SYSTEMS = ("majority", "lookup", "tf-idf", "probing", "fine-tuning")


@dataclass(frozen=True)
class Fit:
    """Encoder and training; the head is paper 4's. Sizes and rate were chosen for cost; epochs so that the validation
    accuracy of fine-tuning (seed 0; GUM, Chinese PUD, reviews) had stopped rising. No test score chose anything."""

    epochs: int
    batch: int = 16
    learning_rate: float = 1e-3
    width: int = 64
    layers: int = 2
    heads: int = 4


FITS = {"pos": Fit(20), "sentiment": Fit(10)}


def specs(
    folder: Path | str | None = None,
    *,
    data: Sequence[str] = tuple(LANGUAGE),
    seeds: int = TENTHS,
    fit: Fit | None = None,
) -> list[RunSpec]:
    """The runs, seed by seed; `seeds` at most. `folder`: where the files are, see `real_items.locate`."""
    found = []
    for name in data:
        task = "sentiment" if choice(name, LANGUAGE, "data set") == REVIEWS else "pos"
        corpus, shared = fingerprint(name, locate(name, folder)), {"data": name, "most": MOST}
        shared |= {"fit": asdict(fit or FITS[task])} | ({"tfidf": classical.SETTINGS} if name == REVIEWS else {})
        for seed in range(min(seeds, SEEDS if name in TREEBANKS else TENTHS)):
            for settings in conditions(name):
                found.append(RunSpec(EXPERIMENT, task, VERSIONS[task], corpus, CHECKPOINT, seed, shared | settings))
    return sorted(found, key=lambda spec: spec.seed)


def conditions(data: str) -> list[dict]:
    """What a data set is run under: two limits where upstream splits; of reviews three splits, and three poolings."""
    if data != REVIEWS:
        split_by, limits = ("documents", LIMITS[:1]) if data in PARALLEL else ("upstream", LIMITS)
        return [{"split_by": split_by, "limit": limit, "pooling": "first subword"} for limit in limits]
    pairs = [(split_by, "mean") for split_by in SPLITS] + [("texts", pooling) for pooling in POOLINGS[1:]]
    return [{"split_by": split_by, "limit": LIMITS[0], "pooling": pooling} for split_by, pooling in pairs]


def lookup(train: Sequence[WordItem], test: Sequence[WordItem]) -> np.ndarray:
    """The most frequent tag in `train` of each word form of `test`, of equals the lowest; of all words if unknown."""
    counts: dict[str | None, Counter] = defaultdict(Counter)
    for item in train:
        for word, label in zip(words_of(item), item.labels, strict=True):
            counts[word][label] += 1
            counts[None][label] += 1
    best = {word: min(found, key=lambda label, f=found: (-f[label], label)) for word, found in counts.items()}
    return np.array([best.get(word, best[None]) for item in test for word in words_of(item)])


def probe(model: Stack, sets: dict[str, Encoding], settings: ProbeSettings, seed: int, pooling: str) -> np.ndarray:
    """Classes of what has features in the test set, by a head trained on frozen features."""
    train, test = (objective_runs.features(model, sets[name], pooling) for name in ("train", "test"))
    labels, groups = objective_runs.kept_labels(sets["train"]), sets["train"].groups
    return probing.predict(probing.train_heads(train, labels, settings, (seed,), groups), test)[0].numpy()


def fine_tune(model: Stack, sets: dict[str, Encoding], settings: ProbeSettings, seed: int, pooling: str) -> np.ndarray:
    """The same by model and head, trained together at a constant rate; the epoch with the best validation is kept."""
    train, rng = sets["train"], random.Random(seed)
    tuned = objective_runs.Tuned(model, settings, train.sides, seed, pooling)
    labels = objective_runs.kept_labels(train).split(train.groups)
    wanted, lengths = objective_runs.kept_labels(sets["validation"]).numpy(), [len(ids) for ids in train.ids]

    def loss_of(rows: list[int]) -> torch.Tensor:
        return cross_entropy(tuned(train, rows), torch.cat([labels[row] for row in rows]))

    def validate() -> float:
        return float((objective_runs.guessed(tuned.eval(), sets["validation"]) == wanted).mean())

    how, steps = Settings(learning_rate=settings.learning_rate, schedule="constant"), -(-len(lengths) // settings.batch)
    epoch = partial(length_batches, lengths, settings.batch, rng)
    optimise(tuned, how, settings.epochs * steps, epoch, loss_of, validate, f"fine-tuning, seed {seed}")
    return objective_runs.guessed(tuned.eval(), sets["test"])


@naming
def run(spec: RunSpec, folder: Path | str | None = None) -> Result:
    """Train and test all systems on one split. The files in `folder` must be those that the spec names."""
    s, place = spec.settings, locate(spec.settings["data"], folder)
    if fingerprint(s["data"], place) != spec.corpus:
        raise InputError(f"{place}: these files are not {spec.corpus}; take those, or make the records again")
    items = sets_of(s["data"], place, s["split_by"], spec.seed, s["most"])
    tokenizer = scratch.fit_tokenizer([text_of(item) for item in items["train"]])
    sets = {name: objective_runs.encode(part, tokenizer, s["limit"]) for name, part in items.items()}
    guesses = baselines(items, sets, spec.seed) | networks(spec, sets, len(tokenizer))
    about = {"language": LANGUAGE[s["data"]]}
    facts = [("in_train", also_in_train(items)), ("at_limit", sum(len(i) == s["limit"] for i in sets["test"].ids))]
    rows = [{"system": "", "metric": m, "value": v, "n": len(items["test"])} for m, v in facts]
    rows = [row | {"n_effective": row["n"]} for row in rows] + scored(items, sets["test"], guesses)
    return Result([row | about for row in rows])


def baselines(items: Sets, sets: dict[str, Encoding], seed: int) -> dict[str, np.ndarray]:
    """The classes that the baselines guess, one a label of the test set: they read no subwords, and none is cut."""
    labels, n = sets["train"].labels, len(sets["test"].labels)
    found = {"majority": np.full(n, np.bincount(labels).argmax())}
    if isinstance(items["train"][0], WordItem):
        return found | {"lookup": lookup(items["train"], items["test"])}
    train, test = ([text_of(item) for item in items[name]] for name in ("train", "test"))
    return found | {"tf-idf": classical.fit(train, labels, seed)(test).argmax(1)}


def networks(spec: RunSpec, sets: dict[str, Encoding], vocabulary: int) -> dict[str, np.ndarray]:
    """The same of the networks, CUT for what lies beyond the limit. Both start from the same random weights."""
    fit, kept, found = spec.settings["fit"], sets["test"].kept, {}
    classes = len(token_files.UPOS if spec.method == "pos" else review_files.RES1_CLASSES)
    settings = ProbeSettings(classes, fit["epochs"], fit["batch"], fit["learning_rate"])
    size = StackSettings(fit["width"], fit["layers"], fit["heads"], vocabulary, max(LIMITS))
    for name, system in (("probing", probe), ("fine-tuning", fine_tune)):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(spec.seed)
            found[name] = np.full(len(kept), CUT)
            found[name][kept] = system(Stack("MLM", size), sets, settings, spec.seed, spec.settings["pooling"])
    return found


def also_in_train(items: Sets) -> int:
    """How many test texts the training set has too, by `real_items.same_letters`."""
    train = {same_letters(text_of(item)) for item in items["train"]}
    return sum(same_letters(text_of(item)) in train for item in items["test"])


def scored(items: Sets, test: Encoding, guesses: dict[str, np.ndarray]) -> list[dict]:
    """Metric rows of each system's guesses for all labels of the test set; CUT is a word that it did not see.

    As `objective_runs.scores`: accuracy and f1_macro are of what was not cut, for the baselines too; accuracy_all is of
    all words, a cut one being an error of the networks. accuracy_unknown is of the words, not cut, that the training
    set lacks. n: labels; n_effective: sentences, or different texts.
    """
    truth, kept, words = np.array(test.labels), test.kept, isinstance(items["test"][0], WordItem)
    independent = len(items["test"]) if words else len({same_letters(text_of(item)) for item in items["test"]})
    rows = []
    for system, guess in guesses.items():
        values = {m: (v, int(kept.sum())) for m, v in objective_runs.scores(test, guess[kept], words).items()}
        if words:
            right, new = guess == truth, kept & unknown(items)
            values |= {"accuracy_all": (float(right.mean()), len(truth)), "cut": (values["cut"][0], len(truth))}
            values |= {"accuracy_unknown": (float(right[new].mean()), int(new.sum()))} if new.any() else {}
        for metric, (value, n) in values.items():
            about = {"system": system, "metric": metric, "value": value, "n": n}
            rows.append(about | {"n_effective": min(n, independent)})
    return rows


def unknown(items: Sets) -> np.ndarray:
    """Which words of the test set the training set lacks."""
    known = {word for item in items["train"] for word in words_of(item)}
    return np.array([word not in known for item in items["test"] for word in words_of(item)])


def complete(records: Store, jobs: int = 1, folder: Path | str | None = None) -> Path:
    """Run what data/reference/real-text.parquet lacks, and write it; resumable (`Store.complete_reference`)."""
    return records.complete_reference(EXPERIMENT, specs(folder), partial(run, folder=folder and str(folder)), jobs=jobs)


def current() -> dict:
    """What a reference record must name, for `store.stale`; the corpora's hashes are in the specs."""
    return {"checkpoint": CHECKPOINT, "version": VERSIONS}
