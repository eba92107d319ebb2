"""Heads side by side are the heads that train alone, and the head is the one of the paper's code."""

from dataclasses import replace

import pytest
import torch
from refusals import refused
from torch import nn

from xltlib import probing
from xltlib.probing import ProbeSettings, predict, train_heads

SETTINGS = ProbeSettings(classes=3, epochs=4, batch=8, learning_rate=1e-2, hidden=16)


@pytest.fixture
def data():
    """Forty features of width 6 whose class is the largest of the first three."""
    features = torch.randn(40, 6, generator=torch.Generator().manual_seed(0))
    return features, features[:, :3].argmax(1)


def alone(features, labels, settings, seed, groups=None):
    """The same head trained by itself with plain modules, a loop, and a batch at a time."""
    draw = torch.Generator().manual_seed(seed)
    first, second = nn.Linear(features.shape[1], settings.hidden), nn.Linear(settings.hidden, settings.classes)
    with torch.no_grad():
        first.weight.copy_(probing._xavier(features.shape[1], settings.hidden, draw).T)
        second.weight.copy_(probing._xavier(settings.hidden, settings.classes, draw).T)
        first.bias.zero_()
        second.bias.zero_()
    model = nn.Sequential(first, nn.GELU(), second)
    optimiser = torch.optim.AdamW(model.parameters(), lr=settings.learning_rate, weight_decay=0.0)
    draw, groups = torch.Generator().manual_seed(seed + 10**6), groups or [1] * len(labels)
    ends = torch.tensor(groups).cumsum(0).tolist()
    for _ in range(settings.epochs):
        order = torch.randperm(len(groups), generator=draw).tolist()
        for start in range(0, len(order), settings.batch):
            texts = order[start : start + settings.batch]
            rows = [row for i in texts for row in range(ends[i] - groups[i], ends[i])]
            kept = (torch.rand(len(rows), features.shape[1], generator=draw) >= settings.dropout) / (
                1 - settings.dropout
            )
            loss = nn.functional.cross_entropy(model(features[rows] * kept), labels[rows])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    return model


@pytest.mark.parametrize("groups", [None, [3, 1, 4, 1, 5, 9, 2, 6, 5, 4]])
def test_heads_side_by_side_equal_heads_alone(data, groups):
    features, labels = data
    heads = train_heads(features, labels, SETTINGS, (0, 1, 5), groups)
    for i, seed in enumerate((0, 1, 5)):
        model = alone(features, labels, SETTINGS, seed, groups)
        assert torch.allclose(heads(features)[i], model(features), atol=1e-4)
        assert torch.equal(predict(heads, features)[i], model(features).argmax(1))


def test_a_head_does_not_depend_on_its_company(data):
    both = predict(train_heads(*data, SETTINGS, (0, 1)), data[0])
    one = predict(train_heads(*data, SETTINGS, (1,)), data[0])
    assert torch.equal(both[1], one[0])


def test_heads_learn(data):
    heads = train_heads(*data, ProbeSettings(classes=3, epochs=60, batch=8, learning_rate=1e-2), (0, 1))
    assert (predict(heads, data[0]) == data[1]).float().mean() > 0.95


def test_the_paper_head_is_the_default():
    settings = ProbeSettings(classes=5)
    assert (settings.epochs, settings.batch, settings.learning_rate) == (10, 128, 1e-4)
    heads = probing.Heads(32, settings, (0,))
    assert heads.first.shape == (1, 32, 256) and heads.second.shape == (1, 256, 5)
    assert not heads.first_bias.any() and heads.first.abs().max() <= (6 / (32 + 256)) ** 0.5


def test_numbers_that_do_not_fit_are_refused(data):
    features, labels = data
    refused(lambda: train_heads(features, labels[:3], SETTINGS, (0,)), "40 features, 3 labels")
    refused(lambda: train_heads(features, labels, SETTINGS, (0,), [1, 2]), "3 rows in groups")
    refused(lambda: train_heads(features[:0], labels[:0], SETTINGS, (0,)), "at least one")


def by_hand(data, held, seed, patience, epochs=30):
    """The same head, trained for one epoch more each time: the epoch with the lowest validation loss, and after how
    many without a lower one training ends."""
    losses, heads = [], []
    for epoch in range(1, epochs + 1):
        heads.append(train_heads(*data, replace(SETTINGS, epochs=epoch), (seed,)))
        losses.append(float(probing.validation_losses(heads[-1], *held)))
        if epoch - 1 - losses.index(min(losses)) >= patience:
            break
    return heads[losses.index(min(losses))], len(losses)


def test_early_stopping_restores_the_epoch_with_the_lowest_validation_loss(data):
    draw = torch.Generator().manual_seed(1)
    held = torch.randn(30, 6, generator=draw), torch.randint(0, 3, (30,), generator=draw)  # labels of no use: it stops
    stopped = train_heads(*data, replace(SETTINGS, epochs=30, patience=3), (0, 1, 5), held=held)
    ends = []
    for i, seed in enumerate((0, 1, 5)):
        best, epochs = by_hand(data, held, seed, 3)
        assert torch.allclose(stopped(data[0])[i], best(data[0])[0], atol=1e-5)
        ends.append(epochs)
    assert max(ends) < 30
    alone = train_heads(*data, replace(SETTINGS, epochs=30, patience=3), (1,), held=held)
    assert torch.allclose(alone(data[0])[0], stopped(data[0])[1], atol=1e-6)


def test_each_training_stops_for_itself():
    parameters = [torch.zeros(2, 1)]
    stopping = probing.EarlyStopping(parameters, 2)
    ends = []
    for epoch, losses in enumerate([(3.0, 1.0), (2.0, 2.0), (1.0, 3.0), (2.0, 0.1), (3.0, 0.1)]):
        parameters[0][:] = epoch
        ends.append(stopping.stop(torch.tensor(losses)))
    assert ends == [False, False, False, False, True]
    stopping.restore()
    assert parameters[0].flatten().tolist() == [2, 0]  # the second had stopped before its loss fell again


def test_early_stopping_without_validation_is_refused(data):
    refused(lambda: train_heads(*data, replace(SETTINGS, patience=3), (0,)), "early stopping needs validation")
