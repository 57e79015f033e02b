"""The house: imports point one way, libraries keep to their rooms, names and commands are pinned."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import gcsim

PACKAGE = Path(gcsim.__file__).parent

# Left to right: a room may import those before it in the list, and itself, but not its neighbours on one line.
ORDER = (
    {"errors", "units", "version", "failpoints"},
    {"spec"},
    {"policy"},
    {"runtime"},
    {"datasets"},
    {"interop"},
    {"sweep"},
    {"fit", "report", "lessons", "bench", "optimize"},
    {"api"},
    {"service", "client"},
    {"cli"},
)
RANK = {room: rank for rank, rooms in enumerate(ORDER) for room in rooms}

# Modules above the rooms: the public names and `python -m gcsim`.
TOP = {"__init__.py", "__main__.py"}

ONLY_IN = {
    "simpy": {"runtime", "bench"},
    "pyarrow": {"datasets", "report"},
    "pandas": {"datasets", "report"},
    "grpc": {"service", "client", "api"},
    "prometheus_client": {"service"},
    "click": {"cli"},
    "rich": {"cli"},
    "optuna": {"optimize"},
    "distributed": {"sweep"},
}

# What a simulation computes depends on its spec and seed alone.
SIMULATION = ("spec", "policy", "runtime", "datasets", "interop")
NO_CLOCK_NO_CHANCE = {"time", "datetime", "random", "secrets", "uuid"}

PUBLIC_NAMES = [
    "DatasetError",
    "GcsimError",
    "InvariantError",
    "Result",
    "RunError",
    "Spec",
    "SpecError",
    "__version__",
    "load",
    "load_spec",
    "run",
]


def modules() -> list[Path]:
    return sorted(path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py"))


def room_of(module: Path) -> str:
    return module.parts[0].removesuffix(".py")


def imports_of(module: Path) -> Iterator[str]:
    """Full dotted names of all imports, those inside functions too; relative ones resolved."""
    package = ("gcsim", *module.parent.parts)
    for node in ast.walk(ast.parse((PACKAGE / module).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            name = ".".join((*base, *((node.module,) if node.module else ())))
            yield name
            # `from gcsim import spec` and `from gcsim.runtime import records` name modules too.
            yield from (f"{name}.{alias.name}" for alias in node.names if name.startswith("gcsim"))


ROOM_MODULES = [m for m in modules() if str(m) not in TOP]


def test_every_room_has_its_place() -> None:
    assert {room_of(m) for m in ROOM_MODULES} <= set(RANK)


@pytest.mark.parametrize("module", ROOM_MODULES, ids=str)
def test_imports_point_one_way(module: Path) -> None:
    room = room_of(module)
    for name in imports_of(module):
        parts = name.split(".")
        if parts[0] != "gcsim" or len(parts) == 1:
            continue
        other = parts[1]
        assert other in RANK, f"{module} imports {name}: from the rooms, not from the top"
        assert other == room or RANK[other] < RANK[room], f"{module} imports {name}"


@pytest.mark.parametrize("module", ROOM_MODULES, ids=str)
def test_libraries_keep_to_their_rooms(module: Path) -> None:
    for name in imports_of(module):
        library = name.split(".")[0]
        assert room_of(module) in ONLY_IN.get(library, {room_of(module)}), f"{module} imports {name}"


@pytest.mark.parametrize("module", [m for m in ROOM_MODULES if room_of(m) in SIMULATION], ids=str)
def test_simulations_know_no_clock_and_no_chance_but_their_seed(module: Path) -> None:
    assert not NO_CLOCK_NO_CHANCE & {name.split(".")[0] for name in imports_of(module)}


@pytest.mark.parametrize("module", [m for m in ROOM_MODULES if room_of(m) == "policy"], ids=str)
def test_policy_is_pure(module: Path) -> None:
    assert not {"simpy", "logging", "pydantic"} & {name.split(".")[0] for name in imports_of(module)}


@pytest.mark.parametrize("module", [m for m in ROOM_MODULES if room_of(m) == "datasets"], ids=str)
def test_datasets_know_the_records_of_the_runtime_and_not_its_processes(module: Path) -> None:
    for name in imports_of(module):
        if (
            name.startswith("gcsim.runtime") and module.name != "run.py"
        ):  # run.py is what puts the two together
            assert name.split(".")[2] in {"records", "buckets"}, f"{module} imports {name}"


def test_importing_the_package_loads_neither_engine_nor_parquet() -> None:
    heavy = {"simpy", "pyarrow", "pandas", "numpy", "pydantic", "click"}
    for module in (Path("__init__.py"), Path("version.py")):
        tree = ast.parse((PACKAGE / module).read_text(encoding="utf-8"))
        top = {n.module or "" for n in tree.body if isinstance(n, ast.ImportFrom)}
        assert not heavy & {name.split(".")[0] for name in top}
        assert {name for name in top if name.startswith("gcsim")} <= {"gcsim.version"}


@pytest.mark.parametrize("module", modules(), ids=str)
def test_modules_are_of_a_size_to_be_read(module: Path) -> None:
    assert len((PACKAGE / module).read_text(encoding="utf-8").splitlines()) <= 700


def test_public_names_are_pinned_and_all_there() -> None:
    assert gcsim.__all__ == PUBLIC_NAMES == sorted(PUBLIC_NAMES)
    for name in PUBLIC_NAMES:
        assert getattr(gcsim, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'rum'"):
        gcsim.rum  # noqa: B018


def test_the_import_check_sees_what_it_should(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The checks above are only as good as `imports_of`: every way to write an import, resolved."""
    monkeypatch.setattr("tests.test_architecture.PACKAGE", tmp_path)
    (tmp_path / "policy").mkdir()
    (tmp_path / "policy" / "bad.py").write_text(
        "import simpy.core\nfrom . import limiter\nfrom .pacer import Pacer\nfrom ..runtime import world\n"
        "from gcsim import datasets\n\ndef f():\n    from gcsim.cli.main import main\n"
    )
    assert {
        "simpy.core", "gcsim.policy.limiter", "gcsim.policy.pacer", "gcsim.runtime.world", "gcsim.datasets",
        "gcsim.cli.main",
    } <= set(imports_of(Path("policy/bad.py")))  # fmt: skip
