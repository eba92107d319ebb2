"""The experiment on real data: with made-up tweets always, with the real files and Apertium where they are."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest

from xltlib import comparison, tweets
from xltlib.corpora import fetch, files
from xltlib.errors import InputError
from xltlib.scales import ROOT
from xltlib.store import REFERENCE, Store, reference, stale

REAL = ROOT.parent / "shared" / "realdata" / "umsab"
needs_real = pytest.mark.skipif(
    not REAL.exists() or not shutil.which("apertium"),
    reason="the real UMSAB files are not beside this repository, or Apertium is not installed",
)
WORDS = {
    "en": (("awful", "sad", "broken"), ("table", "monday", "street"), ("lovely", "great", "happy")),
    "es": (("horrible", "triste", "roto"), ("mesa", "lunes", "calle"), ("bonito", "genial", "feliz")),
    "fr": (("affreux", "morne", "abîmé"), ("meuble", "lundi", "rue"), ("joli", "super", "ravi")),
}


class WordForWord:
    """A translator of the made-up tweets that counts the texts it is handed."""

    def __init__(self):
        self.count = 0

    def signature(self, source, target):
        return f"src:{source}|tgt:{target}|engine:words|v:1"

    def translate(self, texts, source, target):
        self.count += len(texts)
        pairs = [zip(a, b, strict=True) for a, b in zip(WORDS[source], WORDS[target], strict=True)]
        table = {a: b for words in pairs for a, b in words}
        return [" ".join(table.get(word, word) for word in text.split()) for text in texts]


@pytest.fixture
def made_up(tmp_path, monkeypatch):
    """(folder, translator): made-up UMSAB files, and one French training tweet that is a test tweet."""
    for code, name in files.UMSAB.items():
        folder = tmp_path / "umsab" / name
        folder.mkdir(parents=True)
        for start, (split, per_class) in enumerate((("train", 12), ("val", 4), ("test", 10))):
            labels = [i % 3 for i in range(3 * per_class)]
            lines = [
                f"{WORDS[code][c][i % 3]} {WORDS[code][c][i % 2]} {1000 * start + i}" for i, c in enumerate(labels)
            ]
            if (code, split) == ("fr", "train"):
                lines[0] = f"{WORDS['fr'][0][0]} {WORDS['fr'][0][0]} 2000"
            (folder / f"{split}_text.txt").write_text("\n".join(lines), encoding="utf-8")
            (folder / f"{split}_labels.txt").write_text("\n".join(map(str, labels)), encoding="utf-8")
    translator = WordForWord()
    monkeypatch.setattr(tweets, "translator", lambda engine: translator)
    return tmp_path / "umsab", translator


def small_specs(folder, **changes):
    return tweets.specs(**{"folder": folder, "seeds": 2, "per_class": 8, "engine": "words"} | changes)


def accuracy(records) -> pd.Series:
    rows = [
        (r.spec.method, r.spec.settings["target"], m["value"])
        for r in records
        for m in r.metrics
        if m["metric"] == "accuracy"
    ]
    return pd.DataFrame(rows, columns=["method", "target", "value"]).groupby(["method", "target"])["value"].mean()


def test_views_say_what_is_translated():
    train, test = (("en", "fr"), ("fr", None)), (("en", None), ("fr", "en"))
    assert tweets.views("translate-all", "fr") == [train, test]
    assert tweets.views("zero-shot", "fr") == [(("en", None), ("fr", None))]
    assert tweets.views("original", "fr") == [(("fr", None), ("fr", None))]


def test_grid_of_made_up_tweets(made_up, tmp_path):
    folder, translator = made_up
    specs = small_specs(folder)
    assert len(specs) == len(set(specs)) == 2 * 2 * 5
    store = Store(tmp_path / "records")
    records = tweets.grid(store, specs, folder=folder)
    scores = accuracy(records)
    for target in ("es", "fr"):
        assert scores["zero-shot", target] < 0.6
        for method in ("translate-train", "translate-test", "translate-all", "original"):
            assert scores[method, target] > 0.9, method
    once = 2 * (3 * 12 + 3 * 4) + 2 * 3 * 10  # training and validation into two languages, two test sets into English
    assert translator.count == once
    assert tweets.grid(store, specs, folder=folder) == records and translator.count == once


def test_records_hold_no_text(made_up, tmp_path):
    folder, _ = made_up
    store = Store(tmp_path / "records")
    record = tweets.grid(
        store, small_specs(folder, seeds=1, targets=["fr"], methods=["translate-test"]), folder=folder
    )[0]
    assert list(record.predictions) == ["language", "index", "label", "p0", "p1", "p2"]
    assert len(record.predictions) == 30
    content = store.path(record.spec).read_text(encoding="utf-8")
    assert not any(word in content for group in WORDS["fr"] for word in group)
    assert record.info["also_in_test"] == {"train": 1, "validation": 0}
    metrics = {m["metric"]: m for m in record.metrics}
    assert {"f1_macro", "accuracy"} < set(metrics) and metrics["accuracy"]["n"] == 30


def test_translate_all_is_the_mean_of_both(made_up):
    folder, _ = made_up
    methods = ("translate-train", "translate-test", "translate-all")
    specs = small_specs(folder, seeds=1, targets=["es"], methods=methods)
    columns = ["p0", "p1", "p2"]
    train, test, both = (tweets.run(s, folder).predictions[columns].to_numpy(float) for s in specs)
    np.testing.assert_allclose(both, (train + test) / 2, atol=2e-3)  # stored as float16


def test_test_texts_are_not_trained_on(made_up):
    folder, _ = made_up
    test = {e.text for e in tweets.examples(str(folder), "fr", "test")}
    train = tweets.examples(str(folder), "fr", "train")
    assert len(train) == 35 and not test & {e.text for e in train}


def test_seeds_draw_balanced_subsets_alike_for_every_method():
    labels = [i % 3 for i in range(60)]
    first, again, other = (tweets.subset(labels, 7, seed) for seed in (0, 0, 1))
    assert first == again != other and first == sorted(set(first))
    assert [sum(labels[i] == c for i in first) for c in range(3)] == [7, 7, 7]
    with pytest.raises(InputError, match="class 0 has 20 training texts"):
        tweets.subset(labels, 21, 0)


def test_the_encoder_runs_and_repeats(made_up):
    folder, _ = made_up
    spec = small_specs(folder, classifier="encoder", seeds=1, targets=["es"], methods=["translate-train"])[0]
    first = tweets.run(spec, folder)
    tweets.model.cache_clear()
    assert first.predictions.equals(tweets.run(spec, folder).predictions)


def test_methods_without_translation_need_no_translator(made_up, monkeypatch):
    def missing(engine):
        raise InputError("Apertium is not installed")

    folder, _ = made_up
    monkeypatch.setattr(tweets, "translator", missing)
    specs = small_specs(folder, methods=("zero-shot", "original"))
    tweets.prepare(specs, folder)
    assert tweets.run(specs[0], folder).metrics
    with pytest.raises(InputError, match="Apertium"):
        small_specs(folder)


def test_mistakes_are_one_line(made_up):
    folder, _ = made_up
    spec = small_specs(folder)[0]
    path = folder / "spanish" / "val_text.txt"
    path.write_text(path.read_text(encoding="utf-8") + " changed", encoding="utf-8")
    for call, words in (
        (lambda: tweets.run(spec, folder), spec.corpus),
        (lambda: small_specs(folder, classifier="forest"), "tfidf, encoder"),
        (lambda: small_specs(folder, targets=["de"]), "es, fr"),
        (lambda: small_specs(folder, methods=["few-shot"]), "zero-shot"),
    ):
        with pytest.raises(InputError) as error:
            call()
        assert words in str(error.value) and "\n" not in str(error.value)


def test_bootstrap_agrees_with_the_metrics_and_sees_no_difference_in_itself():
    from sklearn.metrics import f1_score

    rng = np.random.default_rng(0)
    labels = rng.integers(3, size=300)
    good, bad = (
        np.eye(3)[np.where(rng.random(300) < share, labels, rng.integers(3, size=300))] for share in (0.8, 0.2)
    )
    test = comparison.paired_bootstrap(labels, good, bad, "f1_macro", n=2000)
    scores = [f1_score(labels, p.argmax(1), average="macro") for p in (good, bad)]
    assert test.effect.mean == pytest.approx(scores[0] - scores[1])
    assert 0 < test.effect.low < test.effect.mean < test.effect.high and test.p < 0.01
    same = comparison.paired_bootstrap(labels, good, good, "accuracy", n=200)
    assert same.effect.mean == same.effect.low == same.effect.high == 0 and same.p == 1


def test_bootstrap_agrees_with_drawing_items():
    rng = np.random.default_rng(1)
    labels = rng.integers(3, size=200)
    a, b = (np.eye(3)[np.where(rng.random(200) < share, labels, rng.integers(3, size=200))] for share in (0.6, 0.5))
    test = comparison.paired_bootstrap(labels, a, b, "accuracy", n=4000)
    gain = (a.argmax(1) == labels).astype(int) - (b.argmax(1) == labels)
    effects = gain[rng.integers(200, size=(4000, 200))].mean(1)
    np.testing.assert_allclose([test.effect.low, test.effect.high], np.percentile(effects, [2.5, 97.5]), atol=0.015)


def test_comparisons_and_export(made_up, tmp_path):
    folder, _ = made_up
    store = Store(tmp_path / "records")
    records = tweets.grid(store, small_specs(folder), folder=folder)
    frame = tweets.compare(records)
    assert len(frame) == 2 * len(tweets.PAIRS) * 2
    gain = frame[(frame.method == "translate-train") & (frame.against == "zero-shot") & (frame.metric == "accuracy")]
    assert (gain.low > 0).all() and (gain.n == 30).all() and (gain.seeds == 2).all()
    tweets.export(store, records, tmp_path / "reference")
    metrics = reference("tweets", tmp_path / "reference")
    assert set(metrics["method"]) == set(tweets.METHODS)
    assert not any(word in metrics.to_csv() for group in WORDS["fr"] for word in group)
    pd.testing.assert_frame_equal(reference("tweets.comparisons", tmp_path / "reference"), frame)
    with pytest.raises(InputError, match="same seeds"):
        tweets.compare(records[:-1])


def test_reference_records_are_current():
    if not (REFERENCE / "tweets.parquet").exists():
        pytest.skip("there are no reference records of the tweets yet")
    frame = reference("tweets")
    assert stale(frame, tweets.current()) == []
    assert stale(reference("tweets.comparisons"), tweets.current()) == []
    for row in frame.drop_duplicates("id").itertuples():
        assert json.loads(row.spec)["settings"]["fit"] == tweets.hyperparameters(row.classifier)


@needs_real
def test_real_tweets_and_apertium(tmp_path):
    spec = tweets.specs(folder=REAL, seeds=1, targets=["es"], methods=["translate-test"], per_class=200)[0]
    assert spec.corpus == fetch.pinned("umsab") and "apertium" in spec.settings["translations"][0]
    record = tweets.grid(Store(tmp_path), [spec], folder=REAL)[0]
    value = {m["metric"]: m["value"] for m in record.metrics}
    assert value["majority"] == pytest.approx(1 / 3) and value["f1_macro"] > 0.36
