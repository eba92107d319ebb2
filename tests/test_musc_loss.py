"""MUSC's loss against a term-by-term computation that passes each text and each mixture by itself."""

import pytest
import torch
from models_for_tests import bert_folder, labelled, pair_data, pair_model
from test_losses import naive_cross_entropy, naive_supcon

from xltlib import musc_training, published
from xltlib.errors import InputError
from xltlib.musc_training import METHODS, PRESETS, PairSettings, pair_loss

ALPHAS = (0.3, 0.8)
LAMBDA = 0.4
N = 12
TEXTS = [text[: 20 + 5 * i] for i, text in enumerate(labelled(N)[0])]
LABELS = [0, 1, 0, 2, 1, 0, 3, 1, 0, 2, 1, 4]


class Known:
    """A random generator with known numbers, and no more of them."""

    def __init__(self, *numbers: float):
        self.random = iter(numbers).__next__


def model_of(name="paper", **settings):
    return pair_model(bert_folder(), pooler=PRESETS[name].pooler, **settings)


def data_of(model):
    return pair_data(model, bert_folder(), TEXTS, LABELS)


def settings_of(method="musc", name="paper", weight=LAMBDA):
    return PairSettings(method, PRESETS[name], weight)


POSSIBLE = [(method, name) for name in PRESETS for method in METHODS if (method, name) != ("sc+mu", "released")]


# The loss -------------------------------------------------------------------------------------------------------------


def mixture(encoder, first, second, alpha, level):
    """The pooled embedding of one mixture, by itself; the shorter text is padded."""
    length = max(len(first), len(second))
    ids = [torch.tensor([row + [0] * (length - len(row))]) for row in (first, second)]
    if level == "words":
        words = [encoder.get_input_embeddings()(row) for row in ids]
        return encoder(inputs_embeds=alpha * words[0] + (1 - alpha) * words[1])[0][0].mean(0)
    a, b = (encoder.embeddings(row) for row in ids)
    return encoder.encoder(alpha * a + (1 - alpha) * b)[0][0].mean(0)


def side_of(model, ids, alpha, level):
    """Logits and projections of one side's texts, then of its mixtures with the side in reverse."""
    plain = [model.encoder(torch.tensor([row]))[0][0].mean(0) for row in ids]
    mixed = [mixture(model.encoder, a, b, alpha, level) for a, b in zip(ids, ids[::-1], strict=True)]
    return [(logits(model, f), model.projector(f).double()) for f in plain], [
        (logits(model, f), model.projector(f).double()) for f in mixed
    ]


def logits(model, f):
    """The classifier h: linear, as printed; behind BERT's tanh pooler, as released."""
    if model.settings.pooler:
        f = torch.tanh(model.encoder.pooler.dense.weight @ f + model.encoder.pooler.dense.bias)
    return (model.head.weight @ f + model.head.bias).tolist()


def supcon(views, labels, name):
    """L_sc of projections: as printed, a sum of logarithms outside the mean; as released, a mean of L_out times tau."""
    z = torch.stack([projection for _, projection in views])
    if name == "paper":
        return naive_supcon(z, labels, "in", "sum", True, 0.3)
    return 0.3 * naive_supcon(z, labels, "out", "mean", True, 0.3)


@torch.no_grad()
def expected_loss(model, data, pairs, method, name) -> float:
    """(1 - lambda) [CE_S + CE_T + MU_S + MU_T] + lambda [L_sc + L_musc(S) + L_musc(T)], with the terms of the method;
    without a contrastive term there is no lambda."""
    rows, starts = data.encoded.ids.tolist(), data.encoded.starts
    ids = [[rows[starts[i] : starts[i + 1]] for i in side] for side in zip(*pairs, strict=True)]
    y_s, y_t = ([data.labels[i].item() for i in side] for side in zip(*pairs, strict=True))
    level = {"paper": "words", "released": "embeddings"}[name]
    (s, s_mixed), (t, t_mixed) = (side_of(model, ids[k], ALPHAS[k], level) for k in range(2))
    entropy = lambda views, labels: naive_cross_entropy([logits for logits, _ in views], labels)  # noqa: E731
    share = {"paper": 1.0, "released": 0.5}[name]
    plain, contrast = share * (entropy(s, y_s) + entropy(t, y_t)), 0.0
    for views, y, alpha in ((s_mixed, y_s, ALPHAS[0]), (t_mixed, y_t, ALPHAS[1])):
        if method in ("mu", "sc+mu", "musc"):
            plain += share * (alpha * entropy(views, y) + (1 - alpha) * entropy(views, y[::-1]))
    if method in ("ce", "mu"):
        return plain
    contrast += supcon(s + t, y_s + y_t, name)
    if method == "musc":
        for views, other, y, alpha in ((s_mixed, t, y_s, ALPHAS[0]), (t_mixed, s, y_t, ALPHAS[1])):
            contrast += alpha * supcon(views + other, y + y, name)
            contrast += (1 - alpha) * supcon(views + other[::-1], y[::-1] + y[::-1], name)
    return (1 - LAMBDA) * plain + LAMBDA * contrast


@pytest.mark.parametrize(("method", "name"), POSSIBLE)
def test_the_loss_is_its_formula(method, name):
    model = model_of(name)
    data = data_of(model)
    data.labels[2 * N + 3] = 4  # an original of the target language may have another label than the source
    pairs = [data.pairs["zh"][i] for i in (3, 0, 1, 5, 10)]
    settings = settings_of(method, name)
    found = pair_loss(model, data, pairs, settings, Known(*ALPHAS * settings.mixes))
    assert found.item() == pytest.approx(expected_loss(model, data, pairs, method, name), rel=1e-4)


@pytest.mark.parametrize(("method", "name"), POSSIBLE)
def test_frozen_layers_change_no_loss(method, name):
    losses = []
    for frozen in (0, 2):
        model = model_of(name, frozen_layers=frozen)
        data = data_of(model)
        losses.append(pair_loss(model, data, data.pairs["de"], settings_of(method, name), Known(*ALPHAS)).item())
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)  # kept features are float16


def test_lambda_weighs_the_terms():
    model = model_of()
    data = data_of(model)
    low, middle, high = (
        pair_loss(model, data, data.pairs["de"], settings_of(weight=weight), Known(*ALPHAS)) for weight in (0, 0.5, 1)
    )
    assert low != high
    torch.testing.assert_close(middle, (low + high) / 2)


@pytest.mark.parametrize(("method", "name"), [(m, n) for m, n in POSSIBLE if m in ("sc", "musc")])
def test_contrast_trains_encoder_and_projector_and_not_the_head(method, name):
    model = model_of(name)
    data = data_of(model)
    pair_loss(model, data, data.pairs["de"], settings_of(method, name, 1.0), Known(*ALPHAS)).backward()
    for part in (model.encoder.embeddings, *model.encoder.encoder.layer, model.projector[0], model.projector[2]):
        assert all(torch.isfinite(p.grad).all() for p in part.parameters())
        assert sum(p.grad.abs().sum() for p in part.parameters()) > 0
    unseen = [model.head.weight, *(model.encoder.pooler.parameters() if name == "released" else ())]
    assert all(p.grad is None or p.grad.abs().sum() == 0 for p in unseen)


def test_presets_are_what_the_documents_say():
    paper, released = PRESETS["paper"], PRESETS["released"]
    parts = ("form", "reduction", "scale", "classification", "level", "every_language", "weight", "pooler")
    assert [getattr(paper, p) for p in parts] == ["in", "sum", 1.0, 1.0, "words", False, None, False]
    assert [getattr(released, p) for p in parts] == ["out", "mean", 0.3, 0.5, "embeddings", True, 0.1, True]
    rows = published.hyperparameters("musc")
    code = rows[rows["scope"].eq("all") & rows["source"].str.startswith("released")].set_index("item")["value"]
    assert float(code["temperature tau"]) == released.scale and float(code["lambda default"]) == released.weight
    assert "constant lr" in code["optimiser"]
    for one in (paper, released):
        assert one.temperature == 0.3 and one.schedule == "constant"
    first, relu, last = musc_training.projector(48)
    assert isinstance(relu, torch.nn.ReLU) and first.weight.shape == (48, 48) and last.weight.shape == (128, 48)


@pytest.mark.parametrize(
    ("call", "names"),
    [
        (lambda: musc_training.preset("printed"), "unknown preset 'printed': use one of paper, released"),
        (lambda: settings_of("supcon"), "unknown method 'supcon': use one of ce, sc, mu, sc.mu, musc"),
        (lambda: settings_of("sc+mu", "released"), "no 'sc.mu'.*'musc'"),
    ],
)
def test_unknown_names_are_one_line(call, names):
    with pytest.raises(InputError, match=names) as error:
        call()
    assert "\n" not in str(error.value)
