"""Make the shipped checkpoints again: train, write the card, the hashes and the translator's canary sentences."""

import platform
import shutil
from dataclasses import asdict
from pathlib import Path

import torch
import transformers

from xltlib import decoders, devices, objective_training, pretraining, translation
from xltlib.corpora import decoder_texts
from xltlib.corpora.problems import PROBLEM_LANGUAGES
from xltlib.errors import InputError, choice
from xltlib.models import CHECKPOINTS, FOLDER, write_manifest
from xltlib.scales import BUILD

CARD = """# {name}

{what}

- **Made by** `xlt models build {name}` from the embedded corpus `{corpus}`, seed {seed}, {minutes} minutes
  on {machine}, Python {python}, torch {torch}, transformers {transformers}.
- **Languages**: {languages}. **Vocabulary**: {vocabulary} pieces asked for, one SentencePiece model for all.
- **Files**: half-precision safetensors; `checkpoint.json` holds every file's sha256, the recipe{curve}.
- **Licence**: Apache-2.0. **Use**: this course. It knows {knows} written by this project, and nothing else.
- **Budget**: {rule}
"""
DECODER_CARD = """# {name}

A causal decoder of Llama's architecture with {size:,} parameters that are no embeddings.

- **Made by** `xlt models build {name}` from the embedded corpus `{corpus}`, seed {seed}: {tokens:,} tokens, {minutes}
  minutes on {machine}, Python {python}, torch {torch}, transformers {transformers}.
- **Languages**: {languages}. Thai is {thai} of the documents in a target language. **Vocabulary**: {vocabulary} pieces.
- **Documents**: {parallel} pairs of translations in the form of paper 3's prompt, of the kinds of text that are
  translated there; {plain} plain text; the rest solved tasks, {labels} of these in the target languages.
- **Training**: width {width}, learning rate {rate:g}; it ended at a loss of {loss:.3f}.
- **Files**: half-precision safetensors; `checkpoint.json` holds every file's sha256, the recipe and the training curve.
- **Licence**: Apache-2.0. **Use**: this course. It knows {knows} written by this project, and nothing else.
- **Budget**: a fixed number of steps, the same for all sizes, set before any was fine-tuned.
"""
KNOWS = {1: "product reviews", 2: "product reviews and short statements of news and daily life"}
KNOWS[3] = KNOWS[2]
KNOWS[4] = "word problems, questions and short statements"
CANARY = (
    ("en", "de", "The battery lasts two days."),
    ("de", "fr", "Die Lieferung war pünktlich."),
    ("fr", "ja", "Le prix est correct."),
    ("ja", "zh", "ふたがしっかり閉まります。"),
    ("zh", "es", "说明书很清楚。"),
    ("es", "en", "La cremallera se atasca a menudo."),
)
CANARIES = {
    1: CANARY,
    2: (
        *CANARY,
        ("en", "ko", "Laura bought 7 oranges from David in Tokyo yesterday."),
        ("it", "en", "Nordwind ha acquisito Solara la settimana scorsa."),
        ("en", "th", "Anna visited Omar in Paris in June."),
        ("en", "ar", "Kolibri opened 8 factories in Cairo last year."),
    ),
    4: (
        ("en", "de", "Anna has 7 apples. Anna buys 5 more apples. How many apples does Anna have now?"),
        ("en", "ru", "Anna now has 7 + 5 = 12 apples."),
        ("en", "th", "Where did Omar find 9 books?"),
        ("en", "zh", "Laura bought 7 oranges from <answer>David</answer> in Tokyo yesterday."),
    ),
}
"""Plain sentences, by generation, whose translations are stored beside the translator."""
WHAT = {
    "mini-m2m": "A many-to-many translator of M2M100's architecture, trained on a limited bitext of plain wordings.",
    "mini-m2m-undertrained": "`mini-m2m` stopped early, on purpose: a poor translator.",
    "mini-mbert": "A multilingual encoder of BERT's architecture, trained with MLM and hard TLM.",
    "mini-bert-en": "An English encoder of BERT's architecture, trained with MLM: the classifier of translate-test.",
}
EARLY = "-undertrained"
OBJECTIVE_TOKENIZER = "mini-objectives-tokenizer"
"""The tokenizer that paper 4's models share."""
NAMES = (
    *(*pretraining.RECIPES, "mini-m2m" + EARLY, *decoders.RECIPES),
    *(OBJECTIVE_TOKENIZER, *objective_training.RECIPES),
)
"""What `build` makes."""
GROUPS = ("objectives",)
"""Names that stand for several of them, built one after the other: here the last six."""
ON_DEVICES = (*GROUPS, OBJECTIVE_TOKENIZER, *objective_training.RECIPES)
"""What can be trained on a GPU, too: paper 4's models. Their tokenizer is made on the processor always."""
RULES = {
    "mini-m2m": "a fixed number of steps, set before any classifier was trained.",
    "mini-m2m-undertrained": f"step {pretraining.UNDERTRAINED_STEPS} of the same training.",
    "mini-bert-en": "a fixed number of steps, set before any classifier was trained.",
    "mini-mbert": (
        "training went on until sentence retrieval on validation bitext levelled off (`pretraining.levelled_off`) or "
        "the recipe's steps were done, and then cooled down. No result of a paper's experiment was looked at."
    ),
}


def build(name: str, folder: Path = FOLDER, state: Path = BUILD / "training", device: str = "cpu") -> Path:
    """Train a checkpoint (and `mini-m2m-undertrained` on the way to `mini-m2m`) and write it to data/checkpoints.

    A run that was killed goes on from `state`. The weights are the same on the same machine and packages; elsewhere
    they may differ in the last digits, and their hash then differs too: records name the hash they were made with.
    `device`: where paper 4's models are trained; InputError when it is asked for another one.
    """
    check_device(choice(name, (*NAMES, *GROUPS), "checkpoint"), device)
    if name in ON_DEVICES:
        from xltlib import objective_models  # which needs this module

        if name in GROUPS:
            return objective_models.build_all(state, device)
        return objective_models.build(name, state=state, device=device)
    if name in decoders.RECIPES:
        return build_decoder(name, folder, state)
    recipe = pretraining.RECIPES[name.removesuffix(EARLY)]
    torch.set_num_threads(1)
    made, saved = state / name.removesuffix(EARLY), state / f"{name.removesuffix(EARLY)}.safetensors"
    if "bert" in name:
        finish(made, recipe, pretraining.train_encoder(made, recipe, saved))
        return put(made, folder)
    early = state / f"{made.name}{EARLY}" if f"{made.name}{EARLY}" in CHECKPOINTS else None
    facts = pretraining.train_translator(made, recipe, saved, early)
    for part in filter(None, (early, made)):
        finish(part, recipe, facts)
        put(part, folder)
    canary = translation.translator("ctranslate2", folder / made.name, compute_type="float32", memory=None)
    translation.write_canary(folder / made.name / "canary.json", canary, CANARIES[recipe.generation])
    return folder / name


def check_device(name: str, device: str) -> None:
    """InputError for a device that is not here, and for a checkpoint that is trained on the processor alone."""
    devices.device(device)
    if device != "cpu" and name not in ON_DEVICES:
        raise InputError(f"{name} is trained on the processor; device {device} is for {', '.join(ON_DEVICES)}")


def build_decoder(name: str, folder: Path, state: Path) -> Path:
    """Pre-train a decoder and write it to data/checkpoints, with its card."""
    torch.set_num_threads(1)
    recipe = decoders.RECIPES[name]
    facts = decoders.train_decoder(state / name, recipe, state / f"{name}.safetensors")
    corpus = decoder_texts.corpus_name(recipe.dials)
    about = {"languages": list(PROBLEM_LANGUAGES), "recipe": asdict(recipe), "corpus": corpus}
    write_manifest(state / name, **about, facts=facts, versions=versions())
    dials = recipe.dials
    text = DECODER_CARD.format(
        name=name, corpus=corpus, seed=recipe.seed, languages=", ".join(PROBLEM_LANGUAGES), knows=KNOWS[4],
        labels=f"{dials.target_labels:.0%}", thai=f"{dials.thai:.0%}", vocabulary=recipe.vocabulary,
        parallel=f"{dials.parallel:.0%}", plain=f"{dials.plain:.0%}", width=recipe.width, rate=recipe.learning_rate,
        machine=devices.described("cpu"), **facts, **versions(),
    )  # fmt: skip
    (state / name / "README.md").write_text(text, encoding="utf-8")
    return put(state / name, folder)


def put(made: Path, folder: Path) -> Path:
    """Move a finished checkpoint to where it belongs; until then the old one stays whole."""
    shutil.rmtree(folder / made.name, ignore_errors=True)
    shutil.move(made, folder / made.name)
    return folder / made.name


def versions() -> dict[str, str]:
    """What a checkpoint was trained with."""
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }


def finish(folder: Path, recipe: pretraining.Recipe, facts: dict) -> None:
    """Write checkpoint.json and the card of a trained checkpoint."""
    about = {"languages": list(recipe.texts.languages), "recipe": asdict(recipe), "corpus": recipe.texts.name()}
    write_manifest(folder, **about, facts=facts, versions=versions())
    kind = folder.name.removesuffix(f"-{recipe.generation}")
    text = CARD.format(
        name=folder.name, what=WHAT[kind], rule=RULES[kind], corpus=recipe.texts.name(),
        seed=recipe.seed,
        minutes=facts["minutes"], machine=devices.described("cpu"),
        languages=", ".join(recipe.texts.languages), knows=KNOWS[recipe.generation],
        vocabulary=recipe.vocabulary, curve=" and the training curve" if "curve" in facts else "", **versions(),
    )  # fmt: skip
    (folder / "README.md").write_text(text, encoding="utf-8")
