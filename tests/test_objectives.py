"""The five objectives read the same text, in the forms of Table 5; noise does what it says."""

import math
import random
from collections import Counter
from itertools import combinations, pairwise

import pytest
from refusals import refused

from xltlib import objectives
from xltlib.corpora import documents
from xltlib.corpora.documents import LANGUAGES, Document, assign
from xltlib.objectives import (
    BART,
    END,
    IGNORED,
    LANGUAGE_TOKEN,
    MASK,
    NONE,
    OBJECTIVES,
    PAD,
    RELEASED,
    SPECIALS,
    START,
    Example,
    Noise,
    batch,
    examples,
    infilled,
    noised,
)  # fmt: skip


class Words:
    """A tokenizer of words: each new word gets the next id."""

    def __init__(self):
        self.ids = {}

    def __call__(self, texts, add_special_tokens=False):
        rows = [[self.ids.setdefault(w, len(SPECIALS) + len(self.ids)) for w in text.split()] for text in texts]
        return {"input_ids": rows}


DOCUMENTS = (
    Document("news", ("en", "fr"), (("a b c", "x y"), ("d e", "z z z"))),
    Document("everyday", ("ar", "zh"), (("f", "g h i j"),)),
)


def made(name: str, noise: Noise = BART, seed: int = 0):
    tokenizer = Words()
    found = examples(name, DOCUMENTS, tokenizer)
    return batch(name, found, random.Random(seed), noise), found, tokenizer


def test_all_objectives_read_the_same_tokens():
    counts = {}
    for name in OBJECTIVES:
        tokenizer = Words()
        counts[name] = Counter(tuple(s) for example in examples(name, DOCUMENTS, tokenizer) for s in example.sentences)
        counts[name] = sum(len(s) * n for s, n in counts[name].items())
    assert set(counts.values()) == {15}


def test_clm_predicts_the_next_token_of_a_document():
    found, rows, _ = made("CLM")
    first = [START, *rows[0].sentences[0], *rows[0].sentences[1], END]
    read, wanted = (row[0].tolist()[: len(first) - 1] for row in (found.ids, found.labels))
    assert read == first[:-1] and wanted == first[1:]
    assert found.source is None and found.tokens == int(found.ids.ne(PAD).sum())
    assert (found.labels.eq(IGNORED) == found.ids.eq(PAD)).all()


def test_translation_has_the_language_tokens_and_both_directions():
    directions = set()
    for seed in range(20):
        found, rows, _ = made("2-MT", seed=seed)
        (a, b), (s, t) = rows[0].languages, rows[0].sentences
        source, target = ((a, s), (b, t)) if found.source[0, 0] == LANGUAGE_TOKEN[a] else ((b, t), (a, s))
        assert found.source[0].tolist()[: len(source[1]) + 2] == [LANGUAGE_TOKEN[source[0]], *source[1], END]
        assert found.ids[0].tolist()[: len(target[1]) + 1] == [LANGUAGE_TOKEN[target[0]], *target[1]]
        assert found.labels[0].tolist()[: len(target[1]) + 1] == [*target[1], END]
        directions.add(source[0])
    assert directions == {"en", "fr"}


def test_tlm_is_causal_with_a_control_token_between():
    found, rows, _ = made("TLM")
    row = [t for t in found.ids[0].tolist() if t != PAD]
    control = next(i for i, t in enumerate(row) if t in LANGUAGE_TOKEN.values())
    sides = {tuple(row[1:control]), tuple(row[control + 1 :])}
    assert row[0] == START and sides == set(rows[0].sentences)
    code = rows[0].languages[rows[0].sentences.index(tuple(row[control + 1 :]))]
    assert row[control] == LANGUAGE_TOKEN[code]
    assert [t for t in found.labels[0].tolist() if t != IGNORED] == [*row[1:], END]


def test_mlm_predicts_what_it_hides():
    rows = [Example((tuple(range(20, 120)),), ("en",)) for _ in range(40)]
    found = batch("MLM", rows, random.Random(1))
    chosen = found.labels.ne(IGNORED)
    assert chosen.float().mean() == pytest.approx(0.15, abs=0.02)
    whole = torch_rows(rows)
    assert (found.labels[chosen] == whole[chosen]).all() and (found.ids[~chosen] == whole[~chosen]).all()
    kinds = found.ids[chosen]
    assert kinds.eq(MASK).float().mean() == pytest.approx(0.8, abs=0.05)
    assert (kinds == whole[chosen]).float().mean() == pytest.approx(0.1, abs=0.04)
    short = batch("MLM", [Example(((20,),), ("en",))], random.Random(3))
    assert short.labels.ne(IGNORED).sum() == 1


def torch_rows(rows):
    return objectives.pad([[START, *row.sentences[0], END] for row in rows], PAD)


def test_denoising_reads_noise_and_writes_the_document():
    found, rows, _ = made("2-LM", NONE)
    assert found.source[0].tolist()[:7] == [START, *rows[0].sentences[0], *rows[0].sentences[1], END]
    assert found.labels[0].tolist()[:6] == [*rows[0].sentences[0], *rows[0].sentences[1], END]
    assert found.tokens == int(found.source.ne(PAD).sum() + found.ids.ne(PAD).sum())


def test_infilling_replaces_spans_by_one_mask_each():
    rng, ids, gone = random.Random(0), list(range(20, 220)), []
    for _ in range(200):
        found = infilled(ids, BART, rng)
        kept = [token for token in found if token != MASK]
        gone.append(1 - len(kept) / len(ids))
        assert kept == sorted(kept)  # what is left stands in order
        assert not any(a == b == MASK for a, b in pairwise(found))
    assert sum(gone) / len(gone) == pytest.approx(0.3, abs=0.005)
    assert infilled([20], BART, rng) in ([20], [MASK]) and infilled(ids, NONE, rng) == ids
    assert infilled([], BART, rng) == []


def spans(rng: random.Random, n: int = 254) -> list[int]:
    """The lengths of the spans that infilling took out of a text of n tokens, by where its masks stand."""
    ids = list(range(1000, 1000 + n))
    row, found, last = [*infilled(ids, BART, rng), 1000 + n], [], 999
    for before, token in pairwise([999, *row]):
        if before == MASK:
            found.append(token - last - 1)
        last = last if token == MASK else token
    return found


def test_masked_spans_have_the_lengths_of_the_distribution():
    """Poisson's, with mean 3: no length is rarer because long spans are harder to place."""
    rng = random.Random(7)
    drawn = [size for _ in range(600) for size in spans(rng)]
    for size in range(8):
        expected = math.exp(-3) * 3**size / math.factorial(size)
        assert drawn.count(size) / len(drawn) == pytest.approx(expected, abs=0.012)
    assert sum(drawn) / len(drawn) == pytest.approx(3, abs=0.06)
    assert sum(size >= 6 for size in drawn) / len(drawn) == pytest.approx(0.0839, abs=0.008)


def test_random_tokens_of_mlm_come_from_the_whole_vocabulary():
    rows, vocabulary = [Example(((12, 11, 13) * 30,), ("en",))] * 40, 60
    found = batch("MLM", rows, random.Random(2), vocabulary=vocabulary)
    new = found.ids[found.labels.ne(IGNORED) & found.ids.ne(MASK) & found.ids.ne(found.labels)].tolist()
    assert min(new) >= len(SPECIALS) and max(new) < vocabulary and len(set(new)) > 20
    refused(lambda: batch("MLM", rows, random.Random(0), vocabulary=len(SPECIALS)), "vocabulary of 11")


def test_what_holds_no_token_is_no_example_and_ends_no_batch():
    empty = Document("news", ("en", "fr"), (("", "x y"), ("a b", "")))
    for name in OBJECTIVES:
        found = examples(name, [*DOCUMENTS, empty, Document("news", ("en", "fr"), ())], Words())
        assert found and all(example.length for example in found)
        sides = (((),), ((), (11, 12))) if OBJECTIVES[name].documents else (((), ()), ((), (11, 12)))
        for hollow in (Example(sentences, ("en", "fr")) for sentences in sides):
            rows = batch(name, [*found, hollow], random.Random(0))
            assert rows.labels[:-1].ne(IGNORED).any(1).all()
    unknown = [Example(((1, 1, 1),), ("en",))]
    assert all(batch("MLM", unknown, random.Random(seed)).ids.shape == (1, 5) for seed in range(200))


def test_spans_have_poisson_lengths():
    draws = [objectives.poisson(3.0, random.Random(i)) for i in range(4000)]
    mean = sum(draws) / len(draws)
    assert mean == pytest.approx(3, abs=0.1)
    assert sum((d - mean) ** 2 for d in draws) / len(draws) == pytest.approx(3, abs=0.3)


def test_released_noise_masks_nothing_and_rotates_half():
    sentences, rotated = ((20, 21, 22), (23, 24)), 0
    for seed in range(400):
        found = noised(sentences, RELEASED, random.Random(seed))[1:-1]
        assert sorted(found) == [20, 21, 22, 23, 24]
        start = found.index(20)
        assert found[start:] + found[:start] == [20, 21, 22, 23, 24]
        rotated += found[0] != 20
    assert rotated / 400 == pytest.approx(0.5 * 0.8, abs=0.07)  # one of five rotations changes nothing


def test_permuted_sentences_stay_whole():
    orders = {tuple(noised(((20, 21), (22,)), Noise(0.0, 3.0, True, 0.0), random.Random(s))) for s in range(20)}
    assert orders == {(START, 20, 21, 22, END), (START, 22, 20, 21, END)}


def test_long_documents_are_cut_between_sentences():
    tokenizer = Words()
    long = Document("news", ("en", "fr"), tuple((f"w{i} v{i} u{i}", "x") for i in range(10)))
    rows = [e for e in examples("CLM", [long], tokenizer, limit=12) if e.languages == ("en",)]
    assert [e.length for e in rows] == [9, 9, 9, 3]
    assert [e.length for e in examples("TLM", [long], tokenizer, limit=8)] == [3] * 10


def test_unknown_names_are_refused():
    refused(lambda: examples("RTD", DOCUMENTS, Words()), "unknown objective 'RTD'", "2-MT")
    refused(lambda: batch("CLM", [], random.Random(0)), "needs an example")


# Documents ------------------------------------------------------------------------------------------------------------


def naive_assign(available):
    """The rule in the paper's words, with a table of all pairs."""
    sizes = {pair: 0 for pair in combinations(LANGUAGES, 2)}
    found = []
    for codes, n in available:
        possible = [pair for pair in sizes if set(pair) <= set(codes)]
        least = min((sizes[pair] for pair in possible), default=None)
        pair = next((p for p in possible if sizes[p] == least), None)
        if pair:
            sizes[pair] += n
        found.append(pair)
    return found


def test_documents_go_to_the_least_represented_pair():
    rng = random.Random(0)
    available = [(rng.sample(LANGUAGES, rng.randint(1, 6)), rng.randint(1, 9)) for _ in range(300)]
    assert assign(available) == naive_assign(available)
    assert assign([(("en",), 5), (("zh", "en"), 5)]) == [None, ("en", "zh")]


@pytest.fixture
def no_reviews(monkeypatch):
    """Documents of statements alone."""
    from dataclasses import replace

    monkeypatch.setattr(documents, "DIALS", replace(documents.DIALS, reviews=0.0))
    documents.documents.cache_clear()
    yield
    documents.documents.cache_clear()


def test_pairs_are_even_and_documents_are_parallel(no_reviews):
    found = documents.documents("pretraining", 400)
    sizes = documents.pair_sizes(found)["sentences"]
    assert len(sizes) == 15 and sizes.max() - sizes.min() <= 20
    assert {document.domain for document in found} == set(documents.DOMAINS)
    for document in found[:50]:
        a, b = document.languages
        assert a < b and len(document.side(a)) == len(document.side(b)) >= 3


def test_everyday_documents_hold_reviews_in_all_six_languages():
    found = [d for d in documents.drafts("validation", 200) if d.kind == "reviews"]
    assert found and {code for draft in found for code in draft.available} == set(LANGUAGES)
    for draft in found[:20]:
        sides = {code: documents.written(draft, code, "validation") for code in draft.available}
        assert {len(side) for side in sides.values()} == {len(draft.contents)}


def test_splits_share_no_statement(no_reviews):
    seen = {
        split: {piece[1] for d in documents.drafts(split, 200) for piece in d.contents if piece[0] == "statement"}
        for split in documents.SPLITS
    }
    assert not seen["pretraining"] & seen["validation"] and all(seen.values())


def test_statistics_count_what_is_there(no_reviews):
    table = documents.statistics({"pretraining": 100, "validation": 40})
    found = documents.documents("pretraining", 100)
    part = table[table["split"] == "pretraining"]
    assert part["documents"].sum() == len(found)
    assert part["sentences"].sum() == sum(len(d.sentences) for d in found)
