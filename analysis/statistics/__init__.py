"""Statistics of experiments: from counts, means and covariances to effects and intervals.

The functions take `Moments` of an arm, or arrays with a row for each listener, and return frozen
results. No module here reads a file or a database. Read `moments` first, then `effects`,
`quantiles` and `multiplicity`; `always_valid` and `fixed_horizon` are for interim analyses;
`sample_ratio` and `bootstrap` stand alone.
"""
