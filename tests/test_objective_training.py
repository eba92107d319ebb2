"""Pretraining of paper 4's models: equal tokens, the same numbers after a kill, one tokenizer for all."""

import os
from dataclasses import replace

import pytest
import torch
from refusals import refused

from xltlib import devices, stacks
from xltlib.corpora import documents
from xltlib.objective_training import RECIPES, ObjectiveRecipe, Reading, build_tokenizer, pretrain, tokenizer_lines
from xltlib.objectives import LANGUAGE_TOKEN, OBJECTIVES, SPECIALS, Batch
from xltlib.pretraining import Training

SMALL = ObjectiveRecipe(
    "CLM", tokens=9000, batch=500, drafts=40, width=16, layers=2, heads=2, vocabulary=600, warmup=2, limit=64,
    evaluate_every=4, bfloat16=False, compiled=False,
)  # fmt: skip


@pytest.fixture(autouse=True)
def no_reviews(monkeypatch):
    """Documents of statements alone."""
    monkeypatch.setattr(documents, "DIALS", replace(documents.DIALS, reviews=0.0))
    documents.documents.cache_clear()
    yield
    documents.documents.cache_clear()


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    """A small shared tokenizer."""
    before = documents.DIALS
    documents.DIALS = replace(before, reviews=0.0)
    made = build_tokenizer(tmp_path_factory.mktemp("tokenizer"), 600, tokenizer_lines(40))
    documents.DIALS = before
    documents.documents.cache_clear()
    return made


def test_the_tokenizer_has_the_special_tokens_first(tokenizer):
    assert tokenizer.convert_ids_to_tokens(list(range(len(SPECIALS)))) == list(SPECIALS)
    assert tokenizer.convert_tokens_to_ids("<zh>") == LANGUAGE_TOKEN["zh"]
    text = "Anna visited Omar."
    assert tokenizer.decode(tokenizer(text, add_special_tokens=False)["input_ids"]) == text


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_every_objective_reads_its_tokens_and_no_more(objective, tokenizer):
    reading = Reading(replace(SMALL, objective=objective), tokenizer)
    read = reading.plan()
    assert read == sorted(read) and SMALL.tokens - 2 * 3 * SMALL.batch < read[-1] <= SMALL.tokens
    again = [batch.tokens for batch, _ in zip(reading.batches(), read, strict=False)]
    assert sum(again) == read[-1]


def test_every_objective_takes_about_as_many_steps(tokenizer):
    steps = {name: len(Reading(replace(SMALL, objective=name, tokens=20_000), tokenizer).plan()) for name in OBJECTIVES}
    assert max(steps.values()) < 1.25 * min(steps.values()), steps


@pytest.mark.filterwarnings("ignore:.*script_method:DeprecationWarning", "ignore:The .grad attribute:UserWarning")
def test_the_compiled_loss_is_the_loss(tokenizer):
    # both warnings are torch's own, of its compiler at work
    model = stacks.Stack("CLM", replace(SMALL.settings, vocabulary=len(tokenizer))).eval()
    compiled = torch.compile(stacks.word_loss, dynamic=True)
    for batch, _ in zip(Reading(SMALL, tokenizer).batches(), range(2), strict=False):
        losses = [model.loss(batch), model.loss(batch, compiled)]
        first, second = (torch.autograd.grad(loss, model.shared.weight)[0] for loss in losses)
        assert torch.allclose(*losses) and torch.allclose(first, second, atol=1e-6)


def test_batches_from_a_later_step_are_the_same(tokenizer):
    reading = Reading(replace(SMALL, objective="2-LM"), tokenizer)
    steps = [batch for batch, _ in zip(reading.batches(), range(30), strict=False)]
    later = next(reading.batches(23))
    assert torch.equal(steps[23].source, later.source) and torch.equal(steps[23].labels, later.labels)


@pytest.mark.parametrize("objective", ["2-MT", "MLM"])
def test_a_killed_training_goes_on_with_the_same_numbers(objective, tokenizer, tmp_path, monkeypatch):
    recipe = replace(SMALL, objective=objective)
    whole, facts = pretrain(tmp_path / "a", recipe, tokenizer, tmp_path / "a.safetensors")
    real = Training._save

    def dies(self):
        real(self)
        raise KeyboardInterrupt

    monkeypatch.setattr(Training, "_save", dies)
    with pytest.raises(KeyboardInterrupt):
        pretrain(tmp_path / "b", recipe, tokenizer, tmp_path / "b.safetensors")
    monkeypatch.setattr(Training, "_save", real)
    resumed, again = pretrain(tmp_path / "b", recipe, tokenizer, tmp_path / "b.safetensors")
    assert all(torch.equal(p, q) for p, q in zip(whole.parameters(), resumed.parameters(), strict=True))
    assert {k: v for k, v in facts.items() if k != "minutes"} == {k: v for k, v in again.items() if k != "minutes"}
    assert facts["tokens"] <= recipe.tokens and facts["curve"]


def test_a_point_of_the_curve_is_the_mean_loss_since_the_last_point(tokenizer, tmp_path, monkeypatch):
    losses, real = [], stacks.Stack.loss

    def spied(*args):
        losses.append(real(*args))
        return losses[-1]

    monkeypatch.setattr(stacks.Stack, "loss", spied)
    _, facts = pretrain(tmp_path / "a", SMALL, tokenizer, tmp_path / "a.safetensors")
    values = [loss.item() for loss in losses]
    assert facts["steps"] == len(values) > 3 * SMALL.evaluate_every
    for point in facts["curve"]:
        since = values[max(0, point["step"] - SMALL.evaluate_every) : point["step"]]
        assert point["loss"] == pytest.approx(sum(since) / len(since), abs=1e-4)
    assert facts["loss"] == pytest.approx(sum(values[-SMALL.evaluate_every :]) / SMALL.evaluate_every, abs=1e-3)


def test_another_seed_is_another_model(tokenizer, tmp_path):
    recipe = replace(SMALL, tokens=2000)
    made = [pretrain(tmp_path, replace(recipe, seed=seed), tokenizer, tmp_path / f"{seed}.st")[0] for seed in (1, 2)]
    assert not torch.equal(made[0].shared.weight, made[1].shared.weight)


def test_recipes_are_equal_but_for_the_objective(tokenizer):
    assert len(RECIPES) == 5 and len({replace(recipe, objective="CLM") for recipe in RECIPES.values()}) == 1
    refused(lambda: Reading(replace(SMALL, tokens=10), tokenizer).plan(), "less than one batch")


# Devices --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("objective", ["2-LM", "MLM"])
def test_a_batch_moves_whole(objective, tokenizer):
    batch = next(Reading(replace(SMALL, objective=objective), tokenizer).batches())
    moved = batch.to("meta")
    for field in ("ids", "labels", "source"):
        tensor, there = getattr(batch, field), getattr(moved, field)
        assert (tensor is None) == (there is None)
        assert tensor is None or (there.device.type == "meta" and there.shape == tensor.shape)
        assert getattr(batch.to("cpu"), field) is tensor


def test_on_a_gpu_only_repeatable_algorithms_run_and_only_while_it_trains(monkeypatch):
    def set_now() -> tuple:
        exact = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
        return torch.are_deterministic_algorithms_enabled(), *exact

    monkeypatch.setattr(devices, "device", torch.device)
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    before = set_now()
    with devices.repeatable("cpu") as where:
        assert set_now() == before and where.type == "cpu" and "CUBLAS_WORKSPACE_CONFIG" not in os.environ
    with pytest.raises(KeyboardInterrupt), devices.repeatable("cuda") as where:
        assert set_now() == (True, False, False) and where.type == "cuda"
        assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
        raise KeyboardInterrupt
    assert set_now() == before and "CUBLAS_WORKSPACE_CONFIG" not in os.environ


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_a_training_computes_where_it_is_told(device, tokenizer, tmp_path, monkeypatch):
    """On a GPU without compiling, whose choice of kernels varies; the model and every batch go there."""
    asked, compiled = [], []

    def moved(model, where):
        asked.append(where.type)
        return model

    monkeypatch.setattr(devices, "device", torch.device)
    monkeypatch.setattr(stacks.Stack, "to", moved)
    monkeypatch.setattr(Batch, "to", moved)
    monkeypatch.setattr(torch, "compile", lambda function, **_: compiled.append(function) or function)
    recipe = replace(SMALL, tokens=2000, compiled=True)
    _, facts = pretrain(tmp_path / "a", recipe, tokenizer, tmp_path / "a.safetensors", device)
    assert asked == [device] * (1 + facts["steps"]) and len(compiled) == (device == "cpu")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("order", [("cpu", "cuda"), ("cuda", "cpu")])
def test_a_state_is_read_on_the_other_device(order, tokenizer, tmp_path, monkeypatch):
    real = Training._save

    def dies(self):
        real(self)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Training, "_save", dies)
        pretrain(tmp_path / "a", SMALL, tokenizer, tmp_path / "a.safetensors", order[0])
    model, facts = pretrain(tmp_path / "a", SMALL, tokenizer, tmp_path / "a.safetensors", order[1])
    assert facts["curve"][0]["step"] == SMALL.evaluate_every < facts["steps"]
    assert all(p.isfinite().all() and p.device.type == "cpu" for p in model.parameters())
