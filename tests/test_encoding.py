"""Texts and pairs of texts as the trainable part of a classifier takes them."""

import torch
from models_for_tests import bert_folder, classifier, encoded, labelled, mbert_folder

from xltlib.models import load_tokenizer
from xltlib.training import Encoded

TEXTS = labelled()[0]
PAIRS = [(text[:40], other[:30]) for text, other in zip(TEXTS[:6], TEXTS[6:12], strict=True)]


def test_pairs_are_encoded_together():
    model, tokenizer = classifier(bert_folder()), load_tokenizer(str(bert_folder()))
    rows = encoded(model, bert_folder(), PAIRS)
    for i, (first, second) in enumerate(PAIRS):
        wanted = tokenizer(first, second)["input_ids"]
        assert rows.batch([i])[0][0].tolist() == wanted and wanted.count(tokenizer.sep_token_id) == 2


def test_pairs_and_token_types_have_features_of_their_own(tmp_path):
    folder, options = mbert_folder(), {"cache": tmp_path, "name": "a"}
    plain, typed = (classifier(folder, frozen_layers=1, separator=separator) for separator in (None, 3))
    found = [encoded(plain, folder, texts, **options) for texts in (PAIRS, [a + b for a, b in PAIRS])]
    found.append(encoded(typed, folder, PAIRS, **options))
    assert len(list(tmp_path.iterdir())) == 3 and not torch.equal(found[0].states, found[2].states)
    assert torch.equal(encoded(typed, folder, PAIRS, **options).states, found[2].states)


def test_token_ids_are_there_beside_the_states():
    frozen, whole = (encoded(classifier(bert_folder(), frozen_layers=n), bert_folder(), TEXTS) for n in (2, 0))
    ids, mask = frozen.batch([5, 2, 9], ids=True)
    assert torch.equal(ids, whole.batch([5, 2, 9])[0]) and torch.equal(mask, frozen.batch([5, 2, 9])[1])
    assert ids.dtype == torch.int64 and frozen.batch([5, 2, 9])[0].ndim == 3


def test_padding_is_the_tokenizers_own_and_states_are_padded_with_zeros():
    rows = Encoded(torch.tensor([5, 6, 5]), torch.tensor([2, 1]), None, pad=1)
    assert rows.batch([0, 1])[0].tolist() == [[5, 6], [5, 1]]
    assert rows.join(rows).batch([2, 3])[0].tolist() == [[5, 6], [5, 1]]
    states = Encoded(rows.ids, torch.tensor(rows.lengths), torch.ones(3, 2), pad=1)
    assert states.batch([0, 1])[0][1].tolist() == [[1, 1], [0, 0]]
    assert states.batch([0, 1], ids=True)[0].tolist() == [[5, 6], [5, 1]]
