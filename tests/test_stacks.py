"""Five models under equal conditions: as many parameters, the same layers, and masks that keep padding out."""

import random

import pytest
import torch
from refusals import refused

from xltlib.objectives import OBJECTIVES, PAD, Example, batch
from xltlib.stacks import POOLINGS, Stack, StackSettings, feed_forward, load, pooled, save, size

SMALL = {"width": 32, "layers": 4, "heads": 2, "vocabulary": 120, "positions": 64, "dropout": 0.0}
ROWS = [
    Example(((20, 21, 22), (30, 31, 32, 33)), ("en", "fr")),
    Example(((40, 41), (50, 51)), ("ar", "zh")),
]


def made(objective: str, **changes) -> Stack:
    torch.manual_seed(0)
    return Stack(objective, StackSettings(**SMALL | changes)).eval()


@pytest.mark.parametrize("pre_norm", [True, False])
def test_all_five_have_the_same_number_of_parameters(pre_norm):
    sizes = {name: size(made(name, width=128, heads=4, pre_norm=pre_norm)) for name in OBJECTIVES}
    assert max(sizes.values()) / min(sizes.values()) < 1.005
    assert len({sizes["CLM"], sizes["MLM"], sizes["TLM"]}) == 1 and sizes["2-LM"] == sizes["2-MT"]


def test_the_paper_sizes_are_equal_by_the_rule():
    paper = StackSettings(width=512, layers=12, heads=8)
    assert feed_forward(paper, double=False) == 2048 and feed_forward(paper, double=True) == 1536
    weights = lambda double: 12 * (4 * 512**2 + 2 * 512 * feed_forward(paper, double)) + 6 * 4 * 512**2 * double  # noqa: E731
    assert weights(True) == weights(False)


@pytest.mark.parametrize("pre_norm", [True, False])
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_step_learns_every_parameter(objective, pre_norm):
    model = made(objective, pre_norm=pre_norm)
    loss = model.loss(batch(objective, ROWS, random.Random(0)))
    loss.backward()
    assert torch.isfinite(loss) and all(p.grad is not None for p in model.parameters())


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_company_changes_no_state(objective):
    model = made(objective)
    ids = torch.tensor([[2, 20, 21, 22, 3, PAD, PAD], [2, 30, 31, 32, 33, 34, 3]])
    with torch.no_grad():
        together, alone = model.states(ids)[0, :5], model.states(ids[:1, :5])[0]
    assert torch.allclose(together, alone, atol=1e-5)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_what_is_causal_sees_no_future(objective):
    model, ids = made(objective), torch.tensor([[2, 20, 21, 22]])
    other = torch.tensor([[2, 20, 21, 99]])
    with torch.no_grad():
        same = torch.allclose(model.states(ids)[:, :3], model.states(other)[:, :3], atol=1e-6)
    assert same == (objective in ("CLM", "TLM"))


def test_the_decoder_of_a_double_stack_is_causal_and_reads_the_source():
    model, made_batch = made("2-MT"), batch("2-MT", ROWS, random.Random(0))
    with torch.no_grad():
        first = model(made_batch)
        made_batch.source[0, 1] = 99
        assert not torch.allclose(first[0], model(made_batch)[0], atol=1e-4)
        made_batch.ids[0, -1] = 99
        changed = model(made_batch)
        made_batch.ids[0, -1] = 98
        assert torch.allclose(changed[0, :-1], model(made_batch)[0, :-1], atol=1e-6)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_saved_model_comes_back(objective, tmp_path):
    model, ids = made(objective), torch.tensor([[2, 20, 21, 3]])
    save(model, tmp_path)
    again = load(tmp_path)
    assert again.objective.name == objective and again.settings == model.settings
    with torch.no_grad():
        assert torch.allclose(model.states(ids), again.states(ids), atol=2e-2)
    assert not again.training


def test_a_damaged_model_is_one_line(tmp_path):
    refused(lambda: load(tmp_path / "none"), "none", "build it again")
    save(made("CLM"), tmp_path)
    settings = (tmp_path / "config.json").read_text()
    (tmp_path / "config.json").write_text(settings.replace('"layers": 4', '"layers": 2'))
    refused(lambda: load(tmp_path), "do not fit config.json")
    (tmp_path / "model.safetensors").write_bytes(b"x")
    refused(lambda: load(tmp_path), "can be loaded")


def test_poolings():
    ids = torch.tensor([[5, 6, PAD]])
    states = torch.tensor([[[1.0], [3.0], [10.0]]])
    values = {name: pooled(states, ids, name).item() for name in POOLINGS}
    assert values == {"mean": 2.0, "sum": 4.0, "sum with pads": 14.0}
    refused(lambda: pooled(states, ids, "max"), "unknown pooling 'max'")


def test_an_odd_number_of_layers_is_refused():
    refused(lambda: Stack("CLM", StackSettings(layers=3)), "3 layers cannot be halved")
