"""Load the compiled kernels, for all processes that are forked from this one."""

import numpy as np

from recsys.models.als import load_kernels
from recsys.models.factors import top_tracks

load_kernels()
top_tracks(np.ones((1, 1), np.float32), np.ones((1, 1), np.float32), 1, 1)
