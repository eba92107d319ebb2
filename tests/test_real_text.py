"""POS and sentiment from scratch on real text: splits, baselines, scores and tables, on made-up files of its shape."""

import itertools
import json
import random
from collections import Counter
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from real_files import REAL, needs
from refusals import refused
from scipy import stats

from xltlib import classical, objective_runs, pending, real_items, real_tables, real_text, scratch, store
from xltlib.corpora.review_files import ar_res_reviews
from xltlib.corpora.token_files import UPOS, Tagged
from xltlib.downstream import CUT, TextItem, WordItem
from xltlib.real_items import PARALLEL, REVIEWS, SPLITS, TENTHS, TREEBANKS, rotated, same_letters, sets_of, tenths
from xltlib.store import Store, metrics_frame, reference, stale

GUM, SMALL = "UD_English-GUM", real_text.Fit(epochs=3, batch=8, learning_rate=1e-2, width=16, heads=2)
DET, NOUN, PUNCT, VERB = (UPOS.index(tag) for tag in ("DET", "NOUN", "PUNCT", "VERB"))
NOUNS, VERBS = ("lamp", "door", "chair", "window", "garden"), ("falls", "opens", "shines", "waits")
GOOD, BAD = ("طعام لذيذ", "خدمة رائعة", "مكان جميل"), ("طعام سيئ", "خدمة بطيئة", "مكان قذر")


def sentence(rng: random.Random, number: int) -> list[tuple[str, str]]:
    """The lamp falls 12 . with a number that no other sentence has."""
    return [
        (rng.choice(["The", "a"]), "DET"),
        (rng.choice(NOUNS), "NOUN"),
        (rng.choice(VERBS), "VERB"),
        (str(number), "NUM"),
        (".", "PUNCT"),
    ]


def write_conllu(path: Path, sentences: list, ids: list[str] | None = None) -> Path:
    lines = []
    for i, words in enumerate(sentences):
        lines.append(f"# sent_id = {ids[i] if ids else i}")
        lines += ["\t".join([str(n), w, "_", tag, *["_"] * 6]) for n, (w, tag) in enumerate(words, 1)] + [""]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def write_gum(root: Path, sizes=(("train", 40), ("dev", 8), ("test", 12))) -> Path:
    rng, number = random.Random(0), itertools.count()
    for part, size in sizes:
        path = root / "ud" / GUM / f"en_gum-ud-{part}.conllu"
        write_conllu(path, [sentence(rng, next(number)) for _ in range(size)])
    return root / "ud" / GUM


def write_pud(root: Path, name: str, code: str, ids: list[str]) -> Path:
    """Every word ends in the language's code, and the first word of a sentence is its id."""
    path = root / "ud_pud" / name / f"{code}_pud-ud-test.conllu"
    write_conllu(path, [[(f"{i}{code}", "NOUN"), (f"x{code}", "VERB")] for i in ids], ids)
    return path.parent


def write_reviews(root: Path, pairs: int = 30, restaurants: int = 12) -> Path:
    """A review and its twin, which differs in blanks and length marks alone, in a restaurant; two rows are left out."""
    rows = ["polarity,text,restaurant_id,user_id", '0,"بين, بين",1,2', "1,,1,2"]
    for i in range(pairs):
        words, polarity = (GOOD[i % 3], 1) if i % 2 else (BAD[i % 3], -1)
        rows += [f'{polarity},"{words}, {101 + 7 * i}",{i % restaurants},{i}']
        rows += [f'{polarity},"{words}ـ  {101 + 7 * i}!",{i % restaurants},{i}']
    path = root / REVIEWS / "datasets" / "RES1.csv"
    path.parent.mkdir(parents=True)
    path.write_bytes("".join(row + "\r\n" for row in rows).encode())
    return root / REVIEWS


def word_item(*pairs: tuple[str, str]) -> WordItem:
    return real_items.word_item(Tagged(*zip(*pairs, strict=True), "en"))


# Items ----------------------------------------------------------------------------------------------------------------


def test_a_sentence_and_its_words():
    item = word_item(("The", "DET"), ("10 000", "NUM"), ("国", "NOUN"), (".", "PUNCT"))
    assert item.text == "The 10 000 国 ." and item.starts == (0, 4, 11, 13)
    assert item.labels == tuple(UPOS.index(tag) for tag in ("DET", "NUM", "NOUN", "PUNCT"))
    assert real_items.words_of(item) == ["the", "10 000", "国", "."]
    assert real_items.words_of(word_item(("Go", "VERB"))) == ["go"]


def test_same_letters():
    assert same_letters("جمـــيل  جدا!") == same_letters("جَمِيل جددددا") == "جميلجدا"
    assert same_letters("So GOOD!!") == same_letters("so, good") != same_letters("so bad")
    assert same_letters("５ نجوم") == same_letters("5 نجوم")
    assert same_letters(":-)") == ":-)" != same_letters(":-(")


def naive_tenths(groups):
    """The rule of `tenths`, group by group."""
    import hashlib

    left, bins = sorted(set(groups)), [[] for _ in range(10)]
    while left:
        most = max(groups.count(name) for name in left)
        name = min(
            (n for n in left if groups.count(n) == most), key=lambda n: hashlib.sha256(n.encode("utf-8")).hexdigest()
        )
        sizes = [sum(groups.count(n) for n in names) for names in bins]
        bins[sizes.index(min(sizes))].append(name)
        left.remove(name)
    return [next(i for i, names in enumerate(bins) if group in names) for group in groups]


@pytest.mark.parametrize("seed", range(3))
def test_tenths_keep_groups_together_and_are_of_like_size(seed):
    rng = random.Random(seed)
    groups = [f"g{min(rng.randrange(60), rng.randrange(60))}" for _ in range(300)]
    found = tenths(groups)
    assert found == naive_tenths(groups)
    assert len({*zip(groups, found, strict=True)}) == len(set(groups))
    sizes = Counter(found)
    assert set(sizes) == set(range(10)) and max(sizes.values()) - min(sizes.values()) <= max(Counter(groups).values())
    order = rng.sample(range(300), 300)
    assert tenths([groups[i] for i in order]) == [found[i] for i in order]
    refused(lambda: tenths([f"g{i % 9}" for i in range(300)]), "9 groups of 300 items", "larger files")


def test_over_ten_seeds_every_item_is_tested_once():
    items = [TextItem((str(i),), 0) for i in range(57)]
    groups = [str(i // 3) for i in range(57)]
    splits = [rotated(items, groups, seed) for seed in range(TENTHS)]
    for seed, sets in enumerate(splits):
        assert sorted(itertools.chain(*sets.values()), key=items.index) == items
        assert sets["validation"] == splits[(seed + 1) % TENTHS]["test"]
        of_group = [{int(item.texts[0]) // 3 for item in part} for part in sets.values()]
        assert not any(a & b for a, b in itertools.combinations(of_group, 2))
    assert sorted(itertools.chain(*(sets["test"] for sets in splits)), key=items.index) == items


def test_parallel_treebanks_are_split_alike_by_document(tmp_path):
    ids = [f"{'nw'[i % 2]}{i // 3:05d}{i % 3 + 11:03d}" for i in range(60)]
    places = {name: write_pud(tmp_path, name, code, ids) for name, code in PARALLEL.items()}
    for seed in range(2):
        tested = []
        for name, code in PARALLEL.items():
            sets = sets_of(name, places[name], "documents", seed, 1000)
            numbers = {part: [item.text.split(code)[0] for item in found] for part, found in sets.items()}
            assert sorted(itertools.chain(*numbers.values())) == sorted(ids)
            tested.append(numbers["test"])
            documents = [{number[:6] for number in found} for found in numbers.values()]
            assert not any(a & b for a, b in itertools.combinations(documents, 2))
        assert all(found == tested[0] for found in tested) and tested[0]
    write_pud(tmp_path, "UD_English-PUD", "en", [*ids[:-1], "61"])
    refused(
        lambda: sets_of("UD_English-PUD", places["UD_English-PUD"], "documents", 0, 1000),
        *("en_pud-ud-test.conllu", "59 ids", "60 sentences", "as released"),
    )


def test_what_each_split_of_the_reviews_keeps_together(tmp_path):
    place = write_reviews(tmp_path)
    assert len(ar_res_reviews(place)) == len(real_items.restaurants(place)) == 60
    assert real_items.restaurants(place)[:6] == ["0", "0", "1", "1", "2", "2"]
    of = dict(zip((r.text for r in ar_res_reviews(place)), real_items.restaurants(place), strict=True))
    repeated = Counter()
    for split_by, seed in itertools.product(SPLITS, range(TENTHS)):
        sets = sets_of(REVIEWS, place, split_by, seed, 1000)
        repeated[split_by] += real_text.also_in_train(sets)
        shops = [{of[item.texts[0]] for item in part} for part in sets.values()]
        apart = not any(a & b for a, b in itertools.combinations(shops, 2))
        assert sum(map(len, sets.values())) == 60 and apart == (split_by == "restaurants")
    assert repeated["texts"] == repeated["restaurants"] == 0 and repeated["shuffled"] > 30
    assert sum(map(len, sets_of(REVIEWS, place, "texts", 0, 41).values())) == 41
    path = place / "datasets" / "RES1.csv"
    path.write_bytes(path.read_bytes().replace(b"restaurant_id", b"shop"))
    refused(lambda: sets_of(REVIEWS, place, "restaurants", 0, 1000), "RES1.csv, row 1", "'restaurant_id'", "hadyel")


def test_files_are_found_or_asked_for(tmp_path, monkeypatch):
    monkeypatch.delenv("XLT_DATA", raising=False)
    refused(lambda: real_items.locate(GUM), GUM, "XLT_DATA")
    monkeypatch.setenv("XLT_DATA", str(tmp_path))
    refused(lambda: real_items.locate(GUM), str(tmp_path / GUM), "no such folder", "UD_Spanish-GSD")
    refused(lambda: real_items.locate(REVIEWS), "no such folder", "hadyelsahar")
    place = write_gum(tmp_path)
    assert (
        real_items.locate(GUM) == real_items.locate(GUM, tmp_path) == real_items.locate(GUM, tmp_path / "ud") == place
    )
    refused(lambda: real_text.specs(tmp_path, data=["UD_Klingon"]), "UD_Klingon", REVIEWS)
    write_reviews(tmp_path)
    for data, split_by in ((GUM, "documents"), ("UD_English-PUD", "upstream"), (REVIEWS, "upstream")):
        refused(lambda d=data, s=split_by: sets_of(d, tmp_path / d, s, 0, 9), data, split_by)


# Systems --------------------------------------------------------------------------------------------------------------


def test_lookup_is_the_most_frequent_tag_of_a_form():
    rng, tags = random.Random(1), ("NOUN", "VERB", "ADP")
    items = [word_item(*[(rng.choice("abcdefgA"), rng.choice(tags)) for _ in range(6)]) for _ in range(12)]
    items[0] = word_item(("b", "NOUN"), ("both", "VERB"), ("both", "ADP"))
    train, test = items[:6], [*items[6:], word_item(("zzz", "ADP"), ("Both", "NOUN"))]
    seen = [(w, tag) for item in train for w, tag in zip(real_items.words_of(item), item.labels, strict=True)]

    def naive(word):
        found = [tag for w, tag in seen if w == word] or [tag for _, tag in seen]
        return max(sorted(set(found)), key=found.count)

    guesses = real_text.lookup(train, test)
    assert guesses.tolist() == [naive(word) for item in test for word in real_items.words_of(item)]
    assert guesses[-1] == UPOS.index("ADP") and len(set(guesses)) == 3  # both: of equals the lowest


def test_baselines_learn_from_the_training_set_alone():
    train = [TextItem((text,), label) for text, label in (("good food", 1), ("bad food", 0), ("good tea", 1))]
    test = [TextItem((text,), 0) for text in ("bad tea", "bad bad food")]
    sets = {
        name: objective_runs.Encoding(((),) * len(part), ((),) * len(part), tuple(item.label for item in part), 1)
        for name, part in (("train", train), ("test", test))
    }
    found = real_text.baselines({"train": train, "test": test}, sets, 0)
    assert found["majority"].tolist() == [1, 1]
    trained = classical.fit([item.texts[0] for item in train], [1, 0, 1])
    assert found["tf-idf"].tolist() == trained([item.texts[0] for item in test]).argmax(1).tolist()


def test_scores_by_hand():
    """Eight words; of the second sentence the last two are cut."""
    train = [word_item(("the", "DET"), ("cat", "NOUN"), ("sat", "VERB"), ("Dog", "NOUN"))]
    test = [
        word_item(("The", "DET"), ("dog", "NOUN"), ("ran", "VERB")),
        word_item(("the", "DET"), ("cat", "NOUN"), ("sat", "VERB"), ("there", "ADV"), ("too", "ADV")),
    ]
    encoding = objective_runs.Encoding(((), ()), ((1, 2, 3), (1, 2, 3, None, None)), test[0].labels + test[1].labels, 1)
    network = np.array([DET, NOUN, NOUN, DET, VERB, VERB, CUT, CUT])
    baseline = np.array([DET, NOUN, NOUN, DET, NOUN, VERB, NOUN, UPOS.index("ADV")])
    items = {"train": train, "validation": [], "test": test}
    rows = real_text.scored(items, encoding, {"fine-tuning": network, "lookup": baseline})
    found = {(row["system"], row["metric"]): (row["value"], row["n"], row["n_effective"]) for row in rows}
    assert found["fine-tuning", "accuracy"] == (pytest.approx(4 / 6), 6, 2)
    assert found["fine-tuning", "accuracy_all"] == (4 / 8, 8, 2)
    assert found["fine-tuning", "accuracy_unknown"] == (0, 1, 1)  # ran; there and too are cut
    assert found["fine-tuning", "f1_macro"][0] == pytest.approx((1 + 1 / 2 + 1 / 2) / 3)
    assert found["fine-tuning", "cut"] == found["lookup", "cut"] == (2 / 8, 8, 2)
    assert found["lookup", "accuracy"] == (pytest.approx(5 / 6), 6, 2)
    assert found["lookup", "accuracy_all"] == (6 / 8, 8, 2)


def test_scores_of_texts_count_equal_texts_once():
    items = {"train": [], "test": [TextItem((text,), i % 2) for i, text in enumerate(("so good", "So good!", "bad"))]}
    encoding = objective_runs.Encoding(((),) * 3, ((),) * 3, (0, 1, 0), 1)
    rows = real_text.scored(items, encoding, {"tf-idf": np.array([0, 1, 1])})
    assert [(r["metric"], r["n"], r["n_effective"]) for r in rows] == [("accuracy", 3, 2), ("f1_macro", 3, 2)]
    assert rows[0]["value"] == pytest.approx(2 / 3)


def test_pos_run(tmp_path):
    place = write_gum(tmp_path)
    wide, narrow = real_text.specs(tmp_path, data=[GUM], seeds=1, fit=SMALL)
    assert (wide.settings["limit"], narrow.settings["limit"]) == real_text.LIMITS
    narrow.settings["limit"] = 6
    first, cut = metrics(real_text.run(wide, tmp_path)), metrics(real_text.run(narrow, tmp_path))
    assert set(first["system"]) == {"", "majority", "lookup", "probing", "fine-tuning"}
    value = first.set_index(["system", "metric"])["value"]
    items = sets_of(GUM, place, "upstream", 0, 1000)
    assert {name: len(part) for name, part in items.items()} == {"train": 40, "validation": 8, "test": 12}
    assert {name: len(part) for name, part in sets_of(GUM, place, "upstream", 0, 10).items()}["train"] == 10
    truth = [label for item in items["test"] for label in item.labels]
    assert value["majority", "accuracy"] == max(map(truth.count, set(truth))) / len(truth)
    assert value["lookup", "accuracy"] == np.mean(np.array(truth) == real_text.lookup(items["train"], items["test"]))
    assert value["lookup", "accuracy_unknown"] < 0.5 < value["fine-tuning", "accuracy"]  # the numbers are the new words
    assert value["", "in_train"] == 0 and value["fine-tuning", "cut"] == 0
    assert value["fine-tuning", "accuracy"] > value["majority", "accuracy"] + 0.3
    short = cut.set_index(["system", "metric"])
    assert short.loc[("", "at_limit"), "value"] == 12 and 0 < short.loc[("fine-tuning", "cut"), "value"] < 1
    kept = short.loc[("fine-tuning", "accuracy"), "n"] / short.loc[("fine-tuning", "accuracy_all"), "n"]
    part = short["value"].loc["fine-tuning"]
    assert part["accuracy_all"] == pytest.approx(part["accuracy"] * kept) and kept == pytest.approx(1 - part["cut"])
    assert short["value"]["lookup", "accuracy_all"] == value["lookup", "accuracy_all"]


def test_a_run_repeats_and_seeds_differ(tmp_path):
    write_gum(tmp_path)
    little = replace(SMALL, epochs=1, learning_rate=1e-3)
    one, other = (two_seeds(tmp_path, little)[i] for i in (0, 1))
    assert real_text.run(one, tmp_path).metrics == real_text.run(one, tmp_path).metrics
    guesses = [real_text.networks(spec, *encoded(tmp_path, spec)) for spec in (one, other)]
    assert all((guesses[0][name] != guesses[1][name]).any() for name in ("probing", "fine-tuning"))
    assert (guesses[0]["probing"] != guesses[0]["fine-tuning"]).any()


def two_seeds(root: Path, fit: real_text.Fit = SMALL):
    return [s for s in real_text.specs(root, data=[GUM], seeds=2, fit=fit) if s.settings["limit"] == 128]


def encoded(root: Path, spec):
    items = sets_of(GUM, root / "ud" / GUM, "upstream", spec.seed, 1000)
    tokenizer = scratch.fit_tokenizer([item.text for item in items["train"]])
    return {name: objective_runs.encode(part, tokenizer, 128) for name, part in items.items()}, len(tokenizer)


def test_networks_of_a_seed_start_alike(tmp_path, monkeypatch):
    write_gum(tmp_path)
    started = []
    for name in ("probe", "fine_tune"):
        monkeypatch.setattr(
            real_text, name, lambda model, sets, *rest: started.append(model.shared.weight) or sets["test"].labels
        )
    for spec in two_seeds(tmp_path):
        real_text.networks(spec, *encoded(tmp_path, spec))
    assert (started[0] == started[1]).all() and (started[2] == started[3]).all()
    assert (started[0] != started[2]).any()


def test_probing_leaves_the_encoder_alone_and_fine_tuning_validates(tmp_path, monkeypatch):
    write_gum(tmp_path)
    spec = two_seeds(tmp_path)[0]
    sets, size = encoded(tmp_path, spec)
    settings = real_text.ProbeSettings(len(UPOS), 2, 8, 1e-2)
    models = [real_text.Stack("MLM", real_text.StackSettings(16, 2, 2, size, 128)) for _ in range(2)]
    before = [model.shared.weight.clone() for model in models]
    seen = []
    guessed = objective_runs.guessed
    monkeypatch.setattr(objective_runs, "guessed", lambda t, e: seen.append(e) or guessed(t, e))
    real_text.probe(models[0], sets, settings, 0, "mean")
    real_text.fine_tune(models[1], sets, settings, 0, "mean")
    assert (models[0].shared.weight == before[0]).all() and (models[1].shared.weight != before[1]).any()
    assert [e is sets["validation"] for e in seen] == [True, True, False] and seen[-1] is sets["test"]


def metrics(result) -> pd.DataFrame:
    return pd.DataFrame(result.metrics)


@pytest.fixture
def sentiment(tmp_path):
    """Records of three seeds of every condition on made-up reviews."""
    write_reviews(tmp_path)
    specs = real_text.specs(tmp_path, data=[REVIEWS], seeds=3, fit=real_text.Fit(1, 16, 1e-2, 8, 2, 2))
    return [Store(tmp_path / "records").run_or_load(s, lambda s: real_text.run(s, tmp_path)) for s in specs]


def test_sentiment_records_and_their_tables(sentiment):
    records = sentiment
    frame = metrics_frame(records)
    assert len(records) == 3 * 5 and set(frame["language"]) == {"ar"}
    content = "".join(record.path.read_text(encoding="utf-8") for record in records)
    assert not any(word in content for text in GOOD + BAD for word in text.split())
    assert not any(record.has_predictions for record in records)
    table = real_tables.scores(frame)
    assert len(table) == 5 and list(table)[4:] == ["majority", "tf-idf", "probing", "fine-tuning"]
    assert table["tf-idf"].str.endswith("n = 3").all()
    assert len(real_tables.gains(frame)) == 5 * 4
    leaks = real_tables.leakage(frame)
    assert list(leaks["against"]) == ["texts", "restaurants"] * 4 and leaks["difference"].str.endswith("n = 6").all()
    repeated = frame[(frame["metric"] == "in_train") & (frame["pooling"] == "mean")].groupby("split_by")["value"].sum()
    assert repeated["shuffled"] > 0 and set(leaks["seen, shuffled"]) == {repeated["shuffled"]}
    assert set(leaks["seen, other"]) == {0}
    texts = [r for r in records if r.spec.settings["split_by"] == "texts" and r.spec.seed == 0]
    baselines = [[m for m in r.metrics if m["system"] in ("", "majority", "tf-idf")] for r in texts]
    assert len(baselines) == 3 and baselines[0] == baselines[1] == baselines[2]  # poolings share split and baselines


def test_the_tokenizer_reads_training_texts_alone(tmp_path, monkeypatch):
    place, read, fit = write_gum(tmp_path), [], scratch.fit_tokenizer
    monkeypatch.setattr(scratch, "fit_tokenizer", lambda texts: read.extend(texts) or fit(texts))
    real_text.run(two_seeds(tmp_path, replace(SMALL, epochs=1))[0], tmp_path)
    assert read == [item.text for item in sets_of(GUM, place, "upstream", 0, 1000)["train"]]


def test_a_run_pools_as_its_spec_says(tmp_path, monkeypatch):
    write_reviews(tmp_path)
    pooled = []
    for name in ("probe", "fine_tune"):
        monkeypatch.setattr(real_text, name, lambda m, sets, *rest: pooled.append(rest[2]) or sets["test"].labels)
    for spec in real_text.specs(tmp_path, data=[REVIEWS], seeds=1, fit=SMALL)[2:]:
        real_text.run(spec, tmp_path)
    assert pooled == [name for name in ("mean", "sum", "sum with pads") for _ in range(2)]


def test_complete_writes_the_reference_and_resumes(tmp_path, monkeypatch):
    write_gum(tmp_path)
    folder = tmp_path / "reference"
    monkeypatch.setattr(store, "REFERENCE", folder)
    monkeypatch.setattr(store, "reference", lambda name: reference(name, folder))
    specs, run, ran = two_seeds(tmp_path), real_text.run, []
    monkeypatch.setattr(real_text, "run", lambda spec, folder: ran.append(spec) or run(spec, folder))
    for here, wanted in (("here", specs[:1]), ("there", specs)):
        monkeypatch.setattr(real_text, "specs", lambda folder, wanted=wanted: wanted)
        path = real_text.complete(Store(tmp_path / here), folder=tmp_path)
        assert path == folder / "real-text.parquet" and ran == wanted
    frame = pd.read_parquet(path)
    assert list(frame["id"].unique()) == [spec.id for spec in specs] and stale(frame, real_text.current()) == []
    assert not any(word in frame.to_csv() for word in (*NOUNS, *VERBS))


def test_changed_files_are_refused(tmp_path):
    place = write_gum(tmp_path)
    spec = real_text.specs(tmp_path, data=[GUM], seeds=1)[0]
    write_conllu(place / "en_gum-ud-dev.conllu", [[("Other", "NOUN"), ("words", "NOUN")]])
    refused(lambda: real_text.run(spec, tmp_path), str(place), spec.corpus)


def test_specs_are_seed_by_seed_and_different(tmp_path):
    write_gum(tmp_path)
    write_reviews(tmp_path)
    for name, code in PARALLEL.items():
        write_pud(tmp_path, name, code, ["n01001011"])
    specs = real_text.specs(tmp_path, data=[GUM, *PARALLEL, REVIEWS])
    assert len(specs) == len(set(specs)) == 2 * 5 + 8 * 10 + 5 * 10
    assert [spec.seed for spec in specs] == sorted(spec.seed for spec in specs)
    epochs = {spec.method: spec.settings["fit"]["epochs"] for spec in specs}
    assert epochs == {task: fit.epochs for task, fit in real_text.FITS.items()}


# Tables ---------------------------------------------------------------------------------------------------------------


def made_up(data: str = GUM, split_by: str = "upstream", shift: float = 0.0, seeds: int = 5) -> pd.DataFrame:
    rng = np.random.default_rng(len(split_by))
    about = {"data": data, "split_by": split_by, "limit": 128, "pooling": "mean"}
    rows = [
        about | {"seed": seed, "system": system, "metric": "accuracy", "value": level + shift + 0.02 * rng.random()}
        for seed in range(seeds)
        for system, level in (("majority", 0.2), ("lookup", 0.8), ("probing", 0.7), ("fine-tuning", 0.75))
    ]
    rows += [about | {"seed": s, "system": "", "metric": "in_train", "value": shift * 10} for s in range(seeds)]
    return pd.DataFrame(rows)


def test_gains_are_paired_by_seed():
    frame = made_up().sample(frac=1, random_state=0)
    gains = real_tables.gains(frame).set_index(["system", "against"])
    values = frame[frame["metric"] == "accuracy"].pivot(index="seed", columns="system", values="value")
    assert len(gains) == 4
    for pair, row in gains.iterrows():
        test = stats.ttest_rel(values[pair[0]], values[pair[1]])
        low, high = test.confidence_interval()
        assert row["p"] == pytest.approx(test.pvalue)
        mean = (values[pair[0]] - values[pair[1]]).mean()
        assert row["difference"] == f"{mean:.3f} [{low:.3f}, {high:.3f}], n = 5"


def test_tables_refuse_what_they_cannot_pair():
    both = pd.concat([made_up(), made_up().assign(limit=32)])
    assert len(real_tables.gains(both)) == 8
    refused(lambda: real_tables.gains(both, by=["data"]), GUM, "more than one run a seed", "limit")
    frame = made_up()
    refused(lambda: real_tables.gains(frame.drop(index=0)), "missing for a seed")
    refused(lambda: real_tables.scores(frame, "bleu"), "'bleu'", "accuracy")
    refused(lambda: real_tables.leakage(made_up(REVIEWS, "shuffled")), "texts", "finish")


def test_scores_are_means_over_seeds():
    table = real_tables.scores(pd.concat([made_up(), made_up("UD_Russian-Taiga", seeds=3)]), by=["data"])
    assert list(table) == ["data", "majority", "lookup", "probing", "fine-tuning"]
    assert table["lookup"].str[-5:].tolist() == ["n = 5", "n = 3"]
    mean = made_up().query("system == 'lookup'")["value"].mean()
    assert table["lookup"][0].startswith(f"{mean:.3f} [")


def test_leakage_is_welchs_over_tenths():
    frame = pd.concat([made_up(REVIEWS, s, 0.1 * (s == "shuffled")) for s in SPLITS] + [made_up()])
    table = real_tables.leakage(frame)
    assert len(table) == 4 * 2 and set(table["seen, shuffled"]) == {5} and set(table["seen, other"]) == {0}
    values = {s: frame.query("split_by == @s and system == 'probing'")["value"] for s in SPLITS}
    row = table[(table["system"] == "probing") & (table["against"] == "texts")].iloc[0]
    test = stats.ttest_ind(values["shuffled"], values["texts"], equal_var=False)
    assert row["p"] == pytest.approx(test.pvalue)
    assert row["difference"].startswith(f"{values['shuffled'].mean() - values['texts'].mean():.3f} [")


# Real files and reference ---------------------------------------------------------------------------------------------


@needs("ud")
@pytest.mark.parametrize("name", TREEBANKS)
def test_real_treebanks(name):
    sets = sets_of(name, real_items.locate(name, REAL), "upstream", 0, real_text.MOST)
    assert {part: len(found) for part, found in sets.items()} == {"train": 800, "validation": 200, "test": 200}


@needs("ud_pud")
def test_real_parallel_treebanks_test_the_same_sentences():
    ids = {name: real_items.documents(real_items.locate(name, REAL), 200) for name in PARALLEL}
    assert len(set(map(tuple, ids.values()))) == 1 and len(set(ids["UD_Arabic-PUD"])) == 82
    assert Counter(tenths(ids["UD_Arabic-PUD"])) == dict.fromkeys(range(TENTHS), 20)


@needs("ar-res-reviews")
def test_real_reviews():
    place = real_items.locate(REVIEWS, REAL)
    assert len({same_letters(review.text) for review in ar_res_reviews(place)}) == 993
    assert len(set(real_items.restaurants(place))) == 59
    sizes = [len(sets_of(REVIEWS, place, split_by, 0, real_text.MOST)["test"]) for split_by in SPLITS]
    assert sizes == [100, 100, 111]


def test_reference_records_are_current():
    frame = reference("real-text")
    frame = frame[~frame["method"].isin(pending.tasks_of("real-text"))]
    assert stale(frame, real_text.current()) == []
    for row in frame.drop_duplicates("id").itertuples():
        settings = json.loads(row.spec)["settings"]
        assert settings["fit"] == asdict(real_text.FITS[row.method]) and settings["most"] == real_text.MOST
        condition = {name: settings[name] for name in ("split_by", "limit", "pooling")}
        assert condition in real_text.conditions(row.data)
