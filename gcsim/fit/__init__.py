"""Machine profiles from records, specs from logs, comparison with real runs.

A **record** is one program, really run at one setting, with repeats (`records`).  Everything here starts from records or
from a service's own trace lines and ends in data that the rest of gcsim takes as given: a machine profile, a spec, a
table of errors.
"""
