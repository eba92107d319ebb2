"""The one training loop: same seed same numbers, features once, the best epoch kept."""

import random

import numpy as np
import pytest
import torch
from models_for_tests import bert_folder, classifier, encoded, labelled, paired_data
from torch.nn.functional import cross_entropy

from xltlib import training
from xltlib.errors import InputError
from xltlib.losses import otc_loss, supcon_loss
from xltlib.training import Row, Settings, as_data, pairs_in

TEXTS, LABELS = labelled()


@pytest.fixture
def tiny_bert():
    return bert_folder()


SETTINGS = Settings(epochs=2, batch=16, learning_rate=5e-3)


def data_of(model, folder, size=40):
    groups = [(Row(t, y, "en"),) for t, y in zip(TEXTS[:size], LABELS, strict=False)]
    return as_data(groups, encoded(model, folder, TEXTS[:size]))


def trained(folder, seed=0, settings=SETTINGS, **options):
    """A classifier after fine-tuning, and its probabilities."""
    model = classifier(folder, seed, frozen_layers=2, **options)
    losses = training.train(model, data_of(model, folder), settings, seed)
    return model, losses, training.predict(model, encoded(model, folder, TEXTS))


def test_cached_features_are_the_computed_ones(tiny_bert, tmp_path):
    model = classifier(tiny_bert, frozen_layers=2)
    options = {"cache": tmp_path, "name": "tiny@1"}
    plain = encoded(model, tiny_bert, TEXTS)
    first, second = (encoded(model, tiny_bert, TEXTS, **options) for _ in range(2))
    files = list(tmp_path.iterdir())
    assert len(files) == 1
    for other in (first, second):
        assert torch.equal(plain.states, other.states) and torch.equal(plain.ids, other.ids)
        assert plain.lengths == other.lengths
        assert (training.predict(model, plain) == training.predict(model, other)).all()
    files[0].write_bytes(files[0].read_bytes()[:-50])  # a damaged file is computed again
    assert torch.equal(encoded(model, tiny_bert, TEXTS, **options).states, plain.states)


def test_another_checkpoint_depth_limit_or_text_has_other_features(tiny_bert, tmp_path):
    model = classifier(tiny_bert, frozen_layers=2)
    encoded(model, tiny_bert, TEXTS, cache=tmp_path, name="a")
    encoded(model, tiny_bert, TEXTS, cache=tmp_path, name="b")
    encoded(model, tiny_bert, TEXTS[1:], cache=tmp_path, name="a")
    short = encoded(model, tiny_bert, TEXTS, cache=tmp_path, name="a", limit=8)
    encoded(classifier(tiny_bert, frozen_layers=1), tiny_bert, TEXTS, cache=tmp_path, name="a")
    assert len(list(tmp_path.iterdir())) == 5
    assert max(short.lengths) == 8


def test_joined_texts_are_both(tiny_bert):
    model = classifier(tiny_bert, frozen_layers=1)
    whole, parts = encoded(model, tiny_bert, TEXTS), [encoded(model, tiny_bert, t) for t in (TEXTS[:15], TEXTS[15:])]
    joined = parts[0].join(parts[1])
    assert len(joined) == len(TEXTS) and joined.lengths == whole.lengths
    for a, b in zip(joined.batch([3, 20]), whole.batch([3, 20]), strict=True):
        torch.testing.assert_close(a, b, atol=1e-2, rtol=0)


def test_the_frozen_part_does_not_change_and_the_rest_does(tiny_bert):
    fresh = classifier(tiny_bert, frozen_layers=2)
    model, losses, _ = trained(tiny_bert)
    assert np.mean(losses[-2:]) < losses[0]
    for (name, before), after in zip(fresh.named_parameters(), model.parameters(), strict=True):
        assert torch.equal(before, after) != after.requires_grad, name


def test_same_seed_same_predictions_whatever_was_drawn_before(tiny_bert):
    first = trained(tiny_bert, dropout=0.3)
    torch.rand(7)
    random.random()
    second, other = trained(tiny_bert, dropout=0.3), trained(tiny_bert, seed=1, dropout=0.3)
    assert first[1] == second[1] and (first[2] == second[2]).all()
    assert first[1] != other[1] and (first[2] != other[2]).any()


def test_the_seed_alone_decides_dropout_and_order(tiny_bert):
    """Same head, different random state before training: nothing but `seed` may count."""
    runs = []
    for noise, seed in ((1, 5), (2, 5), (1, 6)):
        model = classifier(tiny_bert, 0, frozen_layers=2, dropout=0.5)
        data = data_of(model, tiny_bert)
        torch.manual_seed(noise)
        runs.append(training.train(model, data, SETTINGS, seed))
    assert runs[0] == runs[1] != runs[2]


def test_the_order_and_size_of_batches_change_no_prediction(tiny_bert):
    model, _, reference = trained(tiny_bert)
    order = random.Random(3).sample(range(len(TEXTS)), len(TEXTS))
    shuffled = encoded(model, tiny_bert, [TEXTS[i] for i in order])
    for batch in (1, 7, 100):
        out = np.empty_like(reference)
        out[order] = training.predict(model, shuffled, batch)
        np.testing.assert_allclose(out, reference, atol=1e-3)  # padding and fp16 rounding
        assert (out.argmax(1) == reference.argmax(1)).all()
    vectors = training.embeddings(model, shuffled, 7)
    torch.testing.assert_close(
        vectors, training.embeddings(model, encoded(model, tiny_bert, TEXTS))[order], atol=5e-3, rtol=0
    )


def test_batches_hold_each_item_once_and_like_lengths_together():
    lengths = [random.Random(i).randint(3, 90) for i in range(205)]
    batches = training.length_batches(lengths, 8, random.Random(0))
    assert sorted(i for batch in batches for i in batch) == list(range(205))
    assert max(map(len, batches)) == 8
    spread = np.mean([max(lengths[i] for i in b) - min(lengths[i] for i in b) for b in batches])
    assert spread < 20  # at random it would be about 70
    assert batches != training.length_batches(lengths, 8, random.Random(1))


@pytest.mark.parametrize(("scores", "best"), [([0.1, 0.9, 0.5], 1), ([0.4, 0.4, 0.3], 0), ([0.0, 0.0, 0.1], 2)])
def test_validation_picks_the_best_epoch_the_first_when_equal(tiny_bert, scores, best):
    model = classifier(tiny_bert, frozen_layers=2)
    seen = []

    def validate() -> float:
        seen.append(model.head.weight.detach().clone())
        return scores[len(seen) - 1]

    training.train(model, data_of(model, tiny_bert), Settings(epochs=3, batch=16, learning_rate=1e-2), 0, validate)
    assert len(seen) == 3
    assert [torch.equal(model.head.weight, weights) for weights in seen] == [i == best for i in range(3)]


def test_without_validation_the_last_epoch_is_kept(tiny_bert):
    long, _, _ = trained(tiny_bert, settings=Settings(epochs=2, batch=16))
    short, _, _ = trained(tiny_bert, settings=Settings(epochs=1, batch=16))
    assert not torch.equal(long.head.weight, short.head.weight)


def test_steps_limit_the_steps_and_the_rate_warms_up_and_falls(tiny_bert, monkeypatch):
    model = classifier(tiny_bert, frozen_layers=2)
    data, rates = data_of(model, tiny_bert), []
    step = torch.optim.AdamW.step
    monkeypatch.setattr(torch.optim.AdamW, "step", lambda o, *a: (rates.append(o.param_groups[0]["lr"]), step(o, *a)))
    losses = training.train(model, data, Settings(batch=16, steps=20, learning_rate=1.0, warmup=0.25), 0)
    assert len(losses) == len(rates) == 20
    assert rates[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert rates[5:] == pytest.approx([(20 - i) / 15 for i in range(5, 20)])


def test_the_constant_schedule_is_adam_at_one_rate(tiny_bert):
    settings = Settings(batch=16, steps=6, learning_rate=1e-3, schedule="constant")
    model, adam = (classifier(tiny_bert, frozen_layers=2, dropout=0.0) for _ in range(2))
    data = data_of(model, tiny_bert, 16)
    losses = training.train(model, data, settings, 0)
    optimiser = torch.optim.Adam([p for p in adam.parameters() if p.requires_grad], lr=1e-3)
    for loss in losses:
        found = training.batch_loss(adam.train(), data, range(16), settings)
        assert found.item() == pytest.approx(loss, rel=1e-4)
        optimiser.zero_grad()
        found.backward()
        optimiser.step()
    torch.testing.assert_close(model.head.weight, adam.head.weight, atol=1e-5, rtol=1e-4)


def test_the_loop_takes_one_epoch_after_the_other():
    model, epochs, seen = torch.nn.Linear(1, 1), iter([["a", "b"], ["c", "d"], ["e", "f"]]), []
    scores = []

    def loss_of(batch) -> torch.Tensor:
        seen.append(batch)
        return model.weight.sum() * len(seen)

    validate = lambda: scores.append(len(seen)) or 0.5  # noqa: E731
    losses = training.optimise(model, Settings(), 5, lambda: next(epochs), loss_of, validate)
    assert seen == ["a", "b", "c", "d", "e"] and scores == [2, 4, 5] and len(losses) == 5


def test_pairs_are_an_original_and_each_of_its_translations():
    groups = [(0, 1), (2, 3), (4,), (5, 6, 7), (8, 9, 10)]
    originals = {0, 2, 4, 5, 8, 9}  # row 9 is a second original: 2:1
    position = {row: 100 + row for row in range(11)}
    expected = [(0, 1), (2, 3), (5, 6), (5, 7), (8, 10)]
    assert pairs_in(groups, originals, position) == [(100 + a, 100 + b) for a, b in expected]
    assert pairs_in([(1,), (3,)], originals, position) == []


@pytest.mark.parametrize("contrast", ["infonce", "cosine", "margin", "supcon"])
@pytest.mark.parametrize("total", ["sum", "convex"])
def test_the_loss_of_a_batch_is_cross_entropy_and_its_contrastive_term(tiny_bert, contrast, total):
    model = classifier(tiny_bert, frozen_layers=2)
    data = paired_data(model, tiny_bert)
    chosen = [4, 0, 7]
    rows = [8, 9, 0, 1, 14, 15]
    logits, pooled = model(*data.encoded.batch(rows))
    labels = torch.tensor([data.labels[i] for i in rows])
    plain = cross_entropy(logits, labels)
    term = supcon_loss(pooled, labels) if contrast == "supcon" else otc_loss(pooled[0::2], pooled[1::2], form=contrast)
    expected = plain + 0.4 * term if total == "sum" else 0.6 * plain + 0.4 * term
    loss = training.batch_loss(model, data, chosen, Settings(contrast=contrast, total=total))
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(training.batch_loss(model, data, chosen, Settings()), plain)


def test_translations_of_one_original_are_not_each_others_negatives():
    pooled = torch.randn(6, 4, generator=torch.Generator().manual_seed(0))
    pairs = [(0, 1), (0, 2), (3, 4), (3, 5)]  # 1:2
    first, second = (otc_loss(pooled[[0, 3]], pooled[[1 + k, 4 + k]]) for k in range(2))
    loss = training.otc_of_pairs(pooled, pairs, Settings(contrast="infonce"))
    torch.testing.assert_close(loss, (first + second) / 2)


def test_contrast_without_pairs_and_empty_sets_are_one_line(tiny_bert):
    model = classifier(tiny_bert, frozen_layers=2)
    data = data_of(model, tiny_bert)
    with pytest.raises(InputError, match="originals with translations"):
        training.train(model, data, Settings(contrast="infonce"), 0)
    data.groups.clear()
    with pytest.raises(InputError, match="empty"):
        training.train(model, data, Settings(), 0)


def test_paired_training_runs_with_every_loss_and_they_differ(tiny_bert):
    results = []
    for contrast in (None, "infonce", "cosine", "margin", "supcon"):
        model = classifier(tiny_bert, frozen_layers=2)
        settings = Settings(epochs=1, batch=16, learning_rate=5e-3, contrast=contrast)
        losses = training.train(model, paired_data(model, tiny_bert), settings, 0)
        assert len(losses) == 3 and np.isfinite(losses).all()  # 20 pairs, 8 a batch
        results.append(training.predict(model, encoded(model, tiny_bert, TEXTS)))
    assert all((a != b).any() for i, a in enumerate(results) for b in results[:i])
