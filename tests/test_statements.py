"""The statement bank and its tasks: files that fit together, no leaks, and labels that no shortcut gives away."""

import random
import shutil
from collections import Counter
from functools import cache
from hashlib import sha256

import numpy as np
import pytest
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression

from xltlib import downstream
from xltlib.corpora import decoder_texts, documents, first_edition, statement_text, statements
from xltlib.corpora import statement_tasks as tasks
from xltlib.corpora.bank import MINI, read_toml
from xltlib.corpora.statement_check import check_statements
from xltlib.corpora.statements import FORMS, Statement, actions, draw, shared, statement_bank
from xltlib.errors import InputError

CODES = tuple(sorted(path.parent.name for path in MINI.glob("*/statements.toml")))
PAIRS = ("paraphrase", "inference")


@cache
def examples(task: str, split: str) -> tuple[tasks.Example, ...]:
    return tasks.examples(task, "en", split, 1000)


# Files ----------------------------------------------------------------------------------------------------------------


def test_the_english_file_is_there():
    assert "en" in CODES


@pytest.mark.parametrize("code", CODES)
def test_every_language_file_fits_the_english_one(code):
    check_statements(code)


@pytest.mark.parametrize("code", CODES)
def test_wordings_differ_and_hold_every_name(code):
    bank, rng = statement_bank(code), random.Random(2)
    for action in actions():
        statement = draw(action, rng, 1, 1)
        texts = [bank.sentence(statement, form) for form in (*FORMS, 0, 1)]
        assert len(set(texts)) == 5, texts
        wanted = {
            statements.NAMES[kind]
            for slot, _ in statement.fills
            if (kind := shared()["slots"][slot]) in statements.NAMES
        }
        for form in (*FORMS, 0, 1):
            words = bank.words(statement, form)
            assert {w.name[2:] for w in words if w.name != "O"} == wanted
            if "n" in actions()[action]:
                assert any(str(statement.get("n")) in w.text for w in words)


@pytest.fixture
def edited(tmp_path):
    """`edited(old, new)` replaces text once in a copy of the English file and returns the folder."""
    (tmp_path / "en").mkdir()
    for name in ("statements.toml", "en/statements.toml"):
        shutil.copy(MINI / name, tmp_path / name)
    path = tmp_path / "en" / "statements.toml"

    def edit(old: str, new: str):
        text = path.read_text(encoding="utf-8")
        assert old in text, old
        path.write_text(text.replace(old, new, 1), encoding="utf-8")
        return tmp_path

    return edit


@pytest.mark.parametrize(
    ("old", "new", "names"),
    [
        ("[actions.buy]", "[actions.purchase]", "missing buy; extra purchase"),
        ("{a.nom} bought/VERB {o.acc} from/ADP {b.nom}", "{a.nom} bought/VERB {o.acc}", "slots must be a, o, n, b"),
        ("sold/VERB", "sold", "'sold' needs a part of speech"),
        ("sold/VERB", "sold/VRB", "'sold/VRB' needs a part of speech"),
        ("lent/VERB {o.acc}", "lent/VERB {o.dat}", "form 'dat' is missing"),
        ('david = { g = "m",', "david = {", "needs one form for each of m, f"),
        ("{a?himself|herself}", "{a?himself}", "needs one form for each of m, f"),
        ("yesterday = {", "gestern = {", r"\[times\]: missing yesterday; extra gestern"),
        ("visited/VERB {b.nom} {at.in} {t.adv}", "visited/VERB {b.nom} {at.in} {t.adv} .", "full stop"),
        ("[closings]", "[closing]", r"table \[closings\] is missing"),
        ("observers/NOUN had/AUX", "observers had/AUX", "'observers' needs a part of speech"),
    ],
)  # fmt: skip
def test_a_spoilt_file_is_one_line(edited, old, new, names):
    with pytest.raises(InputError, match=names) as error:
        check_statements("en", edited(old, new))
    assert "en/statements.toml" in str(error.value).replace("\\", "/") and "\n" not in str(error.value)


# Statements -----------------------------------------------------------------------------------------------------------


def test_words_carry_parts_of_speech_and_names():
    statement = Statement("fly", (("a", "anna"), ("p", "rome"), ("q", "cairo"), ("t", "monday")))
    words = [(w.text, w.tag, w.name) for w in statement_bank("en").words(statement)]
    assert words == [
        ("Anna", "PROPN", "B-PER"), ("flew", "VERB", "O"), ("from", "ADP", "O"), ("Rome", "PROPN", "B-LOC"),
        ("to", "ADP", "O"), ("Cairo", "PROPN", "B-LOC"), ("on", "ADP", "O"), ("Monday", "PROPN", "O"),
    ]  # fmt: skip
    assert statement_bank("en").sentence(statement, "front") == "On Monday Anna flew from Rome to Cairo."
    assert statement_bank("en").sentence(statement.replace(t=None)) == "Anna flew from Rome to Cairo."


def test_swapping_roles_and_telling_from_the_other_side_keep_the_split():
    rng = random.Random(0)
    for action in actions():
        statement = draw(action, rng)
        if tasks.swappable(action):
            assert tasks.swapped(statement).split == statement.split and tasks.swapped(statement) != statement
            assert tasks.swapped(tasks.swapped(statement)) == statement
    sale = draw("sell", rng)
    assert Statement("buy", sale.fills).split == sale.split


def test_opposites_have_the_same_slots():
    for one, other in (*shared()["opposites"].items(), *shared()["converses"].items()):
        assert actions()[one] == actions()[other]
        assert tasks.opposite(one) in (other, None) and (tasks.opposite(other) or tasks.converse(other)) == one


# Tasks ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("task", tasks.TASKS)
def test_sizes_balance_noise_and_no_text_twice(task):
    classes, _ = tasks.TASKS[task]
    for split in ("train", "test"):
        found = examples(task, split)
        clean = Counter(e.clean for e in found)
        assert len(clean) == classes and max(clean.values()) - min(clean.values()) <= 1
        assert 0.02 < np.mean([e.label != e.clean for e in found]) < 0.09
        assert len({e.texts for e in found}) == len(found)
    assert examples(task, "test")[:30] == tasks.examples(task, "en", "test", 30)


@pytest.mark.parametrize("task", tasks.TASKS)
def test_splits_share_no_statement(task):
    told = {
        split: {
            piece[1] for e in examples(task, split) for side in e.pieces for piece in side if piece[0] == "statement"
        }
        for split in ("train", "validation", "test")
    }
    assert all({s.split for s in found} == {split} for split, found in told.items())
    sentences = {k: {statement_bank("en", True).sentence(s) for s in found} for k, found in told.items()}
    assert not sentences["train"] & sentences["test"] and not sentences["validation"] & sentences["test"]


def test_paraphrases_mean_what_their_label_says():
    """Told again by a rule of its own: who did it to whom, with the converse turned round."""

    def event(statement):
        fills = dict(statement.fills)
        if statement.action == "sell":
            fills["a"], fills["b"] = fills["b"], fills["a"]
        return {"sell": "buy"}.get(statement.action, statement.action), tuple(sorted(fills.items()))

    kinds = Counter()
    for e in examples("paraphrase", "train"):
        (first,), (second,) = e.pieces
        assert (event(first[1]) == event(second[1])) == (e.clean == 1), e.texts
        assert (first[2], first[1].action) != (second[2], second[1].action)
        kinds[e.clean, first[1].action != second[1].action] += 1
    assert kinds[0, True] and kinds[1, True]


UNIQUE = {
    "inflation": "rate", "jobless": "rate", "exports": "change", "output": "change", "shares": "change",
    "rating": "direction", "sentence": "years", "elect": "mayor", "beat": "winner", "acquire": "buyer",
}  # fmt: skip
"""What there is one of at a time and place, by kind of statement: the only ground on which two exclude each other."""


def test_inference_means_what_its_label_says():
    """Told again, by a rule of its own: a statement entails what it says; it excludes what it leaves no room for, the
    same thing at the same time and place with another value. Anything else leaves the question open."""

    def kind(statement):
        return statement.action.removesuffix("_up").removesuffix("_down")

    def excludes(told, hypothesis):
        if kind(told) != kind(hypothesis) or not told.get("t"):
            return False
        if any(told.get(slot) != hypothesis.get(slot) for slot in ("at", "t", "p")):
            return False
        one, other = dict(told.fills), dict(hypothesis.fills)
        if UNIQUE[kind(told)] in ("winner", "buyer"):
            return set(one.values()) == set(other.values()) and one != other
        if kind(told) == "elect":
            return one["a"] != other["a"]
        names = [slot for slot in one if slot in ("a", "c", "d", "q")]
        return all(one[slot] == other[slot] for slot in names) and (told.action, one) != (hypothesis.action, other)

    for e in examples("inference", "train"):
        premise, ((_, hypothesis, form),) = e.pieces
        assert kind(hypothesis) in UNIQUE and hypothesis.get("t")
        told = [piece[1] for piece in premise]
        meant = 0 if hypothesis in told else 2 if any(excludes(s, hypothesis) for s in told) else 1
        assert meant == e.clean, e.texts
        assert (hypothesis, form) not in [piece[1:] for piece in premise]  # never the sentence itself


def test_every_way_of_exclusion_has_a_reason_and_occurs():
    for rule in tasks.rules()["exclusive"]:
        assert rule["reason"].endswith(".") and len(rule["reason"]) > 15
    seen = Counter()
    for e in examples("inference", "train"):
        hypothesis = e.pieces[1][0][1]
        if e.clean == 2:
            seen[hypothesis.action] += 1
    assert set(seen) == set(tasks.exclusive())
    for action, ways in tasks.exclusive().items():
        assert ("opposite" not in ways) or tasks.opposite(action)
        assert ("roles" not in ways) or tasks.swappable(action)
        assert all(way in actions()[action] for way in ways if way not in ("opposite", "roles"))


def test_events_that_can_happen_again_exclude_nothing():
    """Role swaps of a visit, a call, a loan or a flight, opposites within a week: both can be true."""
    again = {"visit", "call", "thank", "sue", "sell", "buy", "lend", "send", "give", "fly", "move", "supply", "stake"}
    again |= {"hire", "dismiss", "open", "close", "find", "lose", "pass", "reject", "loan", "state_visit", "accuse"}
    assert not again & set(tasks.exclusive())


@pytest.mark.parametrize("code", ["en", "zh"])
def test_a_topic_has_most_statements_of_its_text(code):
    """So no label hangs on the order of two statements; and nothing is said twice, or both ways, of one thing."""
    of = {action: topic for topic, found in tasks.rules()["topics"].items() for action in found}
    strays = 0
    for e in tasks.examples("topics", code, "test", 1000):
        told = [piece[1] for piece in e.pieces[0] if piece[0] == "statement"]
        counts = Counter(of[statement.action] for statement in told).most_common(2)
        assert counts[0][0] == tasks.TOPICS[e.clean] and (len(counts) == 1 or counts[0][1] > counts[1][1]), e.texts
        strays += len(counts) > 1
        assert len({tasks.matter(statement) for statement in told}) == len(told), e.texts
        assert all(tasks.plausible(statement) == statement for statement in told)
    assert 100 < strays < 240


def test_topics_are_those_of_reuters():
    """Ratings, stakes and loans are news of companies there, taxes of the economy (MLDoc's CCAT and ECAT)."""
    of = tasks.rules()["topics"]
    assert set(of) == set(tasks.TOPICS) and {"rating_up", "rating_down", "stake", "loan"} <= set(of["companies"])
    assert {"tax_up", "tax_down"} <= set(of["economy"])
    every = [action for found in of.values() for action in found]
    assert sorted(every) == sorted(set(actions()) - set(shared()["domains"]["everyday"]))


def test_statements_are_plausible():
    yearly = Statement("inflation_up", (("p", "rome"), ("n", 5), ("t", "march")))
    assert tasks.plausible(yearly) == yearly and tasks.plausible(yearly.replace(t=None)) == yearly.replace(t=None)
    assert tasks.plausible(yearly.replace(t="monday")) is None
    oil = Statement("oil_up", (("n", 5), ("at", "rome"), ("t", "monday")))
    assert tasks.plausible(oil) == oil.replace(at=None)
    pears = Statement("supply", (("c", "solara"), ("d", "merano"), ("o", "pears"), ("n", 5)))
    assert tasks.plausible(pears) is None and tasks.plausible(pears.replace(o="cars"))


# Corrections ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", CODES)
def test_corrected_wordings_fit_the_english_file(code):
    check_statements(code, corrected=True)


@pytest.mark.parametrize("code", CODES)
def test_corrections_change_something_and_are_read_by_the_labelled_tasks_alone(code):
    plain, corrected = statement_bank(code), statement_bank(code, corrected=True)
    changes = read_toml(MINI / code / "corrections.toml")
    assert changes
    for table, entries in changes.items():
        for key, entry in entries.items():
            assert corrected.tables[table][key] != plain.tables[table][key], f"{code}: {table}.{key} corrects nothing"
            if table == "actions":
                assert set(entry) <= set(plain.tables[table][key])
                assert len(corrected.tables[table][key]["own"]) == len(plain.tables[table][key]["own"])
    assert tasks.TaskWriter(code, "test", random.Random(0)).bank is corrected
    assert first_edition.FirstWriter(code, "test", random.Random(0)).bank is plain


def test_a_correction_of_nothing_is_refused(tmp_path):
    (tmp_path / "en").mkdir()
    for name in ("statements.toml", "en/statements.toml"):
        shutil.copy(MINI / name, tmp_path / name)
    path = tmp_path / "en" / "corrections.toml"
    for text, name in (('[actions.purchase]\nmain = "x"', r"\[actions\] purchase"), ("[verbs]\na = 1", r"\[verbs\]")):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(InputError, match=f"{name} is not in statements.toml") as error:
            statements.StatementBank("en", tmp_path, corrected=True)
        assert "corrections.toml" in str(error.value) and "\n" not in str(error.value)


FROZEN = {
    "bitext": "f17559316c7399ca", "documents": "5a0ddc8cb672d79f", "originals": "9f969655b1bc0b8b",
    "solved": "fce2456622f2ecfc", "words": "6890a96f2787bc30",
}  # fmt: skip


def test_what_the_checkpoints_read_stays_as_it_was():
    """Hashes of samples, taken before the labelled tasks got rules and wordings of their own."""
    rng = random.Random(8)
    found = {
        "bitext": list(statement_text.bitext("pretraining", 150)),
        "documents": documents.documents("pretraining", 400),
        "originals": statement_text.originals("de", 150),
        "solved": [decoder_texts.solved("de", rng) for _ in range(80)],
        "words": downstream.worded("en", "test", 200),
    }
    assert {name: sha256(repr(texts).encode()).hexdigest()[:16] for name, texts in found.items()} == FROZEN


def words(text: str) -> list[str]:
    return text.lower().replace(".", " .").split()


def accuracy(features, task: str) -> float:
    """Test accuracy of logistic regression on features of training examples."""
    train, test = examples(task, "train"), examples(task, "test")
    model = LogisticRegression(max_iter=1000).fit(features(train), [e.clean for e in train])
    return model.score(features(test), [e.clean for e in test])


NEAR_CHANCE = 0.05
"""1,000 test items: the standard error of a share near chance is 0.015, so this is over three of them."""


@pytest.mark.parametrize("task", PAIRS)
@pytest.mark.parametrize("side", [0, 1])
def test_one_side_gives_no_label_away(task, side):
    counts = CountVectorizer(ngram_range=(1, 2), token_pattern=r"\S+").fit(
        [e.texts[side] for e in examples(task, "train")]
    )
    found = accuracy(lambda es: counts.transform([e.texts[side] for e in es]), task)
    assert found < 1 / tasks.TASKS[task][0] + NEAR_CHANCE


@pytest.mark.parametrize("task", PAIRS)
def test_overlap_and_length_give_no_label_away(task):
    def shape(es):
        rows = []
        for e in es:
            one, two = (set(words(text)) for text in e.texts)
            shared_words = len(one & two)
            rows.append(
                [shared_words / len(one), shared_words / len(two), len(one) / 20, len(two) / 10, len(e.texts[1]) / 50]
            )
        return np.array(rows)

    assert accuracy(shape, task) < 1 / tasks.TASKS[task][0] + NEAR_CHANCE


def test_topics_can_be_told_from_words():
    counts = CountVectorizer().fit([e.texts[0] for e in examples("topics", "train")])
    assert accuracy(lambda es: counts.transform([e.texts[0] for e in es]), "topics") > 0.8


@pytest.mark.parametrize("task", tasks.TASKS)
def test_gold_renderings_are_plain_words(task):
    for e in examples(task, "train")[:40]:
        for side, text in zip(e.pieces, tasks.gold(e, "en"), strict=True):
            assert text == tasks.render("en", tasks.plain_pieces(side))
            assert all(
                isinstance(p[2], str) if p[0] == "statement" else p[0] == "closing" for p in tasks.plain_pieces(side)
            )
