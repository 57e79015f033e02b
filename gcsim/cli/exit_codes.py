"""Exit codes of the command line."""

OK = 0
RUN_FAILED = 1
USAGE = 2
"""Wrong arguments or a bad spec."""
SERVER_UNREACHABLE = 3
"""No server answers where the client was told."""
PARTIAL = 4
"""A sweep is done, but some of its runs failed."""
THRESHOLD_FAILED = 99
"""The run is fine, but a `thresholds` entry of its spec is not met (the code that k6 uses)."""
INTERRUPTED = 130
"""By Ctrl-C (128 + SIGINT)."""
