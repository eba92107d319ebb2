"""The small decoders: their text follows its dials, their tokenizer loses nothing, their training resumes."""

import itertools
import json
import random
import re
from dataclasses import asdict
from hashlib import sha256

import pytest
import torch
from models_for_tests import decoder_folder

from xltlib import decoders, text_tasks
from xltlib.corpora import decoder_texts
from xltlib.corpora.decoder_texts import DecoderDials, documents
from xltlib.corpora.problems import PROBLEM_LANGUAGES
from xltlib.decoders import RECIPES, DecoderRecipe
from xltlib.models import CHECKPOINTS, FOLDER, load_tokenizer
from xltlib.pretraining import Training

PAIR = re.compile(r"en: `([^`]*)`\n(\w\w): `([^`]*)`")


def kinds(dials: DecoderDials, n: int = 600) -> list[str]:
    """What each of the first documents is: plain, parallel-<code>, or solved."""
    found = []
    for text in itertools.islice(documents(dials), n):
        if text.startswith("en: `"):
            found.append(f"parallel-{PAIR.search(text)[2]}")
        else:
            found.append("solved" if "\n\n" in text else "plain")
    return found


def test_documents_follow_the_dials():
    found = kinds(DecoderDials())
    share = lambda start: sum(kind.startswith(start) for kind in found) / len(found)  # noqa: E731
    assert share("plain") == pytest.approx(0.2, abs=0.06) and share("parallel") == pytest.approx(0.6, abs=0.06)
    thai, german = share("parallel-th"), share("parallel-de")
    assert 0 < thai < 0.12 < german < 0.25  # a tenth of the parallel documents, against three tenths
    assert "parallel-th" not in kinds(DecoderDials(thai=0.0))


def test_without_the_dial_no_task_is_solved_in_a_target_language():
    solved = lambda dials: [t for t in itertools.islice(documents(dials), 500) if "\n\n" in t]  # noqa: E731
    non_ascii = lambda texts: [t for t in texts if not t.isascii()]  # noqa: E731
    assert non_ascii(solved(DecoderDials())) == []
    assert non_ascii(solved(DecoderDials(target_labels=0.5)))


@pytest.mark.parametrize("field", decoder_texts.FIELDS)
@pytest.mark.parametrize("code", PROBLEM_LANGUAGES[1:])
def test_pairs_mean_the_same(field, code):
    rng = random.Random(1)
    for _ in range(20):
        english, other = decoder_texts.pair(field, code, rng)
        numbers = [sorted(re.findall(r"\d+", text)) for text in (english, other)]
        assert numbers[0] == numbers[1] or ("million" in english and code == "zh"), (english, other)  # 700万
        if field == "marked":
            assert english.count("<answer>") == other.count("<answer>") == 1


def test_parallel_documents_are_closed_prompts():
    rng = random.Random(2)
    for _ in range(30):
        text = decoder_texts.parallel("zh", rng)
        pairs = PAIR.findall(text)
        assert 1 <= len(pairs) <= 9 and all(code == "zh" for _, code, _ in pairs)
        assert text == "\n".join(f"en: `{one}`\nzh: `{other}`" for one, _, other in pairs)


def test_solved_documents_have_the_form_of_the_tasks():
    rng = random.Random(3)
    ends = [decoder_texts.solved("en", rng).split("\n\n")[-1] for _ in range(60)]
    assert any(end in text_tasks.RELATIONS for end in ends) and any(end.split("\n")[-1].isdigit() for end in ends)


@pytest.mark.parametrize(
    ("dials", "digest"),
    [
        (decoders.UNLABELLED, "1203e147ed4d254d85fd5cd2c02ef20dee64535a3ef9ab664c994e37f0f8687a"),
        (decoders.LABELLED, "71ee8f717af153a6c8c58dbdf0bb049b6a3274e0da76b2833537416cf61841fe"),
        (DecoderDials(target_labels=0.5, thai=0.3), "e6a96425083bdcca348a7b0f57e19d2eaf9431c2f6ce3704c9e1664c3b589444"),
    ],
)
def test_documents_are_those_that_the_shipped_decoders_read(dials, digest):
    found = "\x00".join(itertools.islice(documents(dials), 400))
    assert sha256(found.encode()).hexdigest() == digest


def test_the_tokenizer_gives_every_text_back():
    tokenizer = load_tokenizer(str(decoder_folder()))
    checked = 0
    for text in [*itertools.islice(documents(DecoderDials(thai=0.4)), 60), "a  b\n\n`<answer>7 + 12</answer>`"]:
        ids = tokenizer(text)["input_ids"]
        assert ids[0] == tokenizer.bos_token_id
        if tokenizer.unk_token_id not in ids:
            assert tokenizer.decode(ids, skip_special_tokens=True) == text
            checked += 1
    assert checked > 50  # characters that the small vocabulary does not hold are rare


def test_symbols_and_digits_are_tokens_of_their_own():
    tokenizer = load_tokenizer(str(decoder_folder()))
    for symbol in decoders.SYMBOLS:
        holders = [token for token in tokenizer.get_vocab() if symbol in token]
        assert holders == [symbol]
    assert [t for t in tokenizer.tokenize("x 1234`") if t.strip("▁").isdigit()] == list("1234")


def test_sizes_are_as_named():
    for name, recipe in RECIPES.items():
        millions = decoders.size(decoders.small_llama(4000, recipe)) / 1e6
        assert millions == pytest.approx(float(re.search(r"-([\d.]+)m", name)[1]), rel=0.1)
    assert len({(r.batch, r.steps, r.documents, r.seed, r.vocabulary) for r in RECIPES.values()}) == 1


SMALL = DecoderRecipe(
    width=16, layers=1, learning_rate=1e-2, steps=4, cooldown=2, batch=300, documents=30, warmup=2, evaluate_every=2,
    vocabulary=900, bfloat16=False, compiled=False,
)  # fmt: skip


def test_every_parameter_has_one_optimiser_and_matrices_have_muon():
    model = decoders.small_llama(900, SMALL)
    muon, adamw = decoders.optimisers(model, SMALL)
    groups = [[p for group in each.param_groups for p in group["params"]] for each in (muon, adamw)]
    assert sorted(map(id, [*groups[0], *groups[1]])) == sorted(map(id, model.parameters()))
    assert len(groups[0]) == 7 and all(p.ndim == 2 for p in groups[0]) and isinstance(muon, torch.optim.Muon)
    assert model.lm_head.weight is model.get_input_embeddings().weight
    assert any(p is model.lm_head.weight for p in groups[1])


def test_training_resumes_with_the_same_numbers(tmp_path, monkeypatch):
    monkeypatch.setattr(decoders, "LONGEST", 128)
    monkeypatch.setattr(decoders, "tokenizer_lines", lambda: list(itertools.islice(documents(DecoderDials()), 200)))
    whole = decoders.train_decoder(tmp_path / "a", SMALL, tmp_path / "a.safetensors")
    real = Training._save

    def dies(self):
        real(self)
        if self.step == 4:
            raise KeyboardInterrupt

    monkeypatch.setattr(Training, "_save", dies)
    with pytest.raises(KeyboardInterrupt):
        decoders.train_decoder(tmp_path / "b", SMALL, tmp_path / "b.safetensors")
    monkeypatch.setattr(Training, "_save", real)
    resumed = decoders.train_decoder(tmp_path / "b", SMALL, tmp_path / "b.safetensors")
    assert resumed["curve"] == whole["curve"] and resumed["loss"] == whole["loss"]
    files = [(tmp_path / name / "model.safetensors").read_bytes() for name in "ab"]
    assert files[0] == files[1]


def test_documents_are_rows_of_their_own(monkeypatch):
    monkeypatch.setattr(decoders, "LONGEST", 64)
    tokenizer = load_tokenizer(str(decoder_folder()))
    rows = decoders.rows_of(tokenizer, SMALL)
    assert len(rows) == SMALL.documents and max(map(len, rows)) == 64
    assert all(row[0] == tokenizer.bos_token_id and row.count(tokenizer.bos_token_id) == 1 for row in rows)
    monkeypatch.setattr(decoders, "LONGEST", 5000)
    whole = decoders.rows_of(tokenizer, SMALL)
    assert all(row[-1] == tokenizer.eos_token_id for row in whole)


def test_the_shipped_decoders_are_small_and_say_what_they_read():
    folders = [FOLDER / name for name in RECIPES if name in CHECKPOINTS]
    assert folders and sum(path.stat().st_size for folder in folders for path in folder.iterdir()) < 20e6
    for folder in folders:
        about = json.loads((folder / "checkpoint.json").read_text())
        recipe = about["recipe"]
        assert recipe | {"dials": None} == asdict(RECIPES[folder.name]) | {"dials": None}
        assert recipe["dials"] == asdict(RECIPES[folder.name].dials)
        assert about["corpus"] == decoder_texts.corpus_name(RECIPES[folder.name].dials)
