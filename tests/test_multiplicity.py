"""Claims of several parts, p-values of verdicts, Holm, and chance: by hand, against others, and by simulation."""

import itertools
import math

import numpy as np
import pytest
from refusals import refused
from scipy import stats
from statsmodels.stats.weightstats import DescrStatsW

from xltlib.multiplicity import Claim, adjusted, expected_by_chance, holm, interval, p_value
from xltlib.statistics import Summary, summary
from xltlib.verdicts import Verdict, verdict, verdict_of_parts

YES, NO, OPEN, PREMISE, LATER, NEVER = Verdict
OPEN_PART, REFUTED = Summary(0, 0.1, -0.5, 0.5, 5), Summary(-0.2, 0.01, -0.25, -0.15, 5)


# Parts ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("found", list(itertools.product(Verdict, repeat=3)))
def test_a_claim_of_parts(found):
    expected = found[0] if len(set(found)) == 1 else OPEN
    expected = NO if NO in found else expected
    assert verdict_of_parts(found) is expected
    assert verdict_of_parts(map(str, found)) is expected


def test_parts_may_be_effects_with_what_is_claimed():
    assert verdict_of_parts([(OPEN_PART, ">0"), (REFUTED, ">0")]) is NO
    assert verdict_of_parts([(OPEN_PART, ">0"), (REFUTED, "<0")]) is OPEN
    assert verdict_of_parts([(REFUTED, "<0"), "reproduced", (Summary(0.3, 0.1, 0.2, 0.4, 5), ">0")]) is YES
    assert verdict_of_parts([(Summary(0.3, 0.1, 0.2, 0.4, 5), "=0", 0.5)]) is YES
    assert verdict_of_parts([(None, ">0"), (REFUTED, "<0")]) is OPEN
    refused(lambda: verdict_of_parts([]), "one part or more")
    refused(lambda: verdict_of_parts(["maybe"]), "'maybe'", "reproduced, not reproduced")
    refused(lambda: verdict_of_parts([(REFUTED, "up")]), "'up'")


def test_the_best_of_equals_is_not_refuted():
    """Five equal models, ten pretraining seeds: against each rival the claim "A is best" is open in most draws, and
    rarely reproduced. The best of the others in each cell, by contrast, lies above A in nearly all."""
    rng, counts, biased = np.random.default_rng(5), dict.fromkeys(Verdict, 0), 0
    for _ in range(400):
        scores = rng.normal(0, 0.05, (5, 10))
        counts[verdict_of_parts([(summary(scores[0] - rival), ">0") for rival in scores[1:]])] += 1
        biased += verdict(summary(scores[0] - scores[1:].max(0)), ">0") is NO
    assert counts[YES] < 0.01 * 400 and counts[NO] < 0.15 * 400
    assert biased > 0.5 * 400


# p-values -------------------------------------------------------------------------------------------------------------


def runs(seed: int) -> Summary:
    rng = np.random.default_rng(seed)
    return summary(rng.normal(rng.choice([-0.03, -0.005, 0, 0.004, 0.03]), rng.choice([0.002, 0.01, 0.05]), 6))


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize("direction", [">0", "<0", "=0"])
def test_p_is_where_the_verdict_turns(seed, direction):
    """The interval of confidence 1 - p is the last one that gives the verdict (of an open one: another)."""
    effect = runs(seed)
    p, decided = p_value(effect, direction), verdict(effect, direction)
    assert (p < 0.05) == (decided is not OPEN)
    if not 1e-12 < p < 1:
        return
    below, above = (verdict(interval(effect, 1 - p * factor), direction) for factor in (1 - 1e-6, 1 + 1e-6))
    if decided is OPEN:
        assert below is OPEN and above is not OPEN
    else:
        assert above is decided and below is not decided


def test_p_is_scipys_and_the_zones_is_statsmodels():
    values = np.random.default_rng(3).normal(0.002, 0.006, 8)
    effect = summary(values)
    assert str(interval(effect, 0.95)) == str(effect)
    far = summary(values + 0.05)
    assert p_value(far, ">0") == pytest.approx(stats.ttest_1samp(values + 0.05, 0).pvalue)
    assert p_value(far, "<0") == pytest.approx(stats.ttest_1samp(values + 0.05, 0).pvalue)
    both = DescrStatsW(values).ttost_mean(-0.01, 0.01)[0]
    assert p_value(effect, "=0") == pytest.approx(2 * both)
    outside = stats.ttest_1samp(values + 0.05, 0.01, alternative="greater").pvalue
    assert p_value(far, "=0") == pytest.approx(2 * outside)


def test_p_at_its_edges():
    assert math.isnan(p_value(summary([0.3]), ">0"))
    assert p_value(summary([0.3, 0.3]), ">0") == 0 and p_value(summary([0.0, 0.0]), "=0") == 0
    refused(lambda: p_value(Summary(0.1, math.nan, 0.05, 0.15, 700), ">0"), "no mean over runs")
    refused(lambda: p_value(summary([1, 2]), "up"), "'up'")


# Many claims ----------------------------------------------------------------------------------------------------------


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    found = holm([0.02, math.nan, 0.04])
    assert found[0] == pytest.approx(0.04) and math.isnan(found[1]) and found[2] == pytest.approx(0.04)
    assert holm([]) == [] and all(map(math.isnan, holm([math.nan])))
    refused(lambda: holm([0.2, 1.2]), "from 0 to 1")
    refused(lambda: holm([-0.1]), "from 0 to 1")


def test_what_chance_calls_reproduced():
    """Thirty claims whose true effects are zero, 2000 times: 2.5 % of them, and with Holm hardly a family has one."""
    rng, draws, k = np.random.default_rng(11), 2000, 30
    values = rng.normal(0, 1, (draws, k, 5))
    means, errors = values.mean(-1), values.std(-1, ddof=1) / math.sqrt(5)
    called = (means - stats.t.ppf(0.975, 4) * errors > 0).sum(1)
    assert expected_by_chance(k) == 0.75
    assert called.mean() == pytest.approx(expected_by_chance(k), abs=0.06)
    families = [[Claim(((summary(row), ">0", 1e-9),)) for row in family] for family in values[:40]]
    plain = [sum(claim.verdict is YES for claim in family) for family in families]
    assert plain == called[:40].tolist()
    kept = [any(found is not OPEN for found, _ in adjusted(family)) for family in families]
    assert np.mean(kept) < 0.15  # 0.05 is the bound; forty families are few
    refused(lambda: expected_by_chance(-1), "-1 claims")


def test_no_difference_at_the_border_of_the_zone_is_called_in_as_many():
    rng = np.random.default_rng(12)
    values = rng.normal(0.01, 0.001, (4000, 6))  # precise runs; the true effect is one point
    called = [verdict(summary(row), "=0") is YES for row in values]
    assert np.mean(called) == pytest.approx(0.025, abs=0.008)


def test_adjusted_verdicts_stand_or_are_open():
    strong, weak = summary([0.30, 0.31, 0.29, 0.30]), summary([0.1, 0.2, 0.05, 0.2])
    assert verdict(weak, ">0") is YES and 0.02 < p_value(weak, ">0") < 0.05
    claims = [Claim(((effect, ">0"),)) for effect in (strong, weak, weak)] + [Claim(((None, ">0"),))]
    found = adjusted(claims)
    assert [v for v, _ in found] == [YES, OPEN, OPEN, LATER]
    assert found[1][1] == pytest.approx(2 * p_value(weak, ">0")) and math.isnan(found[3][1])
    assert adjusted(claims[1:2])[0][0] is YES


def test_p_of_parts():
    strong, weak, against = summary([0.30, 0.31, 0.29, 0.30]), summary([0.1, 0.2, 0.05, 0.2]), summary([-0.3, -0.31])
    both = Claim(((strong, ">0"), (weak, ">0")))
    assert both.verdict is YES and both.p == p_value(weak, ">0")
    refuted = Claim(((strong, ">0"), (against, ">0")))
    assert refuted.verdict is NO and refuted.p == pytest.approx(2 * p_value(against, ">0"))
    assert math.isnan(Claim(((strong, ">0"), (None, ">0"))).p)
    assert math.isnan(Claim(((strong, ">0"), (summary([0.3]), ">0"))).p)
