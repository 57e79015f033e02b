"""The gRPC API in Python: `v1` is generated from ``proto/gcsim/api/v1`` by ``python -m gcsim.api.generate``."""
