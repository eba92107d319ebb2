"""Paper 4's models for tests: the same names, settings so small that all of them are pretrained in seconds."""

import shutil
from dataclasses import replace
from pathlib import Path

from xltlib import models, objective_models, objective_pretraining, store
from xltlib.objective_models import OBJECTIVE_TOKENIZER
from xltlib.objective_training import RECIPES

TINY = {
    name: replace(
        recipe, tokens=1500, batch=400, drafts=40, width=16, layers=2, heads=2, vocabulary=600, warmup=2, limit=64,
        evaluate_every=1, bfloat16=False, compiled=False,
    )
    for name, recipe in RECIPES.items()
}  # fmt: skip


def move_to(folder: Path, monkeypatch) -> None:
    """Let shipped models, built ones, states and reference files lie under a folder, and recipes be TINY."""
    places = {"FOLDER": folder / "shipped", "BUILT": folder / "built", "STATE": folder / "state"}
    for name, place in places.items():
        monkeypatch.setattr(objective_models, name, place)
    wide = {"wide": {"width": 24}}
    monkeypatch.setattr(objective_models, "VARIANTS", objective_models.VARIANTS | wide)
    for module in (objective_models, objective_pretraining):
        monkeypatch.setattr(module, "RECIPES", TINY)
    original = store.reference
    monkeypatch.setattr(store, "REFERENCE", folder / "reference")
    monkeypatch.setattr(store, "reference", lambda name: original(name, folder / "reference"))
    models.verify_checkpoint.cache_clear()
    objective_models.load.cache_clear()


def build_shipped() -> None:
    """The tokenizer and the five models of the first pretraining seed."""
    for name in (OBJECTIVE_TOKENIZER, *TINY):
        objective_models.build(name)


def copied(folder: Path, to: Path, monkeypatch) -> Path:
    """The same models elsewhere, to be changed there."""
    shutil.copytree(folder, to, dirs_exist_ok=True)
    move_to(to, monkeypatch)
    return to
