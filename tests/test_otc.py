"""Paper 1: which specs there are, what they are trained on, and a whole run at smoke scale without a network."""

import numpy as np
import pandas as pd
import pytest

from xltlib import otc, otc_grid
from xltlib.corpora import embedded
from xltlib.errors import InputError
from xltlib.languages import OTC_LANGUAGES
from xltlib.models import FOLDER, fingerprint
from xltlib.scales import MINI, PAPER, SMOKE
from xltlib.statistics import summary
from xltlib.store import Store

OTHERS = tuple(code for code in OTC_LANGUAGES if code != "en")


class Capitals:
    """A translator that writes in capitals."""

    def __init__(self, quality: str):
        self.quality, self.asked = quality, 0

    def translate(self, texts, source, target):
        self.asked += len(texts)
        return [text.upper() for text in texts]

    def signature(self, source, target):
        return f"src:{source}|tgt:{target}|engine:capitals|{self.quality}"


@pytest.fixture
def capitals(monkeypatch, tmp_path):
    """No real translator; features go to a folder of the test."""
    made = {}
    monkeypatch.setattr(otc, "translator", lambda at, quality="default": made.setdefault(quality, Capitals(quality)))
    monkeypatch.setattr(otc, "BUILD", tmp_path)
    return made


def needs(*names: str) -> None:
    for name in names:
        if not (FOLDER / name / "checkpoint.json").exists():
            pytest.skip(f"data/checkpoints/{name} is not there yet: xlt models build {name}")


# Specs ----------------------------------------------------------------------------------------------------------------


def test_a_spec_names_corpus_checkpoint_method_and_every_setting(capitals):
    spec = otc.spec("mini", "en", "mixed", 3, contrast="infonce", ratio="1:2")
    assert (spec.experiment, spec.method, spec.version, spec.seed) == ("otc", "mixed+otc-infonce", otc.VERSION, 3)
    assert spec.corpus == f"reviews@{embedded.corpus_hash()}" and spec.checkpoint == fingerprint(MINI.encoder)
    wanted = {"scale": "mini", "source": "en", "ratio": "1:2", "contrast": "infonce", "temperature": 0.1, "weight": 0.4}
    assert wanted.items() <= spec.settings.items()
    assert spec.settings["train_size"] == MINI.train_size and spec.settings["translator"].startswith(
        "src:en|tgt:xx|engine:capitals"
    )


def test_what_does_not_matter_is_not_in_the_id(capitals):
    zero = otc.spec("mini", "en", "zero-shot", 0)
    assert zero == otc.spec("mini", "en", "zero-shot", 0, ratio="1:5", quality="greedy", temperature=0.3)
    assert capitals == {}  # and no translator was asked
    one = otc.spec("mini", "en", "original", 0, target="de")
    assert one == otc.spec("mini", "zh", "original", 0, target="de")  # no other language plays a part


def test_everything_that_matters_is_in_the_id(capitals):
    base = {"contrast": "infonce"}
    changes = [{}, {"ratio": "1:2"}, {"match": "rows"}, {"match": "steps"}, {"quality": "greedy"}, {"contrast": None}]
    changes += [{"contrast": "cosine"}, {"temperature": 0.3}, {"weight": 0.5}, {"total": "convex"}]
    ids = {otc.spec("mini", "en", "mixed", 0, **base | change).id for change in changes}
    ids |= {otc.spec("smoke", "en", "mixed", 0, **base).id, otc.spec("mini", "de", "mixed", 0, **base).id}
    ids |= {otc.spec("mini", "en", "mixed", 1, **base).id}
    assert len(ids) == len(changes) + 3


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        ({"source": "xx"}, "unknown language 'xx'"),
        ({"languages": ("en", "xx")}, "unknown language 'xx'"),
        ({"regime": "original", "target": "xx"}, "unknown language 'xx'"),
        ({"regime": "mix"}, "unknown regime 'mix'.*zero-shot"),
        ({"at": "huge"}, "unknown scale 'huge'.*smoke, mini, paper"),
        ({"ratio": "9:1"}, "unknown ratio '9:1'"),
        ({"quality": "best"}, "unknown translator 'best'"),
        ({"match": "time"}, "unknown match 'time'"),
        ({"contrast": "pull"}, "unknown contrast 'pull'.*infonce, cosine, margin, supcon"),
        ({"contrast": "infonce", "total": "product"}, "unknown total 'product'"),
        ({"regime": "original"}, "'original' needs a target"),
        ({"target": "de"}, "'mixed' takes no target"),
        ({"languages": ("en",)}, "at least one language besides"),
        ({"regime": "zero-shot", "contrast": "infonce"}, "regime 'mixed', not 'zero-shot'"),
        ({"regime": "mixed-into", "contrast": "margin"}, "regime 'mixed', not 'mixed-into'"),
        ({"at": "paper", "quality": "gold"}, "unknown translator at scale paper 'gold'"),
    ],
)
def test_bad_settings_are_one_line_before_anything_runs(capitals, arguments, names):
    with pytest.raises(InputError, match=names) as error:
        otc.spec(**{"at": "mini", "source": "en", "regime": "mixed", "seed": 0} | arguments)
    assert "\n" not in str(error.value)


def test_the_grid_runs_nothing_twice(capitals):
    specs = otc_grid.full_grid("mini", 2)
    assert len({spec.id for spec in specs}) == len(specs)
    original = [spec for spec in specs if spec.settings["regime"] == "original"]
    assert len(original) == 2 * len(OTC_LANGUAGES)  # once a language and seed, whatever the source


def test_a_grid_that_was_stopped_has_fewer_seeds_of_everything(capitals):
    seeds = [spec.seed for spec in otc_grid.full_grid("mini", 3)]
    assert seeds == sorted(seeds) and len(set(seeds)) == 3
    assert {s.method for s in otc_grid.full_grid("mini", 1)} == {s.method for s in otc_grid.full_grid("mini", 3)}


def test_live_runs_are_those_of_the_grid_on_fewer_texts():
    live = otc_grid.live_sets("mini", "en") + otc_grid.live_contrast("mini", "en")
    assert {run.settings["train_size"] for run in live} == {MINI.live_size} and MINI.live_size < MINI.train_size
    small = {(run.method, run.seed, str(run.settings | {"train_size": 0})) for run in live}
    full = {(run.method, run.seed, str(run.settings | {"train_size": 0})) for run in otc_grid.full_grid("mini", 5)}
    assert small <= full
    assert PAPER.live_size is None  # the whole split


@pytest.mark.parametrize("regime", otc.REGIMES)
def test_a_run_trains_on_as_many_texts_as_its_spec_says(regime, capitals):
    target = "de" if regime in ("translated-only", "original") else None
    of = lambda size: len(otc.training_groups(otc.spec("smoke", "en", regime, 0, target=target, size=size).settings))  # noqa: E731
    assert of(20) * 2 == of(40) == of(None)
    steps = otc.spec("smoke", "en", "mixed", 0, match="steps", size=20).settings
    assert otc.settings_of(steps).steps == SMOKE.epochs * -(-20 // SMOKE.batch)


def test_the_learning_rate_trial_differs_in_the_rate_and_seed_alone(capitals):
    specs = otc_grid.learning_rates("mini", 2)
    assert len({s.id for s in specs}) == 2 * len(otc_grid.RATES)
    assert {s.settings["regime"] for s in specs} == {"zero-shot"} and {s.settings["source"] for s in specs} == {"en"}
    assert otc.spec("mini", "en", "zero-shot", 1, learning_rate=MINI.learning_rate) == otc.spec(
        "mini", "en", "zero-shot", 1
    )
    assert otc.settings_of(specs[0].settings).learning_rate == otc_grid.RATES[0]


def test_the_reference_grid_is_refused_at_smoke(capitals, tmp_path):
    with pytest.raises(InputError, match="no results; use --scale mini"):
        otc_grid.complete(Store(tmp_path), "smoke")


# Training sets --------------------------------------------------------------------------------------------------------


def languages_of(groups) -> dict:
    rows = [row for group in groups for row in group]
    return {
        code: sum(row.language == code for row in rows)
        for code in OTC_LANGUAGES
        if any(r.language == code for r in rows)
    }


@pytest.mark.parametrize(
    ("regime", "options", "expected"),
    [
        ("zero-shot", {}, {"en": 40}),
        ("original", {"target": "ja"}, {"ja": 40}),
        ("translated-only", {"target": "ja"}, {"ja": 40}),
        ("mixed", {}, {"en": 40} | dict.fromkeys(OTHERS, 8)),
        ("mixed", {"ratio": "2:1"}, {"en": 40} | dict.fromkeys(OTHERS, 4)),
        ("mixed", {"ratio": "1:5"}, {"en": 40} | dict.fromkeys(OTHERS, 40)),
        ("mixed-into", {}, {"en": 80}),
    ],
)
def test_training_sets_hold_the_right_rows(capitals, regime, options, expected):
    groups = otc.training_groups(otc.spec("smoke", "en", regime, 0, **options).settings)
    assert languages_of(groups) == expected
    translated = [row for group in groups for row in group if row.translated]
    assert len(translated) == sum(expected.values()) - (0 if regime == "translated-only" else 40)
    assert all(row.text == row.text.upper() for row in translated)


def test_gold_translations_are_the_gold_renderings_and_stay_in_their_split(capitals):
    groups = otc.training_groups(otc.spec("smoke", "en", "translated-only", 0, target="de", quality="gold").settings)
    reviews = embedded.reviews("en", "train")[:40]
    assert [g[0].text for g in groups] == [embedded.gold(r, "de", "train") for r in reviews]
    assert capitals == {}
    assert "engine:gold" in otc.signature("smoke", "gold", "en", "de")


def test_steps_and_rows_are_matched_to_zero_shot(capitals):
    steps = otc.spec("mini", "en", "mixed", 0, match="steps").settings
    batches = -(-MINI.train_size // MINI.batch)
    assert otc.settings_of(steps).steps == MINI.epochs * batches
    assert otc.settings_of(otc.spec("mini", "en", "mixed", 0).settings).steps is None


# Runs -----------------------------------------------------------------------------------------------------------------


def check_result(result, size: int = 40) -> dict:
    rows = {(row["language"], row["metric"]): row["value"] for row in result.metrics}
    assert all(np.isfinite(value) for value in rows.values())
    counts = result.predictions.groupby("language").size()
    assert set(counts) == {size}
    return rows


@pytest.mark.filterwarnings("ignore:A test tried to use socket")
def test_zero_shot_runs_without_a_network_and_the_same_twice(capitals, socket_disabled):
    needs(SMOKE.encoder)
    spec = otc.spec("smoke", "en", "zero-shot", 0)
    first, second = otc.run(spec), otc.run(spec)  # computed features, then kept ones
    rows = check_result(first)
    assert {language for language, metric in rows if metric == "f1_micro"} == set(OTC_LANGUAGES)
    assert rows["en", "rows"] == 40 and rows["en", "steps"] == 2
    assert first.metrics == second.metrics and first.predictions.equals(second.predictions)
    other = otc.run(otc.spec("smoke", "en", "zero-shot", 1))
    assert not first.predictions.equals(other.predictions)


@pytest.mark.filterwarnings("ignore:A test tried to use socket")
def test_mixed_with_contrast_runs_with_any_translator(capitals, socket_disabled):
    needs(SMOKE.encoder)
    runs = [otc.spec("smoke", "en", "mixed", 0, contrast=c, match=m) for c, m in ((None, "rows"), ("infonce", "steps"))]
    otc.prepare(runs + [otc.spec("smoke", "en", "mixed", seed, match="rows") for seed in range(5)])
    each = 40 + 20 + 5 * 20  # training and validation in turns, validation into each target for the geometry
    assert capitals["default"].asked == 2 * each  # seeds ask nothing new
    plain, contrasted = map(otc.run, runs)
    assert check_result(plain)["en", "rows"] == 40 and check_result(contrasted)["en", "rows"] == 80
    assert check_result(contrasted)["en", "steps"] == 2
    for name in ("pair_cosine", "random_cosine", "alignment", "uniformity", "retrieval"):
        assert {language for language, metric in check_result(plain) if metric == name} == set(OTHERS)


@pytest.mark.filterwarnings("ignore:A test tried to use socket")
def test_mixed_with_otc_runs_with_the_real_translator(monkeypatch, tmp_path, socket_disabled):
    needs(SMOKE.encoder, "mini-m2m")
    monkeypatch.setattr(otc, "BUILD", tmp_path)
    spec = otc.spec("smoke", "en", "mixed", 0, languages=("en", "de"), contrast="infonce")
    assert fingerprint("mini-m2m") in spec.settings["translator"]
    rows = check_result(otc.run(spec))
    assert rows["en", "rows"] == 80 and -1 <= rows["de", "pair_cosine"] <= 1
    groups = otc.training_groups(spec.settings)
    assert all(g[1].translated and g[1].language == "de" and g[1].text and g[1].text != g[0].text for g in groups)


def test_original_is_tested_on_its_own_language(capitals):
    needs(SMOKE.encoder)
    rows = check_result(otc.run(otc.spec("smoke", "en", "original", 0, target="zh")))
    assert {language for language, _ in rows} == {"zh"}


# The gain of OTC ------------------------------------------------------------------------------------------------------


def gain_by_hand(frame: pd.DataFrame, source: str, seed: int) -> float:
    """OTC's gain of one run pair, straight from the records: original + translated with InfoNCE as the scale has it
    minus the same set with cross-entropy, mean over the languages other than the source."""
    rows = frame[(frame["metric"] == "f1_micro") & (frame["source"] == source) & (frame["seed"] == seed)]
    rows = rows[(rows["regime"] == "mixed") & (rows["ratio"] == "1:1") & (rows["match"] == "none")]
    rows = rows[(rows["quality"] == "default") & (rows["language"] != source)]
    plain = rows[rows["contrast"].isna()]
    otc_rows = rows[(rows["contrast"] == "infonce") & (rows["total"] == "sum") & (rows["temperature"] == 0.1)]
    assert len(plain) == len(otc_rows) == 5  # one run a side, five test languages
    return otc_rows["value"].mean() - plain["value"].mean()


def test_table_figure_and_ledger_tell_one_gain_of_otc():
    reference = otc_grid.reference()
    part = otc_grid.conditions(reference)
    seeds = range(otc_grid.REFERENCE_SEEDS)
    by_hand = pd.DataFrame({code: [gain_by_hand(reference, code, seed) for seed in seeds] for code in OTC_LANGUAGES})
    table = otc_grid.by_run(part, "condition")
    for code in OTC_LANGUAGES:  # notebook 03's table by training language
        assert np.allclose(otc_grid.effect(table, "OTC", "plain", source=code), by_hand[code])
    two = list(otc_grid.TWO_SOURCES)  # its figure
    drawn = otc_grid.gains_over(part[part["source"].isin(two)], ["OTC"]).set_index("seed")["value"]
    assert np.allclose(drawn, by_hand[two].mean(axis=1))
    found = summary(by_hand.mean(axis=1))  # its first table, and the ledger
    row = otc_grid.ledger(reference).set_index("id").loc["O03"]
    assert (row["mean"], row["low"], row["high"]) == pytest.approx((found.mean, found.low, found.high))
    assert round(found.mean, 4) == 0.0090 and found.n == 10


def test_a_baseline_of_two_training_sets_is_refused():
    reference = otc_grid.reference()
    both = otc_grid.scores(reference)
    both = both[both["regime"].isin(["mixed", otc_grid.OTHER_READING])].replace(
        {"condition": {"other reading": "plain"}}
    )
    with pytest.raises(InputError, match=r"they differ in .*regime"):
        otc_grid.by_run(both, "condition")
