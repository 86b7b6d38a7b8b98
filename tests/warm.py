"""Load the compiled kernels, for all processes that are forked from this one.

Their stores have few partitions, as in `tests/conftest.py`.
"""

import numpy as np

from recsys.models.factors import Factors
from recsys.models.solver import load_kernels
from recsys.store import writer

load_kernels()
Factors(np.ones((1, 1), np.float32), np.ones((1, 1), np.float32)).rank(1, 1)
writer.DEFAULT_PARTITIONS = 2
