"""MixUp at the embedding layer: against row-by-row computations through the encoder's own parts."""

import pytest
import torch
from models_for_tests import bert_folder, classifier, distilbert_folder, encoded, labelled, mbert_folder

from xltlib.errors import InputError
from xltlib.mixing import LEVELS, encode_mixed, mix_rows, mixed_embeddings, union_mask
from xltlib.models import load_tokenizer

TEXTS = [text[:end] for text, end in zip(labelled(7)[0], (60, 25, 40, 12, 50, 33, 20), strict=True)]
PARTS = [(slice(0, 3), 0.3), (slice(3, 6), 0.8)]
"""Two languages of three texts; the seventh row is mixed with none."""
FOLDERS = {"bert": mbert_folder, "distilbert": distilbert_folder}


def partners():
    """(row, its partner, the row's share) by hand."""
    return [(0, 2, 0.3), (1, 1, 0.3), (2, 0, 0.3), (3, 5, 0.8), (4, 4, 0.8), (5, 3, 0.8)]


def test_rows_are_mixed_within_their_part_alone():
    rows = torch.randn(7, 4, 2, generator=torch.Generator().manual_seed(0))
    before, mixed = rows.clone(), mix_rows(rows, PARTS)
    for i, j, alpha in partners():
        for k in range(4):
            for m in range(2):
                expected = alpha * rows[i, k, m].item() + (1 - alpha) * rows[j, k, m].item()
                assert mixed[i, k, m].item() == pytest.approx(expected, abs=1e-6)
    assert torch.equal(mixed[6], rows[6]) and torch.equal(rows, before)


def test_a_mixture_sees_what_either_text_has():
    lengths = [5, 2, 3, 1, 4, 2, 3]
    mask = torch.tensor([[int(k < n) for k in range(5)] for n in lengths])
    union = union_mask(mask, PARTS)
    for i, j, _ in partners():
        assert union[i].tolist() == [int(mask[i, k] == 1 or mask[j, k] == 1) for k in range(5)]
    assert union.sum(1).tolist() == [5, 2, 5, 2, 4, 2, 3] and mask.sum(1).tolist() == lengths


def types_of(ids: list[int], separator: int | None) -> torch.Tensor:
    """1 for what stands after the first separator, up to the second one; padding has 0, as in Hugging Face's
    tokenizers."""
    ends = [k for k, i in enumerate(ids) if i == separator]
    return torch.tensor([[int(len(ends) > 1 and ends[0] < k <= ends[1]) for k in range(len(ids))]])


def upper(encoder, hidden):
    """The encoder above its embedding layer, for one text without padding."""
    if hasattr(encoder, "transformer"):
        ones = torch.ones(hidden.shape[:2])
        return encoder.transformer(hidden, ones, [None] * encoder.config.n_layers)[0]
    return encoder.encoder(hidden)[0]


def one_mixture(encoder, first, second, alpha, level, separator=None):
    """Last hidden states (length, d) of one mixture, computed without a mask: the texts are padded to the longer."""
    length = max(len(first), len(second))
    ids = [row + [0] * (length - len(row)) for row in (first, second)]
    types = [{} if separator is None else {"token_type_ids": types_of(row, separator)} for row in ids]
    if level == "words":
        table = encoder.get_input_embeddings().weight
        words = alpha * table[ids[0]] + (1 - alpha) * table[ids[1]]
        return encoder(inputs_embeds=words[None], attention_mask=torch.ones(1, length), **types[0])[0][0]
    a, b = (encoder.embeddings(torch.tensor([row]), **t) for row, t in zip(ids, types, strict=True))
    return upper(encoder, alpha * a + (1 - alpha) * b)[0]


@torch.no_grad()
def check(model, folder, texts, level):
    """Every row of a mixed batch is what the texts give one by one."""
    rows, separator = encoded(model, folder, texts), model.settings.separator
    lists = [rows.ids[a:b].tolist() for a, b in zip(rows.starts, rows.starts[1:], strict=False)]
    assert len({len(row) for row in lists}) > 3  # else the masks would not matter
    pooled = model.embed_mixed(*rows.batch(range(7), ids=True), PARTS, level)
    for i, j, alpha in [*partners(), (6, 6, 1.0)]:
        hidden = one_mixture(model.encoder, lists[i], lists[j], alpha, level, separator)
        expected = hidden[0] if model.settings.pooling == "cls" else hidden.mean(0)
        torch.testing.assert_close(pooled[i], expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("pooling", ["mean", "cls"])
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("kind", FOLDERS)
def test_a_mixed_batch_is_its_mixtures_one_by_one(kind, level, pooling):
    folder = FOLDERS[kind]()
    check(classifier(folder, pooling=pooling), folder, TEXTS, level)


@pytest.mark.parametrize("level", LEVELS)
def test_pairs_keep_their_token_types(level):
    folder = mbert_folder()
    separator = load_tokenizer(str(folder)).sep_token_id
    pairs = [(text, other) for text, other in zip(TEXTS, TEXTS[::-1], strict=True)]
    check(classifier(folder, separator=separator), folder, pairs, level)


@pytest.mark.parametrize("frozen", [1, 2])
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("folder", [bert_folder, mbert_folder])
def test_frozen_layers_change_no_mixture(folder, level, frozen):
    whole, part = classifier(folder()), classifier(folder(), frozen_layers=frozen)
    inputs = encoded(whole, folder(), TEXTS).batch(range(7))
    expected, found = (model.embed_mixed(*inputs, PARTS, level) for model in (whole, part))
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)
    found.sum().backward()
    assert part.encoder.get_input_embeddings().weight.grad is None
    assert part.encoder.encoder.layer[frozen].output.dense.weight.grad.abs().sum() > 0


@pytest.mark.parametrize("frozen", [0, 2])
@pytest.mark.parametrize("level", LEVELS)
def test_alpha_one_is_no_mixture_where_masks_agree(level, frozen):
    model = classifier(bert_folder(), frozen_layers=frozen)
    ids, mask = encoded(model, bert_folder(), TEXTS, limit=8).batch(range(7), ids=True)
    assert mask.all()
    parts = [(slice(0, 3), 1.0), (slice(3, 7), 1.0)]
    with torch.no_grad():
        plain = model.embed(model.lower(ids, mask) if frozen else ids, mask)
        torch.testing.assert_close(model.embed_mixed(ids, mask, parts, level), plain, atol=1e-6, rtol=1e-5)
        reverse = model.embed_mixed(ids, mask, [(slice(0, 7), 0.0)], level)
    torch.testing.assert_close(reverse, plain.flip(0), atol=1e-6, rtol=1e-5)


def test_the_two_levels_differ():
    model = classifier(mbert_folder())
    inputs = encoded(model, mbert_folder(), TEXTS).batch(range(7))
    words, embeddings = (model.embed_mixed(*inputs, PARTS, level) for level in LEVELS)
    assert (words - embeddings)[:6].abs().amax(1).ge(1e-3).tolist() == [True, False, True, True, False, True]


@pytest.mark.parametrize("frozen", [0, 1])
def test_an_unknown_level_is_one_line(frozen):
    model = classifier(bert_folder(), frozen_layers=frozen)
    ids, mask = encoded(model, bert_folder(), TEXTS).batch(range(7), ids=True)
    calls = [
        lambda: model.embed_mixed(ids, mask, PARTS, "tokens"),
        lambda: encode_mixed(model.encoder, ids, mask, PARTS, "tokens"),
        lambda: mixed_embeddings(model.encoder, ids, PARTS, "tokens"),
    ]
    for call in calls:
        with pytest.raises(InputError, match="unknown level of MixUp 'tokens': use one of words, embeddings") as error:
            call()
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("kind", FOLDERS)
def test_no_hook_stays_whatever_happens(kind, monkeypatch):
    model = classifier(FOLDERS[kind]())
    ids, mask = encoded(model, FOLDERS[kind](), TEXTS).batch(range(7))
    before = model.embed(ids, mask)
    model.embed_mixed(ids, mask, PARTS, "embeddings")
    assert torch.equal(model.embed(ids, mask), before)
    linear = next(
        m for name, m in model.encoder.named_modules() if "layer.0" in name and isinstance(m, torch.nn.Linear)
    )
    with monkeypatch.context() as broken:
        broken.setattr(linear, "forward", lambda _: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            model.embed_mixed(ids, mask, PARTS, "embeddings")
    assert torch.equal(model.embed(ids, mask), before) and not model.encoder.embeddings._forward_hooks
