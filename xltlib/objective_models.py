"""Where paper 4's pretrained models come from: shipped ones, and others that a grid builds when it needs them.

Five are shipped, one an objective, with the first pretraining seed, and beside them those of the reference's other
seeds (`SEEDS`). Those of further seeds, and of the confounds, are built under build/objectives. All share one tokenizer
in a folder of its own: a copy in each would take its 0.4 MB again and say nothing more. A model's folder names the
tokenizer with its hash, so that a model's own hash covers it.
"""

import json
import re
from dataclasses import asdict, replace
from functools import lru_cache
from hashlib import sha256
from pathlib import Path

import torch

from xltlib import devices, models, objective_training, stacks
from xltlib.checkpoints import OBJECTIVE_TOKENIZER, put, versions
from xltlib.corpora import documents, embedded, statement_text
from xltlib.errors import InputError, choice
from xltlib.objective_training import RECIPES, ObjectiveRecipe
from xltlib.objectives import OBJECTIVES
from xltlib.records import canonical
from xltlib.scales import BUILD
from xltlib.stacks import Stack

FOLDER = models.FOLDER
BUILT, STATE = BUILD / "objectives", BUILD / "training"
SHIPPED = (OBJECTIVE_TOKENIZER, *RECIPES)
SEEDS = "seeds"
"""The folder beside the shipped models that holds those of the reference's other pretraining seeds."""
VARIANTS: dict[str, dict] = {
    "": {},
    "post-norm": {"pre_norm": False},
    "released-noise": {"noise": "released"},
    "wide": {"width": 144},
    "rate-1e-3": {"learning_rate": 1e-3},
    "rate-1e-2": {"learning_rate": 1e-2},
}
"""What differs from the recipe. Released for paper 4: 2-LM with post-norm and without masks (`objectives.RELEASED`),
both double stacks 768 wide against 512, which is 144 against our 96. Of our own choices: the learning rate, about three
times lower and higher."""
VARIANTS_OF = {
    "post-norm": ("2-LM",),
    "released-noise": ("2-LM",),
    "wide": ("2-LM", "2-MT"),
    **dict.fromkeys(("rate-1e-3", "rate-1e-2"), tuple(OBJECTIVES)),
}
NAME = re.compile(rf"({'|'.join(RECIPES)})(?:-({'|'.join(filter(None, VARIANTS))}))?(?:-seed([2-9]|[1-9]\d+))?")
TOKENIZER_FILE = "tokenizer.txt"
"""In a model's folder: name@hash of its tokenizer."""
TOKENIZER_CARD = """# {name}

The tokenizer of paper 4's models, one for all objectives, pretraining seeds and variants.

- **Made by** `xlt models build {name}` from the sentences of {documents:,} pretraining documents, both sides.
- **Languages**: {languages}. **Vocabulary**: {size:,} pieces of a Unigram model, control tokens included.
- **Files**: `checkpoint.json` holds every file's sha256 and the statistics of the documents.
- **Licence**: Apache-2.0. **Use**: this course.
"""
CARD = """# {name}

A model of paper 4, pretrained with {objective}: {stack}; {size:,} parameters besides embeddings.

- **Made by** `xlt models build {name}`, seed {seed}: {tokens:,} tokens in {steps:,} steps, {minutes} minutes
  on {machine}, Python {python}, torch {torch}, transformers {transformers}.
- **Corpus**: `{corpus}`.
- **Languages**: {languages}. **Tokenizer**: `{tokenizer}`, one for all models.
- **Files**: half-precision safetensors; `checkpoint.json` holds every file's sha256, the recipe and the training curve.
- **Licence**: Apache-2.0. **Use**: this course. It knows short statements and product reviews written by this project,
  and nothing else.
- **Budget**: a fixed number of tokens, the same for all objectives, set before any downstream task was run.
"""


# Names ----------------------------------------------------------------------------------------------------------------


def name_of(objective: str, seed: int = 1, variant: str = "") -> str:
    """The name of the model of an objective, pretraining seed and variant; InputError for one that there is not."""
    choice(objective, OBJECTIVES, "objective")
    choice(variant, [name for name in VARIANTS if objective in VARIANTS_OF.get(name, OBJECTIVES)], "variant")
    if seed < 1:
        raise InputError(f"pretraining seed {seed}: seeds are counted from 1")
    return "-".join(filter(None, [f"mini-{objective.lower()}", variant, f"seed{seed}" if seed > 1 else ""]))


def recipe_of(name: str) -> ObjectiveRecipe:
    """The recipe of a name; InputError for one that there is not."""
    found = NAME.fullmatch(name)
    if not found:
        raise InputError(f"unknown model {name!r}: use one of {', '.join(RECIPES)}, or add -seed2 and so on")
    base, variant, seed = found.groups(default="")
    name_of(RECIPES[base].objective, 1, variant)
    return replace(RECIPES[base], seed=int(seed or 1), **VARIANTS[variant])


def names(seeds: int) -> list[str]:
    """Every model that a reference with so many pretraining seeds needs: seed by seed, then the variants."""
    found = [name_of(objective, seed) for seed in range(1, seeds + 1) for objective in OBJECTIVES]
    return found + [name_of(objective, 1, variant) for variant, of in VARIANTS_OF.items() for objective in of]


def folder_of(name: str) -> Path:
    """Where a model or the tokenizer lies, or would lie. Models of the other pretraining seeds are shipped too, in a
    folder of their own: they were made on a GPU, and no processor makes the same bits."""
    if name in SHIPPED:
        return FOLDER / name
    kept = FOLDER / SEEDS / name
    return kept if kept.is_dir() else BUILT / name


def corpus_name() -> str:
    """The corpora behind documents and downstream tasks with their hashes."""
    return f"reviews@{embedded.corpus_hash()}+statements@{statement_text.corpus_hash()}"


# What lies here -------------------------------------------------------------------------------------------------------


def verified(name: str) -> Path:
    """The folder of a model or of the tokenizer, after comparing its files with their hashes. InputError names what is
    missing or altered."""
    try:
        return models.verify_checkpoint(name, folder_of(name).parent)
    except InputError as error:
        if name in SHIPPED:
            raise
        reason = str(error).partition(";")[0]
        raise InputError(f"{reason}; xlt run 10 --scale mini -p grid full builds it") from None


def manifest(name: str) -> dict:
    """What checkpoint.json says: recipe, corpus, version of pretraining (from the second one on), machine (not in old
    ones), facts (curve, tokens, minutes), versions of packages, hashes."""
    return json.loads((verified(name) / "checkpoint.json").read_text(encoding="utf-8"))


def fingerprint(name: str) -> str:
    """name@hash of a model, or of the tokenizer, that lies here; the same as `models.fingerprint` of a shipped one."""
    hashes = json.dumps(manifest(name)["sha256"], sort_keys=True)
    return f"{name}@{sha256(hashes.encode()).hexdigest()[:8]}"


def there(name: str) -> bool:
    """Whether a model lies here, whole and of today's tokenizer; a damaged one counts as none."""
    if not (folder_of(name) / "checkpoint.json").exists():
        return False
    try:
        folder = verified(name)
        return name == OBJECTIVE_TOKENIZER or _tokenizer_named(folder) == fingerprint(OBJECTIVE_TOKENIZER)
    except InputError:
        return False


def _tokenizer_named(folder: Path) -> str:
    return (folder / TOKENIZER_FILE).read_text(encoding="utf-8").strip()


@lru_cache(maxsize=6)
def load(checkpoint: str) -> tuple[Stack, object]:
    """(model, tokenizer) of name@hash, in evaluation mode. The model is shared: tune a copy. InputError when another
    model of that name lies here, none, or one of another tokenizer."""
    name = checkpoint.partition("@")[0]
    folder, here = verified(name), fingerprint(OBJECTIVE_TOKENIZER)
    for wanted, found in ((checkpoint, fingerprint(name)), (_tokenizer_named(folder), here)):
        if wanted != found:
            raise InputError(f"{folder}: {wanted} is wanted, and {found} lies here; build the models of paper 4 again")
    return stacks.load(folder), tokenizer()


def tokenizer():
    """The tokenizer of all models."""
    return models.load_tokenizer(str(verified(OBJECTIVE_TOKENIZER)))


# Building -------------------------------------------------------------------------------------------------------------


def build(name: str, recipe: ObjectiveRecipe | None = None, state: Path | None = None, device: str = "cpu") -> Path:
    """Pretrain a model on a device (or make the tokenizer, on the processor) and put it where it belongs. A training
    that was killed goes on from `state`, by default build/training. InputError for a device that is not here."""
    state = state or STATE
    if name == OBJECTIVE_TOKENIZER:
        return put(make_tokenizer(state), _parent(name))
    return put(make(name, recipe or recipe_of(name), state, device), _parent(name))


def build_all(state: Path | None = None, device: str = "cpu") -> Path:
    """Make the shipped models again, one after the other, and put them in their places when the last one is done; what
    was killed goes on with the first that is not finished."""
    build(OBJECTIVE_TOKENIZER, state=state)
    made = [make(name, recipe, state or STATE, device) for name, recipe in RECIPES.items()]
    return [put(folder, _parent(folder.name)) for folder in made][-1].parent


def make(name: str, recipe: ObjectiveRecipe, state: Path, device: str = "cpu") -> Path:
    """A finished model with manifest and card under `state`; one that already lies there and was made on this kind of
    machine is not trained again."""
    torch.set_num_threads(1)
    about = {"languages": list(documents.LANGUAGES), "recipe": asdict(recipe), "corpus": corpus_name()}
    about["machine"] = devices.machine(device)
    about |= versioned(recipe.objective)
    made, shared = state / name, fingerprint(OBJECTIVE_TOKENIZER)
    if (made / "checkpoint.json").exists() and _tokenizer_named(made) == shared:
        known = json.loads((made / "checkpoint.json").read_text(encoding="utf-8"))
        if all(known.get(key) == about[key] for key in about):
            return made
    what = about["recipe"] | versioned(recipe.objective)
    what |= {} if device == "cpu" else {"machine": about["machine"]}  # a model is made on one machine from end to end
    key = sha256(canonical(what).encode()).hexdigest()[:8]  # what was killed had the same recipe
    saved = state / f"{name}-{key}.safetensors"
    model, facts = objective_training.pretrain(made, recipe, tokenizer(), saved, device)
    facts["tokens per second"] = round(facts["tokens"] / facts["minutes"] / 60) if facts["minutes"] else None
    stacks.save(model, made)
    (made / TOKENIZER_FILE).write_text(shared + "\n", encoding="utf-8")
    (made / "README.md").write_text(card(name, recipe, facts, device), encoding="utf-8")
    models.write_manifest(made, **about, facts=facts, versions=versions())
    return made


def versioned(objective: str) -> dict[str, int]:
    """What a manifest says of the version of an objective's pretraining: nothing of the first one."""
    version = objective_training.VERSIONS.get(objective, 1)
    return {"version": version} if version > 1 else {}


def card(name: str, recipe: ObjectiveRecipe, facts: dict, device: str = "cpu") -> str:
    """The card of a model."""
    objective = OBJECTIVES[recipe.objective]
    reads = "causal" if objective.causal else "every token sees all others"
    return CARD.format(
        name=name, objective=objective.name, stack="encoder and decoder" if objective.double else f"one stack, {reads}",
        machine=devices.described(device), corpus=corpus_name(), seed=recipe.seed,
        tokenizer=fingerprint(OBJECTIVE_TOKENIZER), languages=", ".join(documents.LANGUAGES), **versions(), **facts,
    )  # fmt: skip


def make_tokenizer(state: Path) -> Path:
    """The shared tokenizer, made from the pretraining documents, under `state`. Its manifest tells how many there are
    (Table 6)."""
    recipe, made = next(iter(RECIPES.values())), state / OBJECTIVE_TOKENIZER
    lines = objective_training.tokenizer_lines(recipe.drafts)
    size = len(objective_training.build_tokenizer(made, recipe.vocabulary, lines))
    counts = documents.statistics({"pretraining": recipe.drafts})
    pairs = documents.pair_sizes(documents.documents("pretraining", recipe.drafts))
    facts = {"documents": counts.to_dict("records"), "pairs": pairs.to_dict("records")}
    text = TOKENIZER_CARD.format(
        name=made.name, size=size, languages=", ".join(documents.LANGUAGES), documents=counts["documents"].sum()
    )  # fmt: skip
    (made / "README.md").write_text(text, encoding="utf-8")
    about = {"languages": list(documents.LANGUAGES), "corpus": corpus_name(), "facts": facts, "versions": versions()}
    models.write_manifest(made, **about)
    return made


def _parent(name: str) -> Path:
    folder = folder_of(name).parent
    folder.mkdir(parents=True, exist_ok=True)
    models.verify_checkpoint.cache_clear()  # what lay there was another one
    return folder
