"""Statistics of experiments: from counts, means and covariances to effects and intervals.

In: `Moments` of an arm, or arrays with a row for each listener. Out: frozen results. Reads no file
and no database. Read `moments` first, then `effects`, `quantiles`, `multiplicity`, of interim
analyses `always_valid` and `fixed_horizon`; `sample_ratio` and `bootstrap` stand alone.
"""
