"""Whole runs of paper 2 at tiny sizes, with untrained encoders and a translator that marks."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from models_for_tests import bert_folder, mbert_folder
from test_musc import PLAIN, TRAINING, WITH_MT, marks, spec  # noqa: F401

from xltlib import musc, scales, training
from xltlib.models import load_tokenizer
from xltlib.musc import ENSEMBLES, INPUTS

KINDS = {*INPUTS, *ENSEMBLES}
pytestmark = pytest.mark.usefixtures("marks")


def values(result) -> pd.Series:
    frame = pd.DataFrame(result.metrics)
    assert np.isfinite(frame["value"]).all()
    return frame.set_index(["language", "input", "metric"])["value"]


def inputs_of(result) -> dict[str, set]:
    frame = pd.DataFrame(result.metrics)
    frame = frame[frame["metric"] == "accuracy"]
    return {code: set(part["input"]) for code, part in frame.groupby("language")}


@pytest.mark.parametrize(
    "options",
    [
        {"training_set": PLAIN},
        {"training_set": WITH_MT, "method": "musc"},
        {"training_set": WITH_MT, "method": "musc", "preset_name": "released", "task": "paraphrase"},
    ],
)
def test_a_run_tests_every_language_on_every_input(options):
    result = musc.run(spec(**options))
    assert inputs_of(result) == {"en": {INPUTS[0]}, "de": KINDS, "zh": KINDS}
    found, frame = values(result), result.predictions
    assert found.index.is_unique
    for (language, kind), part in frame.groupby(["language", "input"]):
        p = part.filter(regex=r"^p\d").to_numpy(dtype=float)
        assert len(part) == 12 and part["index"].tolist() == list(range(12))
        np.testing.assert_allclose(p.sum(1), 1, atol=2e-3)  # kept as float16
        best = p[np.arange(12), part["label"].to_numpy()] == p.max(1)  # kept as float16: a tie may be right or wrong
        tied = (p == p.max(1, keepdims=True)).sum(1) > 1
        assert (best & ~tied).mean() <= found[language, kind, "accuracy"] + 1e-9 <= best.mean() + 2e-9
    assert {*frame["input"]} == set(INPUTS)
    assert found["en", "", "steps"] == (4 if options.get("preset_name") else 8)
    assert 0 <= found["en", "", "validation"] <= 1


def test_ensembles_are_made_of_the_two_inputs():
    result = musc.run(spec(WITH_MT))
    found, frame = values(result), result.predictions.set_index(["language", "input"])
    for code in ("de", "zh"):
        p, q = (frame.loc[(code, kind)].filter(regex=r"^p\d").to_numpy(dtype=float) for kind in INPUTS)
        labels = frame.loc[(code, INPUTS[0])]["label"].to_numpy()
        assert (labels == frame.loc[(code, INPUTS[1])]["label"].to_numpy()).all()
        for name, mixed in zip(ENSEMBLES, (p + q, p * q), strict=True):
            assert found[code, name, "accuracy"] == pytest.approx((mixed.argmax(1) == labels).mean())


def test_same_seed_same_numbers_whatever_was_drawn_before():
    first = musc.run(spec(WITH_MT, method="musc"))
    torch.rand(5)
    second, other = musc.run(spec(WITH_MT, method="musc")), musc.run(spec(WITH_MT, method="musc", seed=1))
    assert first.metrics == second.metrics and first.predictions.equals(second.predictions)
    assert not first.predictions.equals(other.predictions)


def test_the_audit_adds_each_epochs_test_accuracy_and_changes_nothing_else():
    plain, audit = values(musc.run(spec(WITH_MT))), values(musc.run(spec(WITH_MT, audit=True)))
    added = {("en", "", f"{name} after epoch {i}") for name in ("validation", "test") for i in (1, 2)}
    assert set(audit.index) - set(plain.index) == added
    assert audit[plain.index].equals(plain)
    by_epoch = [audit["en", "", f"validation after epoch {i}"] for i in (1, 2)]
    assert audit["en", "", "validation"] == max(by_epoch)
    kept = 1 + by_epoch.index(max(by_epoch))
    selected = np.mean([plain[code, INPUTS[0], "accuracy"] for code in ("en", "de", "zh")])
    assert audit["en", "", f"test after epoch {kept}"] == pytest.approx(selected)


def test_the_english_encoder_reads_english_alone(monkeypatch):
    read, honest = [], training.encode
    monkeypatch.setattr(training, "encode", lambda texts, *a, **k: (read.extend(texts), honest(texts, *a, **k))[1])
    result = musc.run(spec(PLAIN, encoder="english"))
    assert inputs_of(result) == {"en": {INPUTS[0]}, "de": {INPUTS[1]}, "zh": {INPUTS[1]}}
    for code in ("de", "zh"):
        originals = set(musc.target_items(spec().settings, code, "test").texts)
        assert not originals & set(read) and {f"{code}>en {text}" for text in originals} <= set(read)


@pytest.mark.parametrize("name", TRAINING)
def test_training_and_selection_read_no_test_text(name, monkeypatch):
    """Everything up to the end of training is made of training and validation items."""
    seen, honest = [], musc.train_pairs
    read = lambda s, code, split, call: (seen.append((code, split)), call(s, code, split))[1]  # noqa: E731
    target = musc.target_items
    monkeypatch.setattr(musc, "target_items", lambda s, code, split: read(s, code, split, target))
    monkeypatch.setattr(musc, "train_pairs", lambda *a: (seen.append("trained"), honest(*a))[1])
    musc.run(spec(name))
    before = set(seen[: seen.index("trained")])
    originals = {(code, split) for code in ("de", "zh") for split in ("train", "validation")}
    assert before == (originals if name in TRAINING[2:] else set())


@pytest.mark.parametrize("name", TRAINING)
def test_the_checkpoint_is_selected_on_the_same_kind_of_text(name, monkeypatch):
    kept, honest, run_spec = [], musc.train_pairs, spec(name)
    monkeypatch.setattr(musc, "train_pairs", lambda model, *a: (kept.append(model), honest(model, *a))[1])
    found = values(musc.run(run_spec))["en", "", "validation"]
    encode = musc.encoder_of(kept[0], run_spec.settings, scales.MUSC_SCALES["smoke"])
    held_out = musc.pair_data(run_spec.settings, "validation", encode)
    right = training.predict(kept[0], held_out.encoded).argmax(1) == held_out.labels.numpy()
    assert len(right) == (8 if name == PLAIN else 24) and found == pytest.approx(right.mean())


@pytest.mark.parametrize(("task", "typed"), [("topics", False), ("paraphrase", True)])
def test_encoders_with_token_types_get_them_for_pairs(monkeypatch, task, typed):
    about = {"encoder": str(mbert_folder()), "segments": True, "pooling": "cls", "frozen_layers": 0, "epochs": 1}
    at = replace(scales.MUSC_SCALES["smoke"], **about)
    monkeypatch.setitem(scales.MUSC_SCALES, "smoke", at)
    model = musc.classifier(spec(task=task).settings, at)
    assert model.settings.separator == (load_tokenizer(at.encoder).sep_token_id if typed else None)
    assert model.settings.classes == len(musc.tasks.task(task).classes)
    assert model.projector[0].in_features == model.head.in_features == 32
    assert inputs_of(musc.run(spec(WITH_MT, task=task, method="musc")))["de"] == KINDS


def test_the_encoders_are_the_scales():
    at = scales.MUSC_SCALES["smoke"]
    for name, folder in (("multilingual", bert_folder()), ("english", mbert_folder())):
        model = musc.classifier(spec(encoder=name).settings, at)
        assert model.encoder.config.vocab_size == len(load_tokenizer(str(folder)))
        assert not model.encoder.embeddings.word_embeddings.weight.requires_grad
