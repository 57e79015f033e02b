"""`gcsim escape`: the table of a spec's sites, and sites from a compiler's words."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from gcsim.cli.main import cli
from gcsim.interop.compiler import read_compiler_output
from gcsim.spec.load import parse_spec

SAID = Path(__file__).parents[1] / "interop" / "data" / "escape" / "said-m2-go1.27.txt"
SPEC = """\
name: sites
sites:
- {name: array, construct: variable, size: 1MiB}
- {name: user, construct: new, size: 64B, flows: [returned]}
- {name: scratch, construct: make, constant_size: false, flows: [argument_not_retained]}
"""


def gcsim(*arguments: object, text: str | None = None) -> Result:
    return CliRunner().invoke(cli, ["escape", *map(str, arguments)], input=text, prog_name="gcsim")


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    path = tmp_path / "sites.yaml"
    path.write_text(SPEC)
    return path


def test_the_table_says_where_and_why(spec: Path) -> None:
    done = gcsim(spec)
    assert done.exit_code == 0, done.stderr
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert lines[0] == "site construct size flows where reason"
    text = " ".join(lines)
    assert "array variable 1.0 MiB - heap 1048576 bytes are too large" in text
    assert "user new 64 B returned heap its address is returned" in text
    assert "stack <= 32 B" in text


def test_another_release_decides_otherwise(spec: Path) -> None:
    def places(release: str) -> dict[str, str]:
        rows = json.loads(gcsim(spec, "--go", release, "--output", "json").stdout)
        assert all(row["go"] == release and row["reason"] for row in rows)
        return {row["site"]: row["place"] for row in rows}

    assert places("1.23") == {"array": "stack", "user": "heap", "scratch": "heap"}
    assert places("1.24") == {"array": "heap", "user": "heap", "scratch": "heap"}
    assert places("1.25") == {"array": "heap", "user": "heap", "scratch": "stack <= 32 B"}


def test_what_the_compiler_said_becomes_sites_that_a_spec_can_have(tmp_path: Path) -> None:
    done = gcsim("--from-compiler", SAID)
    assert done.exit_code == 0, done.stderr
    sites = parse_spec("name: a\n" + done.stdout).sites
    assert len(sites) == len({site.name for site in sites}) == 14
    assert yaml.safe_load(done.stdout)["sites"][0] == {
        "name": "variable-service-13-2",
        "construct": "variable",
        "flows": ["returned"],
        "where": "./service.go:13:2: moved to heap: u",
    }
    assert gcsim("--from-compiler", "-", text=SAID.read_text()).stdout == done.stdout
    path = tmp_path / "made.yaml"
    path.write_text("name: made\n" + done.stdout)
    rows = json.loads(gcsim(path, "--go", "1.22", "--output", "json").stdout)
    older = read_compiler_output(SAID.with_name("said-m2-go1.22.txt").read_text())
    assert sum(row["escapes"] for row in rows) == sum(site.escapes for site in older) == 10


def test_the_same_place_twice_has_two_names() -> None:
    text = "./A_b.go:1:2: new(int) escapes to heap\n./A_b.go:1:2: new(int8) escapes to heap\n"
    names = [
        site["name"] for site in yaml.safe_load(gcsim("--from-compiler", "-", text=text).stdout)["sites"]
    ]
    assert names == ["new-a-b-1-2", "new-a-b-1-2-2"]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ((), 2, "give either SPEC or --from-compiler"),
        (("--from-compiler", "-", "--go", "1.22"), 2, "--go is for SPEC"),
        (("--from-compiler", "nowhere.txt"), 1, "nowhere.txt: cannot be read: No such file"),
        (("--from-compiler", str(Path(__file__))), 1, "no line says `file.go:line:column: …`"),
        (("--from-compiler", ".", "--go-command", "no-such-go"), 1, "name Go's command with --go-command"),
    ],
)
def test_misuse_has_a_remedy(arguments: tuple[str, ...], code: int, words: str) -> None:
    done = gcsim(*arguments)
    assert done.exit_code == code
    assert words in done.stderr


def test_the_workload_of_sites_shows_what_changed_by_release() -> None:
    workload = Path(__file__).parents[2] / "workloads" / "memory" / "allocation-sites.yaml"

    def places(release: str) -> list[str]:
        rows = json.loads(gcsim(workload, "--go", release, "--output", "json").stdout)
        return [row["place"] for row in rows]

    assert places("1.27") == ["stack", "stack", "heap", "stack <= 32 B", "heap", "stack"]
    assert places("1.22") == ["stack", "stack", "heap", "heap", "heap", "stack"]


def test_a_spec_without_sites_says_how_to_get_some(tmp_path: Path) -> None:
    path = tmp_path / "none.yaml"
    path.write_text("name: none\n")
    assert "--from-compiler" in gcsim(path).stderr
