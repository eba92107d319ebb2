"""How the small checkpoints are trained: killed and resumed is the same training, ids are those of the real classes."""

import json
import random
from dataclasses import replace

import numpy as np
import pytest
import torch
from models_for_tests import RECIPE, bert_folder, lines, pieces
from safetensors.torch import load_file

from xltlib import pretraining
from xltlib.corpora import embedded
from xltlib.languages import REVIEW_LANGUAGES
from xltlib.models import FOLDER, load_encoder, load_tokenizer
from xltlib.pretraining import Training, levelled_off


class Killed(BaseException):
    """As if the process had ended here."""


def linear() -> torch.nn.Module:
    torch.manual_seed(3)
    return torch.nn.Sequential(torch.nn.Linear(6, 8), torch.nn.Dropout(0.5), torch.nn.Linear(8, 2))


RECIPE_OF_STEPS = replace(RECIPE, steps=30, cooldown=10, warmup=4, evaluate_every=5)


def train_linear(state, kill_at=None, stop_at=None) -> Training:
    training = Training(linear(), RECIPE_OF_STEPS, state)

    def loss_of():
        if training.step == kill_at:
            raise Killed
        return training.model(torch.randn(4, 6)).square().mean()  # data and dropout follow from seed and step

    training.run(loss_of, lambda step: stop_at is not None and step == stop_at)
    return training


def weights(training: Training) -> list[torch.Tensor]:
    return [p.detach() for p in training.parameters]


@pytest.mark.parametrize("stop_at", [None, 10])
@pytest.mark.parametrize("kill_at", [3, 5, 17, 19])
def test_killed_and_resumed_is_the_same_training(tmp_path, kill_at, stop_at):
    whole = train_linear(tmp_path / "whole.safetensors", stop_at=stop_at)
    assert whole.step == (20 if stop_at else 40)
    with pytest.raises(Killed):
        train_linear(tmp_path / "state.safetensors", kill_at=kill_at, stop_at=stop_at)
    assert (tmp_path / "state.safetensors").exists() == (kill_at >= 5)
    resumed = train_linear(tmp_path / "state.safetensors", stop_at=stop_at)
    assert all(torch.equal(a, b) for a, b in zip(weights(whole), weights(resumed), strict=True))
    assert resumed.step == whole.step and resumed.losses[-3:] == whole.losses[-3:]
    assert not (tmp_path / "state.safetensors").exists()


def test_the_rate_warms_up_stays_and_falls_to_a_twentieth(tmp_path):
    training, rates = Training(linear(), RECIPE_OF_STEPS, tmp_path / "s"), []
    for step in range(training.stop):
        training.step = step
        rates.append(training.rate())
    assert rates[:5] == pytest.approx([0.25, 0.5, 0.75, 1, 1])
    assert rates[4:31] == pytest.approx([1] * 27) and rates[35] == pytest.approx(0.5)
    assert min(rates[31:]) == pytest.approx(0.1) and rates == rates[:4] + sorted(rates[4:], reverse=True)


def some_lines() -> list[str]:
    return [r.text for code in REVIEW_LANGUAGES for r in embedded.reviews(code, "validation")[:80]]


@pytest.fixture
def few_lines(monkeypatch):
    """A small tokenizer, and 40 instead of 300 validation texts."""
    monkeypatch.setattr(pretraining.Reviews, "lines", lambda texts: some_lines())
    spm = pretraining.train_sentencepiece
    monkeypatch.setattr(pretraining, "train_sentencepiece", lambda folder, text, size: spm(folder, text, 3000))
    bitext = embedded.bitext
    monkeypatch.setattr(embedded, "bitext", lambda split, size, **o: bitext(split, min(size, 40), **o))


def whole_and_resumed(recipe, folder, kill_at: int) -> tuple[dict, dict]:
    """The facts of an encoder's training that ran through, and of one that was killed and resumed: same weights."""

    def kill(point):
        if point["step"] == kill_at:
            raise Killed

    train = lambda name, stop: pretraining.train_encoder(folder / name, recipe, folder / f"{name}.safetensors", stop)  # noqa: E731
    facts = train("whole", lambda point: None)
    with pytest.raises(Killed):
        train("resumed", kill)
    again = train("resumed", lambda point: None)
    a, b = (load_file(folder / name / "model.safetensors") for name in ("whole", "resumed"))
    assert set(a) == set(b) and all(torch.equal(a[name], b[name]) for name in a)
    return facts, again


def test_the_encoders_training_killed_and_resumed(few_lines, tmp_path):
    recipe = replace(RECIPE, steps=4, cooldown=4, evaluate_every=2, monolingual=10, layers=1, width=16)
    facts, again = whole_and_resumed(recipe, tmp_path, 4)
    assert [p["step"] for p in facts["curve"]] == [2, 4, 6, 8] and facts["curve"][1:] == again["curve"][1:]
    assert set(facts["curve"][0]) == {"step", "mean", "loss", *REVIEW_LANGUAGES} - {"en"}
    stored = load_file(tmp_path / "whole" / "model.safetensors")
    assert stored["bert.embeddings.word_embeddings.weight"].dtype == torch.float16
    assert load_encoder(str(tmp_path / "whole")).embeddings.word_embeddings.weight.dtype == torch.float32


def test_an_encoder_of_one_language_has_mlm_alone_and_resumes_too(few_lines, tmp_path, monkeypatch):
    monkeypatch.setattr(pretraining.GENERATIONS[3], "lines", some_lines, raising=False)
    monkeypatch.setattr(pretraining, "hard_tlm_row", lambda *row: pytest.fail("there are no pairs"))
    recipe = replace(RECIPE, generation=3, steps=4, cooldown=2, evaluate_every=2, monolingual=20, layers=1, width=16)
    facts, _ = whole_and_resumed(recipe, tmp_path, 4)
    assert [set(point) for point in facts["curve"]] == [{"step", "loss"}] * 3


@pytest.mark.filterwarnings("ignore:Moving the following attributes in the config")
def test_the_translators_training_leaves_two_checkpoints_with_one_tokenizer(few_lines, tmp_path, monkeypatch):
    monkeypatch.setattr(pretraining, "UNDERTRAINED_STEPS", 2)
    recipe = replace(RECIPE, steps=3, cooldown=1, evaluate_every=2, layers=1, width=16)
    facts = pretraining.train_translator(tmp_path / "m2m", recipe, tmp_path / "s.safetensors", tmp_path / "early")
    assert facts["pairs"] >= 80
    files = ("vocab.json", "sentencepiece.bpe.model", "tokenizer_config.json")
    assert all((tmp_path / "m2m" / f).read_bytes() == (tmp_path / "early" / f).read_bytes() for f in files)
    a, b = (load_file(tmp_path / name / "model.safetensors") for name in ("m2m", "early"))
    assert any(not torch.equal(a[name], b[name]) for name in a)
    check_language_ids(tmp_path / "m2m")


# Tokenizers -----------------------------------------------------------------------------------------------------------


def check_language_ids(folder):
    tokenizer, config = load_tokenizer(str(folder)), json.loads((folder / "config.json").read_text())
    ids = [tokenizer.get_lang_id(code) for code in pretraining.M2M_CODES]
    assert ids == tokenizer.convert_tokens_to_ids([f"__{code}__" for code in pretraining.M2M_CODES])
    assert len(set(ids)) == 100 and max(ids) < config["vocab_size"]
    assert min(ids) >= len(json.loads((folder / "vocab.json").read_text()))  # no language shares an id with a piece


@pytest.mark.parametrize("name", ["mini-m2m", "mini-m2m-undertrained", "mini-m2m-2", "mini-m2m-4"])
def test_language_ids_of_the_shipped_translators_agree(name):
    if not (FOLDER / name).exists():
        pytest.skip(f"data/checkpoints/{name} is not there yet: xlt models build {name}")
    check_language_ids(FOLDER / name)


def test_the_encoders_tokenizer_has_berts_format_and_reads_back():
    tokenizer = load_tokenizer(str(bert_folder()))
    assert tokenizer.convert_ids_to_tokens(range(5)) == ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    ids = tokenizer("the book", "the price")["input_ids"]
    assert ids[0] == 2 and ids[-1] == 3 and ids.count(3) == 2
    text = lines()[0]
    assert tokenizer.decode(tokenizer(text)["input_ids"], skip_special_tokens=True) == text
    assert pieces().get_piece_size() <= 510 and tokenizer.unk_token_id not in tokenizer(text)["input_ids"]


# Parts ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("history", "expected"),
    [
        ([0.5] * 19, False),  # two windows are needed
        ([0.5] * 20, True),
        ([0.1] * 20, False),  # still chance
        ([0.199] * 20, False),
        ([0.2] * 20, True),
        ([0.5] * 10 + [0.50999] * 10, True),
        ([0.5] * 10 + [0.5101] * 10, False),
        ([0.5] * 10 + [0.6] * 5 + [0.3] * 5, True),  # it falls
        ([0.9] * 10 + [0.1] * 10, False),  # fallen to chance
        ([0.1, 0.9] + [0.5] * 20, True),  # only the last twenty count
    ],
)
def test_levelled_off_at_its_borders(history, expected):
    assert levelled_off(history) is expected


def test_token_batches_keep_the_budget_and_a_resumed_run_skips():
    lengths = [3 + i % 40 for i in range(300)]
    whole, resumed = (pretraining.token_batches(lengths, 200, 1, skip) for skip in (0, 37))
    batches = [next(whole) for _ in range(120)]
    assert [next(resumed) for _ in range(120 - 37)] == batches[37:]
    assert all(max(lengths[i] for i in b) * len(b) <= 200 for b in batches)
    assert next(pretraining.token_batches(lengths, 200, 2)) != next(pretraining.token_batches(lengths, 200, 1))


def test_an_epoch_holds_each_text_once_but_for_its_open_batch():
    lengths, seen = [3 + i % 40 for i in range(300)], []
    for batch in pretraining.token_batches(lengths, 200, 1):
        if set(batch) & set(seen):
            break
        seen += batch
    assert len(set(seen)) == len(seen) and 0 <= 300 - len(seen) < 10


def test_padding():
    assert pretraining.pad([[1, 2], [3]], 9).tolist() == [[1, 2], [3, 9]]


def test_masking_is_berts():
    torch.manual_seed(0)
    ids = torch.randint(5, 100, (200, 50))
    ids[:, 0] = 2
    masked, chosen = pretraining.mask_tokens(ids, torch.full(ids.shape, 0.2), 4, 100)
    assert not chosen[:, 0].any() and (masked[~chosen] == ids[~chosen]).all()
    assert chosen[:, 1:].float().mean() == pytest.approx(0.2, abs=0.02)
    share = lambda what: float((what & chosen).sum() / chosen.sum())  # noqa: E731
    assert share(masked == 4) == pytest.approx(0.8, abs=0.03)
    assert share((masked != 4) & (masked != ids)) == pytest.approx(0.1, abs=0.02)
    assert masked[chosen].min() >= 4 and masked.max() < 100


def test_hard_tlm_hides_half_of_one_side_only():
    rows = [pretraining.hard_tlm_row([7, 8], [9, 10, 11], random.Random(i)) for i in range(20)]
    assert all(row[0] == [2, 7, 8, 3, 9, 10, 11, 3] and row[1] == [0, 1, 2, 3, 1, 2, 3, 4] for row in rows)
    assert {tuple(row[2]) for row in rows} == {(0.5,) * 4 + (0.0,) * 4, (0.0,) * 4 + (0.5,) * 4}
    assert pretraining.mlm_row([7]) == ([2, 7, 3], [0, 1, 2], [0.2] * 3)


def test_retrieval_accuracy_of_a_perfect_and_a_useless_encoder(monkeypatch):
    entries = [{code: f"{code} {i}" for code in REVIEW_LANGUAGES} for i in range(5)]
    perfect = lambda model, tokenizer, texts: torch.eye(5)[[int(t.split()[1]) for t in texts]]  # noqa: E731
    monkeypatch.setattr(pretraining, "embed", perfect)
    assert pretraining.retrieval_accuracy(None, None, entries) == dict.fromkeys(
        [c for c in REVIEW_LANGUAGES if c != "en"], 1.0
    )
    monkeypatch.setattr(pretraining, "embed", lambda model, tokenizer, texts: torch.ones(5, 2))
    assert pretraining.retrieval_accuracy(None, None, entries)["zh"] == pytest.approx(0.2)


def test_embeddings_are_means_over_real_tokens_of_length_one():
    folder = bert_folder()
    model, tokenizer = load_encoder(str(folder)), load_tokenizer(str(folder))
    texts = [lines()[0], "a", lines()[1]]
    vectors = pretraining.embed(model, tokenizer, texts, batch=2)
    alone = torch.cat([pretraining.embed(model, tokenizer, [text]) for text in texts])
    torch.testing.assert_close(vectors, alone, atol=1e-5, rtol=0)
    np.testing.assert_allclose(vectors.norm(dim=1), 1, rtol=1e-5)
