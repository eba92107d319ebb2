"""Paper 3's training sets and runs, with a small random decoder."""

from dataclasses import replace

import pytest
from models_for_tests import decoder_folder
from refusals import refused

from xltlib import lora, published, scales, self_train, text_tasks
from xltlib.self_train import TRAINING, spec, switched
from xltlib.self_translation import SHOTS, unmarked
from xltlib.store import Store
from xltlib.text_tasks import items

TASKS = list(text_tasks.TASKS)


@pytest.fixture(autouse=True)
def small(monkeypatch, tmp_path):
    """Smoke's settings with a random decoder that can be had; memories in a temporary folder."""
    at = replace(
        scales.SELF_SMOKE, main=str(decoder_folder()), train_size=10, validation_size=4, test_size=4, steps=2,
        max_tokens=tuple((field, 4) for field, _ in scales.SELF_SMOKE.max_tokens),
        new_tokens=tuple((task, 3) for task in TASKS), languages=("de", "zh"),
    )  # fmt: skip
    monkeypatch.setitem(scales.SELF_SCALES, "smoke", at)
    monkeypatch.setattr(self_train, "BUILD", tmp_path)
    for cached in (self_train.sample_items, self_train.translated, self_train.decoder_of):
        cached.cache_clear()
    yield at
    for cached in (self_train.sample_items, self_train.translated, self_train.decoder_of):
        cached.cache_clear()


def perfect(monkeypatch, lose: tuple[int, ...] = ()) -> None:
    """A translator that knows the originals of the target language; items `lose` are lost in their first field."""

    def translate(at, task, code, field, translator, decoder, texts):
        english = [t for item in items(task, "en", "train", 10) for t in self_train.texts_of(item, field)]
        other = [t for item in items(task, code, "train", 10) for t in self_train.texts_of(item, field)]
        known = dict(zip(english, other, strict=True))
        first = field == self_train.FIELDS[task][0]
        width = len(self_train.texts_of(items(task, "en", "train", 10)[0], field))
        found = [None if first and i // width in lose else known.get(t, t) for i, t in enumerate(texts)]
        return found, {"unclosed": found.count(None)} if None in found else {}

    monkeypatch.setattr(self_train, "_translate", translate)


@pytest.mark.parametrize("task", TASKS)
def test_samples_are_eight_and_no_training_items(task):
    shots = self_train.sample_items("smoke", task, "de")
    assert len(shots) == SHOTS
    assert not {one.prompt for one, _ in shots} & {item.prompt for item in items(task, "en", "train", 10)}
    for field in self_train.FIELDS[task]:
        pairs = self_train.samples("smoke", task, "de", field)
        assert all(one != other for one, other in pairs)
        assert field != "context" or all("<answer>" in side for pair in pairs for side in pair)


@pytest.mark.parametrize("task", TASKS)
def test_training_sets_have_what_the_paper_says(task, monkeypatch):
    perfect(monkeypatch, lose=(2,))
    size = {}
    for training in TRAINING:
        run = spec("smoke", task, training, None if training == "D_src" else "de", 0)
        found = self_train.training_items(run.settings)
        size[training] = len(found)
    assert size["D_src"] == 10 + 2 * SHOTS  # samples of both target languages
    assert size["D_tgt"] == 9 + SHOTS and size["D_src + D_tgt"] == 10 + SHOTS + 9
    assert size["D_src + D_tgt + D_cs"] == 10 + SHOTS + 9 + 18


@pytest.mark.parametrize("task", TASKS)
def test_a_perfect_translator_gives_the_target_items(task, monkeypatch):
    perfect(monkeypatch)
    made, lost = self_train.translated("smoke", task, "zh", "train", 10, "self", str(decoder_folder()))
    assert [m.prompt for m in made] == [i.prompt for i in items(task, "zh", "train", 10)]
    assert [m.output for m in made] == [i.output for i in items(task, "zh", "train", 10)]
    assert not any(lost.values())


def test_an_answer_whose_marks_are_lost_is_counted(monkeypatch):
    monkeypatch.setattr(
        self_train, "_translate", lambda *a: ([t.replace("<answer>", "") for t in a[-1]], {})
    )  # fmt: skip
    made, lost = self_train.translated("smoke", "questions", "de", "train", 10, "self", str(decoder_folder()))
    assert made == (None,) * 10 and lost["context"] == {"marks": 10}


def test_code_switched_items_ask_for_the_language_of_the_output():
    english, german = items("problems", "en", "train", 2), items("problems", "de", "train", 2)
    first, second, *_ = switched(english, german, "de")
    assert first.prompt.startswith(english[0].fields["problem"]) and first.output == german[0].output
    assert first.prompt.endswith("\n\nBitte antworte auf Deutsch.\n\n")
    assert second.prompt.startswith(german[0].fields["problem"]) and second.output == english[0].output
    assert second.prompt.endswith("\n\nPlease answer in English.\n\n")


def test_code_switched_labels_need_no_request():
    english, german = items("inference", "en", "train", 2), items("inference", "de", "train", 2)
    prompts = [item.prompt for item in switched(english, german, "de")]
    assert prompts == [p for pair in zip(english, german, strict=True) for p in (pair[0].prompt, pair[1].prompt)]


def test_the_external_translator_gets_lines_and_keeps_numbers(monkeypatch):
    class Shouts:
        def translate(self, texts, source, target):
            assert not any("\n" in text or text.isdigit() for text in texts)
            return [text.upper() for text in texts]

    monkeypatch.setattr(self_train, "external", lambda at: Shouts())
    found, lost = self_train._translate("smoke", "problems", "de", "solution", "external", "", ["a b.\nc.\n12"])
    assert found == ["A B.\nC.\n12"] and lost == {}


@pytest.mark.parametrize(
    "line", ["-7", "1.5", "1,010", "70 000", "\u22123", "$5", "50 %", "５０", "7 + 5 = 12", "", " "]
)
def test_the_external_translator_gets_no_line_without_letters(line, monkeypatch):
    class Shouts:
        def translate(self, texts, source, target):
            return [text.upper() + "!" for text in texts]

    monkeypatch.setattr(self_train, "external", lambda at: Shouts())
    found, _ = self_train._translate(
        "smoke", "problems", "de", "solution", "external", "", [f"a b\n{line}\nc 5\n{line}"]
    )
    assert found == [f"A B!\n{line}\nC 5!\n{line}"]


def test_embedded_lines_without_letters_are_digits_alone():
    """So that what the external translator of word problems gets is what it was."""
    for split in ("train", "validation", "test"):
        for item in items("problems", "en", split):
            for line in "\n".join(item.fields.values()).split("\n"):
                assert any(c.isalpha() for c in line) != line.isdigit()


def test_each_task_has_its_own_version_and_corpus():
    found = {task: spec("smoke", task, "D_src", None, 0) for task in TASKS}
    assert {task: run.version for task, run in found.items()} == {"problems": 1, "questions": 2, "inference": 1}
    assert {task: run.corpus.split("@")[0] for task, run in found.items()} == {
        "problems": "problems", "questions": "questions", "inference": "statements",
    }  # fmt: skip
    assert self_train.version_of("paper", "problems") == 2


@pytest.mark.parametrize("code", ["de", "ru", "th", "zh"])
def test_a_place_is_marked_with_its_preposition_and_answered_without(code, monkeypatch):
    """In few-shot samples, in what is translated, and in what comes back: the span is where the text says it."""
    shown = self_train.samples("smoke", "questions", code, "context")
    for texts, both in zip(shown, self_train.sample_items("smoke", "questions", code), strict=True):
        for text, item in zip(texts, both, strict=True):
            (place, start), lead = item.span, item.lead
            sentence = item.fields["context"][place]
            assert unmarked(text) == (sentence, start - lead, sentence[start - lead : start + len(item.target)])
    perfect(monkeypatch)
    made, lost = self_train.translated("smoke", "questions", code, "train", 10, "self", str(decoder_folder()))
    english, own = (items("questions", c, "train", 10) for c in ("en", code))
    assert [(m.target, m.span, m.prompt) for m in made] == [(i.target, i.span, i.prompt) for i in own]
    assert {m.lead for m in made} == {0} and not any(lost.values())
    leads = {item.fields["context"][item.span[0]][: item.span[1]].split()[-1] for item in english if item.lead}
    assert leads <= {"in", "from", "to"} and len(leads) > 1


def test_a_translated_item_has_no_english_answers_left(monkeypatch):
    english = replace(items("questions", "en", "train", 1)[0], others=("another",))
    parts = {"context": self_train.texts_of(english, "context"), "question": ["?"]}
    assert self_train._rebuilt(english, parts, "de").others == ()


def test_rows_of_questions_name_the_rule_of_their_scores():
    model, tokenizer = self_train.decoder_of(str(decoder_folder()))
    for task, code, rule in [
        ("questions", "de", "squad-1.1"),
        ("questions", "zh", "mlqa-zh"),
        ("problems", "zh", None),
    ]:
        s = spec("smoke", task, "D_src", None, 0).settings
        rows = self_train.tested_rows(model, tokenizer, items(task, code, "test", 2), s, "test", code)
        assert {row.get("rule") for row in rows} == {rule}


def test_samples_are_the_same_for_every_size():
    assert items("problems", "en", "samples") == items("problems", "en", "train", 1000 + SHOTS)[1000:]


def test_unfit_specs_are_refused():
    refused(lambda: spec("smoke", "problems", "D_src", "de", 0), "none to D_src")
    refused(lambda: spec("smoke", "problems", "D_tgt", None, 0), "give a target language")
    refused(lambda: spec("smoke", "problems", "D_tgt", "fr", 0), "unknown target language 'fr'")
    refused(lambda: spec("smoke", "sums", "D_src", None, 0), "unknown task 'sums'")
    refused(lambda: spec("smoke", "problems", "D_tgt", "de", 0, translator="human"), "unknown translator")


@pytest.mark.parametrize("task", TASKS)
def test_a_run_is_the_same_twice_and_says_where_it_was_tested(task, tmp_path):
    runs = [spec("smoke", task, "D_src + D_tgt", "de", 0), spec("smoke", task, "D_src", None, 0)]
    self_train.prepare(runs)
    records = Store(tmp_path / "a").run_grid(runs, self_train.run, progress=False)
    again = Store(tmp_path / "b").run_grid(runs[:1], self_train.run, progress=False)
    assert records[0].metrics == again[0].metrics
    tested = {(row["split"], row["language"]) for row in records[1].metrics}
    assert {("test", "en"), ("test", "de"), ("test", "zh"), ("validation", "en")} <= tested
    assert ("test", "zh") not in {(row["split"], row["language"]) for row in records[0].metrics}


def test_a_live_run_is_tested_in_the_live_languages_and_not_validated(tmp_path):
    live = scales.SELF_SMOKE.live_languages
    run = spec("smoke", "problems", "D_src", None, 0, live=True)
    self_train.prepare([run])
    (record,) = Store(tmp_path).run_grid([run], self_train.run, progress=False)
    tested = {(row["split"], row["language"]) for row in record.metrics if row["split"] != "train"}
    assert tested == {("test", code) for code in ("en", *live)}
    (other,) = set(scales.SELF_SMOKE.languages[1:2]) - set(live)
    refused(lambda: spec("smoke", "problems", "D_tgt", other, 0, live=True), f"unknown target language {other!r}")


def test_the_spec_names_what_the_translations_depend_on(monkeypatch):
    one = spec("smoke", "problems", "D_tgt", "de", 0)
    (signature,) = one.settings["translations"]
    source = [spec("smoke", "problems", "D_src", None, 0, translator=name) for name in ("self", "external")]
    assert source[0] == source[1] and signature in source[0].settings["translations"]  # what validates D_src
    assert "engine:self" in signature and "|shots:8|samples:" in signature and one.settings["translator"] == "self"
    other = replace(scales.SELF_SCALES["smoke"], max_tokens=tuple((f, 9) for f, _ in scales.SELF_SMOKE.max_tokens))
    monkeypatch.setitem(scales.SELF_SCALES, "smoke", other)
    assert spec("smoke", "problems", "D_tgt", "de", 0).id != one.id


def test_answers_keep_the_order(monkeypatch):
    tested = items("problems", "en", "test", 5)
    model, tokenizer = self_train.decoder_of(str(decoder_folder()))
    both = [self_train.answers(model, tokenizer, tested, 6, batch) for batch in (2, 5)]
    assert both[0] == both[1] and len(set(both[0])) > 1


def test_scale_paper_has_the_numbers_that_the_paper_prints():
    """Tables 5 and 7; GSM8K's question and answer are `problem` and `solution` here."""
    at, rows = scales.SELF_PAPER, published.hyperparameters("self_translate_train")
    everywhere = rows[rows["scope"] == "all"].set_index("item")["value"]
    assert at.batch == int(everywhere["batch size"]) and at.steps == int(everywhere["number of steps"])
    assert list(at.rates) == [float(rate) for rate in everywhere["learning rate"].split("|")]
    assert at.seeds * len(at.rates) == int(everywhere["runs per setting"])
    how = lora.LoraSettings(at.rates[0], at.steps, at.batch)
    assert (how.warmup, how.weight_decay) == (float(everywhere["warm-up ratio"]), float(everywhere["weight decay"]))
    most = rows[rows["where"] == "T5"].set_index("scope")["value"].astype(int)
    names = {"SQuAD / context": "context", "SQuAD / question": "question", "MultiNLI / premise": "premise"}
    names |= {"MultiNLI / hypothesis": "hypothesis", "GSM8k / question": "problem", "GSM8k / answer": "solution"}
    assert dict(at.max_tokens) == {field: most[scope] for scope, field in names.items()}
