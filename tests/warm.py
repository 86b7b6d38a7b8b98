"""Load the compiled kernels, for all processes that are forked from this one."""

from recsys.models.als import load_kernels, load_ranking

load_kernels()
load_ranking()
