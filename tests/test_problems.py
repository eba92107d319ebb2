"""Word problems and questions: right answers, spans, splits, and files that fit the English ones."""

import itertools
import operator
import random
import re
from collections import Counter

import pytest
from refusals import refused

from xltlib import text_tasks
from xltlib.corpora import problem_check, problems, questions
from xltlib.corpora.bank import MINI
from xltlib.corpora.problems import PROBLEM_LANGUAGES, Problem, problem_kinds
from xltlib.corpora.statements import shared, statement_bank


@pytest.mark.parametrize("code", PROBLEM_LANGUAGES)
def test_every_language_fits_the_english_files(code):
    assert [*problem_check.problem_faults(code), *problem_check.question_faults(code)] == []


def test_a_spoilt_file_is_told():
    bank = problems.ProblemBank("de")
    entry, english = bank.tables["facts"]["gets"], problems.ProblemBank("en").tables["facts"]["gets"]
    spoilt = {"plain": [text.replace("{y}", "zwei") for text in entry["plain"]], "own": entry["own"][:1]}
    told = list(problem_check._wording_faults(spoilt, english, "gets", "facts"))
    assert any("numbers must be y" in fault for fault in told) and any("2 wordings or more" in fault for fault in told)
    refused(lambda: problem_check.check_problems("fr"), "no such file")
    refused(lambda: problems.problem_bank("fr"), "no word problems in 'fr'")


def told_by_hand(problem: Problem) -> int:
    """The answer of a problem, worked out from its kind's name alone."""
    n = dict(problem.numbers)
    x, y, z, k, p, m = (n.get(slot, 0) for slot in "xyzkpm")
    return {
        "gain": x + y, "buy": x + y, "give": x - y, "lose": x - z, "both": x + y, "more": x + y, "fewer": x - y,
        "twice": 2 * x, "boxes": k * x, "days": k * x, "price": x * p, "share": x / (k or 1), "gain_lose": x + y - z,
        "more_both": 2 * x + y, "fewer_both": 2 * x - y, "twice_both": 3 * x, "boxes_give": k * x - y,
        "money": m - x * p,
    }[problem.kind]  # fmt: skip


def test_answers_are_right_and_countable_in_every_language():
    contents = problems.contents("train", 360)
    counts = set(problem_kinds()["counts"])
    for problem in contents:
        assert problem.answer == told_by_hand(problem)
        assert {result for _, _, result in problem.steps} <= counts
        for _, formula, result in problem.steps:
            left, right = formula.split(" = ")
            assert eval(left) == result == int(right)
    assert {problem.kind for problem in contents} == set(problem_kinds()["kinds"])


@pytest.mark.parametrize("code", PROBLEM_LANGUAGES)
def test_the_text_holds_the_numbers_and_the_solution_ends_in_the_answer(code):
    for solved in problems.problems(code, "validation", 90):
        said = {int(number) for number in re.findall(r"\d+", solved.question)}
        assert {value for _, value in solved.content.numbers} <= said
        *lines, last = solved.solution.split("\n")
        assert last == str(solved.answer) and len(lines) == len(solved.content.steps)
        assert "{" not in solved.question + solved.solution and "  " not in solved.question


def test_problems_are_the_same_in_every_language_and_no_split_shares_one():
    by_code = [problems.problems(code, "test", 60) for code in PROBLEM_LANGUAGES]
    for same in zip(*by_code, strict=True):
        assert len({solved.content for solved in same}) == 1 and len({solved.question for solved in same}) == 5
    keys = {split: {(p.kind, p.o, p.numbers) for p in problems.contents(split, 300)} for split in problems.SIZES}
    assert all(not keys[a] & keys[b] for a, b in itertools.combinations(keys, 2))


def test_originals_use_own_words_and_literal_text_none():
    bank = problems.problem_bank("en")
    own = [text.split("{")[0] for entry in bank.tables["facts"].values() for text in entry["own"]]
    own = [text for text in own if len(text) > 8]
    written = " ".join(s.question for s in problems.problems("en", "train", 300))
    literal = " ".join(bank.solved(p, problems.literal).question for p in problems.contents("train", 300))
    assert any(text in written for text in own) and not any(text in literal for text in own)


@pytest.mark.parametrize("code", PROBLEM_LANGUAGES)
def test_the_answer_is_a_span_of_the_context(code):
    for question in questions.questions(code, "validation", 60):
        sentence = question.sentences[question.about]
        assert sentence[question.start : question.start + len(question.answer)] == question.answer
        assert question.answer.strip() == question.answer and question.answer not in question.question


def test_contexts_share_no_name_and_lie_in_one_split():
    for asked in questions.contents("test", 80):
        assert {statement.split for statement in asked.context} == {"test"}
        fillers = [set(dict(statement.fills).values()) for statement in asked.context]
        assert all(not a & b for a, b in itertools.combinations(fillers, 2))


def test_an_asked_statement_keeps_the_form_of_the_slot():
    """In Russian, own wordings put some names in another case than the question asks for: those are left out."""
    bank, rng = statement_bank("ru"), random.Random(0)
    for asked in questions.contents("train", 200):
        statement = asked.context[asked.about]
        templates = bank.tables["actions"][statement.action]
        form = questions.forms_of(rng, bank, asked)[asked.about]
        template = templates["own"][form] if isinstance(form, int) else templates[form]
        wanted = re.search(rf"\{{{asked.slot}\.\w+\}}", templates["main"])[0]
        assert wanted in template


def test_where_a_span_begins_survives_capitals_and_missing_blanks():
    bank = statement_bank("zh")
    asked = questions.contents("train", 1)[0]
    sentence, start, answer = questions.located(bank, asked.context[asked.about], "main", asked.slot)
    assert sentence.endswith("。") and sentence[start:].startswith(answer)
    refused(lambda: questions.located(bank, asked.context[asked.about], "main", "zz"), "no slot zz")


@pytest.mark.parametrize("code", PROBLEM_LANGUAGES)
def test_the_answer_to_a_question_for_a_place_is_its_name(code):
    """One of the forms of the bank without what is no name; with `phrase` the preposition comes back, where it is."""
    bank, prepositions = statement_bank(code), set()
    for asked in questions.contents("train", 300):
        statement = asked.context[asked.about]
        value, form = statement.get(asked.slot), "main"
        sentence, start, answer = questions.located(bank, statement, form, asked.slot)
        phrase = questions.located(bank, statement, form, asked.slot, phrase=True)[2]
        if shared()["slots"][asked.slot] != "places":
            assert answer == phrase
            continue
        words = {part for text in bank.entry(asked.slot, value).values() for part in text.split()}
        assert answer in {part for part in words if "/" not in part} and phrase.endswith(answer)
        assert sentence[:start].rstrip().endswith(phrase.removesuffix(answer).rstrip())
        prepositions.add(phrase.removesuffix(answer).strip())
    assert prepositions - {""} == {
        "en": {"in", "from", "to"}, "de": {"in", "von", "nach"}, "ru": {"в", "из"}, "zh": {"在", "从"},
        "th": {"ที่", "จาก", "ไปยัง"},
    }[code]  # fmt: skip


@pytest.mark.parametrize(
    ("code", "phrase", "name"),
    [
        ("en", "from Seoul", "Seoul"), ("en", "In Rome", "Rome"), ("en", "Intown", "Intown"), ("de", "nach Rom", "Rom"),
        ("de", "aus Kairo", "Kairo"), ("ru", "из Рима", "Рима"), ("zh", "从首尔", "首尔"), ("zh", "首尔", "首尔"),
        ("th", "ไปยังโซล", "โซล"), ("th", "จากโซล", "โซล"), ("en", "from", "from"), ("zh", "从", "从"),
    ],
)  # fmt: skip
def test_a_preposition_comes_off_a_place(code, phrase, name):
    assert questions.without_preposition(code, phrase) == name


def test_the_questions_have_a_name_of_their_own_in_records(monkeypatch):
    name = questions.corpus_name()
    assert re.fullmatch(r"questions@[0-9a-f]{12}", name) and problems.problems_hash() not in name
    monkeypatch.setattr(questions, "RULES", questions.RULES + 1)
    assert questions.corpus_name() != name


def test_the_hash_covers_all_files():
    before = problems.problems_hash()
    assert re.fullmatch(r"[0-9a-f]{12}", before)
    assert all((MINI / code / "questions.toml").exists() for code in PROBLEM_LANGUAGES)


def test_the_baselines_are_what_the_card_says():
    card = " ".join((MINI / "problems.md").read_text(encoding="utf-8").split())
    shares = []
    for task in ("problems", "questions", "inference"):
        targets = [item.target for item in text_tasks.items(task, "en", "test", None)]
        shares.append(Counter(targets).most_common(1)[0][1] / len(targets))
    told = "the most frequent answer is right in {:.1%} of the problems, in {:.1%} of the questions and in {:.1%}"
    assert told.format(*shares).replace("%", " %") in card
    items = text_tasks.items("problems", "en", "test", None)
    first = [([int(n) for n in re.findall(r"\d+", item.fields["problem"])][:2], int(item.target)) for item in items]
    rules = (operator.add, lambda x, y: abs(x - y), operator.mul)
    right = [sum(len(n) == 2 and rule(*n) == answer for n, answer in first) / len(first) for rule in rules]
    told = "adding the first two numbers of a problem gives the right answer in {:.0%}, taking their difference in "
    assert (told + "{:.0%}, their product in {:.0%}.").format(*right).replace("%", " %") in card
