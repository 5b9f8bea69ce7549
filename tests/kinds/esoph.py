"""Oesophageal cancer in Ille-et-Vilaine by alcohol, 80 g a day or more, in six age groups.

The counts are those of ``datasets::esoph`` of R 4.0.4 and later, added up over tobacco. Source:
Breslow and Day, Statistical Methods in Cancer Research, vol. 1, 1980, Appendix I. The figures are
those of ``mantelhaen.test(correct = FALSE)`` and of Woolf's formula in R 4.2.2.
"""

import numpy as np

# by age: exposed cases, exposed controls, other cases, other controls
TABLES = np.array(
    [
        [[1, 9], [0, 106]],
        [[4, 26], [5, 164]],
        [[25, 29], [21, 138]],
        [[42, 27], [34, 139]],
        [[19, 18], [36, 88]],
        [[5, 0], [8, 31]],
    ]
)
AGES = ("25-34", "35-44", "45-54", "55-64", "65-74", "75+")
CRUDE = {"estimate": 5.640084686, "ci_low": 4.0005892504, "ci_high": 7.9514674647}
COMMON = {"estimate": 5.1576231941, "ci_low": 3.5621305369, "ci_high": 7.4677434575}
CHI_SQUARE = 85.0094970347
