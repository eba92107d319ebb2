"""Paper 1 (arXiv 2405.05478): its conditions as run specs, and the function that runs one of them.

A condition is a training set (`regimes`), a loss, and how the sets' sizes are matched; `specs` lists a grid of them,
`run` trains and tests one. `prepare` translates all texts before a grid starts; frozen features are kept on disk by the
first run that computes them.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import cache

import torch

from xltlib import evaluation, geometry, grid, regimes, training
from xltlib.corpora import embedded
from xltlib.errors import InputError, choice
from xltlib.languages import OTC_LANGUAGES, language
from xltlib.losses import OTC_FORMS
from xltlib.models import Classifier, HeadSettings, bfloat16_pays, fingerprint, load_encoder, load_tokenizer
from xltlib.records import canonical, naming
from xltlib.regimes import Labelled
from xltlib.scales import BUILD, Scale, scale
from xltlib.store import Result, RunSpec
from xltlib.training import Group, Settings

VERSION = 3
"""Version of the method: raise it when a change of code changes results; records of another version are out of date."""
REGIMES = ("zero-shot", "translated-only", "mixed", "mixed-into", "original")
TRANSLATORS = ("default", "greedy", "float32", "undertrained", "gold")
"""Translation quality: the scale's own, beam 1, no quantisation, an under-trained model, and gold renderings (the
ceiling)."""

FROM_SCALE = (
    "train_size", "validation_size", "test_size", "epochs", "batch", "learning_rate", "pooling", "frozen_layers",
)  # fmt: skip
"""What a spec takes over from its scale."""


@cache
def labelled(corpus: str, code: str, split: str, size: int | None) -> Labelled:
    """A corpus's labelled texts of a language and split, labels 0-based. "reviews" is embedded; "marc" is read from
    files."""
    if corpus == "reviews":
        items = embedded.reviews(code, split, size)
        return Labelled(tuple(r.text for r in items), tuple(r.stars - 1 for r in items), code)
    from xltlib.corpora import hub

    items = hub.marc(code, split)[:size]
    return Labelled(tuple(e.text for e in items), tuple(e.label for e in items), code)


def data_of(spec_scale: Scale, code: str, split: str) -> Labelled:
    """A split at a scale's size."""
    return labelled(spec_scale.corpus, code, split, getattr(spec_scale, f"{split}_size"))


@cache
def gold_renderings(source: str, target: str) -> dict[str, str]:
    """Training and validation reviews of `source` to their gold renderings in `target`."""
    splits = [(split, review) for split in ("train", "validation") for review in embedded.reviews(source, split)]
    return {review.text: embedded.gold(review, target, split) for split, review in splits}


def gold_translate(texts: list[str], source: str, target: str) -> list[str]:
    """The ceiling of translation quality: what a plain human translator would write."""
    return [gold_renderings(source, target)[text] for text in texts]


@cache
def translator(at: str, quality: str = "default"):
    """The translator of a scale in one of the qualities of TRANSLATORS (all but "gold")."""
    from xltlib import translation

    settings = scale(at)
    changes = {
        "greedy": {"beam": 1},
        "float32": {"compute_type": "float32"},
        "undertrained": {"model": "mini-m2m-undertrained"},
    }
    options = {
        "model": settings.translator,
        "beam": settings.beam,
        "compute_type": settings.compute_type,
    } | changes.get(quality, {})
    return translation.translator(settings.engine, **options)


def translate_with(at: str, quality: str) -> regimes.Translate:
    """The translating function of a quality."""
    return gold_translate if quality == "gold" else translator(at, quality).translate


def signature(at: str, quality: str, source: str, target: str) -> str:
    """The signature that travels with these translations."""
    if quality == "gold":
        return f"src:{source}|tgt:{target}|engine:gold|corpus:reviews@{embedded.corpus_hash()}"
    return translator(at, quality).signature(source, target)


def spec(
    at: str,
    source: str,
    regime: str,
    seed: int,
    *,
    target: str | None = None,
    languages: Sequence[str] = OTC_LANGUAGES,
    ratio: str = "1:1",
    match: str = "none",
    quality: str = "default",
    contrast: str | None = None,
    temperature: float = 0.1,
    weight: float = 0.4,
    total: str = "sum",
    learning_rate: float | None = None,
    size: int | None = None,
) -> RunSpec:
    """The spec of one run. `target`: the language of a "translated-only" or "original" run's training set; the other
    regimes test on all `languages`. `match`: "none", "rows" (as many rows as zero-shot) or "steps" (as many
    optimisation steps). `learning_rate` and the training set's `size`: None takes the scale's."""
    sizes = scale(at)
    for code in (source, *languages, *([target] if target else [])):
        language(code)
    source = target if regime == "original" and target else source  # no other language plays a part: one run, one id
    choice(regime, REGIMES, "regime")
    choice(quality, TRANSLATORS, "translator")
    choice(match, ("none", "rows", "steps"), "match")
    choice(ratio, regimes.RATIOS, "ratio")
    choice(contrast, (None, *OTC_FORMS, "supcon"), "contrast")
    choice(total, ("sum", "convex"), "total")
    _check_settings(regime, target, [code for code in languages if code != source], contrast)
    if sizes.corpus != "reviews":
        choice(quality, TRANSLATORS[:3], f"translator at scale {at}")
    uses_mt = regime not in ("zero-shot", "original")
    settings = {
        "scale": at, "source": source, "regime": regime, "target": target, "languages": list(languages),
        "ratio": ratio if regime == "mixed" else None, "match": match, "quality": quality if uses_mt else None,
        "translator": signature(at, quality, source, target or "xx") if uses_mt else None,
        "contrast": contrast, "temperature": temperature if contrast else None, "weight": weight if contrast else None,
        "total": total if contrast else None, **{name: getattr(sizes, name) for name in FROM_SCALE},
    }  # fmt: skip
    if size is not None:
        settings["train_size"] = size
    if learning_rate is not None:
        settings["learning_rate"] = learning_rate
    checkpoint = fingerprint(sizes.encoder)
    return RunSpec("otc", method_name(regime, contrast), VERSION, corpus_name(sizes), checkpoint, seed, settings)


def _check_settings(regime: str, target: str | None, others: Sequence[str], contrast: str | None) -> None:
    """InputError when the parts of a condition, each valid, do not fit together."""
    if (target is not None) != (regime in ("translated-only", "original")):
        raise InputError(f"regime {regime!r} {'takes no' if target else 'needs a'} target language")
    if regime.startswith("mixed") and not others:
        raise InputError(f"regime {regime!r} needs at least one language besides the source")
    if contrast in OTC_FORMS and regime != "mixed":
        raise InputError(
            f"contrast {contrast!r} needs originals with their translations: regime 'mixed', not {regime!r}"
        )


def method_name(regime: str, contrast: str | None) -> str:
    """A run's method as figures name it."""
    return regime if contrast is None else f"{regime}+{'supcon' if contrast == 'supcon' else 'otc-' + contrast}"


def corpus_name(settings: Scale) -> str:
    """The corpus with the hash of what it was generated from (embedded) or read from (files)."""
    if settings.corpus == "reviews":
        return f"reviews@{embedded.corpus_hash()}"
    from xltlib.corpora import hub

    return hub.marc_name()


def training_groups(s: dict) -> list[Group]:
    """The training set of a spec's settings, before matching."""
    return _groups(s, "train")


def originals_of(s: dict, code: str, split: str) -> Labelled:
    """A language's originals of a split, as many as a spec's settings say."""
    return labelled(scale(s["scale"]).corpus, code, split, s[f"{split}_size"])


def _groups(s: dict, split: str) -> list[Group]:
    """Training rows, or the validation rows of the same kind: only text that the method may see."""
    data = originals_of(s, s["source"], split)
    others = [code for code in s["languages"] if code != s["source"]]
    translate = translate_with(s["scale"], s["quality"]) if s["quality"] else None
    if s["regime"] == "zero-shot":
        return regimes.originals_only(data)
    if s["regime"] == "original":
        return regimes.originals_only(originals_of(s, s["target"], split))
    if s["regime"] == "translated-only":
        return regimes.translated_only(data, s["target"], translate)
    if s["regime"] == "mixed-into":
        return regimes.with_translations_into(data, [originals_of(s, code, split) for code in others], translate)
    return regimes.with_translations(data, others, translate, s["ratio"])


def test_languages(s: dict) -> list[str]:
    """The languages a run is tested on."""
    return [s["target"]] if s["target"] else s["languages"]


@naming
def run(spec: RunSpec) -> Result:
    """Train one condition with one seed and test it; see `spec` for the settings."""
    s = spec.settings
    at = scale(s["scale"])
    torch.manual_seed(spec.seed)
    model = classifier(s, at)
    model.to("cuda" if at.name == "paper" and torch.cuda.is_available() else "cpu")
    encode = _encoder(model, at)
    groups = training_groups(s)
    if s["match"] == "rows":
        groups = regimes.match_rows(groups, len(originals_of(s, s["source"], "train")))
    data = training.as_data(groups, encode([row.text for group in groups for row in group]))
    validation = [row for group in _groups(s, "validation") for row in group]
    seen, wanted = encode([row.text for row in validation]), torch.tensor([row.label for row in validation])
    score = lambda: float((torch.from_numpy(training.predict(model, seen)).argmax(1) == wanted).float().mean())  # noqa: E731
    losses = training.train(model, data, settings_of(s), spec.seed, score)
    return test(model, encode, s, {"rows": len(data.labels), "steps": len(losses), "validation": score()})


def classifier(s: dict, at: Scale) -> Classifier:
    """The scale's encoder with a new head; in bfloat16 where the processor gains by it."""
    fast = at.name != "paper" and bfloat16_pays()
    head = HeadSettings(pooling=s["pooling"], frozen_layers=s["frozen_layers"], bfloat16=fast)
    return Classifier(load_encoder(at.encoder, "eager" if fast else None), head)


def settings_of(s: dict) -> Settings:
    """The training loop's settings of a spec."""
    matched = s["match"] == "steps"
    steps = s["epochs"] * -(-len(originals_of(s, s["source"], "train")) // s["batch"]) if matched else None
    contrast = {k: s[k] for k in ("contrast", "temperature", "weight", "total") if s["contrast"]}
    return Settings(epochs=s["epochs"], batch=s["batch"], learning_rate=s["learning_rate"], steps=steps, **contrast)


def _encoder(model: Classifier, at: Scale) -> Callable[[Sequence[str]], training.Encoded]:
    tokenizer, name = load_tokenizer(at.encoder), fingerprint(at.encoder)
    cache = BUILD / "features" if at.name != "paper" else None
    return lambda texts: training.encode(texts, tokenizer, model, cache=cache, name=name, limit=at.max_length)


def test(model: Classifier, encode, s: dict, facts: dict) -> Result:
    """Metrics and predictions on each test language's originals, and the embedding space's geometry for mixed
    training."""
    rows, frames = [], []
    for code in test_languages(s):
        data = originals_of(s, code, "test")
        probabilities = training.predict(model, encode(data.texts))
        rows += evaluation.metrics(data.labels, probabilities, code)
        frames.append(evaluation.predictions(data.labels, probabilities, code))
    if s["regime"] == "mixed":
        rows += pair_geometry(model, encode, s)
    rows += [
        {"language": s["source"], "metric": k, "value": float(v), "n": 1, "n_effective": 1} for k, v in facts.items()
    ]
    import pandas as pd

    return Result(rows, pd.concat(frames, ignore_index=True))


def pair_geometry(model: Classifier, encode, s: dict) -> list[dict]:
    """How close validation originals and their translations lie, per target language; see `geometry`."""
    data = originals_of(s, s["source"], "validation")
    vectors = training.embeddings(model, encode(data.texts))
    translate, rows = translate_with(s["scale"], s["quality"]), []
    for target in [code for code in s["languages"] if code != s["source"]]:
        others = training.embeddings(model, encode(translate(list(data.texts), s["source"], target)))
        for name, value in geometry.describe(vectors, others).items():
            rows.append({"language": target, "metric": name, "value": value, "n": len(data), "n_effective": len(data)})
    return rows


def prepare(specs: Iterable[RunSpec], jobs: int = 1) -> None:
    """Translate every text that the specs need, each once, before a grid starts; in `jobs` processes."""
    wanted = {canonical(spec.settings): spec.settings for spec in specs if spec.settings["quality"]}.values()
    whole = [s for s in wanted if s["regime"] == "translated-only"]
    for part in (whole, [s for s in wanted if s not in whole]):  # the others need a part of the same translations
        grid.each(translate_for, part, jobs)


def translate_for(settings: dict) -> None:
    """Translate what one condition needs: training and validation texts, and the pairs whose geometry is measured."""
    for split in ("train", "validation"):
        _groups(settings, split)
    if settings["regime"] == "mixed":
        data = originals_of(settings, settings["source"], "validation")
        for target in [code for code in settings["languages"] if code != settings["source"]]:
            translate_with(settings["scale"], settings["quality"])(list(data.texts), settings["source"], target)
