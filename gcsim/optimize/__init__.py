"""Finds a good setting with few runs: what `gcsim optimize` does.

`goals` says what is wanted (metrics to minimise or maximise, conditions to keep), `space` what may be set and in which
range.  `search` asks an optimiser (Optuna's TPE) for settings in batches of a fixed size, runs them like the points of a
sweep, tells it the means, and confirms the best few with seeds that the search has not seen.  `advice` turns the runs
into a recommendation: the Pareto front, the setting, and how it compares with the present one, seed by seed.

Everything is in a sweep's directory (`gcsim.datasets.sweep`), with `optimize.json` (what was asked) and
`recommendation.json` (what came out) beside `sweep.json`, so that whatever reads sweeps reads it.

The optimiser keeps no state on disk.  It is deterministic: told the same figures, it asks for the same settings.  So a
search that was killed is simply begun again, and finds the runs that are there; and since batches do not depend on
the number of workers, neither does the result.
"""
