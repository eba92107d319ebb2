"""Paper 2: which specs there are, what they are trained and tested on, and whole runs without a translator."""

from dataclasses import replace

import numpy as np
import pytest
from models_for_tests import bert_folder, mbert_folder
from refusals import refused

from xltlib import musc, scales, tasks
from xltlib.models import fingerprint
from xltlib.musc import ENSEMBLES, INPUTS, TRAINING, back_translated, ensembles, pair_data, source_items, target_side
from xltlib.scales import MUSC_MINI, MUSC_SMOKE
from xltlib.tasks import Items

PLAIN, WITH_MT, WITH_ORIGINALS, WITH_BT = TRAINING
SIZES = {"train_size": 16, "validation_size": 8, "test_size": 12, "epochs": 2, "batch": 8, "frozen_layers": 2}


class Marks:
    """A translator that marks a text with its direction, and remembers what it was asked."""

    def __init__(self):
        self.asked: list[tuple[str, str, list[str]]] = []

    def translate(self, texts, source, target):
        self.asked.append((source, target, list(texts)))
        return [f"{source}>{target} {text}" for text in texts]

    def signature(self, source, target):
        return f"src:{source}|tgt:{target}|engine:marks"


@pytest.fixture
def marks(monkeypatch, tmp_path):
    """No checkpoint is needed: small encoders at the scales' places, a translator that marks, features in a folder of
    the test."""
    made = Marks()
    monkeypatch.setattr(musc, "translator", lambda at, task="": made)
    monkeypatch.setattr(musc, "BUILD", tmp_path)
    small = {"encoder": str(bert_folder()), "english_encoder": str(mbert_folder())}
    monkeypatch.setitem(scales.MUSC_SCALES, "mini", replace(MUSC_MINI, **small))
    monkeypatch.setitem(scales.MUSC_SCALES, "smoke", replace(MUSC_SMOKE, **small, **SIZES))
    return made


def spec(training_set=PLAIN, at="smoke", task="topics", seed=0, **options):
    return musc.spec(at, task, training_set, seed, **options)


# Specs ----------------------------------------------------------------------------------------------------------------


def test_a_spec_names_everything_it_depends_on(marks):
    found = spec(WITH_MT, "mini", "paraphrase", 3, method="musc", targets=("es",))
    assert (found.experiment, found.method, found.version, found.seed) == ("musc", "musc", musc.VERSION, 3)
    assert found.corpus == tasks.corpus_name("paraphrase") and found.checkpoint == fingerprint(str(bert_folder()))
    wanted = {"training": WITH_MT, "targets": ["es"], "weight": 0.9, "form": "in", "preset": "paper", "audit": False}
    wanted |= {name: getattr(MUSC_MINI, name) for name in ("train_size", "test_size", "epochs", "learning_rate")}
    assert wanted.items() <= found.settings.items()
    assert found.settings["translations"] == [f"src:{a}|tgt:{b}|engine:marks" for a, b in (("en", "es"), ("es", "en"))]


def test_everything_that_matters_is_in_the_id(marks):
    base = {"training_set": WITH_MT, "method": "musc"}
    changes = [{}, {"seed": 1}, {"at": "mini"}, {"task": "reviews"}, {"targets": ("de",)}, {"targets": ("zh", "de")}]
    changes += [{"method": method} for method in ("ce", "sc", "mu", "sc+mu")] + [{"preset_name": "released"}]
    changes += [{"size": 17}, {"weight": 0.1}, {"form": "out"}, {"audit": True}, {"learning_rate": 0.1}]
    changes += [{"frozen_layers": 0}, *({"method": "ce", "training_set": name} for name in TRAINING if name != WITH_MT)]
    changes += [{"method": "ce", "training_set": PLAIN, "encoder": "english"}]
    assert len({spec(**base | change).id for change in changes}) == len(changes)


def test_what_does_not_matter_is_not_in_the_id(marks):
    for method in ("ce", "mu"):  # they have no contrastive term
        plain = spec(WITH_MT, method=method)
        assert plain == spec(WITH_MT, method=method, weight=0.3, form="out")
    assert spec(WITH_MT, method="sc") == spec(WITH_MT, method="sc", weight=0.5, form="in", size=16, frozen_layers=2)
    assert spec(PLAIN, encoder="english").checkpoint == fingerprint(str(mbert_folder()))


def test_presets_and_tasks_set_lambda_form_and_epochs(marks):
    released = spec(WITH_MT, method="musc", preset_name="released").settings
    assert (released["weight"], released["form"]) == (0.1, "out")
    for name, task in tasks.TASKS.items():
        assert spec(WITH_MT, task=name, method="sc").settings["weight"] == task.paper_lambda
        assert spec(at="paper", task=name).settings["epochs"] == task.epochs


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"at": "huge"}, ("'huge'", "smoke, mini, paper")),
        ({"task": "mldoc"}, ("'mldoc'", "reviews, topics, paraphrase, inference")),
        ({"training_set": "T_trn"}, ("training set 'T_trn'", *TRAINING)),
        ({"preset_name": "printed"}, ("'printed'", "paper, released")),
        ({"method": "supcon"}, ("'supcon'", "ce, sc, mu, sc+mu, musc")),
        ({"encoder": "german"}, ("'german'", "multilingual, english")),
        ({"form": "up", "training_set": WITH_MT, "method": "sc"}, ("'up'", "in, out")),
        ({"targets": ("de", "ko")}, ("'ko'", "zh, fr, de, ru, es, it, ja")),
        ({"targets": ("en",)}, ("'en'", "zh, fr")),
        ({"targets": ()}, ("target language",)),
        ({"encoder": "english", "training_set": WITH_MT}, ("English encoder", PLAIN)),
        *(({"method": "musc", "training_set": name}, ("'musc'", WITH_MT)) for name in TRAINING if name != WITH_MT),
        ({"method": "sc+mu", "training_set": WITH_MT, "preset_name": "released"}, ("'sc+mu'", "'musc'")),
    ],
)
def test_bad_settings_are_refused(marks, arguments, words):
    refused(lambda: spec(**arguments), *words)
    assert marks.asked == []


# What a run reads -----------------------------------------------------------------------------------------------------


def sides_of(training_set, split="train", task="topics", code="de"):
    s = spec(training_set, task=task).settings
    size = {"train": 16, "validation": 8}[split]
    return target_side(s, code, split), *(tasks.items(task, c, split, size, "smoke") for c in ("en", code))


def marked(data: Items, *marks: str) -> tuple:
    """The sides with marks in front."""
    return tuple(tuple(" ".join([*marks, text]) for text in side) for side in data.sides)


@pytest.mark.parametrize("split", ["train", "validation"])
@pytest.mark.parametrize("task", ["topics", "inference"])
def test_what_stands_beside_the_source(marks, task, split):
    assert sides_of(PLAIN, split, task)[0] is None and marks.asked == []
    found, source, _ = sides_of(WITH_MT, split, task)
    assert found == Items(marked(source, "en>de"), source.labels, "de")
    found, _, target = sides_of(WITH_ORIGINALS, split, task)
    assert found == target
    found, _, target = sides_of(WITH_BT, split, task)
    assert found == Items(marked(target, "en>de", "de>en"), target.labels, "de")
    assert back_translated(target, "smoke") == found


class Texts(tuple):
    """What `pair_data` needs of encoded texts."""

    def join(self, other):
        return Texts(self + other)


@pytest.mark.parametrize("split", ["train", "validation"])
@pytest.mark.parametrize("name", TRAINING)
def test_pairs_are_item_by_item_and_hold_what_the_method_may_see(marks, name, split):
    s = spec(name).settings
    data, source = pair_data(s, split, lambda items: Texts(items.texts)), source_items(s, split)
    allowed = list(source.texts)
    for code in ("de", "zh"):
        side = target_side(s, code, split)
        for i, pair in enumerate(data.pairs[code]):
            rows = [source, *([side] if side else [])]
            assert [data.encoded[j] for j in pair] == [row.texts[i] for row in rows]
            assert [data.labels[j].item() for j in pair] == [row.labels[i] for row in rows]
        assert len(data.pairs[code]) == len(source)
        allowed += side.texts if side else ()
    assert list(data.encoded) == allowed and len(data.labels) == len(allowed)  # no other text than the method's


def test_a_shorter_side_makes_fewer_pairs(marks, monkeypatch):
    """MLDoc's largest Spanish training file has fewer texts than the English one."""
    honest = musc.target_items
    monkeypatch.setattr(musc, "target_items", lambda s, c, split: honest(s, c, split).first({"de": 9, "zh": 16}[c]))
    data = pair_data(spec(WITH_ORIGINALS).settings, "train", lambda items: Texts(items.texts))
    assert data.pairs == {"de": [(i, 16 + i) for i in range(9)], "zh": [(i, 25 + i) for i in range(16)]}
    assert len(data.labels) == 41


def test_preparation_asks_for_each_translation(marks):
    specs = [spec(name) for name in TRAINING] + [spec(WITH_MT, method="musc", seed=1)]
    musc.prepare(specs)
    asked = {(source, target, len(texts)) for source, target, texts in marks.asked}
    for code in ("de", "zh"):
        assert {("en", code, 16), ("en", code, 8), (code, "en", 16), (code, "en", 8), (code, "en", 12)} <= asked
    count = len(marks.asked)
    musc.prepare(specs * 3)
    assert len(marks.asked) == 2 * count  # a condition's methods and seeds need the same translations
    known = {text for _, _, texts in marks.asked for text in texts}
    for run_spec in specs[1:4:2]:
        musc.run(run_spec)
    assert {text for _, _, texts in marks.asked for text in texts} <= known


def test_ensembles_against_loops():
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 3, (2, 9, 4))
    p, q = (np.exp(part) / np.exp(part).sum(1, keepdims=True) for part in logits)
    found = ensembles(p, q)
    assert list(found) == list(ENSEMBLES)
    for i in range(9):
        total = [np.exp(logits[0, i, k] + logits[1, i, k]) for k in range(4)]
        for k in range(4):
            assert found[ENSEMBLES[0]][i, k] == pytest.approx((p[i, k] + q[i, k]) / 2)
            assert found[ENSEMBLES[1]][i, k] == pytest.approx(total[k] / sum(total))
    sure, never = np.array([[1.0, 0.0]], np.float32), np.array([[0.0, 1.0]], np.float32)
    assert np.isfinite(ensembles(sure, never)[ENSEMBLES[1]]).all()
    assert INPUTS == ("T_tst", "S_tst^MT")
