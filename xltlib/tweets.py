"""The question of paper 1 on real data: UMSAB tweets, a real translator, and classifiers without pre-trained weights.

For each target language the test set is the target's own. The methods differ in what is translated:

| method | trained on | tested on |
|---|---|---|
| zero-shot | English tweets | target tweets |
| translate-train | English tweets translated into the target | target tweets |
| translate-test | English tweets | target tweets translated into English |
| translate-all | both models above | the mean of translate-train's and translate-test's probabilities, text by text |
| original | target tweets | target tweets |

Training sets have the same size. A seed draws a class-balanced subset of the training tweets (the same English tweets
for every method) and starts the encoder. Records hold probabilities and labels, never a text.
"""

import random
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import pandas as pd

from xltlib import classical, evaluation
from xltlib.comparison import comparisons
from xltlib.corpora import fetch, files
from xltlib.corpora.guards import Example, duplicates, same_text
from xltlib.errors import InputError, choice
from xltlib.records import naming, write_whole
from xltlib.store import REFERENCE, Record, Result, RunSpec, Store

EXPERIMENT = "tweets"
VERSION = 2
"""Version of the method: raise it when a change of code changes results."""
SOURCE, TARGETS, CLASSES = "en", ("es", "fr"), len(files.UMSAB_CLASSES)
METHODS = ("zero-shot", "translate-train", "translate-test", "translate-all", "original")
CLASSIFIERS = ("tfidf", "encoder")
SEEDS, PER_CLASS = 5, 500
CHECKPOINT = "none"  # nothing here is pre-trained
View = tuple[str, str | None]
"""A text's own language, and the language that it is translated into (None: as it is)."""


def views(method: str, target: str) -> list[tuple[View, View]]:
    """(training view, test view) of each model of a method; several models' probabilities are averaged."""
    own = (target, None)
    train, test = ((SOURCE, target), own), ((SOURCE, None), (target, SOURCE))
    table = {
        "zero-shot": [((SOURCE, None), own)],
        "translate-train": [train],
        "translate-test": [test],
        "translate-all": [train, test],
        "original": [(own, own)],
    }
    return table[choice(method, METHODS, "method")]


def hyperparameters(classifier: str) -> dict:
    """The settings of a classifier, for the spec."""
    if classifier == "tfidf":
        return classical.SETTINGS
    from xltlib import scratch

    return scratch.SETTINGS


def specs(
    classifier: str = "tfidf",
    *,
    folder: Path | str | None = None,
    targets: Sequence[str] = TARGETS,
    methods: Sequence[str] = METHODS,
    seeds: int = SEEDS,
    per_class: int = PER_CLASS,
    engine: str = "apertium",
) -> list[RunSpec]:
    """One spec a seed, target and method. `folder`: where UMSAB lies (see `fetch.locate`); `engine`: the translator."""
    choice(classifier, CLASSIFIERS, "classifier")
    corpus = files.umsab_fingerprint(fetch.locate("umsab", folder))
    shared = {"classifier": classifier, "source": SOURCE, "per_class": per_class, "fit": hyperparameters(classifier)}
    return [
        RunSpec(EXPERIMENT, method, VERSION, corpus, CHECKPOINT, seed, shared | translation(method, target, engine))
        for seed in range(seeds)
        for target in (choice(t, TARGETS, "target language") for t in targets)
        for method in methods
    ]


def translation(method: str, target: str, engine: str) -> dict:
    """The settings that say what is translated, with signatures; without translation no engine is asked for."""
    needed = dict.fromkeys(view for pair in views(method, target) for view in pair if view[1])
    signatures = [translator(engine).signature(language, into) for language, into in needed]
    return {"target": target, "engine": engine if needed else None, "translations": signatures}


@lru_cache(maxsize=4)
def translator(engine: str):
    """The translation layer's translator over an engine."""
    from xltlib import translation

    return translation.translator(engine)


@lru_cache(maxsize=32)
def examples(folder: str, language: str, split: str) -> tuple[Example, ...]:
    """A split of UMSAB; training and validation without the texts that the language's test set holds too."""
    found = files.umsab(Path(folder), language, split)
    if split == "test":
        return tuple(found)
    test = {same_text(example.text) for example in examples(folder, language, "test")}
    return tuple(example for example in found if same_text(example.text) not in test)


@lru_cache(maxsize=32)
def texts(folder: str, view: View, split: str, engine: str | None) -> tuple[str, ...]:
    """The texts of a view of a split, translated where the view says so, in the order of `examples`."""
    language, into = view
    own = [example.text for example in examples(folder, language, split)]
    return tuple(translator(engine).translate(own, language, into)) if into else tuple(own)


def subset(labels: Sequence[int], per_class: int, seed: int) -> list[int]:
    """Sorted indices of a random subset with `per_class` items of each class, drawn without replacement."""
    rng, chosen = random.Random(f"{EXPERIMENT}:{seed}"), []
    for label in range(CLASSES):
        members = [i for i, value in enumerate(labels) if value == label]
        if len(members) < per_class:
            raise InputError(f"per_class={per_class}: class {label} has {len(members)} training texts; use no more")
        chosen += rng.sample(members, per_class)
    return sorted(chosen)


@lru_cache(maxsize=8)
def model(folder: str, view: View, seed: int, per_class: int, classifier: str, engine: str | None) -> Callable:
    """The classifier trained on a view of the training set with a seed: a function from texts to probabilities."""
    labels = [example.label for example in examples(folder, view[0], "train")]
    words, chosen = texts(folder, view, "train", engine), subset(labels, per_class, seed)
    training = [words[i] for i in chosen], [labels[i] for i in chosen]
    if classifier == "tfidf":
        return classical.fit(*training, seed)
    from xltlib import scratch

    wanted = [example.label for example in examples(folder, view[0], "validation")]
    return scratch.fit(*training, seed, (texts(folder, view, "validation", engine), wanted))


@naming
def run(spec: RunSpec, folder: Path | str | None = None) -> Result:
    """Train and test one method with one seed. The files in `folder` must be those that the spec names."""
    place, s = str(fetch.locate("umsab", folder)), spec.settings
    if files.umsab_fingerprint(Path(place)) != spec.corpus:
        raise InputError(f"{place}: these files are not {spec.corpus}; get them with: xlt data get umsab")
    parts = []
    for train, test in views(spec.method, s["target"]):
        predict = model(place, train, spec.seed, s["per_class"], s["classifier"], s["engine"] if train[1] else None)
        parts.append(predict(texts(place, test, "test", s["engine"] if test[1] else None)))
    labels = [example.label for example in examples(place, s["target"], "test")]
    probabilities = np.mean(parts, axis=0)
    rows = evaluation.metrics(labels, probabilities, s["target"])
    rows = [row | {"metric": "accuracy"} if row["metric"] == "f1_micro" else row for row in rows]
    info = {"also_in_test": _also_in_test(place, s["target"])}
    return Result(rows, evaluation.predictions(labels, probabilities, s["target"]), info)


def _also_in_test(folder: str, language: str) -> dict[str, int]:
    """How many test texts upstream's training and validation files hold too; these were not trained on."""
    test = examples(folder, language, "test")
    return {s: duplicates(files.umsab(Path(folder), language, s), test) for s in ("train", "validation")}


def prepare(wanted: Iterable[RunSpec], folder: Path | str | None = None) -> None:
    """Translate every text that the specs need, once, into the translation memory, before a grid starts its workers."""
    place = str(fetch.locate("umsab", folder))
    for method, target, engine in dict.fromkeys((s.method, s.settings["target"], s.settings["engine"]) for s in wanted):
        for train, test in views(method, target):
            for view, splits in ((train, ("train", "validation")), (test, ("test",))):
                for split in splits if view[1] else ():
                    texts(place, view, split, engine)


def grid(store: Store, wanted: Sequence[RunSpec], *, folder: Path | str | None = None, jobs: int = 1) -> list[Record]:
    """The records of the specs; what is missing is translated here and run."""
    missing = [spec for spec in wanted if store.find(spec) is None]
    prepare(missing, folder)
    return store.run_grid(wanted, partial(run, folder=folder and str(folder)), jobs=jobs)


PAIRS = (
    *(("translate-train", "zero-shot"), ("translate-test", "zero-shot"), ("translate-all", "zero-shot")),
    *(("translate-all", "translate-train"), ("translate-all", "translate-test"), ("original", "translate-train")),
)


def compare(records: Iterable[Record]) -> pd.DataFrame:
    """The paired bootstraps of PAIRS, per classifier and target language; see `comparison.comparisons`."""
    return comparisons(records, PAIRS, by=("classifier", "target"))


def export(store: Store, records: Sequence[Record], folder: Path = REFERENCE) -> list[Path]:
    """Write the metrics (tweets.parquet) and the bootstraps (tweets.comparisons.parquet) for pages made elsewhere.

    No predictions: with their labels they would pass on a part of the corpus.
    """
    metrics = store.export_reference(EXPERIMENT, Path(folder) / f"{EXPERIMENT}.parquet", records)
    bootstraps = Path(folder) / f"{EXPERIMENT}.comparisons.parquet"
    write_whole(bootstraps, compare(records).to_parquet(compression="zstd", index=False))
    return [metrics, bootstraps]


def current() -> dict:
    """What a reference record must name, for `store.stale`; needs neither the files nor the translator."""
    return {"corpus": fetch.pinned("umsab"), "checkpoint": CHECKPOINT, "version": VERSION}
