"""The prompt of Figure 5, the filters of A.3, marks, and generation that company does not change."""

import random

import pytest
from models_for_tests import decoder_folder
from real_files import REAL, needs
from refusals import refused

from xltlib import self_translation as st
from xltlib.corpora import generation_files
from xltlib.generation import generate
from xltlib.models import load_causal, load_tokenizer
from xltlib.self_translation import SelfTranslator, keep_translation, translation_prompt

SAMPLES = [("One apple.", "Ein Apfel."), ("Two pears.", "Zwei Birnen.")]


def test_the_prompt_is_figure_5():
    assert translation_prompt(SAMPLES, "Three eggs.", "de") == (
        "en: `One apple.`\nde: `Ein Apfel.`\nen: `Two pears.`\nde: `Zwei Birnen.`\nen: `Three eggs.`\nde: `"
    )
    assert translation_prompt([], "x", "zh") == "en: `x`\nzh: `"


def test_a_backtick_in_a_text_is_refused():
    refused(lambda: translation_prompt(SAMPLES, "a `b` c", "de"), "backtick", "a `b` c")
    refused(lambda: translation_prompt([("`", "x")], "b", "de"), "backtick")


@pytest.mark.parametrize(
    ("source", "output", "code", "expected"),
    [
        ("abcdef", "ghijkl`\nen: `", "de", (True, "ghijkl")),
        ("abcdef", "gh`", "de", (True, "gh")),  # exactly a third
        ("abcdef", "g`", "de", (False, "length")),
        ("ab", "cdefgh`", "ru", (True, "cdefgh")),  # exactly three times
        ("ab", "cdefghi`", "ru", (False, "length")),
        ("abcdefghi", "九`", "zh", (True, "九")),  # a Chinese character counts three
        ("abcdefghi", "九`", "th", (False, "length")),
        ("ab", "二三四`", "zh", (False, "length")),
        ("abc", "no end", "de", (False, "unclosed")),
        ("abc", "`", "de", (False, "length")),
        ("abc", "  `", "de", (False, "length")),
    ],
)
def test_the_filters(source, output, code, expected):
    assert keep_translation(source, output, code) == expected


def test_an_unknown_language_is_refused():
    refused(lambda: keep_translation("a", "b`", "xx"), "unknown language 'xx'")


def test_marks_go_on_and_come_off():
    sentence = "Anna gave 5 apples to Omar."
    text = st.marked(sentence, 22, 26)
    assert text == "Anna gave 5 apples to <answer>Omar</answer>."
    assert st.unmarked(text) == (sentence, 22, "Omar")
    assert st.unmarked("<answer> Omar </answer>x") == (" Omar x", 1, "Omar")
    for broken in ("no marks", "<answer>x", "</answer>x<answer>", "<answer> </answer>", "<answer>a</answer><answer>b"):
        assert st.unmarked(broken) is None


def test_sentences_are_split_at_stops_before_blanks():
    assert st.sentences("A b. C 3.5 d! E?") == ["A b.", "C 3.5 d!", "E?"]
    assert st.sentences("甲。乙！丙") == ["甲。", "乙！", "丙"] and st.sentences(" ") == []


@pytest.mark.parametrize(
    "parts",
    [
        ['The word means "free."', "It is old."], ["They left (all of them.)", "Then it rained."],
        ["What?!", "No...", "a"],
        ["“Stop!” he said.", "“Why?”", "[See note.]", "End"], ["Sie sagte: „Gut.“", "»Nein.«", "»Ja.«", "Er ging."],
        ["Il dit : « Non. »", "« Oui », dit-elle.", "Fin."], ["«Нет…»", "Он ушёл."], ["'Yes.'", "**No.**", "So."],
        ["Dr. J. Smith left the U.S. Army.", "He came back."], ["هل؟", "نعم."], ["वह आया।", "वह गया।"],
    ],
)  # fmt: skip
def test_what_closes_after_a_stop_stays_with_its_sentence(parts):
    assert st.sentences(" ".join(parts)) == parts


@pytest.mark.parametrize(
    "parts",
    [
        ["他说：“你好。”", "然后走了。"], ["他来了。", "“你好！”", "她说。"],
        ["「はい。」", "『いいえ。』", "（終わり！）", "次"],
        ["他说\"好。\"", "再见。", "\"好！\""],
        ["什么？！", "真的！！", "a。。。", "b"], ["《书。》", "【注。】", "完"],
    ],
)  # fmt: skip
def test_the_same_without_blanks(parts):
    assert st.sentences("".join(parts)) == parts


def without_blanks(text: str) -> str:
    return "".join(text.split())


def test_no_character_is_lost_whatever_stands_after_a_stop():
    rng = random.Random(0)
    for _ in range(3000):
        text = "".join(
            rng.choice(list("ab A字。！？.!?…।\"'“”‘’»«›‹）」』)]}]* \u00a0\u3000\nุ9-"))
            for _ in range(rng.randint(1, 30))
        )
        assert without_blanks("".join(st.sentences(text))) == without_blanks(text), text
        assert all(part == part.strip() != "" for part in st.sentences(text))


@pytest.mark.parametrize("piece", [".", '."', "。", "A. ", ".) ", '。"'])
def test_a_long_text_takes_no_time(piece):
    """An output or a context that repeats itself: twenty thousand times here, which took minutes with a rule that
    reads on from every stop."""
    text = piece * 20000
    assert without_blanks("".join(st.sentences(text))) == without_blanks(text)


@needs("xquad")
@needs("squad")
def test_no_character_of_a_real_context_is_lost():
    files = [REAL / "squad" / "dataset" / "dev-v1.1.json", *sorted((REAL / "xquad").glob("xquad.*.json"))]
    contexts = {asked.context for path in files for asked in generation_files.squad(path)}
    assert len(contexts) > 400
    for context in contexts:
        assert without_blanks("".join(st.sentences(context))) == without_blanks(context)


@pytest.fixture
def translator(tmp_path):
    """A random model's self-translator with a memory."""
    model, tokenizer = load_causal(str(decoder_folder())), load_tokenizer(str(decoder_folder()))
    return SelfTranslator(model, tokenizer, "random@0", SAMPLES, "de", 12, memory=tmp_path, batch=2)


def test_outputs_are_kept_and_resumed(translator, monkeypatch):
    texts = ["Five", "Six eggs.", "Five", "Anna has 12 eggs."]
    first = translator.outputs(texts, progress=False)
    assert first[0] == first[2] and len(first) == 4
    calls = []
    monkeypatch.setattr(st, "generate", lambda *a, **k: calls.append(a) or ["new`"])
    assert translator.outputs(texts, progress=False) == first and not calls
    assert translator.outputs([*texts, "Seven"], progress=False)[-1] == "new`" and len(calls) == 1


def test_a_kill_loses_the_chunk_in_flight_alone(translator, monkeypatch):
    texts, real, done = ["a", "bb", "ccc", "dddd"], generate, []

    def dies(model, tokenizer, prompts, most, **options):
        if done:
            raise KeyboardInterrupt
        done.append(len(prompts))
        return real(model, tokenizer, prompts, most, **options)

    monkeypatch.setattr(st, "generate", dies)
    with pytest.raises(KeyboardInterrupt):
        translator.outputs(texts, progress=False)
    made = []
    monkeypatch.setattr(
        st, "generate", lambda m, t, prompts, most, **o: made.append(len(prompts)) or real(m, t, prompts, most, **o)
    )
    translator.outputs(texts, progress=False)
    assert done == [2] and made == [2]


def test_translate_counts_what_is_lost(translator, monkeypatch):
    outputs = {"abc": "def`", "ghi": "loop loop", "jkl": "`"}
    found = lambda m, t, prompts, most, **o: [outputs[p.split("en: `")[-1].split("`")[0]] for p in prompts]  # noqa: E731
    monkeypatch.setattr(st, "generate", found)
    done = translator.translate(["abc", "ghi", "jkl", "m`n"])
    assert done.texts == ("def", None, None, None)
    assert done.lost == {"unclosed": 1, "length": 1, "backtick": 1}


def test_texts_without_a_letter_or_digit_are_their_own_translation(translator, monkeypatch):
    monkeypatch.setattr(st, "generate", lambda *a, **k: pytest.fail("the model was asked"))
    assert translator.outputs(["!!!", "😀", ""], progress=False) == ["!!!`", "😀`", "`"]
    done = translator.translate(["!!!", "…", " "])
    assert done.texts == ("!!!", "…", None) and done.lost == {"length": 1}


def test_the_signature_names_model_samples_and_limit(translator):
    assert "model:random@0" in translator.signature() and "max:12" in translator.signature()
    other = SelfTranslator(translator.model, translator.tokenizer, "random@0", SAMPLES[:1], "de", 12)
    assert other.signature() != translator.signature()
    refused(lambda: SelfTranslator(None, None, "x", [], "de", 1), "max_tokens=1")
