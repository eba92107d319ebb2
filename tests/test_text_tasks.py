"""Prompts and outputs as the paper prints them, golden; answers and scores."""

import pytest
from refusals import refused

from xltlib import text_tasks
from xltlib.corpora import statement_tasks
from xltlib.text_tasks import Item, final_number, items, overlap, scores

GOLDEN = {
    "problems": (
        "School is out at last. Omar has got 8 pears to his name. Omar gets 12 more pears from Anna. How many pears "
        "does Omar have now?\n\n",
        "Omar now has 8 + 12 = 20 pears.\n20",
    ),
}


def test_golden_prompt_of_a_word_problem():
    item = items("problems", "en", "train", 3)[0]
    assert (item.prompt, item.output) == GOLDEN["problems"] and item.target == "20"


def test_prompts_follow_figures_3_and_4():
    item = Item("questions", {"context": ("A b.", "C d."), "question": "Who?"}, "C", ("en", "en"), span=(1, 0))
    assert item.prompt == "Context: A b. C d.\n\nQuestion: Who?\n\n" and item.output == "C"
    chinese = Item("questions", {"context": ("甲。", "乙。"), "question": "谁？"}, "乙", ("zh", "zh"))
    assert chinese.prompt.startswith("Context: 甲。乙。\n")
    item = Item("inference", {"premise": "P.", "hypothesis": "H."}, "Neutral", ("en", "en"))
    question = "What is their logical relation? Entailment, Neutral or Contradiction."
    assert item.prompt == f"Premise: P.\n\nHypothesis: H.\n\n{question}\n\n" and item.output == "Neutral"


def test_a_request_stands_before_the_output():
    one = Item("problems", {"problem": "x?", "solution": "1\n1"}, "1", ("en", "en"))
    other = Item("problems", {"problem": "y?", "solution": "eins\n1"}, "1", ("de", "de"))
    mixed = other.with_input_of(one, "Bitte antworte auf Deutsch.")
    assert mixed.prompt == "x?\n\nBitte antworte auf Deutsch.\n\n" and mixed.output == "eins\n1"
    assert mixed.codes == ("en", "de")


@pytest.mark.parametrize("task", list(text_tasks.TASKS))
def test_items_are_parallel(task):
    by_code = [items(task, code, "test", 30) for code in ("en", "de", "th")]
    for same in zip(*by_code, strict=True):
        if task != "questions":
            assert len({item.target for item in same}) == 1
        assert len({item.prompt for item in same}) == 3


def test_items_of_paper_2_are_not_these():
    """Inference has contents of its own here, the same in every language; paper 2's differ from one to the other."""
    labels = [label for _, label in statement_tasks.parallel_inference("de", "test", 30)]
    assert labels == [i % 3 for i in range(30)]
    refused(lambda: items("sums", "en", "test"), "unknown task 'sums'")


@pytest.mark.parametrize(
    ("text", "number"),
    [("so 12 apples.\n72", "72"), ("1,234", "1234"), ("3.50 euros", "3.5"), ("7.00", "7"), ("none", None), ("-5", "-5"),
     ("007", "7"), ("It costs $70,000.", "70000")],
)  # fmt: skip
def test_the_final_number(text, number):
    assert final_number(text) == number


def test_scores():
    problem = Item("problems", {"problem": "x?", "solution": "1\n12"}, "12", ("en", "en"))
    assert scores(problem, "It is 5 + 7 = 12.\n12") == {"accuracy": 1.0}
    assert scores(problem, "twelve") == scores(problem, "12\n13") == {"accuracy": 0.0}
    span = Item("questions", {"context": ("x",), "question": "?"}, "in Berlin", ("en", "en"))
    assert scores(span, " In the Berlin!\nmore") == {"exact_match": 1.0, "f1": 1.0}
    assert scores(span, "Berlin")["f1"] == pytest.approx(2 / 3) and scores(span, "")["f1"] == 0.0
    thai = Item("questions", {"context": ("x",), "question": "?"}, "ที่โรม", ("th", "th"))
    assert 0 < scores(thai, "โรม")["f1"] < 1 and overlap("x y", "y z", "en") == 0.5
    relation = Item("inference", {"premise": "p", "hypothesis": "h"}, "Neutral", ("en", "en"))
    assert scores(relation, "Neutral\nand more") == {"accuracy": 1.0} and scores(relation, "") == {"accuracy": 0.0}
