"""How fast the simulator is, and how its cost grows: what `gcsim bench` measures.

`cases` says what is simulated, `bare` how fast SimPy is with no runtime model on it, `case` measures one case together
with bare SimPy in a process of its own, and `suite` runs them one after another.  Simulations are recorded as
`gcsim run` does, Parquet included; what is left out is the imports and the publishing of the finished directory.

Speeds depend on the machine and on who else is using it; CPU time less so than wall time, and the ratio to bare SimPy
in the same process least of all: quote that.
"""

from gcsim.bench.cases import CASES, MEMORY_LIMIT_MIB, Case
from gcsim.bench.suite import Measurement, run_case

__all__ = ["CASES", "MEMORY_LIMIT_MIB", "Case", "Measurement", "run_case"]
