"""The losses against their formulas written as plain loops."""

import itertools
import json
import math
from pathlib import Path

import pytest
import torch

from xltlib import losses
from xltlib.errors import InputError
from xltlib.losses import (
    OTC_FORMS,
    combine,
    mixup,
    mixup_cross_entropy,
    musc_loss,
    musc_total,
    otc_loss,
    supcon_loss,
)
from xltlib.mixing import mix_rows

FORMS = ("in", "out")
N, D = 7, 5
LABELS = torch.tensor([0, 1, 0, 2, 1, 0, 3])  # 2 and 3 have no positive


def pairs(seed: int = 0, dtype=torch.float64) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(N, D, generator=generator, dtype=torch.float64).to(dtype) for _ in range(2))


def cosine(a, b) -> float:
    a, b = a.tolist(), b.tolist()
    dot = sum(x * y for x, y in zip(a, b, strict=True))
    return dot / math.sqrt(sum(x * x for x in a) * sum(x * x for x in b))


def naive_otc(a, b, form, temperature, margin) -> float:
    n, total = len(a), 0.0
    for left, right in ((a, b), (b, a)):
        for i in range(n):
            own = cosine(left[i], right[i])
            others = [cosine(left[i], right[j]) for j in range(n) if j != i]
            if form == "infonce":
                total += math.log(sum(math.exp(c / temperature) for c in [own, *others])) - own / temperature
            elif form == "cosine":
                total += 1 - own
            else:
                total += sum(max(0.0, margin - own + c) for c in others) / (n - 1)
    return total / (2 * n)


def naive_supcon(z, labels, form, reduction, normalize, temperature) -> float:
    losses = []
    similarity = lambda i, j: cosine(z[i], z[j]) if normalize else float(z[i] @ z[j])  # noqa: E731
    for i in range(len(z)):
        positives = [j for j in range(len(z)) if j != i and labels[j] == labels[i]]
        if not positives:
            continue
        total = sum(math.exp(similarity(i, j) / temperature) for j in range(len(z)) if j != i)
        shares = [math.exp(similarity(i, j) / temperature) / total for j in positives]
        mean = sum(shares) / len(shares)
        losses.append(-math.log(mean) if form == "in" else -sum(map(math.log, shares)) / len(shares))
    return sum(losses) / (len(losses) if reduction == "mean" else 1)


@pytest.mark.parametrize("form", OTC_FORMS)
@pytest.mark.parametrize("temperature", [0.05, 0.1, 1.0])
def test_otc_is_its_formula(form, temperature):
    a, b = pairs()
    expected = naive_otc(a, b, form, temperature, margin=0.3)
    assert otc_loss(a, b, temperature=temperature, form=form, margin=0.3).item() == pytest.approx(expected, abs=1e-8)


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("form", ["in", "out"])
def test_supcon_is_its_formula(form, reduction, normalize):
    z, _ = pairs(1)
    options = {"form": form, "reduction": reduction, "normalize": normalize, "temperature": 0.5}
    expected = naive_supcon(z, LABELS.tolist(), **options)
    assert supcon_loss(z, LABELS, **options).item() == pytest.approx(expected, abs=1e-8)


@pytest.mark.parametrize("form", OTC_FORMS)
def test_otc_is_symmetric_and_scale_does_not_count(form):
    a, b = pairs(2)
    loss = otc_loss(a, b, form=form)
    torch.testing.assert_close(otc_loss(b, a, form=form), loss, rtol=1e-12, atol=1e-12)
    scales = torch.linspace(0.01, 100, N, dtype=torch.float64)[:, None]
    torch.testing.assert_close(otc_loss(a * scales, b * 7, form=form), loss, rtol=1e-10, atol=1e-10)
    order = torch.tensor([3, 1, 6, 0, 2, 5, 4])
    torch.testing.assert_close(otc_loss(a[order], b[order], form=form), loss, rtol=1e-12, atol=1e-12)


def test_supcon_scale_counts_only_without_normalisation():
    z, _ = pairs(3)
    torch.testing.assert_close(supcon_loss(9 * z, LABELS), supcon_loss(z, LABELS), rtol=1e-10, atol=1e-10)
    assert supcon_loss(9 * z, LABELS, normalize=False) != supcon_loss(z, LABELS, normalize=False)


@pytest.mark.parametrize("form", OTC_FORMS)
def test_otc_gradient(form):
    a, b = (x[:4].clone().requires_grad_() for x in pairs(4))
    assert torch.autograd.gradcheck(lambda a, b: otc_loss(a, b, form=form), (a, b))


@pytest.mark.parametrize("form", ["in", "out"])
def test_supcon_gradient(form):
    z = pairs(5)[0].requires_grad_()
    assert torch.autograd.gradcheck(lambda z: supcon_loss(z, LABELS, form=form), (z,))


@pytest.mark.parametrize("size", [1e-6, 1.0, 1e6])
def test_stable_in_float32_at_a_low_temperature(size):
    a, b = (size * x for x in pairs(6, torch.float32))
    exact = pairs(6)
    losses = {form: otc_loss(a, b, temperature=0.05, form=form) for form in OTC_FORMS}
    for form, loss in losses.items():
        assert loss.item() == pytest.approx(naive_otc(*exact, form, 0.05, 0.5), rel=1e-4, abs=1e-5)
    for form in ("in", "out"):
        z = a.clone().requires_grad_()
        loss = supcon_loss(z, LABELS, temperature=0.05, form=form)
        loss.backward()
        assert loss.item() == pytest.approx(naive_supcon(exact[0], LABELS, form, "mean", True, 0.05), rel=1e-4)
        assert torch.isfinite(z.grad).all() and z.grad.abs().sum() > 0


def test_perfect_pairs_give_the_analytic_value():
    basis = torch.eye(N, dtype=torch.float64)
    for t in (0.05, 0.1, 1.0):
        expected = math.log(1 + (N - 1) * math.exp(-1 / t))  # cosine 1 with the partner, 0 with the others
        assert otc_loss(basis, 3 * basis, temperature=t).item() == pytest.approx(expected, abs=1e-12)
    assert otc_loss(basis, basis, form="cosine").item() == 0
    assert otc_loss(basis, basis, form="margin", margin=1.0).item() == 0
    assert otc_loss(basis, basis, form="margin", margin=1.25).item() == pytest.approx(0.25)
    assert otc_loss(basis, -basis, form="cosine").item() == 2
    same = basis[[0, 0, 1, 1]]
    expected = math.log(1 + 2 * math.exp(-1 / 0.1))
    for form in ("in", "out"):
        value = supcon_loss(same, torch.tensor([0, 0, 1, 1]), form=form).item()
        assert value == pytest.approx(expected, abs=1e-12)


def test_one_pair_has_no_negatives():
    a, b = (x[:1] for x in pairs())
    assert otc_loss(a, b).item() == 0
    assert otc_loss(a, b, form="margin").item() == 0


def test_anchors_without_a_positive_are_left_out_and_none_gives_zero_with_a_gradient():
    z, _ = pairs(7)
    alone, paired = torch.tensor([2, 3]), torch.tensor([0, 0])
    assert supcon_loss(z[:4], torch.cat([paired, alone]), reduction="sum").item() == pytest.approx(
        naive_supcon(z[:4], [0, 0, 2, 3], "in", "sum", True, 0.1)
    )
    for n in (1, 4):
        leaf = z[:n].clone().requires_grad_()
        loss = supcon_loss(leaf, torch.arange(n))
        loss.backward()
        assert loss.item() == 0 and leaf.grad.abs().sum() == 0


@pytest.mark.parametrize(
    ("call", "names"),
    [
        (lambda a, b: otc_loss(a, b, form="pull"), "'pull'.*infonce, cosine, margin"),
        (lambda a, b: otc_loss(a, b[:3]), "7, 5.*3, 5"),
        (lambda a, b: otc_loss(a[0], b[0]), "one shape"),
        (lambda a, b: otc_loss(a[:0], b[:0]), "at least one pair"),
        (lambda a, b: otc_loss(a, b, temperature=0.0), "positive, got 0"),
        (lambda a, b: supcon_loss(a, LABELS, form="up"), "'up'"),
        (lambda a, b: supcon_loss(a, LABELS, reduction="max"), "'max'"),
        (lambda a, b: supcon_loss(a, LABELS[:3]), "7, 5.*3"),
        (lambda a, b: supcon_loss(a, LABELS, temperature=-1), "positive, got -1"),
        (lambda a, b: combine(a.sum(), b.sum(), total="product"), "'product'.*sum or convex"),
    ],
)
def test_bad_input_is_told_in_one_line(call, names):
    with pytest.raises(InputError, match=names) as error:
        call(*pairs())
    assert "\n" not in str(error.value)


def test_both_totals():
    ce, term = torch.tensor(2.0), torch.tensor(5.0)
    assert combine(ce, term).item() == pytest.approx(2 + 0.4 * 5)
    assert combine(ce, term, weight=0.4, total="convex").item() == pytest.approx(0.6 * 2 + 0.4 * 5)


# MUSC -----------------------------------------------------------------------------------------------------------------

ALPHAS = (0.0, 0.3, 1.0)


def naive_cross_entropy(logits, labels) -> float:
    return sum(
        -math.log(math.exp(row[y]) / sum(map(math.exp, row))) for row, y in zip(logits, labels, strict=True)
    ) / len(labels)


@pytest.mark.parametrize("alpha", ALPHAS)
def test_mixup_against_a_loop(alpha):
    e = torch.randn(N, 3, 4, dtype=torch.float64)
    mixed = mixup(e, alpha)
    for i in range(N):
        for j in range(3):
            for k in range(4):
                expected = alpha * e[i, j, k].item() + (1 - alpha) * e[N - 1 - i, j, k].item()
                assert mixed[i, j, k].item() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("alpha", ALPHAS)
def test_mixup_cross_entropy_against_a_loop(alpha):
    logits, labels = torch.randn(N, 3, dtype=torch.float64), LABELS % 3
    there, back = (naive_cross_entropy(logits.tolist(), y) for y in (labels.tolist(), labels.tolist()[::-1]))
    value = mixup_cross_entropy(logits, labels, alpha).item()
    assert value == pytest.approx(alpha * there + (1 - alpha) * back, abs=1e-8)


@pytest.mark.parametrize("alpha", ALPHAS)
@pytest.mark.parametrize("form", ["in", "out"])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("normalize", [True, False])
def test_musc_against_a_double_loop(alpha, form, reduction, normalize):
    mixed, other = pairs(3)
    y, reverse = LABELS.tolist(), LABELS.tolist()[::-1]
    normal = naive_supcon(torch.cat([mixed, other]), y + y, form, reduction, normalize, 0.2)
    backwards = torch.stack([other[N - 1 - i] for i in range(N)])
    turned = naive_supcon(torch.cat([mixed, backwards]), reverse + reverse, form, reduction, normalize, 0.2)
    options = {"temperature": 0.2, "form": form, "reduction": reduction, "normalize": normalize}
    value = musc_loss(mixed, other, LABELS, alpha, **options).item()
    assert value == pytest.approx(alpha * normal + (1 - alpha) * turned, abs=1e-8)


@pytest.mark.parametrize("form", ["in", "out"])
def test_musc_is_stable_at_low_temperature_in_single_precision(form):
    mixed, other = (x.float().requires_grad_() for x in pairs(4))
    loss = musc_loss(100 * mixed, other, LABELS, 0.4, temperature=0.05, form=form)
    loss.backward()
    exact = musc_loss(mixed.detach().double(), other.detach().double(), LABELS, 0.4, temperature=0.05, form=form)
    assert loss.item() == pytest.approx(exact.item(), rel=1e-5)
    assert torch.isfinite(mixed.grad).all() and torch.isfinite(other.grad).all()


def test_the_total_of_musc():
    ce, contrast = [torch.tensor(float(i)) for i in (1, 2, 3, 4)], [torch.tensor(float(i)) for i in (5, 6, 7)]
    assert musc_total(ce, contrast, 0.1).item() == pytest.approx(0.9 * 10 + 0.1 * 18)
    assert musc_total(ce[:2], [], 0.0).item() == pytest.approx(3)


@pytest.mark.parametrize(
    ("call", "names"),
    [
        (lambda a, b: mixup(a, 1.2), "alpha must be in .*1.2"),
        (lambda a, b: mixup_cross_entropy(a, LABELS % 3, -0.1), "alpha must be in .*-0.1"),
        (lambda a, b: musc_loss(a, b, LABELS, 2.0), "alpha must be in .*2.0"),
        (lambda a, b: musc_loss(a, b[:3], LABELS, 0.5), "7, 5.*3, 5"),
        (lambda a, b: musc_loss(a, b, LABELS[:3], 0.5), "7, 5.*3,"),
        (lambda a, b: musc_loss(a, b, LABELS, 0.5, form="up"), "'up'"),
        (lambda a, b: musc_loss(a, b, LABELS, 0.5, temperature=0), "positive, got 0"),
        (lambda a, b: musc_total([a.sum()], [], 1.5), "lambda.*1.5"),
    ],
)
def test_bad_input_of_musc_is_told_in_one_line(call, names):
    with pytest.raises(InputError, match=names) as error:
        call(*pairs())
    assert "\n" not in str(error.value)


# Edges ----------------------------------------------------------------------------------------------------------------

BOTH = torch.tensor([0, 0, 1, 1, 0, 0, 1])
EVERY = {
    **{f"otc {form}": lambda a, b, form=form, **o: otc_loss(a, b, form=form, **o) for form in OTC_FORMS},
    **{f"supcon {form}": lambda a, b, form=form, **o: supcon_loss(a + 0 * b, BOTH, form=form, **o) for form in FORMS},
    **{f"musc {form}": lambda a, b, form=form, **o: musc_loss(a, b, BOTH, 0.3, form=form, **o) for form in FORMS},
}


@pytest.mark.parametrize(
    "temperature", [math.nan, math.inf, -math.inf, 0.0, -0.0, 0, -1, -1e-9, torch.tensor(math.nan)]
)
@pytest.mark.parametrize("name", EVERY)
def test_a_temperature_is_positive_and_finite(name, temperature):
    with pytest.raises(InputError, match="the temperature must be finite and positive, got"):
        EVERY[name](*pairs(dtype=torch.float32), temperature=temperature)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda a, b: otc_loss(a, b, form="margin", margin=math.nan), "margin must be finite, got nan"),
        (lambda a, b: combine(a.sum(), b.sum(), weight=math.nan), "weight .* finite, got nan"),
        (lambda a, b: combine(a.sum(), b.sum(), weight=math.inf, total="convex"), "weight .* finite, got inf"),
        (lambda a, b: musc_total([a.sum()], [b.sum()], math.nan), "lambda.*nan"),
        (lambda a, b: mixup(a, math.nan), "alpha must be in .*nan"),
        (lambda a, b: mix_rows(a, [(slice(0, 4), math.nan)]), "alpha must be in .*nan"),
        (lambda a, b: mix_rows(a, [(slice(0, 4), math.inf)]), "alpha must be in .*inf"),
        (lambda a, b: mixup_cross_entropy(a, LABELS, math.nan), "alpha must be in .*nan"),
        (lambda a, b: mixup_cross_entropy(a[:0], LABELS[:0], 0.5), "n at least 1, got .0, 5. and .0,."),
        (lambda a, b: mixup_cross_entropy(a, LABELS[:3], 0.5), "got .7, 5. and .3,."),
        (lambda a, b: musc_loss(a, b, LABELS, math.nan), "alpha must be in .*nan"),
        (lambda a, b: supcon_loss(a.long(), LABELS), "float tensors, got torch.int64"),
        (lambda a, b: otc_loss(a.long(), b.long()), "float tensors, got torch.int64"),
    ],
)
def test_what_is_not_finite_is_refused(call, words):
    with pytest.raises(InputError, match=words) as error:
        call(*pairs())
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("name", EVERY)
def test_a_zero_vector_in_any_precision(name, dtype):
    a, b = (x.to(dtype) for x in pairs(8))
    a[3], b[5] = 0, 0
    leaves = [x.clone().requires_grad_() for x in (a, b)]
    loss = EVERY[name](*leaves, temperature=0.1)
    loss.backward()
    exact = [x.double().requires_grad_() for x in (a.detach(), b.detach())]
    expected = EVERY[name](*exact, temperature=0.1)
    expected.backward()
    assert math.isfinite(loss.item()) and loss.item() == pytest.approx(expected.item(), rel=1e-5, abs=1e-6)
    coarse = {torch.float16: 2e-3, torch.bfloat16: 2e-2}.get(dtype, 1e-4)
    for found, wanted in zip(leaves, exact, strict=True):
        assert torch.isfinite(found.grad).all()
        torch.testing.assert_close(found.grad.double(), wanted.grad, rtol=coarse, atol=coarse)
    assert leaves[0].grad[3].abs().sum() == 0


def test_cosines_with_a_zero_vector_are_zero():
    a, b = pairs(9)
    a[2] = 0
    others = [cosine(a[i], b[i]) for i in range(N) if i != 2]
    assert otc_loss(a, b, form="cosine").item() == pytest.approx(1 - sum(others) / N)


@pytest.mark.parametrize("size", [1e-37, 1e-30, 1e-20, 1e-13, 1e19, 1e30, 1e37])
@pytest.mark.parametrize("name", EVERY)
def test_the_length_of_vectors_does_not_count_however_extreme(name, size):
    a, b = pairs(10, torch.float32)
    expected = EVERY[name](a, b).item()
    assert EVERY[name](a * size, b * size).item() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("size", [1e38, -1e38, 3e38, 0.0])
@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_no_positive_gives_zero_whatever_the_sums(size, normalize, dtype):
    largest = torch.finfo(dtype).max
    z = torch.full((4, 4), max(-largest, min(size, largest))).to(dtype).requires_grad_()
    for form in FORMS:
        loss = supcon_loss(z, torch.arange(4), form=form, normalize=normalize)
        (gradient,) = torch.autograd.grad(loss, z)
        assert loss.item() == 0 and gradient.abs().sum() == 0
    one = otc_loss(z[:1], -z[:1], form="margin")
    assert one.item() == 0 and torch.autograd.grad(one, z)[0].abs().sum() == 0


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_mixup_in_half_precision(dtype):
    logits = (100 * torch.randn(N, 3, generator=torch.Generator().manual_seed(0))).to(dtype)
    exact = mixup_cross_entropy(logits.double(), LABELS % 3, 0.3).item()
    assert mixup_cross_entropy(logits, LABELS % 3, 0.3).item() == pytest.approx(exact, rel=1e-5)
    zeros = mix_rows(torch.zeros(4, 2, 3, dtype=dtype), [(slice(0, 4), 0.3)])
    assert zeros.dtype == dtype and (zeros == 0).all()


RECORDED = json.loads((Path(__file__).parent / "losses_recorded.json").read_text(encoding="utf-8"))
"""Losses and parts of their gradients by the code before half precision was widened, as hexadecimal floats."""


def recorded(k: int) -> torch.Tensor:
    i = torch.arange(35, dtype=torch.float64).reshape(7, 5)
    return torch.sin(i * 1.7 + k * 0.9 + 0.1 * (i % 7) ** 2).float()


def recorded_calls() -> dict:
    calls = {
        f"otc {form} {t}": lambda p, q, form=form, t=t: otc_loss(p, q, temperature=t, form=form, margin=0.3)
        for form in OTC_FORMS
        for t in (0.05, 0.1, 1.0)
    }
    for form, reduction, scaled in itertools.product(FORMS, ("mean", "sum"), (True, False)):
        o = {"temperature": 0.3, "form": form, "reduction": reduction, "normalize": scaled}
        calls[f"supcon {form} {reduction} {scaled}"] = lambda p, o=o: supcon_loss(p, LABELS, **o)
        calls[f"musc {form} {reduction} {scaled}"] = lambda p, q, o=o: musc_loss(p, q, LABELS, 0.4, **o)
    calls["mixup"] = lambda p: mixup(p, 0.3).pow(2).sum()
    calls["mixup_ce"] = lambda p: mixup_cross_entropy(p, LABELS, 0.3)
    return calls


@pytest.mark.parametrize("name", RECORDED)
def test_ordinary_input_gives_what_it_always_gave(name):
    """To the last digits of float32: another processor may add in another order."""
    call = recorded_calls()[name]
    leaves = [recorded(k).requires_grad_() for k in (1, 2)[: call.__code__.co_argcount - len(call.__defaults__ or ())]]
    loss = call(*leaves)
    gradients = torch.autograd.grad(loss, leaves)
    found = [loss.item(), *(float(g.double().sum()) for g in gradients), *(g.flatten()[3].item() for g in gradients)]
    assert loss.dtype == torch.float32
    assert found == pytest.approx([float.fromhex(value) for value in RECORDED[name]], rel=2e-6, abs=2e-7)


@pytest.mark.parametrize("size", [1e-10, 1e-3, 1.0, 1e14])
def test_ordinary_vectors_are_normalised_as_torch_does_it_to_the_last_bit(size):
    weights = torch.linspace(-1, 1, 5)
    ours, theirs = ((size * recorded(3)).requires_grad_() for _ in range(2))
    found, wanted = losses._unit(ours), torch.nn.functional.normalize(theirs, dim=-1)
    assert torch.equal(found, wanted)
    gradients = [torch.autograd.grad((x * weights).sum(), leaf)[0] for x, leaf in ((found, ours), (wanted, theirs))]
    assert torch.equal(*gradients)
