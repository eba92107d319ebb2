"""A training that diverges is an error that names the run, in every loop; a trial of learning rates goes on."""

import math
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
from models_for_tests import RECIPE, bert_folder, classifier, decoder_folder, encoded, labelled
from test_musc_loss import data_of, model_of, settings_of

from xltlib import (
    lora,
    musc_trials,
    objective_runs,
    objective_tables,
    otc,
    otc_grid,
    probing,
    self_train_trial,
    store,
    training,
    trials,
)
from xltlib.errors import Diverged, InputError
from xltlib.generation import generate
from xltlib.grid import timed
from xltlib.models import load_causal, load_tokenizer
from xltlib.musc_training import train_pairs
from xltlib.objective_runs import Encoding
from xltlib.pretraining import Training
from xltlib.probing import EarlyStopping, ProbeSettings, train_heads
from xltlib.records import Result, RunSpec, naming
from xltlib.stacks import Stack, StackSettings
from xltlib.store import Store
from xltlib.training import Row, Settings, as_data

TEXTS, LABELS = labelled()
RATE = 1e25


def raises(call, *words: str) -> str:
    """The one line of the Diverged that a call raises; it has all the words."""
    with pytest.raises(Diverged) as error:
        call()
    told = str(error.value)
    assert "\n" not in told and all(word in told for word in words), told
    return told


def small_data(model):
    groups = [(Row(text, label, "en"),) for text, label in zip(TEXTS, LABELS, strict=True)]
    return as_data(groups, encoded(model, bert_folder(), TEXTS))


@pytest.mark.parametrize("validated", [False, True])
def test_fine_tuning(validated):
    model = classifier(bert_folder(), 0)
    held = encoded(model, bert_folder(), TEXTS[:8])
    score = (lambda: float((training.predict(model, held).argmax(1) == 0).mean())) if validated else None
    settings = Settings(epochs=2, batch=8, learning_rate=RATE, warmup=0.0)
    raises(lambda: training.train(model, small_data(model), settings, 3, score), "seed 3", "1e+25", "step", "epoch 1")


def test_the_last_step_counts_too():
    """One step: its loss is finite, and the weights after it are not."""
    model = classifier(bert_folder(), 0)
    settings = Settings(batch=40, learning_rate=math.inf, warmup=0.0, steps=1)
    raises(lambda: training.train(model, small_data(model), settings, 0), "weights", "epoch 1")


@pytest.mark.parametrize("at", ["loss", "validation score"])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_or_a_score_that_is_not_finite(at, value):
    model = torch.nn.Linear(2, 1)
    loss = lambda _: model(torch.ones(1, 2)).sum() * (value if at == "loss" else 1.0)  # noqa: E731
    score = (lambda: value) if at == "validation score" else None
    call = lambda: training.optimise(model, Settings(), 3, lambda: [0, 1], loss, score, "seed 7")  # noqa: E731
    raises(call, "seed 7", at, "epoch 1", str(value))


@pytest.mark.parametrize("what", ["weights", "bias"])
def test_predictions_of_a_diverged_model(what):
    model = classifier(bert_folder(), 0)
    texts = encoded(model, bert_folder(), TEXTS)
    assert np.isfinite(training.predict(model, texts)).all()
    with torch.no_grad():
        (model.head.weight if what == "weights" else model.head.bias)[:] = math.nan
    raises(lambda: training.predict(model, texts), "probabilities", "not finite", f"{len(TEXTS)} of {len(TEXTS)} rows")


def test_pairs():
    model = model_of()
    fit = Settings(epochs=3, batch=5, learning_rate=RATE, schedule="constant")
    call = lambda: train_pairs(model, data_of(model), settings_of("musc", "paper"), fit, 4)  # noqa: E731
    raises(call, "seed 4", "method musc", "preset paper", "1e+25")


def test_lora():
    folder = str(decoder_folder("llama"))
    model, tokenizer = load_causal(folder), load_tokenizer(folder)
    examples = lora.tokens([("a\n\n", "b"), ("c d\n\n", "e")], tokenizer, 50)
    settings = lora.LoraSettings(RATE, steps=6, batch=2, rank=2, alpha=4, warmup=0.0)
    raises(lambda: lora.fine_tune(model, examples, settings, 5, pad=0), "LoRA, seed 5", "1e+25")


def test_a_decoder_that_diverged_gives_no_answer():
    """The largest of many NaNs is token 0: its answers would be empty, and score like those of a weak model."""
    model, tokenizer = load_causal(str(decoder_folder("llama"))), load_tokenizer(str(decoder_folder("llama")))
    assert generate(model, tokenizer, ["a b"], 3)
    with torch.no_grad():
        model.model.norm.weight[:] = math.nan
    raises(lambda: generate(model, tokenizer, ["a b"], 3), "not finite")


class Linear(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(2))


@pytest.mark.parametrize("what", ["loss", "gradient"])
def test_pretraining_stops_before_anything_is_learned_or_kept(what, tmp_path):
    state = tmp_path / "mini-thing.safetensors"
    recipe = replace(RECIPE, steps=8, cooldown=2, warmup=1, seed=6, evaluate_every=1, bfloat16=False)
    run = Training(Linear(), recipe, state)

    def loss() -> torch.Tensor:
        whole, bad = run.model.weight.sum(), run.step == 3
        if what == "loss":
            return whole * (math.nan if bad else 1.0)
        return whole + ((run.model.weight * 0).sqrt().sum() if bad else 0.0)  # the root's slope at 0 is infinite

    raises(lambda: run.run(loss), "mini-thing", "seed 6", "step 4 of 10", what)
    assert torch.isfinite(run.model.weight).all()
    resumed = Training(Linear(), recipe, state)
    assert resumed.step == 3 and torch.isfinite(resumed.model.weight).all()


HEADS = ProbeSettings(classes=3, epochs=3, batch=8, learning_rate=1e-2, hidden=8)
FEATURES = torch.randn(24, 5, generator=torch.Generator().manual_seed(0))
CLASSES = FEATURES[:, :3].argmax(1)


@pytest.mark.parametrize("patience", [None, 2])
def test_heads(patience):
    settings = replace(HEADS, learning_rate=1e30, patience=patience)
    raises(lambda: train_heads(FEATURES, CLASSES, settings, (4, 9), held=(FEATURES, CLASSES)), "head's seed 4", "1e+30")
    infinite = FEATURES.clone()
    infinite[3, 2] = math.inf
    with pytest.raises(InputError, match="finite features"):
        train_heads(infinite, CLASSES, HEADS, (0,))


def test_the_head_that_diverged_is_named():
    heads = probing.Heads(5, HEADS, (4, 9))
    with torch.no_grad():
        heads.second_bias[1] = math.nan
    raises(lambda: probing._check(heads, probing.validation_losses(heads, FEATURES, CLASSES), "loss", 1), "seed 9")
    raises(lambda: probing.predict(heads, FEATURES), "logits")


def test_early_stopping_refuses_what_is_no_number():
    stopping = EarlyStopping([torch.zeros(2, 1)], 2)
    raises(lambda: stopping.stop(torch.tensor([0.3, math.nan])), "validation loss 1")


def words(n: int) -> Encoding:
    ids = tuple((1, 5 + i % 7, 6, 2) for i in range(n))
    return Encoding(ids, ((1, 2),) * n, (0, 1) * n, 1)


@pytest.mark.parametrize("mode", ["probing", "fine-tuning"])
def test_objectives_runs(mode):
    torch.manual_seed(0)
    model = Stack("MLM", StackSettings(width=8, layers=2, heads=2, vocabulary=20, positions=16, dropout=0.0)).eval()
    sets = {"train": words(16), "validation": words(8), "test": words(8)}
    settings = replace(HEADS, learning_rate=1e30, classes=17)
    if mode == "probing":
        call = lambda: objective_runs.probe(model, "pos", sets, settings, (2,), "mean")  # noqa: E731
    else:
        call = lambda: objective_runs.fine_tune(model, "pos", sets, settings, 2, "mean")  # noqa: E731
    raises(call, "pos", "seed 2", "1e+30", "epoch")


# Grids and trials -----------------------------------------------------------------------------------------------------


def spec(seed: int, rate: float) -> RunSpec:
    return RunSpec("thing", "plain", 1, "c", "m", seed, {"learning_rate": rate, "language": "de", "task": "topics"})


def half(run: RunSpec) -> Result:
    """Diverges at the higher rate, with seed 1 alone."""
    if run.settings["learning_rate"] > 1 and run.seed == 1:
        raise Diverged("the loss of step 3 is nan")
    value = 0.9 if run.settings["learning_rate"] > 1 else 0.5
    return Result([{"language": "de", "metric": "validation", "value": value, "n": 1, "n_effective": 1}])


SPECS = [spec(seed, rate) for rate in (10.0, 0.1) for seed in range(3)]


@pytest.mark.parametrize("call", [naming(half), lambda run: timed(half, run)])
def test_a_run_names_itself_once(call):
    told = raises(lambda: call(SPECS[1]), SPECS[1].id, "thing", "seed 1", "topics", "step 3")
    assert told.count(SPECS[1].id) == 1
    assert naming(naming(half))(SPECS[0]).metrics


def test_a_papers_run_names_itself(monkeypatch):
    run = otc.spec("smoke", "en", "zero-shot", 0, learning_rate=RATE)
    raises(lambda: otc.run(run), run.id, "otc/", "seed 0", '"source":"en"', "step")


def test_a_grid_raises_and_keeps_the_others(tmp_path):
    with pytest.raises(InputError) as error:
        Store(tmp_path).run_grid(SPECS, half, progress=False)
    told = str(error.value)
    assert told.count(SPECS[1].id) == 1 and "1 of 6 runs failed" in told and "\n" not in told
    assert len(Store(tmp_path).records("thing")) == 5


def test_a_trial_records_it_and_does_not_run_it_again(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "REFERENCE", tmp_path / "reference")
    monkeypatch.setattr(store, "reference", partial(store.reference, folder=tmp_path / "reference"))
    records = Store(tmp_path / "records")
    records.complete_reference("thing", SPECS, trials.trial(half), jobs=2)
    frame = pd.read_parquet(tmp_path / "reference" / "thing.parquet")
    assert set(frame["id"]) == {run.id for run in SPECS} and frame["value"].notna().all()
    assert not records.missing_in_reference("thing", SPECS)
    assert trials.lost(frame, "learning_rate").to_dict("list") == {"learning_rate": [10.0], "runs": [1]}
    assert set(trials.finished(frame, "learning_rate")["learning_rate"]) == {0.1}
    record = next(r for r in records.records("thing") if r.spec == SPECS[1])
    assert "step 3" in record.info[trials.DIVERGED]
    assert otc_grid.rates(frame)["learning rate"].tolist() == [0.1]
    with pytest.raises(InputError, match="every setting of learning_rate"):
        trials.finished(frame[frame["learning_rate"] == 10.0], "learning_rate")


def test_a_rate_with_a_diverged_run_is_not_chosen():
    lost = {"metric": trials.DIVERGED, "value": 1.0}
    rows = [
        {"task": task, "frozen_layers": 2, "train_size": 9, "learning_rate": rate, "seed": seed} | end
        for rate, value in ((1e-3, 0.5), (2e-3, 0.6), (5e-3, 0.9))
        for task in ("topics", "inference")
        for seed in range(2)
        for end in [lost if rate == 5e-3 and seed and task == "topics" else {"metric": "validation", "value": value}]
    ]
    frame = pd.DataFrame(rows)
    assert musc_trials.chosen(frame) == (2, 2e-3)
    table = musc_trials.rates_table(frame).set_index("task")
    assert math.isnan(table.loc["topics", 5e-3]) and table.loc["inference", 5e-3] == pytest.approx(0.9)
    assert musc_trials.learned(frame.assign(task="topics")) == ["topics"]
    modes = [
        {"method": "probing", "objective": name, "task": task, "learning_rate": rate, "split": "validation"}
        | (lost if rate == 1.0 and (name, task) == ("MLM", "pos") else {"metric": "f1_macro", "value": rate})
        for rate in (0.1, 0.2, 1.0)
        for name in objective_tables.OBJECTIVES
        for task in ("pos", "sentiment")
    ]
    assert objective_tables.chosen(pd.DataFrame(modes)) == {"probing": 0.2}


def test_the_trial_of_paper_3_goes_on_without_a_rate():
    from test_self_train_trial import frame

    found = frame()
    best = (found["task"] == "problems") & (found["learning_rate"] == 3e-3)
    part = pd.concat([found[~best], found[best][:1].assign(metric=trials.DIVERGED, value=1.0)])
    assert self_train_trial.chosen(part, "problems") == ((1e-3, 1e-2), ("problems", "questions"))
    assert math.isnan(self_train_trial.table(part).set_index("task").loc["problems", "0.003"])
    every = found[found["task"] == "problems"].drop_duplicates("learning_rate").assign(metric=trials.DIVERGED)
    with pytest.raises(InputError, match="task problems: every rate diverged"):
        self_train_trial.table(every)
