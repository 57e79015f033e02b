"""Settings for all tests."""

import os

from hypothesis import settings

# In CI the same examples every time: a failure there must be one that anybody can repeat.  No deadline: a shared
# machine's noise is no failure.
settings.register_profile("default", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "default")
