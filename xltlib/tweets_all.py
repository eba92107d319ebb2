"""Translate-all on real data: one classifier on English tweets and their translations, tested on a tweet and on its
translation (paper 2, Table 3 and Figure 1), with UMSAB, Apertium and TF-IDF; see `tweets` for the corpus and its rules.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from xltlib import classical, evaluation, musc, tweets
from xltlib.corpora import fetch, files
from xltlib.musc_grid import COLOURS, both_views
from xltlib.records import naming
from xltlib.store import Record, Result, RunSpec, Store

EXPERIMENT = "tweets-all"
VERSION = 1


def specs(*, folder: Path | str | None = None, seeds: int = tweets.SEEDS, engine: str = "apertium") -> list[RunSpec]:
    """One spec a seed and target language."""
    corpus = files.umsab_fingerprint(fetch.locate("umsab", folder))
    shared = {"classifier": "tfidf", "source": tweets.SOURCE, "per_class": tweets.PER_CLASS, "fit": classical.SETTINGS}
    shared |= {"engine": engine}
    return [
        RunSpec(EXPERIMENT, "tfidf", VERSION, corpus, tweets.CHECKPOINT, seed, shared | _directions(target, engine))
        for seed in range(seeds)
        for target in tweets.TARGETS
    ]


def _directions(target: str, engine: str) -> dict:
    pairs = ((tweets.SOURCE, target), (target, tweets.SOURCE))
    return {"target": target, "translations": [tweets.translator(engine).signature(*pair) for pair in pairs]}


def predictions(spec: RunSpec, folder: Path | str | None = None) -> pd.DataFrame:
    """Probabilities of the one classifier on both inputs, as a record of `musc` holds them; texts stay out."""
    place, s = str(fetch.locate("umsab", folder)), spec.settings
    labels = [example.label for example in tweets.examples(place, tweets.SOURCE, "train")]
    chosen = tweets.subset(labels, s["per_class"], spec.seed)
    views = [tweets.texts(place, (tweets.SOURCE, into), "train", s["engine"]) for into in (None, s["target"])]
    texts = [view[i] for view in views for i in chosen]
    predict = classical.fit(texts, 2 * [labels[i] for i in chosen], spec.seed)
    truth = [example.label for example in tweets.examples(place, s["target"], "test")]
    frames = []
    for kind, into in zip(musc.INPUTS, (None, tweets.SOURCE), strict=True):
        probabilities = predict(tweets.texts(place, (s["target"], into), "test", s["engine"]))
        frames.append(evaluation.predictions(truth, probabilities, s["target"]).assign(input=kind))
    return pd.concat(frames, ignore_index=True)


@naming
def run(spec: RunSpec, folder: Path | str | None = None) -> Result:
    """Accuracy on each input and of the ensemble, and how many texts fall into each class of Figure 1."""
    frame = predictions(spec, folder)
    columns = [c for c in frame if c[0] == "p" and c[1:].isdigit()]
    by_input = {kind: frame[frame["input"] == kind] for kind in musc.INPUTS}
    labels = by_input[musc.INPUTS[0]]["label"].to_numpy()
    arrays = {kind: part[columns].to_numpy(dtype=np.float32) for kind, part in by_input.items()}
    arrays |= musc.ensembles(*arrays.values())
    rows = [
        row for kind, array in arrays.items() for row in musc.metrics_of(labels, array, spec.settings["target"], kind)
    ]
    counts = both_views(frame)["class"].value_counts()
    about = {"language": spec.settings["target"], "input": "", "n": len(labels), "n_effective": len(labels)}
    rows += [about | {"metric": name, "value": float(counts.get(name, 0))} for name in COLOURS.values()]
    return Result(rows)


def grid(store: Store, wanted: Sequence[RunSpec], *, folder: Path | str | None = None, jobs: int = 1) -> list[Record]:
    """The records of the specs; what is missing is translated here and run."""
    place = str(fetch.locate("umsab", folder))
    for spec in [spec for spec in wanted if store.find(spec) is None]:
        s = spec.settings
        for view, split in (((s["source"], s["target"]), "train"), ((s["target"], s["source"]), "test")):
            tweets.texts(place, view, split, s["engine"])
    return store.run_grid(wanted, partial(run, folder=folder and str(folder)), jobs=jobs)


def current() -> dict:
    """What a reference record must name, for `store.stale`."""
    return {"corpus": fetch.pinned("umsab"), "checkpoint": tweets.CHECKPOINT, "version": VERSION}
