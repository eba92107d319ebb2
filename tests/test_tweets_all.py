"""Translate-all on tweets: with made-up ones always, with the real files and Apertium where they are."""

import numpy as np
import pytest
from test_tweets import REAL, WORDS, made_up, needs_real  # noqa: F401

from xltlib import musc, tweets, tweets_all
from xltlib.store import REFERENCE, Store, reference, stale


def test_one_classifier_reads_a_tweet_and_its_translation(made_up, tmp_path, monkeypatch):  # noqa: F811
    folder, _ = made_up
    monkeypatch.setattr(tweets, "PER_CLASS", 8)
    specs = tweets_all.specs(folder=folder, seeds=2, engine="words")
    assert {(s.seed, s.settings["target"]) for s in specs} == {(0, "es"), (0, "fr"), (1, "es"), (1, "fr")}
    records = tweets_all.grid(Store(tmp_path), specs, folder=folder)
    value = {(m["input"], m["metric"]): m["value"] for m in records[0].metrics}
    assert {kind for kind, _ in value} == {*musc.INPUTS, *musc.ENSEMBLES, ""}
    assert value["mean of probabilities", "accuracy"] > 0.9  # word for word, every class has its own words
    assert sum(value["", name] for name in ("blue", "orange", "green", "red")) == 30
    assert tweets_all.run(specs[0], folder).metrics == records[0].metrics


def test_records_hold_no_tweet(made_up, tmp_path, monkeypatch):  # noqa: F811
    folder, _ = made_up
    monkeypatch.setattr(tweets, "PER_CLASS", 8)
    spec = tweets_all.specs(folder=folder, seeds=1, engine="words")[0]
    frame = tweets_all.predictions(spec, folder)
    assert set(frame["input"]) == set(musc.INPUTS) and np.isfinite(frame["p0"].astype(float)).all()
    text = frame.to_csv() + str(tweets_all.run(spec, folder).metrics)
    assert not any(word in text for group in WORDS["es"] for word in group)


def test_reference_records_are_current():
    if not (REFERENCE / "tweets-all.parquet").exists():
        pytest.skip("there are no reference records of translate-all on tweets yet")
    frame = reference("tweets-all")
    assert frame["id"].nunique() == len(tweets.TARGETS) * tweets.SEEDS
    assert stale(frame, tweets_all.current()) == []


@needs_real
def test_real_tweets_and_apertium(tmp_path, monkeypatch):
    monkeypatch.setattr(tweets, "PER_CLASS", 100)
    spec = tweets_all.specs(folder=REAL, seeds=1)[0]
    record = tweets_all.grid(Store(tmp_path), [spec], folder=REAL)[0]
    value = {(m["input"], m["metric"]): m["value"] for m in record.metrics}
    assert value["T_tst", "majority"] == pytest.approx(1 / 3) and value["mean of probabilities", "accuracy"] > 0.36
