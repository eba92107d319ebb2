"""Features once are features in every epoch; probing leaves the model alone, fine-tuning does not."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from refusals import refused

from xltlib import objective_runs
from xltlib.downstream import TASKS, items
from xltlib.objective_runs import encode, features, fine_tune, kept_labels, probe, represent, scores, sets_of
from xltlib.objective_training import build_tokenizer
from xltlib.objectives import OBJECTIVES
from xltlib.probing import ProbeSettings
from xltlib.stacks import Stack, StackSettings

SIZES = {"train": 24, "validation": 10, "test": 12}


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    """A small tokenizer of English and Chinese items."""
    lines = [item.text for code in ("en", "zh") for item in items("pos", code, "train", 120)]
    lines += [text for code in ("en", "zh") for item in items("nli", code, "train", 60) for text in item.texts]
    return build_tokenizer(tmp_path_factory.mktemp("tokenizer"), 700, lines)


def made(objective: str, tokenizer) -> Stack:
    torch.manual_seed(0)
    settings = StackSettings(width=16, layers=2, heads=2, vocabulary=len(tokenizer), positions=128, dropout=0.0)
    return Stack(objective, settings).eval()


@pytest.mark.parametrize("task", ["pos", "ner", "nli"])
@pytest.mark.parametrize("objective", ["2-MT", "CLM"])
def test_features_do_not_depend_on_their_batch(task, objective, tokenizer):
    model, encoding = made(objective, tokenizer), encode(items(task, "en", "train", 20), tokenizer, 64)
    one, other = (features(model, encoding, "mean", batch) for batch in (3, 20))
    assert torch.allclose(one, other, atol=1e-5)
    width = model.settings.width * encoding.sides
    assert one.shape == (len(kept_labels(encoding)), width) and one.dtype == torch.float32


def test_released_pooling_depends_on_its_batch(tokenizer):
    model, encoding = made("MLM", tokenizer), encode(items("nli", "en", "train", 20), tokenizer, 64)
    one, other = (features(model, encoding, "sum with pads", batch) for batch in (3, 20))
    assert not torch.allclose(one, other, atol=1e-3)


def test_a_words_feature_is_the_state_of_its_first_subword(tokenizer):
    model, found = made("MLM", tokenizer), items("pos", "en", "train", 6)
    encoding = encode(found, tokenizer, 64)
    every = features(model, encoding, "mean")
    start = sum(encoding.groups[:4])
    with torch.no_grad():
        states = model.states(torch.tensor([encoding.ids[4]]))[0]
    for i, place in enumerate(encoding.places[4]):
        assert torch.allclose(every[start + i], states[place], atol=1e-5)
    tokens = tokenizer.convert_ids_to_tokens(list(encoding.ids[4]))
    words = [tokens[place].lstrip("▁").lower() for place in encoding.places[4]]
    text = found[4].text.lower()
    assert all(text[s:].startswith(word) for s, word in zip(found[4].starts, words, strict=True))


def test_cut_words_have_no_feature_and_count_as_errors_in_one_accuracy(tokenizer):
    encoding = encode(items("pos", "en", "train", 8), tokenizer, 8)
    assert not encoding.kept.all() and encoding.kept.any() and sum(encoding.groups) == encoding.kept.sum()
    found = scores(encoding, kept_labels(encoding).numpy(), words=True)
    assert found["accuracy"] == found["f1_macro"] == 1.0
    assert found["accuracy_all"] == pytest.approx(1 - found["cut"]) and 0 < found["cut"] < 1


@pytest.mark.parametrize(("task", "code"), [("pos", "zh"), ("nli", "en")])
def test_probing_trains_heads_and_nothing_else(task, code, tokenizer):
    model = made("2-LM", tokenizer)
    before = [p.clone() for p in model.parameters()]
    sets = sets_of(task, code, tokenizer, 64, SIZES)
    settings = ProbeSettings(len(TASKS[task].classes), epochs=2, batch=8, learning_rate=1e-2)
    rows = probe(model, task, sets, settings, (0, 1, 2), "mean")
    assert all(torch.equal(p, q) for p, q in zip(before, model.parameters(), strict=True))
    seeds = {(row["split"], row["head_seed"]) for row in rows}
    assert seeds == set(itertools.product(("validation", "test"), (0, 1, 2)))
    assert all(np.isfinite(row["value"]) and 0 <= row["value"] <= 1 for row in rows)
    alone = probe(model, task, sets, settings, (1,), "mean")
    assert alone == [row for row in rows if row["head_seed"] == 1]


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_fine_tuning_changes_the_model_and_is_the_same_twice(objective, tokenizer):
    sets = sets_of("pos", "en", tokenizer, 64, SIZES)
    settings = ProbeSettings(len(TASKS["pos"].classes), epochs=1, batch=8, learning_rate=1e-2)
    runs = []
    for _ in range(2):
        model = made(objective, tokenizer)
        before = model.shared.weight.clone()
        runs.append(fine_tune(model, "pos", sets, settings, 0, "mean"))
        assert not torch.equal(before, model.shared.weight)
    assert runs[0] == runs[1]


@pytest.mark.parametrize("task", ["pos", "nli"])
def test_logits_are_those_of_items_one_by_one_in_order(task, tokenizer):
    encoding = sets_of(task, "en", tokenizer, 64, SIZES)["test"]
    settings = ProbeSettings(len(TASKS[task].classes))
    tuned = objective_runs.Tuned(made("MLM", tokenizer), settings, encoding.sides, 0, "mean").eval()
    together = objective_runs.logits(tuned, encoding, batch=7)
    with torch.no_grad():
        alone = torch.cat([tuned(encoding, [row]) for row in range(len(encoding.ids) // encoding.sides)])
    assert torch.allclose(together, alone, atol=1e-5)


def test_an_epoch_sees_every_item_once_beside_items_of_like_length(tokenizer, monkeypatch):
    encoding, seen = sets_of("pos", "en", tokenizer, 64, SIZES)["train"], []
    forward = objective_runs.Tuned.forward
    monkeypatch.setattr(objective_runs.Tuned, "forward", lambda t, e, rows: seen.append(rows) or forward(t, e, rows))
    settings = ProbeSettings(len(TASKS["pos"].classes), epochs=1, batch=4)
    fine_tune(made("CLM", tokenizer), "pos", {"train": encoding}, settings, 0, "mean")
    assert sorted(row for rows in seen for row in rows) == list(range(len(encoding.ids)))
    lengths = objective_runs.lengths_of(encoding)
    assert all(list(rows) == sorted(rows, key=lengths.__getitem__) for rows in seen)
    apart = sum(max(lengths[row] for row in rows) - min(lengths[row] for row in rows) for rows in seen)
    assert apart < sum(max(lengths[i : i + 4]) - min(lengths[i : i + 4]) for i in range(0, len(lengths), 4))


@pytest.mark.parametrize("mode", ["probing", "fine-tuning"])
def test_early_stopping_ends_with_the_best_epoch(mode, tokenizer):
    """Validation labels are wrong on purpose, so that more training makes validation worse."""
    sets = sets_of("nli", "en", tokenizer, 64, SIZES)
    wrong = tuple((label + 1) % 3 for label in sets["train"].labels[:10])
    sets["validation"] = replace(sets["train"], ids=sets["train"].ids[:20], places=((),) * 20, labels=wrong)
    long = ProbeSettings(3, epochs=12, batch=8, learning_rate=1e-2)

    def scored(settings):
        if mode == "probing":
            return probe(made("MLM", tokenizer), "nli", sets, settings, (0,), "mean")
        return fine_tune(made("MLM", tokenizer), "nli", sets, settings, 0, "mean")

    stopped = scored(replace(long, patience=2))
    epochs = [scored(replace(long, epochs=n)) for n in range(1, 12)]
    assert stopped != scored(long) and stopped in epochs


def test_known_features_are_not_computed_again(tokenizer, monkeypatch):
    model, sets = made("CLM", tokenizer), sets_of("ner", "en", tokenizer, 64, SIZES)
    settings = ProbeSettings(3, epochs=2, batch=8, learning_rate=1e-2)
    expected = probe(model, "ner", sets, settings, (0, 1), "mean")
    found = {name: features(model, part, "mean") for name, part in sets_of("pos", "en", tokenizer, 64, SIZES).items()}
    monkeypatch.setattr(objective_runs, "features", None)
    assert probe(model, "ner", sets, settings, (0, 1), "mean", found) == expected  # both tasks have the same texts


def test_the_tuned_head_begins_as_the_probing_head(tokenizer):
    model, encoding = made("CLM", tokenizer), encode(items("nli", "en", "train", 6), tokenizer, 64)
    settings = replace(ProbeSettings(3), dropout=0.0)
    tuned = objective_runs.Tuned(model, settings, 2, 5, "mean").eval()
    heads = objective_runs.probing.Heads(2 * model.settings.width, settings, (5,))
    with torch.no_grad():
        expected = heads(represent(model, encoding, range(6), "mean"))[0]
        assert torch.allclose(tuned(encoding, range(6)), expected, atol=1e-6)


def test_no_items_are_refused(tokenizer):
    refused(lambda: encode([], tokenizer, 64), "no items")
