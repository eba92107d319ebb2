"""MUSC's batches and training: every pair once an epoch, the same batches for every method, same seed same losses."""

import random

import numpy as np
import pytest
import torch
from models_for_tests import bert_folder, encoded, mbert_folder, pair_data, pair_model
from test_musc_loss import LABELS, POSSIBLE, TEXTS, N, data_of, model_of, settings_of
from torch.nn.functional import cross_entropy

from xltlib import musc_training, training
from xltlib.errors import InputError
from xltlib.musc_training import METHODS, PRESETS, PairData, batches, pair_loss, train_pairs
from xltlib.training import Settings


@pytest.mark.parametrize("every_language", [False, True])
def test_an_epoch_has_every_pair_once(every_language):
    data = data_of(model_of())
    steps = batches(data, 5, random.Random(0), every_language)
    seen = [pair for step in steps for batch in step for pair in batch]
    assert sorted(seen) == sorted(data.pairs["de"] + data.pairs["zh"]) and len(set(seen)) == 2 * N
    languages = [
        [{code for code in data.pairs if pair in data.pairs[code]} for pair in b] for step in steps for b in step
    ]
    assert all(len(set.union(*batch)) == 1 for batch in languages)
    if every_language:
        assert len(steps) == 3 and all([batch[0] for batch in languages[i : i + 2]] == [{"de"}, {"zh"}] for i in (0, 2))
    else:
        assert len(steps) == 6 and {len(step) for step in steps} == {1}
    assert max(len(batch) for step in steps for batch in step) == 5


def test_languages_come_in_no_fixed_order_and_seeds_differ():
    data = data_of(model_of())
    orders = [batches(data, 3, random.Random(seed), False) for seed in (0, 0, 1)]
    assert orders[0] == orders[1] != orders[2]
    first = ["de" if batch[0] in data.pairs["de"] else "zh" for (batch,) in orders[0]]
    assert first not in (sorted(first), sorted(first)[::-1])


def recorded(monkeypatch, method, name, seed):
    """The batches of a training, and the alphas it drew."""
    seen, alphas, model = [], [], model_of(frozen_layers=2)
    honest = musc_training.pair_loss

    def watch(model, data, pairs, settings, rng):
        state = rng.getstate()
        loss = honest(model, data, pairs, settings, rng)
        alphas.append(rng.getstate() != state)
        seen.append(list(pairs))
        return loss

    with monkeypatch.context() as patch:
        patch.setattr(musc_training, "pair_loss", watch)
        train_pairs(model, data_of(model), settings_of(method, name), Settings(2, 5, 1e-3), seed)
    return seen, alphas


@pytest.mark.parametrize("name", PRESETS)
def test_every_method_sees_the_same_batches(monkeypatch, name):
    methods = [method for method, preset in POSSIBLE if preset == name]
    runs = {method: recorded(monkeypatch, method, name, 3) for method in methods}
    assert all(seen == runs["ce"][0] for seen, _ in runs.values())
    assert {method for method, (_, drawn) in runs.items() if all(drawn)} == {"mu", "sc+mu", "musc"} & set(methods)
    assert recorded(monkeypatch, "ce", name, 4)[0] != runs["ce"][0]
    half = len(runs["ce"][0]) // 2
    assert runs["ce"][0][:half] != runs["ce"][0][half:]  # a new order each epoch


def trained(seed, method="musc", name="paper", noise=0):
    model = pair_model(mbert_folder())  # it has dropout
    data = pair_data(model, mbert_folder(), TEXTS, LABELS)
    torch.manual_seed(noise)
    random.seed(noise)
    return train_pairs(model, data, settings_of(method, name), Settings(1, 6, 1e-3), seed)


@pytest.mark.parametrize("name", PRESETS)
def test_the_seed_alone_decides(name):
    first, again, other = trained(5, name=name, noise=1), trained(5, name=name, noise=2), trained(6, name=name)
    assert first == again != other
    assert len(first) == (2 if PRESETS[name].every_language else 4)


def test_a_step_over_every_language_is_their_mean():
    model = model_of(dropout=0.0)
    data, settings = data_of(model), settings_of("ce", "released")
    with torch.no_grad():
        each = [pair_loss(model, data, pairs, settings, random.Random(0)).item() for pairs in data.pairs.values()]
    assert train_pairs(model, data, settings, Settings(1, N, 1e-3), 0) == pytest.approx([np.mean(each)])


def test_sources_alone_are_plain_cross_entropy():
    model = model_of(dropout=0.0)
    rows = encoded(model, bert_folder(), TEXTS)
    data = PairData(rows, torch.tensor(LABELS), {"de": [(i,) for i in range(N)]})
    with torch.no_grad():
        expected = cross_entropy(model(*rows.batch(range(N)))[0], torch.tensor(LABELS)).item()
    assert train_pairs(model, data, settings_of("ce"), Settings(1, N, 1e-3), 0) == pytest.approx([expected])
    for method in METHODS[1:]:
        with pytest.raises(InputError, match="needs sources with their targets"):
            train_pairs(model, data, settings_of(method), Settings(1, N), 0)
    with pytest.raises(InputError, match="training set is empty"):
        train_pairs(model, PairData(rows, data.labels, {"de": []}), settings_of("ce"), Settings(), 0)


@pytest.mark.parametrize(("method", "name"), POSSIBLE)
def test_a_toy_set_is_learnt(method, name):
    words = (("good", "great"), ("bad", "poor"))
    texts = [f"{w} {v}" for pair in words for w in pair for v in pair]
    labels = [0] * 4 + [1] * 4
    model = model_of(classes=2, frozen_layers=1)
    data = pair_data(model, bert_folder(), texts, labels)
    losses = train_pairs(model, data, settings_of(method, name), Settings(16, 8, 5e-3), 0)
    quarter = len(losses) // 4
    assert np.mean(losses[-quarter:]) < 0.9 * np.mean(losses[:quarter])
    assert training.predict(model, data.encoded).argmax(1)[:8].tolist() == labels
