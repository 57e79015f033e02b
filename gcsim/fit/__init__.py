"""Machine profiles from records, specs from logs, comparison with real runs.

A **record** is one program, really run at one setting, with repeats (`records`).  Everything here starts from records or
from a service's own trace lines and ends in data that the rest of gcsim takes as given: a machine profile, a spec, a
table of errors.

Comparison, in order: `measured` (what a record says, one table of metrics), `predict` (the same from a simulation, which
never sees the measurements), `formula` (what the Go GC guide would say), `compare` (errors), `accuracy` and `pictures`
(the report).  `side_by_side` does it with a real program run here and now, `workload` says which specs it can run.

From a log (`logs`) to a **service** (`service`: few parameters, expressed as a spec and a scaled machine profile) goes
`infer`: figures of the log (`moments`), first guesses, then a simulation brought to the same figures.  `forecast` runs the
service under other settings, `window` measures log and simulation alike, `whatif` compares and judges, `specfile` writes.
Left out: what a log does not show, such as which objects are replaced, and caches that each collection empties.
"""
