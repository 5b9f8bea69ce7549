"""The oracle of association against statsmodels, on drawn patients."""

import numpy as np
import pytest
from scipy.stats import chi2_contingency
from statsmodels.stats.contingency_tables import StratifiedTable, Table2x2

from upcare_mpc.stats import association


def test_against_statsmodels() -> None:
    generator = np.random.default_rng(3)
    stratum = generator.integers(0, 4, 800)
    exposed = generator.random(800) < 0.3 + 0.1 * stratum
    outcome = generator.random(800) < 0.2 + 0.1 * exposed + 0.1 * stratum
    tables = np.zeros((4, 2, 2))
    np.add.at(tables, (stratum, 1 - exposed, 1 - outcome), 1)

    patients = exposed.tolist(), outcome.tolist()
    crude = Table2x2(tables.sum(axis=0))
    odds, risk = association.odds_ratio(*patients), association.risk_ratio(*patients)
    assert (odds.low, odds.high) == pytest.approx(crude.oddsratio_confint())
    assert (risk.low, risk.high) == pytest.approx(crude.riskratio_confint())
    pooled = StratifiedTable(list(tables))
    joint, statistic = association.mantel_haenszel(*patients, stratum.tolist())
    assert joint.value == pytest.approx(pooled.oddsratio_pooled)
    assert (joint.low, joint.high) == pytest.approx(pooled.oddsratio_pooled_confint())
    assert statistic == pytest.approx(pooled.test_null_odds().statistic)
    by_stratum = tables.sum(axis=1)  # (stratum, outcome)
    assert association.chi_square(stratum.tolist(), outcome.tolist()) == pytest.approx(
        chi2_contingency(by_stratum).statistic
    )
