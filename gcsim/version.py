"""Version of gcsim: part of every run's identity, since a new engine may give other numbers for the same spec."""

__version__ = "0.1.0"

ENGINE_VERSION = __version__
"""Under the name that datasets use."""
