"""Statistics of experiments: from counts, means and covariances to effects and intervals.

In: `Moments` of an arm, or arrays with one row a listener. Out: frozen results. Reads no file and
no database. Read `moments` first, then `effects`, `quantiles`, `multiplicity`, of interim analyses
`always_valid` and `fixed_horizon`; `sample_ratio` and `bootstrap` stand alone.
"""
