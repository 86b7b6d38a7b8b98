"""Statistics of experiments: from counts, means and covariances of the arms to effects, intervals and decisions.

In: small frozen aggregates or arrays, one row a listener. Out: frozen results. Reads no file and no database.
"""
