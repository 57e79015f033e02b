"""Specs that take a moment, and one that takes for ever."""

from gcsim.spec.load import parse_spec
from gcsim.spec.models import Spec

QUICK = """\
version: 1
name: {name}
run: {{duration: 20ms, settle: 1ms, seed: {seed}}}
requests:
  - workers: 2
    steps:
      - cpu: 10us
      - allocate: {{count: 10, size: 1KiB}}
"""


def quick(seed: int = 7, name: str = "quick") -> Spec:
    """Some 0.2 s of work."""
    return parse_spec(QUICK.format(seed=seed, name=name))


def endless(seed: int = 7, name: str = "endless") -> Spec:
    """Hours of work."""
    return parse_spec(QUICK.format(seed=seed, name=name).replace("20ms", "5000s"))
