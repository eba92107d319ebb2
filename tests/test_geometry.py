"""The five numbers about an embedding space, against plain loops."""

import math

import pytest
import torch

from xltlib import geometry
from xltlib.errors import InputError


def sides(n: int = 9, d: int = 4):
    generator = torch.Generator().manual_seed(0)
    a = torch.randn(n, d, generator=generator)
    return a, a + 0.7 * torch.randn(n, d, generator=generator)


def naive(a, b):
    a, b = ([[x / math.hypot(*row) for x in row] for row in side.double().tolist()] for side in (a, b))
    dot = lambda x, y: sum(p * q for p, q in zip(x, y, strict=True))  # noqa: E731
    n = len(a)
    cosines = [[dot(x, y) for y in b] for x in a]
    uniform = []
    for side in (a, b):
        near = [math.exp(-2 * math.dist(side[i], side[j]) ** 2) for i in range(n) for j in range(i)]
        uniform.append(math.log(sum(near) / len(near)))
    right = [max(range(n), key=lambda j: cosines[i][j]) == i for i in range(n)]
    left = [max(range(n), key=lambda i: cosines[i][j]) == j for j in range(n)]
    return {
        "pair_cosine": sum(cosines[i][i] for i in range(n)) / n,
        "random_cosine": sum(cosines[i][j] for i in range(n) for j in range(n) if i != j) / (n * (n - 1)),
        "alignment": sum(math.dist(x, y) ** 2 for x, y in zip(a, b, strict=True)) / n,
        "uniformity": sum(uniform) / 2,
        "retrieval": (sum(right) + sum(left)) / (2 * n),
    }


def test_against_plain_loops():
    a, b = sides()
    found, expected = geometry.describe(a, b), naive(a, b)
    assert found == pytest.approx(expected, abs=1e-9)
    assert 0 < found["retrieval"] < 1


def test_lengths_do_not_count():
    a, b = sides()
    lengths = torch.linspace(0.1, 10, len(a))[:, None]
    assert geometry.describe(a * lengths, 5 * b) == pytest.approx(geometry.describe(a, b), abs=1e-6)


def test_known_spaces():
    basis = torch.eye(4)
    perfect = {"pair_cosine": 1, "random_cosine": 0, "alignment": 0, "uniformity": -4, "retrieval": 1}
    assert geometry.describe(basis, basis) == pytest.approx(perfect)
    one_point = geometry.describe(
        torch.ones(4, 3), torch.ones(4, 3)
    )  # the collapse that a loss without negatives allows
    assert one_point["random_cosine"] == pytest.approx(1) and one_point["uniformity"] == pytest.approx(0, abs=1e-6)
    shifted = geometry.describe(basis, basis.roll(1, 0))
    assert shifted["retrieval"] == 0 and shifted["alignment"] == pytest.approx(2)


@pytest.mark.parametrize("sizes", [(1, 1), (0, 0), (4, 3)])
def test_bad_shapes_are_one_line(sizes):
    with pytest.raises(InputError, match=r"two \(n, d\) tensors, n > 1"):
        geometry.describe(torch.ones(sizes[0], 3), torch.ones(sizes[1], 3))


def test_class_cosines_leave_an_item_and_its_own_partner_out():
    a, b = sides()
    labels, same, other = torch.arange(9) % 3, [], []
    for i in range(9):
        for j in range(9):
            cosine = float(torch.nn.functional.cosine_similarity(a[i], b[j], dim=0))
            if i != j:
                (same if labels[i] == labels[j] else other).append(cosine)
    found = geometry.class_cosines(a, b, labels)
    assert found["same_class"] == pytest.approx(sum(same) / len(same), abs=1e-6)
    assert found["other_class"] == pytest.approx(sum(other) / len(other), abs=1e-6)


def test_the_plane_is_that_of_the_principal_components_with_fixed_signs():
    from sklearn.decomposition import PCA

    a, _ = sides(20, 6)
    z = torch.nn.functional.normalize(a.double(), dim=-1)
    found, expected = geometry.plane(a), torch.from_numpy(PCA(2).fit_transform(z.numpy()))
    torch.testing.assert_close(found.abs(), expected.abs(), atol=1e-9, rtol=1e-7)
    torch.testing.assert_close(geometry.plane(3 * a), found)  # lengths do not count
