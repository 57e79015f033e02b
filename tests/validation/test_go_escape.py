"""The escape rules against a real compiler, over the whole grid of constructs, sizes and flows."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from pathlib import Path

import pytest

from gcsim.fit.escape_sites import compile_package, to_spec_sites
from gcsim.interop.compiler import read_compiler_output
from gcsim.policy.escape import decide
from gcsim.policy.releases import release_rules
from tests.validation.go_sites import HEADER, GoSite, all_sites
from tests.validation.toolchain import go_command, go_release, run_go

pytestmark = pytest.mark.slow

# Other things that a function of the grid may have on the same line as its site.
BESIDES = re.compile(r"^(func literal|p\.M|\[\])")


def test_rules_equal_the_compiler_on_the_whole_grid(tmp_path: Path) -> None:
    release = go_release(tmp_path)
    (tmp_path / "go.mod").write_text("module sites\n\ngo 1.21\n")
    text, site_of_line = HEADER, dict[int, GoSite]()
    for go_site in all_sites():
        first = text.count("\n") + 1
        for number, line in enumerate(go_site.source.splitlines()):
            if "/*SITE*/" in line:
                site_of_line[first + number] = go_site
        text += go_site.source
    (tmp_path / "sites.go").write_text(text)
    done = run_go("build", "-gcflags=-m -l", ".", directory=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    says: dict[int, list[str]] = defaultdict(list)
    for line in done.stderr.splitlines():
        match = re.match(r"\./sites\.go:(\d+):\d+: (.*)", line)
        if match is not None and not BESIDES.match(match[2]):
            says[int(match[1])].append(match[2])
    rules = release_rules(release)
    wrong = []
    for line_number, go_site in site_of_line.items():
        words = says[line_number]
        heap = any("escapes to heap" in word or "moved to heap" in word for word in words)
        decision = decide(go_site.site, rules)
        if decision.escapes is not heap:
            wrong.append((go_site.site, words, decision))
    assert len(site_of_line) > 1500
    assert any(decide(each.site, rules).escapes for each in site_of_line.values())
    assert wrong == []


def test_a_package_is_compiled_and_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = Path(__file__).parents[1] / "interop" / "data" / "escape" / "service.go"
    (tmp_path / "service.go").write_text(source.read_text())
    (tmp_path / "go.mod").write_text("module service\n\ngo 1.21\n")
    monkeypatch.setenv("GOCACHE", str(tmp_path / ".cache"))
    sites = to_spec_sites(read_compiler_output(compile_package(tmp_path, go=go_command())))
    assert {site.construct for site in sites} >= {"variable", "make", "new", "conversion", "make_map"}
    assert sorted(os.listdir(tmp_path)) == [".cache", "go.mod", "service.go"]
