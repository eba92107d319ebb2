"""The training sets of the papers, row by row, with a translator that writes in capitals."""

from collections import Counter

import pytest

from xltlib import regimes
from xltlib.errors import InputError
from xltlib.regimes import Labelled
from xltlib.training import Row

DATA = Labelled(("a", "b", "c", "d"), (0, 1, 2, 3), "en")
OTHERS = ("de", "es", "fr", "ja", "zh")


class Capitals:
    """Upper-cases, and remembers what it was asked for."""

    def __init__(self):
        self.asked = []

    def __call__(self, texts, source, target):
        self.asked.append((source, target, tuple(texts)))
        return [f"{text.upper()}_{target}" for text in texts]


def original(i: int) -> Row:
    return Row("abcd"[i], i, "en")


def translation(i: int, target: str) -> Row:
    return Row(f"{'ABCD'[i]}_{target}", i, target, True)


@pytest.fixture
def translate():
    return Capitals()


def test_zero_shot_holds_the_originals_alone():
    assert regimes.originals_only(DATA) == [(original(i),) for i in range(4)]


def test_translated_only_holds_no_original(translate):
    assert regimes.translated_only(DATA, "de", translate) == [(translation(i, "de"),) for i in range(4)]
    assert translate.asked == [("en", "de", DATA.texts)]


def test_one_to_one_takes_the_targets_in_turn(translate):
    groups = regimes.with_translations(DATA, OTHERS, translate)
    assert groups == [(original(i), translation(i, OTHERS[i])) for i in range(4)]
    assert sorted(translate.asked) == [("en", target, ("abcd"[i],)) for i, target in enumerate(OTHERS[:4])]


def test_the_turns_begin_again_after_the_last_target(translate):
    groups = regimes.with_translations(DATA, ("de", "es", "fr"), translate)
    assert [group[1].language for group in groups] == ["de", "es", "fr", "de"]
    assert groups[3] == (original(3), translation(3, "de"))


def test_one_to_two_gives_two_different_targets(translate):
    groups = regimes.with_translations(DATA, OTHERS, translate, "1:2")
    turns = [("de", "es"), ("fr", "ja"), ("zh", "de"), ("es", "fr")]
    assert groups == [(original(i), *(translation(i, t) for t in pair)) for i, pair in enumerate(turns)]


def test_one_to_five_gives_every_target(translate):
    groups = regimes.with_translations(DATA, OTHERS, translate, "1:5")
    assert groups == [(original(i), *(translation(i, t) for t in OTHERS)) for i in range(4)]


def test_two_to_one_translates_every_second_original(translate):
    groups = regimes.with_translations(DATA, OTHERS, translate, "2:1")
    assert groups == [
        (original(0), original(1), translation(0, "de")),
        (original(2), original(3), translation(2, "fr")),  # turns count within a label and are shifted by it
    ]


def test_an_odd_original_at_two_to_one_is_left_out_and_not_translated(translate):
    groups = regimes.with_translations(DATA.first(3), OTHERS, translate, "2:1")
    assert groups == [(original(0), original(1), translation(0, "de"))]
    assert translate.asked == [("en", "de", ("a",))]


@pytest.mark.parametrize("ratio", regimes.RATIOS)
def test_the_ratio_holds_in_every_group_and_turns_are_even(translate, ratio):
    size = 200
    data = Labelled(tuple(f"t{i}" for i in range(size)), tuple(i % 5 for i in range(size)), "en")
    groups = regimes.with_translations(data, OTHERS, translate, ratio)
    first, count = map(int, ratio.split(":"))
    assert all(sum(not row.translated for row in g) == first and sum(r.translated for r in g) == count for g in groups)
    rows = [row for group in groups for row in group]
    per_target = [sum(row.translated and row.language == target for row in rows) for target in OTHERS]
    assert set(per_target) == {len(groups) * count // len(OTHERS)}
    assert all(row.label == int(row.text.strip("tT").split("_")[0]) % 5 for row in rows)  # labels carry over
    assert [row.text for row in rows if not row.translated] == list(data.texts)


def test_the_other_reading_translates_other_languages_into_the_source(translate):
    others = [Labelled(tuple(f"{c}{i}" for i in range(4)), (4, 3, 2, 1), c) for c in ("de", "es")]
    groups = regimes.with_translations_into(DATA, others, translate)
    expected = [("DE0_en", 4), ("ES1_en", 3), ("DE2_en", 2), ("ES3_en", 1)]
    assert groups == [(original(i), Row(text, label, "en", True)) for i, (text, label) in enumerate(expected)]
    assert translate.asked == [("de", "en", ("de0", "de2")), ("es", "en", ("es1", "es3"))]  # no text in vain


@pytest.mark.parametrize(("rows", "kept"), [(0, 0), (1, 0), (2, 1), (3, 1), (4, 2), (8, 4), (99, 4)])
def test_matching_rows_keeps_whole_groups(translate, rows, kept):
    groups = regimes.with_translations(DATA, OTHERS, translate)
    assert regimes.match_rows(groups, rows) == groups[:kept]


def test_bad_input_is_one_line(translate):
    with pytest.raises(InputError, match=r"'3:1'.*2:1, 1:1, 1:2, 1:5"):
        regimes.with_translations(DATA, OTHERS, translate, "3:1")
    with pytest.raises(InputError, match="1:5 needs 5 target languages, there are 4"):
        regimes.with_translations(DATA, OTHERS[:4], translate, "1:5")
    with pytest.raises(InputError, match="1:1 needs 1 target languages, there are 0"):
        regimes.with_translations(DATA, (), translate)
    short = Labelled(("x",), (0,), "de")
    with pytest.raises(InputError, match="4 texts of each other language: de"):
        regimes.with_translations_into(DATA, [short], translate)
    with pytest.raises(InputError, match="none given"):
        regimes.with_translations_into(DATA, [], translate)


def test_sizes():
    assert len(DATA) == 4 and DATA.first(2) == Labelled(("a", "b"), (0, 1), "en") and len(DATA.first(9)) == 4


def test_every_translated_language_has_every_label():
    """A corpus that lists its labels in a cycle must not tie the languages, dealt out in turn, to labels."""
    labels = tuple(i % 5 for i in range(100))
    data = regimes.Labelled(tuple(f"text {i}" for i in range(100)), labels, "en")
    groups = regimes.with_translations(data, OTHERS, lambda texts, source, target: texts)
    seen = Counter((row.language, row.label) for group in groups for row in group if row.translated)
    assert set(seen.values()) == {4} and len(seen) == 25
    others = [regimes.Labelled(data.texts, labels, code) for code in OTHERS]
    into = regimes.with_translations_into(data, others, lambda texts, source, target: [source] * len(texts))
    assert set(Counter((group[1].text, group[1].label) for group in into).values()) == {4}
