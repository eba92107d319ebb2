"""The frozen settings of the three scales; everything that differs between a smoke, a mini and a paper run is here."""

from dataclasses import dataclass
from pathlib import Path

from xltlib.errors import InputError

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT / "data"
BUILD = ROOT / "build"


@dataclass(frozen=True)
class Scale:
    """One scale's corpus, models, sizes and hyper-parameters. Sizes are texts a language; None means the whole split.
    A notebook's own runs train on `live_size` texts, as it must end soon; the reference on `train_size`."""

    name: str
    corpus: str
    encoder: str
    engine: str
    translator: str
    compute_type: str
    beam: int
    train_size: int | None
    live_size: int | None
    validation_size: int | None
    test_size: int | None
    epochs: int
    batch: int
    learning_rate: float
    pooling: str
    frozen_layers: int
    seeds: int  # runs of each training set
    contrast_seeds: int  # runs with and without the contrastive loss
    max_length: int = 128


MINI = Scale(
    name="mini",
    corpus="reviews",
    encoder="mini-mbert",
    engine="ctranslate2",
    translator="mini-m2m",
    compute_type="int8",
    beam=5,
    train_size=1600,
    live_size=800,
    validation_size=250,
    test_size=1000,
    epochs=5,
    batch=32,
    learning_rate=5e-3,  # the best of otc_grid.RATES on English validation reviews, trained on English
    pooling="mean",  # the small encoder's pretraining never trains [CLS] as a summary
    frozen_layers=3,  # all but the last of four: their output is computed once, which halves the cost of a run
    seeds=3,
    contrast_seeds=5,
)
SMOKE = Scale(**{
    **MINI.__dict__, "name": "smoke", "beam": 1, "train_size": 40, "live_size": 40, "validation_size": 20,
    "test_size": 40, "epochs": 1, "seeds": 2, "contrast_seeds": 2,
})  # fmt: skip
PAPER = Scale(
    name="paper",
    corpus="marc",
    encoder="distilbert-base-multilingual-cased@45c032ab32cc946ad88a166f7cb282f58c753c2e",
    engine="easynmt",
    translator="facebook/m2m100_418M@55c2e61bbf05dfb8d7abccdc3fae6fc8512fd636",
    compute_type="float32",
    beam=5,
    train_size=None,
    live_size=None,
    validation_size=None,
    test_size=None,
    epochs=3,  # epochs, batch and learning rate are not in the document; usual values for fine-tuning DistilBERT
    batch=32,
    learning_rate=2e-5,
    pooling="cls",
    frozen_layers=0,
    seeds=3,
    contrast_seeds=5,
)


@dataclass(frozen=True)
class MuscScale:
    """What one scale sets for paper 2. `sizes`: training sizes of the losses on topics, from the smallest to the
    largest; all else has `train_size` in the reference and `live_size` in a notebook, which must end soon. None means
    the whole split. `epochs`: None takes the paper's, a task each. `tasks`: those of the reference grid.
    """

    name: str
    encoder: str
    english_encoder: str
    engine: str
    translator: str
    compute_type: str
    beam: int
    sizes: tuple[int, ...]
    train_size: int
    live_size: int
    validation_size: int | None
    test_size: int | None
    epochs: int | None
    batch: int
    learning_rate: float
    pooling: str
    frozen_layers: int
    segments: bool  # whether the encoder was trained with token types
    targets: tuple[str, ...]
    tasks: tuple[str, ...]
    seeds: int  # of translate-all and of the losses
    table4_seeds: int
    max_length: int = 128


# learning_rate, frozen_layers and tasks: musc_trials.chosen and learned, from trials on English validation items with
# training on English alone
MUSC_MINI = MuscScale(
    name="mini", encoder="mini-mbert-2", english_encoder="mini-bert-en", engine="ctranslate2", translator="mini-m2m-2",
    compute_type="int8", beam=5, sizes=(250, 500, 1000, 2000), train_size=1000, live_size=250, validation_size=250,
    test_size=1000, epochs=5, batch=32, learning_rate=3e-3, pooling="mean", frozen_layers=3, segments=False,
    targets=("de", "zh"), tasks=("reviews", "topics"), seeds=5, table4_seeds=3,
)  # fmt: skip
MUSC_SMOKE = MuscScale(**{
    **MUSC_MINI.__dict__, "name": "smoke", "beam": 1, "sizes": (20, 40), "train_size": 20, "live_size": 20,
    "validation_size": 20, "test_size": 40, "epochs": 1, "targets": ("de", "zh"), "seeds": 2, "table4_seeds": 2,
})  # fmt: skip
MUSC_PAPER = MuscScale(
    name="paper", encoder="bert-base-multilingual-cased@3f076fdb1ab68d5b2880cb87a0886f315b8146f8",
    english_encoder="bert-base-cased@cd5ef92a9fb2f889e972770a36d4ed042daf221e", engine="easynmt",
    translator="facebook/m2m100_418M@55c2e61bbf05dfb8d7abccdc3fae6fc8512fd636", compute_type="float32", beam=5,
    sizes=(1000, 2000, 5000, 10000), train_size=10000, live_size=10000, validation_size=None, test_size=None,
    epochs=None, batch=32, learning_rate=3e-5, pooling="cls", frozen_layers=0, segments=True,
    targets=("de", "es", "fr", "zh"), tasks=("reviews", "topics", "paraphrase", "inference"), seeds=5, table4_seeds=3,
)  # fmt: skip


@dataclass(frozen=True)
class SelfScale:
    """What one scale sets for paper 3. `decoders`: from small to large, the second is the main one at mini. `rates`
    and `seeds` make the paper's six runs a setting; `rank` and `alpha` are LoRA's. `max_tokens`: of a translation, by
    field (Table 5 at paper); `new_tokens`: of an output, by task. Sizes are items; None means the whole split.

    At mini the two rates and the tasks are what `self_train_trial` chooses; the steps are what two cores allow."""

    name: str
    decoders: tuple[str, ...]
    main: str
    labelled: str
    external: str
    tasks: tuple[str, ...]
    live_task: str
    live_languages: tuple[str, ...]
    languages: tuple[str, ...]
    train_size: int | None
    live_size: int | None
    validation_size: int | None
    test_size: int | None
    steps: int
    batch: int
    rates: tuple[float, ...]
    seeds: int
    live_seeds: int
    live_steps: int
    live_test: int | None
    rank: int
    alpha: int
    max_tokens: tuple[tuple[str, int], ...]
    new_tokens: tuple[tuple[str, int], ...]
    limit: int = 1024


SELF_MINI = SelfScale(
    name="mini", decoders=("mini-llama-0.25m", "mini-llama-1m", "mini-llama-4m"), main="mini-llama-1m",
    labelled="mini-llama-1m-labelled", external="mini-m2m-4", tasks=("problems", "questions"),
    live_task="problems", live_languages=("de", "th"), languages=("de", "ru", "th", "zh"), train_size=1000,
    live_size=240, validation_size=200, test_size=250, steps=100, batch=32, rates=(3e-3, 1e-2), seeds=3, live_seeds=3,
    live_steps=30, live_test=200, rank=16, alpha=32,
    max_tokens=(("problem", 120), ("solution", 80), ("context", 48), ("question", 32), ("premise", 80),
                ("hypothesis", 48)),
    new_tokens=(("problems", 80), ("questions", 16), ("inference", 8)),
)  # fmt: skip
SELF_SMOKE = SelfScale(**{
    **SELF_MINI.__dict__, "name": "smoke", "main": "mini-llama-0.25m", "live_languages": ("de",), "train_size": 24,
    "live_size": 24,
    "validation_size": 12, "test_size": 12, "steps": 4, "batch": 8, "seeds": 2, "live_seeds": 2, "live_steps": 4,
    "live_test": 12,
    "max_tokens": tuple((field, min(48, n)) for field, n in SELF_MINI.max_tokens),
    "new_tokens": (("problems", 24), ("questions", 8), ("inference", 8)),
})  # fmt: skip
LLAMA_7B = "meta-llama/Llama-2-7b-hf@01c7f73d771dfac7d292323805ebc428287df4f9"
SELF_PAPER = SelfScale(
    name="paper",
    decoders=(
        "Qwen/Qwen1.5-1.8B@7846de7ed421727b318d6605a0bfab659da2c067", LLAMA_7B,
        "meta-llama/Llama-2-13b-hf@5c31dfb671ce7cfe2d7bb7c04375e44c55e815b1",
        "meta-llama/Llama-2-70b-hf@3aba440b59558f995867ba6e1f58f21d0336b5bb",
    ),
    main=LLAMA_7B, labelled="", external="facebook/m2m100_418M@55c2e61bbf05dfb8d7abccdc3fae6fc8512fd636",
    tasks=("problems", "questions", "inference"), live_task="problems", live_languages=("de", "ru", "th", "zh"),
    languages=("de", "ru", "th", "zh"), train_size=10000, live_size=10000, validation_size=None, test_size=None,
    steps=1000, batch=64, rates=(5e-5, 3e-4), seeds=3, live_seeds=3, live_steps=1000, live_test=None,
    rank=16, alpha=32,
    max_tokens=(("problem", 512), ("solution", 512), ("context", 512), ("question", 256), ("premise", 256),
                ("hypothesis", 256)),
    new_tokens=(("problems", 512), ("questions", 64), ("inference", 8)), limit=2048,
)  # fmt: skip


@dataclass(frozen=True)
class ObjectiveScale:
    """What one scale sets for paper 4's downstream runs. `pretraining_seeds`: of the reference, the unit of the
    comparison; live there is the shipped one. `probe_rate` and `tune_rate`: one constant learning rate for all five
    models. None means the whole split."""

    name: str
    languages: tuple[str, ...]
    live_languages: tuple[str, ...]
    tasks: tuple[str, ...]
    live_tasks: tuple[str, ...]
    train_size: int | None
    validation_size: int | None
    test_size: int | None
    pretraining_seeds: int
    probe_seeds: int
    tune_seeds: int
    epochs: int
    batch: int
    probe_rate: float
    tune_rate: float
    limit: int
    pooling: str


OBJECTIVE_MINI = ObjectiveScale(
    name="mini", languages=("ar", "en", "es", "fr", "ru", "zh"), live_languages=("en", "zh"),
    tasks=("sentiment", "ner", "pos", "nli"), live_tasks=("sentiment", "pos"), train_size=300,
    validation_size=200, test_size=500, pretraining_seeds=3, probe_seeds=5, tune_seeds=2, epochs=10, batch=32,
    probe_rate=1e-2, tune_rate=3e-3, limit=128, pooling="mean",
)  # fmt: skip
OBJECTIVE_SMOKE = ObjectiveScale(**{
    **OBJECTIVE_MINI.__dict__, "name": "smoke", "train_size": 24, "validation_size": 12,
    "test_size": 12, "probe_seeds": 2, "tune_seeds": 1, "epochs": 1,
})  # fmt: skip
OBJECTIVE_PAPER = ObjectiveScale(**{
    **OBJECTIVE_MINI.__dict__, "name": "paper", "live_languages": OBJECTIVE_MINI.languages,
    "live_tasks": OBJECTIVE_MINI.tasks, "train_size": None, "validation_size": None,
    "test_size": None, "pretraining_seeds": 1, "tune_seeds": 5, "batch": 128, "probe_rate": 1e-4, "tune_rate": 1e-4,
    "pooling": "sum",
})  # fmt: skip
OBJECTIVE_SCALES = {scale.name: scale for scale in (OBJECTIVE_SMOKE, OBJECTIVE_MINI, OBJECTIVE_PAPER)}
SELF_SCALES = {scale.name: scale for scale in (SELF_SMOKE, SELF_MINI, SELF_PAPER)}
MUSC_SCALES = {scale.name: scale for scale in (MUSC_SMOKE, MUSC_MINI, MUSC_PAPER)}
SCALES = {scale.name: scale for scale in (SMOKE, MINI, PAPER)}


def scale(name: str) -> Scale:
    """The settings of a scale; InputError names the three when it is none of them."""
    if name not in SCALES:
        raise InputError(f"unknown scale {name!r}: use one of {', '.join(SCALES)}")
    return SCALES[name]


def musc_scale(name: str) -> MuscScale:
    """The settings of a scale for paper 2; InputError names the three when it is none of them."""
    scale(name)
    return MUSC_SCALES[name]


def self_scale(name: str) -> SelfScale:
    """The settings of a scale for paper 3; InputError names the three when it is none of them."""
    scale(name)
    return SELF_SCALES[name]


def objective_scale(name: str) -> ObjectiveScale:
    """The settings of a scale for paper 4; InputError names the three when it is none of them."""
    scale(name)
    return OBJECTIVE_SCALES[name]
