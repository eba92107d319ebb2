"""Paper 4's pretrainings as runs with records: training curve, tokens, time, and the hash of the weights.

So a reference that was made on another machine still says which models it belongs to, and only the models that missing
runs need are built again.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, redirect_stderr, redirect_stdout
from dataclasses import asdict, replace
from functools import cache
from io import StringIO

import pandas as pd

from xltlib import grid, store
from xltlib.checkpoints import OBJECTIVE_TOKENIZER
from xltlib.errors import InputError
from xltlib.objective_models import (
    NAME,
    SHIPPED,
    build,
    corpus_name,
    fingerprint,
    manifest,
    name_of,
    names,
    recipe_of,
    there,
)
from xltlib.objective_training import RECIPES, VERSIONS, ObjectiveRecipe
from xltlib.objectives import OBJECTIVES
from xltlib.scales import objective_scale
from xltlib.store import Result, RunSpec, Store

EXPERIMENT = "objectives-pretraining"
Checkpoint = Callable[..., str]
"""(objective, pretraining seed, variant) to name@hash of its model."""
LIVE_NAME = "live"
LIVE = {
    "smoke": {"tokens": 6_000, "batch": 500, "drafts": 60, "width": 16, "layers": 2, "warmup": 2, "evaluate_every": 2,
              "bfloat16": False, "compiled": False},
    "mini": {"tokens": 60_000, "batch": 1000, "drafts": 1500, "width": 32, "layers": 2, "warmup": 10,
             "evaluate_every": 5, "learning_rate": 5e-3, "bfloat16": False, "compiled": False},
}  # fmt: skip
"""The very small models that notebook 09 pretrains to show a training curve; nothing is measured on them."""


def pretraining_spec(name: str, recipe: ObjectiveRecipe | None = None) -> RunSpec:
    """The pretraining of a model as a run."""
    settings = {"name": name} | asdict(recipe or recipe_of(name))
    seed, objective = settings.pop("seed"), settings["objective"]
    version = VERSIONS.get(objective, 1)
    return RunSpec(EXPERIMENT, objective, version, corpus_name(), fingerprint(OBJECTIVE_TOKENIZER), seed, settings)


def pretrained(spec: RunSpec) -> Result:
    """Pretrain a model, unless it lies here: its curve (step, tokens read, training loss), totals, and in each row its
    hash (`weights`) and the machine that it was made on (None when it was made before manifests told it). A live one,
    whose time is shown, is pretrained anew."""
    settings = dict(spec.settings)
    name, recipe = settings.pop("name"), ObjectiveRecipe(seed=spec.seed, **settings)
    about = manifest(name) if there(name) and not name.startswith(LIVE_NAME) else {}
    if (about.get("recipe"), about.get("corpus"), about.get("version", 1)) != (
        asdict(recipe),
        spec.corpus,
        spec.version,
    ):
        with quiet() if name.startswith(LIVE_NAME) else nullcontext():
            build(name, recipe)
    about = manifest(name)
    facts, model = about["facts"], {"weights": fingerprint(name), "machine": about.get("machine")}
    rows = [{"metric": "loss", "value": at["loss"], "step": at["step"], "read": at["tokens"]} for at in facts["curve"]]
    totals = ("tokens", "steps", "minutes", "tokens per second", "size")
    rows += [{"metric": metric, "value": facts[metric]} for metric in totals]
    return Result([row | model for row in rows])


@contextmanager
def quiet() -> Iterator[None]:
    """No bar and no lines: live models take seconds, and several of them train at once."""
    with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
        yield


def refuse_paper(at: str) -> None:
    """InputError at scale paper, whose models cannot be had."""
    if at == "paper":
        what = "the models that paper 4 released are fairseq checkpoints, which this library does not read"
        raise InputError(f"scale paper: {what}; use --scale mini")


def live(at: str) -> list[RunSpec]:
    """What notebook 09 pretrains: a very small model of each objective. InputError at scale paper."""
    refuse_paper(at)
    changes = LIVE["smoke" if objective_scale(at).name == "smoke" else "mini"]
    return [
        pretraining_spec(f"{LIVE_NAME}-{at}-{recipe.objective.lower()}", replace(recipe, **changes))
        for recipe in RECIPES.values()
    ]


def reference() -> pd.DataFrame:
    """The committed records of pretraining, one row a metric; empty when there are none."""
    return store.reference(EXPERIMENT) if (store.REFERENCE / f"{EXPERIMENT}.parquet").exists() else pd.DataFrame()


def final_losses(frame: pd.DataFrame, variant: str = "") -> pd.DataFrame:
    """Training loss at the last point of the recorded models' curves, for the models of a variant: in nats a predicted
    token, mean of some steps; objectives in rows, pretraining seeds in columns. Empty when the records have none."""
    if frame.empty:
        return frame
    parts = frame["name"].str.extract(f"^{NAME.pattern}$")  # base, variant, seed
    variants = parts[1].fillna("").where(parts[0].notna())  # a live model has none
    curve = frame[(frame["metric"] == "loss") & (variants == variant)].sort_values("step", kind="stable")
    ends = curve.groupby(["objective", "seed"])["value"].last().unstack()
    return ends.reindex([name for name in OBJECTIVES if name in ends.index])


def recorded() -> Mapping[str, str]:
    """Of the committed records: a pretraining run's id to the name@hash of its model."""
    frame = reference()
    return {} if frame.empty else frame.drop_duplicates("id").set_index("id")["weights"].to_dict()


def checkpoints() -> Checkpoint:
    """A function from (objective, pretraining seed, variant) to name@hash: of a shipped model as it lies here; of
    another one as the reference has it, or else as it lies here. InputError when there is neither."""
    known = recorded()

    @cache
    def checkpoint(objective: str, seed: int = 1, variant: str = "") -> str:
        name = name_of(objective, seed, variant)
        here = name in SHIPPED or pretraining_spec(name).id not in known
        return fingerprint(name) if here else known[pretraining_spec(name).id]

    return checkpoint


def complete(records: Store, seeds: int, jobs: int = 1) -> None:
    """Pretrain what the reference lacks, and record it; resumable, one model a process."""
    if not there(OBJECTIVE_TOKENIZER):
        build(OBJECTIVE_TOKENIZER)
    records.complete_reference(EXPERIMENT, map(pretraining_spec, names(seeds)), pretrained, jobs=jobs)


def prepare(wanted: Iterable[str], jobs: int = 1) -> None:
    """Build the models, given as name@hash, that do not lie here. InputError when one comes out otherwise, as it can on
    another kind of machine: its runs would then not be those of the reference."""
    missing = [one for one in dict.fromkeys(wanted) if not there(one.partition("@")[0])]
    grid.each(build, [one.partition("@")[0] for one in missing], jobs, "models")
    for one in missing:
        found = fingerprint(one.partition("@")[0])
        if found != one:
            remedy = "copy that model here, or delete data/reference/objectives*.parquet to make all of them here"
            raise InputError(f"the reference was made with {one}, and this machine makes {found}: {remedy}")
