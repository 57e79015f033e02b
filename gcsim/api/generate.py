"""Makes `gcsim.api.v1` from the .proto files: ``python -m gcsim.api.generate [directory]``, from the repository root.

The generated code is committed and needs at least the protobuf and grpcio that it was made with; those are the lower
bounds in ``pyproject.toml``.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROTO = ROOT / "proto"


def generate(target: Path) -> None:
    """Write the modules under `target`; gRPC stubs for services only."""
    from grpc_tools import protoc

    files = sorted(PROTO.glob("gcsim/api/v1/*.proto"))
    services = [file for file in files if file.stem.endswith("_service")]
    for outs, sources in ((("python", "pyi"), files), (("grpc_python",), services)):
        arguments = [f"-I{PROTO}", *(f"--{out}_out={target}" for out in outs), *map(str, sources)]
        if protoc.main(["protoc", f"-I{Path(protoc.__file__).parent / '_proto'}", *arguments]):
            raise SystemExit("protoc failed")


if __name__ == "__main__":
    generate(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT)
