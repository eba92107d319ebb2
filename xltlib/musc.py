"""Paper 2 (MUSC, EMNLP 2022): its training sets, inference inputs and losses as run specs, and what runs one of them.

The names are the paper's (Table 1): S is the source language, T a target language; `trn` and `tst` are training and
test text; MT is machine translation from the other side, BT a round trip. One model serves all target languages.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd
import torch

from xltlib import evaluation, geometry, grid, tasks, training
from xltlib.errors import InputError, choice
from xltlib.models import Classifier, HeadSettings, bfloat16_pays, fingerprint, load_encoder, load_tokenizer
from xltlib.musc_training import METHODS, PairData, PairSettings, preset, projector, train_pairs
from xltlib.records import canonical, naming
from xltlib.scales import BUILD, MuscScale, musc_scale
from xltlib.store import Result, RunSpec
from xltlib.tasks import Items, items
from xltlib.training import Encoded, Settings

EXPERIMENT = "musc"
VERSION = 1
"""Version of the method: raise it when a change of code changes results; records of another version are out of date."""
SOURCE = "en"
TRAINING = ("S_trn", "S_trn + T_trn^MT", "S_trn + T_trn", "S_trn + T_trn^BT")
"""Training sets: zero-shot and translate-test; translate-train and translate-all; Table 4's two."""
INPUTS = ("T_tst", "S_tst^MT")
"""Test inputs of a target language: its own text, and that text machine-translated into the source language."""
ENSEMBLES = ("mean of probabilities", "sum of logits")
"""Translate-all as the paper has it, and as its released trainer does it."""
FROM_SCALE = ("validation_size", "test_size", "batch", "pooling", "frozen_layers")


@cache
def translator(at: str, task: str = ""):
    """The translator of a scale; with a task, at scale "paper", XTREME's translations come first where they are."""
    from xltlib import given_translations, translation

    if at == "paper" and (folder := given_translations.folder_of(task)):
        return given_translations.GivenTranslations(translator(at), task, folder)
    s = musc_scale(at)
    return translation.translator(s.engine, model=s.translator, beam=s.beam, compute_type=s.compute_type)


def spec(
    at: str,
    task: str,
    training_set: str,
    seed: int,
    *,
    targets: Sequence[str] | None = None,
    method: str = "ce",
    preset_name: str = "paper",
    encoder: str = "multilingual",
    size: int | None = None,
    weight: float | None = None,
    form: str | None = None,
    audit: bool = False,
    learning_rate: float | None = None,
    frozen_layers: int | None = None,
) -> RunSpec:
    """The spec of one run; None takes the scale's or the preset's value.

    `encoder`: "multilingual", or "english" (translate-test as the paper has it, from S_trn alone). `weight` is lambda;
    `form` is SupCon's. `audit`: also test after every epoch, to see what selecting on test text would have gained.
    InputError for unknown names and for parts that do not fit together.
    """
    sizes, about, how = musc_scale(at), tasks.task(task), preset(preset_name)
    targets = list(sizes.targets if targets is None else targets)
    choice(training_set, TRAINING, "training set")
    choice(method, METHODS, "method")
    choice(encoder, ("multilingual", "english"), "encoder")
    choice(form, (None, "in", "out"), "form of SupCon")
    for code in targets:
        choice(code, about.languages[1:], f"target language of {task}")
    if not targets or (encoder == "english" and training_set != "S_trn"):
        raise InputError("a run needs a target language, and the English encoder is trained on S_trn alone")
    if method != "ce" and training_set != "S_trn + T_trn^MT":
        raise InputError(f"method {method!r} needs pairs of a text and its translation: use S_trn + T_trn^MT")
    PairSettings(method, how, 0.0)
    contrastive = method in ("sc", "sc+mu", "musc")
    chosen = how.weight if how.weight is not None else about.paper_lambda
    settings = {
        "scale": at, "task": task, "training": training_set, "targets": targets, "encoder": encoder, "preset": how.name,
        "train_size": size or sizes.train_size, "epochs": sizes.epochs or about.epochs, "audit": audit,
        "form": (form or how.form) if contrastive else None,
        "weight": (chosen if weight is None else weight) if contrastive else None,
        "learning_rate": learning_rate or sizes.learning_rate,
        "translations": signatures(at, task, targets),
        **{name: getattr(sizes, name) for name in FROM_SCALE},
    }  # fmt: skip
    if frozen_layers is not None:
        settings["frozen_layers"] = frozen_layers
    checkpoint = fingerprint(checkpoint_of(sizes, encoder))
    return RunSpec(EXPERIMENT, method, VERSION, tasks.corpus_name(task, at), checkpoint, seed, settings)


def signatures(at: str, task: str, targets: Sequence[str]) -> list[str]:
    """The signatures that travel with a run's translations, both ways for each target language."""
    return [translator(at, task).signature(*pair) for code in targets for pair in ((SOURCE, code), (code, SOURCE))]


def checkpoint_of(at: MuscScale, encoder: str) -> str:
    """The checkpoint behind "multilingual" or "english"."""
    return at.encoder if encoder == "multilingual" else at.english_encoder


def source_items(s: dict, split: str) -> Items:
    """S_trn, or the source language's validation or test items."""
    return items(s["task"], SOURCE, split, s[f"{split}_size"], s["scale"])


def target_items(s: dict, code: str, split: str) -> Items:
    """T_trn, T_val or T_tst: originals of a target language."""
    return items(s["task"], code, split, s[f"{split}_size"], s["scale"])


def back_translated(data: Items, at: str) -> Items:
    """BT: a round trip through the source language."""
    translate = translator(at).translate  # no task that has target-language training text has given translations
    return data.translated(translate, SOURCE).translated(translate, data.language)


def target_side(s: dict, code: str, split: str) -> Items | None:
    """What stands beside the source items of a training set: T^MT, T or T^BT; nothing for S_trn alone."""
    if s["training"] == "S_trn":
        return None
    if s["training"] == "S_trn + T_trn^MT":
        return source_items(s, split).translated(translator(s["scale"], s["task"]).translate, code)
    data = target_items(s, code, split)
    return back_translated(data, s["scale"]) if s["training"].endswith("^BT") else data


def pair_data(s: dict, split: str, encode: Callable[[Items], Encoded]) -> PairData:
    """The training or validation set of a spec's settings: only text that the method may see. Where a target language
    has fewer originals than the source (some of MLDoc's do), the sources beyond them stay out of its pairs."""
    source = source_items(s, split)
    encoded, labels, pairs = encode(source), list(source.labels), {}
    for code in s["targets"]:
        side = target_side(s, code, split)
        start = len(labels)
        count = len(source) if side is None else min(len(source), len(side))
        pairs[code] = [(i,) if side is None else (i, start + i) for i in range(count)]
        if side is not None:
            encoded, labels = encoded.join(encode(side)), labels + list(side.labels)
    return PairData(encoded, torch.tensor(labels), pairs)


@naming
def run(spec: RunSpec) -> Result:
    """Train one condition with one seed and test it on every language and input; see `spec` for the settings."""
    s, at = spec.settings, musc_scale(spec.settings["scale"])
    torch.manual_seed(spec.seed)
    model = classifier(s, at)
    encode = encoder_of(model, s, at)
    data, held_out = pair_data(s, "train", encode), pair_data(s, "validation", encode)
    epochs: list[dict] = []
    inputs = test_inputs(s, encode) if s["audit"] else {}

    def validate() -> float:
        guess = torch.from_numpy(training.predict(model, held_out.encoded)).argmax(1)
        score = float((guess == held_out.labels).float().mean())
        epochs.append({"validation": score} | ({"test": plain_accuracy(model, inputs)} if inputs else {}))
        return score

    how = preset(s["preset"])
    settings = PairSettings(spec.method, replace(how, form=s["form"] or how.form), s["weight"] or 0.0)
    fit = Settings(s["epochs"], s["batch"], s["learning_rate"], schedule=how.schedule)
    losses = train_pairs(model, data, settings, fit, spec.seed, validate)
    rows, frame = test(model, inputs or test_inputs(s, encode))
    facts = {"steps": len(losses), "validation": max(e["validation"] for e in epochs)}
    facts |= {f"{name} after epoch {i}": e[name] for i, e in enumerate(epochs, 1) for name in e if s["audit"]}
    about = {"language": SOURCE, "input": "", "n": 1, "n_effective": 1}
    return Result(rows + [about | {"metric": name, "value": float(value)} for name, value in facts.items()], frame)


def classifier(s: dict, at: MuscScale) -> Classifier:
    """The encoder with a new head and projector; in bfloat16 where the processor gains by it."""
    name, about = checkpoint_of(at, s["encoder"]), tasks.task(s["task"])
    fast = at.name != "paper" and bfloat16_pays()
    separator = load_tokenizer(name).sep_token_id if at.segments and about.pair else None
    options = {"bfloat16": fast, "separator": separator, "pooler": preset(s["preset"]).pooler}
    head = HeadSettings(len(about.classes), s["pooling"], s["frozen_layers"], **options)
    model = Classifier(load_encoder(name, "eager" if fast else None, head.pooler), head)
    model.projector = projector(model.head.in_features)
    return model.to("cuda" if at.name == "paper" and torch.cuda.is_available() else "cpu")


def encoder_of(model: Classifier, s: dict, at: MuscScale) -> Callable[[Items], Encoded]:
    """The function from items to what the classifier takes; frozen features are kept on disk, but not at paper."""
    name = checkpoint_of(at, s["encoder"])
    tokenizer, cache = load_tokenizer(name), BUILD / "features" if at.name != "paper" else None
    options = {"cache": cache, "name": fingerprint(name), "limit": at.max_length}
    return lambda data: training.encode(data.texts, tokenizer, model, **options)


def test_inputs(s: dict, encode: Callable[[Items], Encoded]) -> dict[tuple[str, str], tuple[Encoded, Items]]:
    """(language, input) -> encoded test items, and the items with their labels. The source language has one input. An
    English-only encoder reads no other language."""
    source, found = source_items(s, "test"), {}
    found[SOURCE, INPUTS[0]] = encode(source), source
    for code in s["targets"]:
        data = target_items(s, code, "test")
        if s["encoder"] == "multilingual":
            found[code, INPUTS[0]] = encode(data), data
        translated = data.translated(translator(s["scale"], s["task"]).translate, SOURCE)
        found[code, INPUTS[1]] = encode(translated), translated
    return found


def plain_accuracy(model: Classifier, inputs: dict) -> float:
    """What the released code selects its checkpoint by: mean accuracy over all languages on untranslated test text."""
    return float(np.mean([
        np.mean(training.predict(model, encoded).argmax(1) == np.array(data.labels))
        for (_, kind), (encoded, data) in inputs.items() if kind == INPUTS[0]
    ]))  # fmt: skip


def test(model: Classifier, inputs: dict) -> tuple[list[dict], pd.DataFrame]:
    """Metrics of every language and input and of the two ensembles, how a text and its translation lie to each other in
    the embedding space (`geometry`), and predictions, with each text's place on the space's first two components."""
    rows, frames = [], []
    seen = {key: training.predict_and_embed(model, encoded) for key, (encoded, _) in inputs.items()}
    places = iter(
        geometry.plane(torch.cat([pooled for _, pooled in seen.values()])).split([len(p) for p, _ in seen.values()])
    )
    for (code, kind), (probabilities, _) in seen.items():
        labels, place = inputs[code, kind][1].labels, next(places).numpy().astype(np.float16)
        rows += metrics_of(labels, probabilities, code, kind)
        frame = evaluation.predictions(labels, probabilities, code)
        frames.append(frame.assign(input=kind, x=place[:, 0], y=place[:, 1]))
    for code in sorted({code for code, kind in seen if all((code, each) in seen for each in INPUTS)}):
        labels = inputs[code, INPUTS[0]][1].labels
        (target, a), (source, b) = (seen[code, kind] for kind in INPUTS)
        for name, probabilities in ensembles(target, source).items():
            rows += metrics_of(labels, probabilities, code, name)
        found = geometry.describe(a, b) | geometry.class_cosines(a, b, torch.tensor(labels))
        about = {"language": code, "input": " and ".join(INPUTS), "n": len(labels), "n_effective": len(labels)}
        rows += [about | {"metric": name, "value": value} for name, value in found.items()]
    return rows, pd.concat(frames, ignore_index=True)


def ensembles(target: np.ndarray, source: np.ndarray) -> dict[str, np.ndarray]:
    """Translate-all of two (n, classes) arrays of probabilities: their mean, and the softmax of the sum of logits.

    Logits are log probabilities up to a constant a text, which the softmax takes away: their sum is a product.
    """
    product = np.log(target.clip(1e-12)) + np.log(source.clip(1e-12))
    product = np.exp(product - product.max(axis=1, keepdims=True))
    return dict(zip(ENSEMBLES, ((target + source) / 2, product / product.sum(axis=1, keepdims=True)), strict=True))


def metrics_of(labels: Sequence[int], probabilities: np.ndarray, code: str, kind: str) -> list[dict]:
    """Rows of metrics of one language and input; the paper calls F1-micro accuracy."""
    rows = evaluation.metrics(labels, probabilities, code, input=kind)
    return [row | {"metric": "accuracy"} if row["metric"] == "f1_micro" else row for row in rows]


def prepare(specs: Iterable[RunSpec], jobs: int = 1) -> None:
    """Translate every text that the specs need, each once, before a grid starts; in `jobs` processes."""
    keys = ("scale", "task", "training", "targets", "train_size", "validation_size", "test_size")
    wanted: dict[str, dict] = {}
    for run_spec in specs:
        for code in run_spec.settings["targets"]:
            s = {key: run_spec.settings[key] for key in keys} | {"targets": [code]}
            wanted[canonical(s)] = s
    ordered = sorted(wanted.values(), key=lambda s: -s["train_size"])  # the larger sets hold the smaller ones
    grid.each(translate_for, ordered, jobs)


def translate_for(s: dict) -> None:
    """Translate what one training set and one target language need."""
    (code,) = s["targets"]
    for split in ("train", "validation"):
        target_side(s, code, split)
    target_items(s, code, "test").translated(translator(s["scale"], s["task"]).translate, SOURCE)
