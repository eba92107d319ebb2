"""Engines, memory, signatures, counts: with a tiny M2M100 of EasyNMT's kind, and with engines made of a few lines."""

import json
import math
import random
import shutil
import socket
import subprocess
import sys
import unicodedata
import warnings
from unittest import mock

import pytest
import torch

from xltlib import apertium, engines, self_train, store, translation, translation_models
from xltlib.apertium import Apertium
from xltlib.corpora import embedded
from xltlib.degenerate import blank, translatable
from xltlib.devices import device_parts
from xltlib.engines import LEGEND, CTranslate2, Engine, HuggingFace
from xltlib.errors import InputError
from xltlib.languages import REVIEW_LANGUAGES
from xltlib.memory import Translation, TranslationMemory, key
from xltlib.scales import MUSC_SCALES, ROOT, SCALES
from xltlib.translation import Counts, Translator, bleu, check_canary, degenerate, translator, write_canary

SENTENCES = {
    "en": ["the battery is good", "the screen is bad", "I like the colour", "it broke soon", "very cheap", "too loud"],
    "de": ["der Akku ist gut", "der Bildschirm ist schlecht", "ich mag die Farbe", "bald kaputt", "sehr billig",
           "zu laut"],
    "ja": ["電池は良い", "画面が悪い", "色が好き", "すぐ壊れた", "とても安い", "音が大きい"],
}  # fmt: skip
ODD = ["</s> hello __de__ <unk>", "😀 nice", "two\nlines", "@user http://t.co/x {name} [tag]", "½ ﬁ", "éa" * 3]


JOINED = [[0, 1], [2, 3, 4], [5, 0, 3], [4, 1, 2, 5], [3, 5, 1, 0, 2, 4], [1, 2, 3, 0, 4, 5]]


def joined(indices, code):
    return ". ".join(SENTENCES[code][i] for i in indices) + "."


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory):
    """A folder with an M2M100 of 0.1 million weights that has nearly learnt the sentences above by heart."""
    from xltlib import pretraining

    folder, threads, rng = tmp_path_factory.mktemp("tiny") / "tiny-m2m", torch.get_num_threads(), random.Random(1)
    torch.set_num_threads(1)
    torch.manual_seed(1)
    chosen = [[i] for i in range(6)] + JOINED
    spm = pretraining.train_sentencepiece(folder, [joined(c, code) for c in chosen for code in SENTENCES], 120)
    tokenizer = pretraining.build_m2m_tokenizer(folder, spm)
    recipe = pretraining.Recipe(steps=0, learning_rate=0, tokens=0, bitext=0, width=48, layers=1)
    model = pretraining.small_m2m(len(tokenizer.encoder) + 108, recipe)
    ids = {code: tokenizer.get_lang_id(code) for code in SENTENCES}
    rows = {(n, code): [ids[code], *tokenizer.convert_tokens_to_ids(tokenizer.tokenize(joined(c, code))), 2]
            for n, c in enumerate(chosen) for code in SENTENCES}  # fmt: skip
    optimiser = torch.optim.Adam(model.parameters(), lr=5e-3)
    for _ in range(150):
        batch = [(rng.randrange(len(chosen)), *rng.sample(list(SENTENCES), 2)) for _ in range(16)]
        source = pretraining.pad([rows[n, a] for n, a, _ in batch], 1)
        target = pretraining.pad([[2, *rows[n, b]] for n, _, b in batch], 1)
        logits = model(source, attention_mask=source.ne(1).long(), decoder_input_ids=target[:, :-1]).logits
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), target[:, 1:].flatten(), ignore_index=1)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # transformers says that max_length moves to the generation settings
        pretraining.save(model.eval(), folder)
    torch.set_num_threads(threads)
    return folder


@pytest.fixture(scope="session")
def build(tmp_path_factory):
    return tmp_path_factory.mktemp("build")


@pytest.fixture
def no_sockets(monkeypatch):
    def refuse(*arguments, **options):
        raise OSError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)


@pytest.fixture
def engine(checkpoint, build):
    return CTranslate2(checkpoint, max_length=40, compute_type="float32", build=build)


@pytest.fixture
def texts():
    return [joined(indices, "en") for indices in [[i] for i in range(6)] + JOINED] + ODD


class Fake(Engine):
    """An engine of one function; `calls` holds the batches."""

    name, version, model = "fake", "1", "none"

    def __init__(self, function=str.upper, print_="f"):
        super().__init__()
        self.function, self.print_, self.calls = function, print_, []

    def fingerprint(self, source, target):
        return self.print_

    def check(self, source, target):
        pass

    def translate_sentences(self, sentences, source_lang, target_lang, device="cpu", beam_size=5, **options):
        self.calls.append(list(sentences))
        return [self.function(sentence) for sentence in sentences]


# the checkpoint engines


def test_language_ids_agree(checkpoint):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    translation_models.check_language_tokens(tokenizer, "tiny")
    assert tokenizer.get_lang_id("de") == tokenizer.convert_tokens_to_ids("__de__")
    tokenizer.lang_code_to_id["de"] += 1
    with pytest.raises(InputError, match=r"__de__.*100 language codes"):
        translation_models.check_language_tokens(tokenizer, "tiny")
    with pytest.raises(InputError, match="cannot force"):
        translation_models.check_language_tokens(object(), "nllb")


def test_hugging_face_equals_ctranslate2_float32(checkpoint, engine, texts, no_sockets):
    hf = HuggingFace(checkpoint, max_length=40)
    expected = Translator(hf).translate(texts, "en", "de")
    first = hf._ids[:, 1].tolist()
    assert set(first) == {hf._auto.tokenizer.get_lang_id("de")}
    outputs = Translator(engine).translate(texts, "en", "de")
    assert outputs == expected
    assert hf.cut == engine.cut
    assert not any("__" in output for output in outputs)
    assert len(set(outputs)) > 5
    assert max(len(row) for row in engine.pieces(outputs)) > 20  # a fresh checkpoint's own limit


def plain_easynmt(folder):
    """EasyNMT as its documentation has it, but for splitting, which needs a download."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from easynmt import EasyNMT, models
    model = EasyNMT(translator=models.AutoModel(str(folder)), device="cpu")
    options = {"beam_size": 5, "batch_size": 16, "perform_sentence_splitting": False}
    return lambda texts, source, target: model.translate(texts, source_lang=source, target_lang=target, **options)


@pytest.mark.parametrize(("source", "target", "size"), [("en", "de", 200), ("zh", "en", 60)])
def test_easynmt_is_plain_easynmt_output_by_output(source, target, size, no_sockets):
    """Through the shipped checkpoint; the engine of scale mini differs in a tenth to a third of the texts."""
    texts = [review.text for review in embedded.reviews(source, "test", None)][:size]
    made = translator("easynmt", "mini-m2m", memory=None)
    outputs, wanted = made.translate(texts, source, target), plain_easynmt(made.engine.folder)(texts, source, target)
    assert outputs == wanted
    other = translator("ctranslate2", "mini-m2m", memory=None).translate(texts, source, target)
    assert 0.1 < sum(a != b for a, b in zip(other, wanted, strict=True)) / size < 0.34


def test_easynmt_leaves_the_search_to_the_checkpoint(checkpoint, tmp_path):
    """AutoModel gets EasyNMT's arguments and no others; the length is the checkpoint's own, and stands in the names."""
    folder = shutil.copytree(checkpoint, tmp_path / "own")
    settings = json.loads((folder / "generation_config.json").read_text())
    for length in (7, 100):
        (folder / "generation_config.json").write_text(json.dumps(settings | {"max_length": length}))
        made = translator("easynmt", folder, memory=None)
        text = [joined(JOINED[-1], "en")]
        assert made.translate(text, "en", "de") == plain_easynmt(folder)(text, "en", "de")
        assert f"|max:{length}|" in made.signature("en", "de") and f"|max:{length}|" in made.fingerprint("en", "de")
        assert "engine:easynmt-automodel|" in made.signature("en", "de")
        assert made.counts["en", "de"].truncated == (length == 7)
    with mock.patch.object(made.engine._auto, "translate_sentences", return_value=["x"]) as asked:
        made.engine._ids = torch.tensor([[2, 2]])
        made.translate(["a"], "en", "de")
    assert asked.call_args == mock.call(["a"], "en", "de", "cpu", 5)
    (folder / "generation_config.json").write_text("{}")
    assert engines.own_max_length(folder) == 20
    with pytest.raises(InputError, match="max_length=100: easynmt takes the checkpoint's own"):
        translator("easynmt", folder, max_length=100)


def test_the_first_token_is_the_target_language(engine, texts):
    results = engine._translator("cpu").translate_batch([["__en__", *row, "</s>"] for row in engine.pieces(texts)][:3],
                                                        [["__ja__"]] * 3)  # fmt: skip
    assert [result.hypotheses[0][0] for result in results] == ["__ja__"] * 3
    assert engine.translate_sentences(texts[:1], "en", "ja") != engine.translate_sentences(texts[:1], "en", "de")


@pytest.mark.parametrize("compute_type", ["float32", "int8"])
def test_order_company_and_batches_change_nothing(checkpoint, build, texts, compute_type, no_sockets):
    def fresh(chunk):
        return Translator(CTranslate2(checkpoint, max_length=40, compute_type=compute_type, build=build), chunk=chunk)

    expected = dict(zip(texts, fresh(512).translate(texts, "en", "de"), strict=True))
    shuffled = random.Random(3).sample(texts * 2, 2 * len(texts))
    for chunk in (1, 5, 512):
        assert fresh(chunk).translate(shuffled, "en", "de") == [expected[text] for text in shuffled]


def test_the_length_limit_is_explicit_and_counted(checkpoint, build):
    for kind in (HuggingFace(checkpoint, max_length=8), CTranslate2(checkpoint, max_length=8, build=build)):
        short = Translator(kind)
        outputs = short.translate([joined(JOINED[-1], "en")], "en", "de")
        assert len(kind.pieces(outputs)[0]) <= 7
        assert short.counts["en", "de"].truncated == 1


def test_a_shipped_checkpoint_knows_only_its_languages(engine):
    with pytest.raises(InputError, match="does not know the language 'xx'"):
        Translator(engine).translate(["a"], "en", "xx")
    engine.known = tuple(REVIEW_LANGUAGES)
    with pytest.raises(InputError, match="'pt'"):
        Translator(engine).translate(["a"], "en", "pt")


def test_a_changed_weight_changes_the_fingerprint_and_leaves_the_memory(checkpoint, build, tmp_path):
    from safetensors.torch import load_file, save_file

    first = Translator(CTranslate2(checkpoint, max_length=40, build=build), memory=tmp_path / "memory")
    text = [joined([0, 1], "en")]
    first.translate(text, "en", "de")
    other = shutil.copytree(checkpoint, tmp_path / checkpoint.name)
    weights = load_file(other / "model.safetensors")
    name = next(name for name in weights if name.endswith("final_layer_norm.bias"))
    weights[name] = weights[name] + 3
    save_file(weights, other / "model.safetensors", {"format": "pt"})
    second = Translator(CTranslate2(other, max_length=40, build=build), memory=tmp_path / "memory")
    assert second.fingerprint("en", "de") != first.fingerprint("en", "de")
    second.translate(text, "en", "de")
    assert second._easynmt is not None  # it had to translate
    assert len(list((tmp_path / "memory").iterdir())) == 2
    (other / "canary.json").write_text("{}")
    assert translation_models.folder_hash(other) == second.engine.model.split("@")[1]


def test_a_failed_conversion_leaves_nothing(checkpoint, tmp_path):
    broken = shutil.copytree(checkpoint, tmp_path / "broken")
    (broken / "model.safetensors").write_bytes(b"\0" * 100)
    with pytest.raises(Exception, match=r"."):
        translation_models.convert(broken, "broken@1", "int8", tmp_path / "build")
    assert list((tmp_path / "build").iterdir()) == []


# the translator, over any engine


def test_odd_input(engine, no_sockets):
    outputs = Translator(engine).translate(["", " \n", *ODD, "\u3000"], "en", "de")
    assert outputs[:2] == ["", ""]
    assert outputs[-1] == ""
    assert all("__" not in output and "</s>" not in output for output in outputs)
    assert Translator(engine).translate(["A\u0308", ""], "de", "de") == ["A\u0308", ""]


def test_blank_texts_never_reach_the_engine_and_texts_go_once():
    fake = Fake()
    outputs = Translator(fake).translate(["b", "", "a", "b", " "], "en", "de")
    assert outputs == ["B", "", "A", "B", ""]
    assert sorted(text for call in fake.calls for text in call) == ["a", "b"]


SOFT, FILLER, BIDI = "\u00ad", "\u3164\uffa0\u115f\u1160", "\u200e\u202a\u2066\u061c\u200f\u202e\u2069"
BLANK = ["", " \n\t", "\u3000", SOFT, "\u2060", "\u200b\u200c\u200d", FILLER, BIDI, "\ufeff", f" {SOFT} \u2060",
         "\u2800", "\ufe0f", "\u034f", "\x00\x85", "\u180e", "\u2028\u2029"]  # fmt: skip
SIGNS = ["!!!", "…", "😀😀", "👩\u200d👩\u200d👧", "🇩🇪", "1\ufe0f\u20e3", "\u2139\ufe0f", " - ", "->",
         "\u0301\u0308", "★★★☆☆", "。。。", "¿?", ":-)", "\u0e34", "€ %", "😀\u00ad", "\ue000", "\u0300 !"]  # fmt: skip
WORDS = ["a", "7", "½", "Ⅷ", "٣", "、你", "อ", "한", "ー", "!x!", f"{SOFT}b", "😀 1", "a\u0301", "ª", "１"]


@pytest.mark.parametrize("text", BLANK)
def test_what_shows_nothing_is_blank(text):
    assert blank(text) and not translatable(text)


@pytest.mark.parametrize("text", SIGNS)
def test_signs_and_emoji_have_nothing_to_translate(text):
    assert not blank(text) and not translatable(text)


@pytest.mark.parametrize("text", WORDS)
def test_letters_and_digits_are_translated(text):
    assert translatable(text) and not blank(text)


def test_texts_without_a_letter_or_digit_come_back_as_they_are_and_are_counted(tmp_path):
    fake = Fake(lambda text: "invented")
    made = Translator(fake, memory=tmp_path)
    outputs = made.translate([*BLANK, *SIGNS, *WORDS], "en", "de")
    assert outputs == [*([""] * len(BLANK)), *SIGNS, *(["invented"] * len(WORDS))]
    assert sorted(text for call in fake.calls for text in call) == sorted(
        {unicodedata.normalize("NFC", w) for w in WORDS}
    )
    assert made.counts["en", "de"] == Counts(n=len(SIGNS) + len(WORDS), unchanged=len(SIGNS))
    made.translate(SIGNS, "en", "de")  # nothing new: no engine, no memory
    assert made.counts["en", "de"].unchanged == 2 * len(SIGNS) and len(fake.calls) == 1


@pytest.mark.parametrize("kind", ["easynmt", "huggingface", "ctranslate2"])
def test_no_engine_of_a_checkpoint_sees_them(checkpoint, kind, monkeypatch):
    made = translator(kind, checkpoint, memory=None)
    monkeypatch.setattr(made.engine, "translate_sentences", lambda *a, **k: pytest.fail("the engine was asked"))
    assert made.translate(["\u200b", "!!!", "😀"], "en", "de") == ["", "!!!", "😀"]


def test_unicode_forms_are_one_text(tmp_path):
    fake = Fake()
    Translator(fake, memory=tmp_path).translate(["caf\u00e9"], "fr", "en")
    assert Translator(fake, memory=tmp_path).translate(["cafe\u0301"], "fr", "en") == ["CAF\u00c9"]
    assert len(fake.calls) == 1


@pytest.mark.parametrize("change", [lambda outputs: [*outputs, "spare"], lambda outputs: outputs[:-1]])
def test_an_engine_that_miscounts_raises(change, monkeypatch):
    fake = Fake()
    translate = fake.translate_sentences
    monkeypatch.setattr(fake, "translate_sentences", lambda *a, **k: change(translate(*a, **k)))
    with pytest.raises(RuntimeError, match="outputs for 2 sentences"):
        Translator(fake).translate(["a", "b"], "en", "de")


@pytest.mark.parametrize(("texts", "message"), [("one", "list of strings"), (["a", float("nan")], "text 1 is nan")])
def test_texts_must_be_strings(texts, message):
    with pytest.raises(InputError, match=message):
        Translator(Fake()).translate(texts, "en", "de")


def test_languages_are_never_guessed(monkeypatch):
    from easynmt import EasyNMT

    monkeypatch.setattr(EasyNMT, "language_detection", lambda *a: pytest.fail("a language was guessed"))
    monkeypatch.setattr(EasyNMT, "sentence_splitting", lambda *a: pytest.fail("a text was split"))
    assert Translator(Fake()).translate(["a. b."], "en", "de") == ["A. B."]


def test_counts():
    fake = Fake(lambda text: {"empty": " ", "copy": "Copy", "loop": "no no no no no no"}.get(text, text.upper() + "!"))
    counted = Translator(fake)
    counted.translate(["empty", "copy", "loop", "fine", "fine", "", "7"], "en", "de")
    assert counted.counts == {("en", "de"): Counts(n=6, empty=1, copied=1, truncated=0, repeated=1)}


@pytest.mark.parametrize(
    ("source", "output", "kinds"),
    [
        ("good", "gut", ()),
        ("Ｇｏｏｄ", "", ("empty",)),
        ("OK GUT", "ok  gut", ("copied",)),
        ("5 👍", "5 👍", ()),
        ("very good", "sehr, sehr, sehr, sehr, sehr gut", ("repeated",)),
        ("very very good", "sehr sehr sehr gut", ()),
        ("haha", "哈哈哈哈哈哈哈哈好", ("repeated",)),
        ("hahahahaha", "jajajajaja", ()),
        ("wow", "Wow!!!!!!!!!!!!!!", ()),
        ("it is bad", "der Bildschirm ist schlecht und " * 3, ("repeated",)),
    ],
)  # fmt: skip
def test_degenerate(source, output, kinds):
    assert degenerate(source, output) == kinds
    assert "truncated" in degenerate(source, output, truncated=True)


# memory


def test_the_second_pass_comes_from_the_memory(tmp_path):
    cut = Fake()
    cut.translate_sentences = lambda sentences, **_: (cut.cut.add("long"), [s.upper() for s in sentences])[1]
    first = Translator(cut, memory=tmp_path)
    silent = Translator(Fake(lambda text: pytest.fail("translated again")), memory=tmp_path)
    assert first.translate(["long", "b"], "en", "de") == silent.translate(["long", "b"], "en", "de")
    assert silent.counts == first.counts
    assert silent.counts["en", "de"].truncated == 1
    assert silent._easynmt is None


@pytest.mark.parametrize("change", [{"beam": 1}, {"options": {"length_penalty": 2}}, {"engine": Fake(print_="g")}])
def test_other_settings_are_other_translations(tmp_path, change):
    settings = {"engine": Fake(), "beam": 5, "memory": tmp_path}
    Translator(**settings).translate(["a"], "en", "de")
    other = Translator(**settings | change)
    other.translate(["a"], "en", "de")
    assert other.engine.calls[-1] == ["a"]
    again = Fake(print_=other.engine.print_)
    Translator(**settings | change | {"engine": again}).translate(["a"], "en", "de")
    assert again.calls == []
    Translator(**settings | {"engine": again}).translate(["a"], "de", "en")
    assert again.calls == [["a"]]


def test_a_kill_loses_at_most_a_chunk(tmp_path):
    def dies_at(text):
        if text == "c":
            raise KeyboardInterrupt
        return text.upper()

    with pytest.raises(KeyboardInterrupt):
        Translator(Fake(dies_at), memory=tmp_path, chunk=1).translate(["a", "b", "c", "d"], "en", "de")
    after = Fake()
    Translator(after, memory=tmp_path, chunk=1).translate(["a", "b", "c", "d"], "en", "de")
    assert after.calls == [["c"], ["d"]]


WRITER = """
import sys
from pathlib import Path
from xltlib.memory import Translation, TranslationMemory, key
memory = TranslationMemory(Path(sys.argv[1]))
for i in range(30):
    keys = [key("f", "en", "de", 5, {}, text) for text in (f"{sys.argv[2]} {i}", str(i))]
    memory.put({keys[0]: Translation(str(i)), keys[1]: Translation("both")})
print("done")
"""


def test_several_processes_write_one_memory(tmp_path):
    path = tmp_path / "memory.sqlite"
    command = [sys.executable, "-c", WRITER, str(path)]
    writers = [subprocess.Popen([*command, name], cwd=ROOT, stdout=subprocess.PIPE, text=True) for name in "ab"]
    assert [writer.communicate(timeout=120)[0].strip() for writer in writers] == ["done", "done"]
    keys = [key("f", "en", "de", 5, {}, f"{name}{i}") for name in ("a ", "b ", "") for i in range(30)]
    assert len(TranslationMemory(path).get(keys)) == 90


def test_an_unreadable_memory_says_so(tmp_path):
    path = tmp_path / "f.sqlite"
    path.write_text("this is no database, " * 100)
    with pytest.raises(InputError, match=r"f\.sqlite: unusable translation memory .*delete it"):
        Translator(Fake(), memory=tmp_path).translate(["a"], "en", "de")


def test_memory_keeps_translation_and_flag(tmp_path):
    memory = TranslationMemory(tmp_path / "deep" / "m.sqlite")
    assert memory.get([b"1"]) == {}
    memory.put({b"1": Translation("日本\n語", ("truncated", "repeated")), b"2": Translation("")})
    assert memory.get([b"1", b"2", b"3"]) == {
        b"1": Translation("日本\n語", ("truncated", "repeated")),
        b"2": Translation("", ()),
    }


# names, canary, BLEU


def test_signature(checkpoint, tmp_path):
    made = translator("ctranslate2", checkpoint, memory=tmp_path, max_length=40, length_penalty=0.8)
    assert made._easynmt is None
    name, digest = made.engine.model.split("@")
    assert name == "tiny-m2m"
    assert len(digest) == 8
    assert made.signature("en", "de") == (
        f"src:en|tgt:de|engine:easynmt-ctranslate2-int8|model:tiny-m2m@{digest}|beam:5|split:none|max:40|"
        f"length_penalty:0.8|lib:{made.engine.version}|v:1"
    )
    assert "huggingface" in translator("huggingface", checkpoint).signature("en", "de")


@pytest.mark.parametrize("kind", ["ctranslate2", "huggingface", "easynmt"])
def test_the_legend_explains_every_part_of_a_signature(checkpoint, kind):
    explained = {part for key in LEGEND for part in key.split(", ")}
    for part in translator(kind, checkpoint, memory=None).signature("en", "de").split("|"):
        assert part in explained or part.partition(":")[0] in explained, part
    assert translation.LEGEND is LEGEND


def test_recorded_signatures_are_still_made():
    """They are hashed into the runs' names: an engine's new parts must not change the old ones."""
    reference = store.reference("otc")["translator"].dropna()
    made = translator("ctranslate2", "mini-m2m").signature("en", "de")
    assert made.rpartition("|lib:")[0] in {name.rpartition("|lib:")[0] for name in reference.unique()}


def test_scale_paper_translates_with_easynmt_itself():
    assert {SCALES["paper"].engine, MUSC_SCALES["paper"].engine} == {"easynmt"}
    assert {s.engine for name in ("smoke", "mini") for s in (SCALES[name], MUSC_SCALES[name])} == {"ctranslate2"}
    with mock.patch.object(translation, "translator") as asked:
        self_train.external.__wrapped__("paper")
        self_train.external.__wrapped__("mini")
    assert [call.args[0] for call in asked.call_args_list] == ["easynmt", "ctranslate2"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "moses"}, "unknown translation engine 'moses'.*ctranslate2"),
        ({"model": "no-such"}, "unknown translation model 'no-such'.*mini-m2m"),
        ({"model": "someone/else"}, "pin a revision"),
        ({"compute_type": "int3"}, "int8, float32"),
        ({"num_beams": 5}, "unknown translation option 'num_beams'"),
        ({"beam": 0}, "beam=0"),
        ({"max_length": 2}, "max_length=2"),
    ],
)
def test_wrong_arguments_are_told_in_one_line(checkpoint, arguments, message):
    with pytest.raises(InputError, match=message) as caught:
        translator(**{"model": checkpoint} | arguments)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["cuda:x", "gpu", "CUDA", "cuda:", "cuda:-1", "cpu:1", "0", "", "cuda:1 ", "cuda:٣"])
def test_an_unknown_device_is_told_in_one_line(checkpoint, name):
    for call in (lambda: device_parts(name), lambda: translator(model=checkpoint, device=name)):
        with pytest.raises(InputError, match=r"unknown device .*use cpu, cuda, or a GPU's number") as caught:
            call()
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "parts"), [("cpu", ("cpu", 0)), ("cuda", ("cuda", 0)), ("cuda:0", ("cuda", 0)), ("cuda:12", ("cuda", 12))]
)
def test_ctranslate2_is_asked_for_the_gpu_of_the_device(checkpoint, build, name, parts):
    import ctranslate2

    made = Translator(CTranslate2(checkpoint, max_length=40, build=build), device=name)
    stop = mock.patch.object(ctranslate2, "Translator", side_effect=KeyboardInterrupt)
    with stop as asked, pytest.raises(KeyboardInterrupt):
        made.translate(["a"], "en", "de")
    assert (asked.call_args.kwargs["device"], asked.call_args.kwargs["device_index"]) == parts
    assert device_parts(torch.device(name)) == parts


def test_hugging_face_gets_the_device_as_it_is(checkpoint):
    made = translator("easynmt", checkpoint, memory=None, device="cuda:1")
    made.engine._load()
    stop = mock.patch.object(made.engine._auto.model, "to", side_effect=KeyboardInterrupt)
    with stop as asked, pytest.raises(KeyboardInterrupt):
        made.translate(["a"], "en", "de")
    assert asked.call_args == mock.call("cuda:1")


def test_a_folder_that_is_no_checkpoint(tmp_path):
    with pytest.raises(InputError, match=r"config\.json is missing"):
        translator(model=tmp_path)


def test_a_hub_out_of_reach_is_said_at_once(monkeypatch, tmp_path):
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(
        InputError, match=r"cannot get facebook/m2m100_418M@55c2e61b from the hub .*scale mini"
    ) as caught:
        translator("huggingface", "facebook/m2m100_418M")
    assert "\n" not in str(caught.value)


def test_canary(tmp_path):
    path, rows = tmp_path / "canary.json", [("en", "de", "one"), ("en", "ja", "two"), ("en", "de", "three")]
    write_canary(path, Translator(Fake()), rows)
    assert json.loads(path.read_text())["sentences"][0] == {
        "source": "en",
        "target": "de",
        "text": "one",
        "output": "ONE",
    }
    assert check_canary(path, Translator(Fake())) == []
    lines = check_canary(path, Translator(Fake(lambda text: text.upper().replace("W", "V"))))
    assert lines == ["en-ja 'two': 'TVO', not 'TWO'"]
    with pytest.raises(InputError, match="3 of 3 canary sentences"):
        check_canary(path, Translator(Fake(str.lower)))
    with pytest.raises(InputError, match="no canary"):
        check_canary(tmp_path / "none.json", Translator(Fake()))


@pytest.mark.parametrize(
    ("target", "tokenizer", "text"),
    [
        ("de", "13a", "Das ist ein guter Akku."),
        ("zh", "zh", "这个电池很好用。"),
        ("ja", "ja-mecab", "この電池はとても良いです。"),
    ],
)
def test_bleu(target, tokenizer, text):
    score, signature = bleu([text], [text], target)
    assert score == pytest.approx(100)
    assert f"tok:{tokenizer}" in signature
    assert bleu(["x y z"], [text], target)[0] < 10
    with pytest.raises(InputError, match="1 outputs, 2 references"):
        bleu([text], [text, text], target)


def test_bleu_in_one_tokenizer_for_all_languages():
    """Characters, by a count of our own: sacreBLEU's order is 4 and its blanks are no tokens."""
    output, reference = "the lamp is on", "the lamp was on"
    for target in ("de", "zh", "th", "ko"):
        score, signature = bleu([output], [reference], target, tokenize=translation.COMPARABLE)
        assert score == pytest.approx(naive_bleu(list(output.replace(" ", "")), list(reference.replace(" ", ""))))
        assert "tok:char" in signature
    words = bleu([output], [reference], "de")[0]
    assert words == bleu([output], [reference], "de", tokenize="13a")[0] != pytest.approx(score)


def naive_bleu(output, reference):
    """BLEU of one pair from the definition (Papineni et al. 2002), every order with a match."""
    product = 1.0
    for n in range(1, 5):
        grams = [[tuple(side[i : i + n]) for i in range(len(side) - n + 1)] for side in (output, reference)]
        product *= sum(min(grams[0].count(g), grams[1].count(g)) for g in set(grams[0])) / len(grams[0])
    return 100 * product**0.25 * min(1, math.exp(1 - len(reference) / len(output)))


@pytest.mark.parametrize("name", ["flores101", "flores200"])
def test_spbleu_without_its_model_is_refused_and_downloads_nothing(name, tmp_path, monkeypatch, no_sockets):
    import sacrebleu.utils

    monkeypatch.setattr(sacrebleu.utils, "SACREBLEU_DIR", str(tmp_path))
    with pytest.raises(InputError, match=r"no such model; download https.*'char'"):
        bleu(["a"], ["a"], "de", tokenize=name)
    with pytest.raises(InputError, match=r"unknown tokenizer of BLEU 'word'.*char"):
        bleu(["a"], ["a"], "de", tokenize="word")


# Apertium

TWEETS = [
    "@user I love it! http://t.co/a/b :)",
    "$5 for [this] {and} \\that ^ ~ <b>",
    "so\nmany 😀\u2028lines",
    "...",
    "It is a bad day.",
]


@pytest.mark.parametrize("text", TWEETS)
def test_apertium_stream_round_trip(text):
    row = apertium.escape(text)
    output = row + apertium.stop(row) + apertium.END
    assert apertium.unescape(output, row) == " ".join(apertium.REMOVED.sub(" ", text).split())


def test_apertium_keeps_placeholders_from_the_rules():
    assert apertium.escape("hi @user") == "hi [\\@user]"
    assert "^" not in apertium.escape("a ^ b")


def test_apertium_missing_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match="Apertium is not installed: apt-get install"):
        translator("apertium")


def test_apertium_routes(tmp_path):
    for name in ("eng-spa", "es-fr"):
        (tmp_path / f"{name}.mode").write_text("")
    engine = Apertium(tmp_path)
    assert [path.stem for path in engine.route("en", "es")] == ["eng-spa"]
    assert [path.stem for path in engine.route("en", "fr")] == ["eng-spa", "es-fr"]
    with pytest.raises(InputError, match="no rules from 'fr' to 'en'"):
        engine.check("fr", "en")


def has_apertium():
    try:
        Apertium().check("en", "fr")
    except InputError:
        return False
    return True


@pytest.mark.skipif(not has_apertium(), reason="Apertium with en-es and es-fr is not installed")
def test_apertium_translates_in_any_order(tmp_path):
    engine = Apertium()
    spanish = Translator(engine).translate(TWEETS, "en", "es")
    assert spanish[0].startswith("@user")
    assert "http://t.co/a/b" in spanish[0]
    assert spanish[4] == "Es un día malo."
    assert Translator(engine, chunk=2).translate(TWEETS[::-1], "en", "es") == spanish[::-1]
    assert len(Translator(engine).translate(TWEETS, "en", "fr")) == len(TWEETS)
    assert "model:eng-spa+es-fr@" in translator("apertium", memory=tmp_path).signature("en", "fr")


def test_the_memory_has_a_place_of_its_own():
    assert translation.BUILD / "memory" == ROOT / "build" / "memory"
