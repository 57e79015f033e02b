"""Bad specs: every problem at once, with the place as written, the line, the value and what to do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gcsim.errors import GcsimError, Problem, SpecError
from gcsim.spec.load import load_spec, parse_spec, spec_from_dict
from gcsim.spec.models import (
    AllocateStep,
    CpuStep,
    Distribution,
    DropStep,
    GCStep,
    KeepStep,
    PoolPutStep,
    RequestClass,
    Spec,
)
from gcsim.spec.steps import STEP_MODELS

ARRIVALS = Path(__file__).parent / "data" / "arrivals.csv"

HEAD = "name: a\n"
LOOP = HEAD + "requests:\n- workers: 1\n  steps:\n"


def problems(text: str) -> tuple[Problem, ...]:
    with pytest.raises(SpecError) as caught:
        parse_spec(text)
    return caught.value.problems


# text -> (path, line, part of the value, part of the message, part of the remedy)
BAD: dict[str, tuple[str, tuple[str, int | None, str, str, str]]] = {
    # allocation sites
    "site": (
        LOOP + "  - allocate: {site: bufer}\nsites: [{name: buffer, construct: make, size: 1KiB}]",
        ("$.requests[0].steps[0].allocate.site", 5, "", "'bufer' is no site", "did you mean buffer"),
    ),
    "site construct": (
        LOOP
        + "  - append: {elements: 1, element_size: 8, site: b}\nsites: [{name: b, construct: new, size: 8}]",
        ("$.requests[0].steps[0].append.site", 5, "", "is new, not for append", "in the step allocate"),
    ),
    "site sizes": (
        LOOP + "  - allocate: {site: b, size: 8}\nsites: [{name: b, construct: new, size: 8}]",
        ("$.requests[0].steps[0].allocate.size", 5, "", "has a size already", "remove one"),
    ),
    "site without size": (
        LOOP + "  - allocate: {site: b}\nsites: [{name: b, construct: make, constant_size: false}]",
        ("$.requests[0].steps[0].allocate", 5, "", "no size of its own", "add size"),
    ),
    "two sites": (
        HEAD + "sites:\n- {name: b, construct: new, size: 8}\n- {name: b, construct: new, size: 8}",
        ("$.sites[1].name", 4, "", "b names site 0 too", "a name of its own"),
    ),
    "site pointers": (
        HEAD + "sites:\n- {name: b, construct: new, size: 8, pointer_words: 2}",
        ("$.sites[0].pointer_words", 3, "", "2 pointer words need 16 B", "at most 1"),
    ),
    "flow": (
        HEAD + "sites:\n- {name: b, construct: new, flows: [leaves]}",
        ("$.sites[0].flows[0]", 3, "leaves", "", "returned"),
    ),
    # numbers
    "below": (
        HEAD + "runtime:\n  gogc: -5",
        ("$.runtime.gogc", 3, "-5", "is below 0", 'use "off" for GOGC=off'),
    ),
    "bool": (
        HEAD + "machine: {cores: true}",
        ("$.machine.cores", 2, "true", "not a whole number", "plain number"),
    ),
    "quoted": (
        HEAD + "machine: {cores: '2'}",
        ("$.machine.cores", 2, "'2'", "not a whole number", "without quotes"),
    ),
    "half": (
        HEAD + "machine: {cores: 1.5}",
        ("$.machine.cores", 2, "1.5", "not a whole number", "plain number"),
    ),
    "nan": (
        HEAD + "record: {requests_sample: .nan}",
        ("$.record.requests_sample", 2, "nan", "not a finite", "plain"),
    ),
    "inf": (HEAD + "record: {requests_sample: .inf}", ("$.record.requests_sample", 2, "inf", "", "write")),
    "overflow": (
        HEAD + "record: {requests_sample: 1e999}",
        ("$.record.requests_sample", 2, "inf", "", "write"),
    ),
    "huge": (
        HEAD + "run: {seed: " + "9" * 90 + "}",
        ("$.run.seed", 2, "a number of more than 60 digits", "", "less than 9,223,372,036,854,775,808"),
    ),
    "huge digits": (
        HEAD + "run: {seed: " + "9" * 9000 + "}",
        ("$.run.seed", 2, "'999", "not a whole number", "plain"),
    ),
    "huge size": (
        HEAD + "globals: {scan_bytes: 1e60TiB}",
        ("$.globals.scan_bytes", 2, "'1e60TiB'", "is above", "at most 140,737,488,355,328"),
    ),
    "huge time": (
        HEAD + "run: {duration: 999999h}",
        ("$.run.duration", 2, "'999999h'", "is above", "at most"),
    ),
    "null": (
        HEAD + "machine: {cores: null}",
        ("$.machine.cores", 2, "null", "not a whole number", "plain number"),
    ),
    "bool text": (
        HEAD + "record: {p_states: yes}",
        ("$.record.p_states", 2, "'yes'", "neither", "true or false"),
    ),
    # units
    "time without unit": (
        HEAD + "run: {duration: '10'}",
        ("$.run.duration", 2, "'10'", "is not a time", "2s"),
    ),
    "unknown size": (
        HEAD + "globals: {scan_bytes: 4MB}",
        ("$.globals.scan_bytes", 2, "'4MB'", "is not a size", "512MiB"),
    ),
    "limit": (
        HEAD + "runtime: {gomemlimit: lots}",
        ("$.runtime.gomemlimit", 2, "'lots'", "is not a size", "512MiB"),
    ),
    # names
    "unknown field": (
        HEAD + "runtime:\n  gomemlmit: 1",
        ("$.runtime.gomemlmit", 3, "", "unknown field", "mean gomemlimit?"),
    ),
    "unknown section": (
        HEAD + "retaind: []",
        ("$.retaind", 2, "", "unknown field", "did you mean retained?"),
    ),
    "release": (
        HEAD + "runtime: {go: 1.2}",
        ("$.runtime.go", 2, "", "'1.2' is no release", "1.25-greenteagc"),
    ),
    "release with patch": (
        HEAD + "runtime: {go: 1.27.3}",
        ("$.runtime.go", 2, "", "'1.27.3'", "did you mean 1.27?"),
    ),
    "profile": (
        HEAD + "machine: {profile: epyc}",
        ("$.machine.profile", 2, "", "no machine profile", "epyc-genoa-kvm"),
    ),
    "name": ("name: My Service", ("$.name", 1, "'My Service'", "not a name", "lower-case")),
    "no name": ("runtime: {}", ("$.name", 1, "", "is missing", "add name")),
    "set": (
        HEAD
        + "retained: [{name: cache, entries: 1}]\nrequests:\n- workers: 1\n  steps:\n  - replace: {set: cash, count: 1}",
        ("$.requests[0].steps[0].replace.set", 6, "", "'cash' is no retained set", "did you mean cache?"),
    ),
    "no sets": (
        LOOP + "  - publish: {set: x, count: 1}",
        ("$.requests[0].steps[0].publish.set", 5, "", "'x'", "none"),
    ),
    "two sets": (
        HEAD + "retained:\n- {name: a, entries: 1}\n- {name: a, entries: 1}",
        ("$.retained[1].name", 4, "", "names retained set 0 too", "own"),
    ),
    "two classes": (
        HEAD + "requests:\n- {workers: 1, steps: [gc]}\n- {workers: 1, steps: [gc]}",
        ("$.requests[1].name", 4, "", "names request class 0 too", "own"),
    ),
    "pool": (
        LOOP + "  - pool_put: b",
        ("$.requests[0].steps[0].pool_put", 5, "", "nothing was taken", "pool_get"),
    ),
    "pool sizes": (
        LOOP + "  - pool_get: {pool: b, size: 1KiB}\n  - pool_get: {pool: b, size: 2KiB}",
        ("$.requests[0].steps[1].pool_get.size", 6, "", "1024 B elsewhere", "same size"),
    ),
    "phase set": (
        HEAD + "phases: [{duration: 1s, entries: {c: 1}}]",
        ("$.phases[0].entries.c", 2, "", "'c'", "none"),
    ),
    "phase class": (
        HEAD + "requests: [{rate_per_s: 1, steps: [gc]}]\nphases: [{duration: 1s, rate_per_s: {x: 1}}]",
        ("$.phases[0].rate_per_s.x", 3, "", "no request class", "request"),
    ),
    "phase of a closed loop": (
        HEAD + "requests: [{workers: 1, steps: [gc]}]\nphases: [{duration: 1s, rate_per_s: 5}]",
        ("$.phases[0].rate_per_s", 3, "", "no request class has a rate", "rate_per_s"),
    ),
    # steps
    "kind": (
        LOOP + "  - allocat: {size: 1}",
        ("$.requests[0].steps[0]", 5, "'allocat'", "no kind", "mean allocate?"),
    ),
    "explicit kind": (
        LOOP + "  - kind: cpuu",
        ("$.requests[0].steps[0].kind", 5, "'cpuu'", "no kind", "mean cpu?"),
    ),
    "two keys": (
        LOOP + "  - {cpu: 1us, gc: {}}",
        ("$.requests[0].steps[0]", 5, "", "keys cpu, gc", "one step per dash"),
    ),
    "empty step": (LOOP + "  - {}", ("$.requests[0].steps[0]", 5, "", "is empty", "one step per dash")),
    "number as step": (LOOP + "  - 7", ("$.requests[0].steps[0]", 5, "7", "not a mapping", "")),
    "no scalar form": (
        LOOP + "  - replace: 2",
        ("$.requests[0].steps[0].replace", 5, "2", "does not say", "set, count"),
    ),
    "scalar time": (
        LOOP + "  - cpu: 10xs",
        ("$.requests[0].steps[0].cpu", 5, "'10xs'", "is not a time", "10us"),
    ),
    "short field": (
        LOOP + "  - allocate:\n      siz: 1",
        ("$.requests[0].steps[0].allocate.siz", 6, "", "unknown", "size"),
    ),
    "explicit field": (
        LOOP + "  - kind: cpu\n    ns: 1us\n    distributon: {}",
        ("$.requests[0].steps[0].distributon", 7, "", "unknown field", "did you mean distribution?"),
    ),
    "missing field": (
        LOOP + "  - leak: {}",
        ("$.requests[0].steps[0].leak.size", 5, "", "is missing", "add size"),
    ),
    "no steps": (
        HEAD + "requests: [{workers: 1, steps: []}]",
        ("$.requests[0].steps", 2, "", "0 items", "one step"),
    ),
    "neither": (
        LOOP + "  - cpu: {}",
        ("$.requests[0].steps[0].cpu", 5, "", "neither ns nor", "add ns or distribution"),
    ),
    "both": (
        LOOP + "  - allocate: {size: 8, size_distribution: {mean: 8}}",
        ("$.requests[0].steps[0].allocate", 5, "", "exclude each other", "remove one of"),
    ),
    "pointers": (
        LOOP + "  - allocate: {size: 16, pointer_words: 3}",
        ("$.requests[0].steps[0].allocate.pointer_words", 5, "", "need 24 B", "at most 2"),
    ),
    "subtree of nothing": (
        LOOP + "  - pointer_writes: {count: 1, drops_subtree: true}",
        ("$.requests[0].steps[0].pointer_writes.drops_subtree", 5, "", "needs a retained set", "add set"),
    ),
    # distributions
    "parameter": (
        LOOP + "  - cpu: {distribution: {kind: lognormal, mean: 1us}}",
        ("$.requests[0].steps[0].cpu.distribution", 5, "", "needs mean and cv", "add cv"),
    ),
    "superfluous": (
        LOOP + "  - cpu: {distribution: {kind: exponential, mean: 1us, cv: 1}}",
        ("$.requests[0].steps[0].cpu.distribution.cv", 5, "", "means nothing", "remove cv"),
    ),
    "time in size": (
        LOOP + "  - allocate: {size_distribution: {mean: 10us}}",
        (
            "$.requests[0].steps[0].allocate.size_distribution.mean",
            5,
            "'10us'",
            "not a number",
            "size such as 4KiB",
        ),
    ),
    "size in time": (
        LOOP + "  - block: {distribution: {mean: 1KiB}}",
        ("$.requests[0].steps[0].block.distribution.mean", 5, "'1KiB'", "not a number", "time such as 10us"),
    ),
    "lifetime word": (
        LOOP + "  - allocate: {size: 8, lifetime: reqest}",
        ("$.requests[0].steps[0].allocate.lifetime", 5, "'reqest'", "allowed words", "did you mean request?"),
    ),
    "lifetime": (
        LOOP + "  - allocate: {size: 8, lifetime: {mean: -1}}",
        ("$.requests[0].steps[0].allocate.lifetime.mean", 5, "-1", "is not above 0", "more than 0"),
    ),
    "weights": (
        LOOP + "  - cpu: {distribution: {kind: choice, values: [1us, 2us], weights: [1]}}",
        (
            "$.requests[0].steps[0].cpu.distribution.weights",
            5,
            "",
            "1 weights for 2 values",
            "one weight per value",
        ),
    ),
    "no weight": (
        LOOP + "  - cpu: {distribution: {kind: choice, values: [1us], weights: [0]}}",
        ("$.requests[0].steps[0].cpu.distribution.weights", 5, "", "all weights are 0", "above 0"),
    ),
    "uniform": (
        LOOP + "  - cpu: {distribution: {kind: uniform, low: 2us, high: 1us}}",
        ("$.requests[0].steps[0].cpu.distribution.low", 5, "", "low 2000 is above high 1000", "swap"),
    ),
    # arrivals
    "no arrivals": (
        HEAD + "requests: [{steps: [gc]}]",
        ("$.requests[0]", 2, "", "nothing says how", "workers"),
    ),
    "two loops": (
        HEAD + "requests:\n- workers: 1\n  rate_per_s: 5\n  steps: [gc]",
        (
            "$.requests[0].rate_per_s",
            4,
            "",
            "open loop, workers for a closed one",
            "remove rate_per_s or workers",
        ),
    ),
    "no times": (
        HEAD + "requests: [{arrivals: recorded, steps: [gc]}]",
        ("$.requests[0]", 2, "", "need their times", "arrivals_csv"),
    ),
    "stray times": (
        HEAD + "requests: [{rate_per_s: 1, arrival_times_ns: [1], steps: [gc]}]",
        (
            "$.requests[0].arrival_times_ns",
            2,
            "",
            "poisson arrivals take no recorded times",
            "arrivals: recorded",
        ),
    ),
    "rate of a recording": (
        HEAD + "requests: [{arrivals: recorded, rate_per_s: 1, arrival_times_ns: [1], steps: [gc]}]",
        ("$.requests[0].rate_per_s", 2, "", "have no rate", "remove rate_per_s"),
    ),
    "order": (
        HEAD + "requests: [{arrivals: recorded, arrival_times_ns: [2, 1], steps: [gc]}]",
        ("$.requests[0].arrival_times_ns", 2, "", "not ascending", "sort"),
    ),
    # run, record, thresholds
    "warm-up": (
        HEAD + "run: {duration: 1s, warm_up: 1s}",
        ("$.run.warm_up", 2, "", "leaves nothing", "less than"),
    ),
    "warm-up of the default": (
        HEAD + "run: {warm_up: 9s}",
        ("$.run.warm_up", 2, "", "leaves nothing", "less than"),
    ),
    "rows": (HEAD + "record: {window: 1us}", ("$.record.window", 2, "", "8,000,000 rows", "at least 8 µs")),
    "quota": (
        HEAD + "machine: {cfs_quota: 10us}",
        ("$.machine.cfs_quota", 2, "'10us'", "is below 1,000,000", "off"),
    ),
    "too much": (
        HEAD + "retained: [{name: c, entries: 1e9, objects: [{size: 1MiB}]}]",
        ("$.retained[0].entries", 2, "", "do not fit", "fewer entries"),
    ),
    "condition": (
        HEAD + "thresholds: {num_gc: '~5'}",
        ("$.thresholds.num_gc", 2, "", "no condition", ">= 1000"),
    ),
    "bound": (
        HEAD + "thresholds: {num_gc: '< much'}",
        ("$.thresholds.num_gc", 2, "", "no number, time", "512MiB"),
    ),
    # shape
    "list for mapping": (HEAD + "runtime: []", ("$.runtime", 2, "", "not a mapping", "fields")),
    "mapping for list": (HEAD + "retained: {}", ("$.retained", 2, "", "not a list", "dash")),
    "number for mapping": (
        HEAD + "phases: [{duration: 1s, entries: 7}]",
        ("$.phases[0].entries", 2, "7", "mapping", ""),
    ),
    "version": (HEAD + "version: 2", ("$.version", 2, "2", "allowed words", "1")),
    # text
    "duplicate": (HEAD + "run: {}\nrun: {}", ("$.run", 3, "", "given twice, first in line 2", "keep one")),
    "deep duplicate": (
        HEAD + "run:\n  seed: 1\n  seed: 2",
        ("$.run.seed", 4, "", "first in line 3", "keep one"),
    ),
    "tag": (HEAD + "run: {seed: !x 1}", ("$.run.seed", 2, "!x", "is a tag", "remove")),
    "python tag": (
        HEAD + "description: !!python/name:os.system x",
        ("$.description", 2, "python", "is a tag", "remove"),
    ),
    "merge key": (
        HEAD + "run: &r {seed: 1}\nrecord: {<<: *r}",
        ("$.record.<<", 3, "", "unknown field", "window"),
    ),
    "no YAML": (HEAD + "run: {seed: 1", ("$", 2, "", "not YAML", "indentation")),
    "tab": (HEAD + "run:\n\tseed: 1", ("$", 3, "", "not YAML", "indentation")),
    "two documents": (HEAD + "---\nname: b", ("$", 2, "", "not YAML", "")),
    "list": ("- a", ("$", 1, "", "mapping of fields", "name")),
    "scalar": ("hello", ("$", 1, "", "mapping of fields", "name")),
    "empty": ("# nothing\n", ("$", None, "", "empty", "gcsim init")),
    "files": (
        HEAD + "requests: [{arrivals: recorded, arrivals_csv: a.csv, steps: [gc]}]",
        ("$.requests[0].arrivals_csv", 2, "'a.csv'", "without a file of its own", "arrival_times_ns"),
    ),
    "profile file": (
        HEAD + "machine: {profile: ./p.yaml}",
        ("$.machine.profile", 2, "'./p.yaml'", "without a file of its own", "shipped"),
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_spec_is_refused_with_place_value_and_remedy(case: str) -> None:
    text, (path, line, value, message, remedy) = BAD[case]
    found = problems(text)
    assert [problem.path for problem in found] == [path], "\n".join(map(str, found))
    problem = found[0]
    assert problem.line == line
    assert value in problem.value
    assert bool(value) == bool(problem.value)
    assert message in problem.message
    assert remedy in problem.remedy
    assert problem.remedy


def test_all_problems_come_at_once_in_the_order_of_the_text() -> None:
    text = """
name: Bad
runtime: {gogc: -5, gomaxprocs: 0}
run: {duration: 1s, warm_up: 2s}
retained:
- {name: cache, entries: -1}
requests:
- workers: 2
  rate_per_s: 5
  steps:
  - cpu: 10xs
  - allocate: {siz: 1, count: -1}
  - replace: {set: cash, count: 1}
  - nap: 1s
phases:
- {duration: 0s, entries: {cash: 1}}
thresholds: {num_gc: 5}
"""
    found = problems(text)
    assert [(problem.path, problem.line) for problem in found] == [
        ("$.name", 2),
        ("$.runtime.gomaxprocs", 3),
        ("$.runtime.gogc", 3),
        ("$.run.warm_up", 4),
        ("$.retained[0].entries", 6),
        ("$.requests[0].rate_per_s", 9),
        ("$.requests[0].steps[0].cpu", 11),
        ("$.requests[0].steps[1].allocate.count", 12),
        ("$.requests[0].steps[1].allocate.siz", 12),
        ("$.requests[0].steps[2].replace.set", 13),
        ("$.requests[0].steps[3]", 14),
        ("$.phases[0].entries.cash", 16),
        ("$.phases[0].duration", 16),
        ("$.thresholds.num_gc", 17),
    ]


def test_an_error_lists_its_problems_in_words() -> None:
    with pytest.raises(SpecError) as caught:
        parse_spec("name: a\nruntime: {gogc: -5}\nrecord: {window: 0s}", source="a.yaml")
    assert isinstance(caught.value, GcsimError)
    assert str(caught.value) == (
        "a.yaml: 2 problems\n"
        '  $.runtime.gogc (line 2): -5 is below 0; use "off" for GOGC=off\n'
        "  $.record.window (line 3): '0s' is not above 0; write more than 0"
    )


# ---- hostile text ------------------------------------------------------------------------------------------


def test_an_alias_bomb_is_refused_before_it_is_expanded() -> None:
    levels = "\n".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12))
    (problem,) = problems(f"name: a\na0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n{levels}")
    assert "expands to more than 10,000 values" in problem.message


def test_an_alias_that_contains_itself_is_refused() -> None:
    (problem,) = problems("name: a\nretained: &r [*r]")
    assert (problem.path, problem.message) == ("$.retained[0]", "an alias that contains itself")


def test_deep_nesting_is_refused() -> None:
    (problem,) = problems("name: a\nretained: " + "[" * 60 + "]" * 60)
    assert problem.message == "nested too deeply"
    (problem,) = problems("name: a\nretained: " + "[" * 20_000 + "]" * 20_000)
    assert "nested too deeply" in problem.message


def test_aliases_work_where_they_are_harmless() -> None:
    text = LOOP + "  - cpu: &time 10us\n  - block: *time"
    assert parse_spec(text).requests[0].steps[1].ns == 10_000  # type: ignore[union-attr]


# ---- good specs --------------------------------------------------------------------------------------------


def test_yaml_words_and_numbers_mean_what_people_write() -> None:
    text = """
name: a
description: 1:30
runtime: {go: 1.20, gogc: off, gomemlimit: 1GiB, assists: false}
retained: [{name: "on", entries: 1e3}, {name: "no", entries: 1_000}]
run: {duration: 0x3B9ACA00, seed: 010}
"""
    spec = parse_spec(text)
    assert spec.description == "1:30"
    assert (spec.runtime.go, spec.runtime.gogc, spec.runtime.gomemlimit) == ("1.20", None, 1 << 30)
    assert spec.runtime.assists is False
    assert [(retained.name, retained.entries) for retained in spec.retained] == [("on", 1000), ("no", 1000)]
    assert (spec.run.duration, spec.run.seed) == (1_000_000_000, 10)


def test_off_may_have_been_read_as_false_by_another_reader() -> None:
    assert spec_from_dict({"name": "a", "runtime": {"gogc": False}}).runtime.gogc is None


def test_a_bare_number_is_ns_or_bytes() -> None:
    steps = parse_spec(LOOP + "  - cpu: 10\n  - leak: 16").requests[0].steps
    assert [step.model_dump(exclude_defaults=True) for step in steps] == [{"ns": 10}, {"size": 16}]


SHORT = {
    "cpu: 10us": {"kind": "cpu", "ns": 10_000},
    "cpu: {ns: 10us, calibrated_spin: true}": {"kind": "cpu", "ns": 10_000, "calibrated_spin": True},
    "cpu: {distribution: {kind: lognormal, mean: 10us, cv: 0.3}}": {
        "kind": "cpu",
        "distribution": {"kind": "lognormal", "mean": 10_000, "cv": 0.3},
    },
    "allocate: {count: 4, size: 1KiB}": {"kind": "allocate", "count": 4, "size": 1024},
    "allocate: {size_distribution: {kind: choice, values: [1KiB, 64]}, lifetime: {mean: 5ms}}": {
        "kind": "allocate",
        "size_distribution": {"kind": "choice", "values": [1024, 64]},
        "lifetime": {"kind": "constant", "mean": 5_000_000},
    },
    "append: {elements: 1000, element_size: 24B, pointer_words: 1, hint: 10}": {
        "kind": "append",
        "elements": 1000,
        "element_size": 24,
        "pointer_words": 1,
        "hint": 10,
    },
    "map_insert: {keys: 100, key_size: 16, value_size: 8, key_pointers: true}": {
        "kind": "map_insert",
        "keys": 100,
        "key_size": 16,
        "value_size": 8,
        "key_pointers": True,
    },
    "block: 1ms": {"kind": "block", "ns": 1_000_000},
    "syscall: {distribution: {kind: uniform, low: 1us, high: 2us}}": {
        "kind": "syscall",
        "distribution": {"kind": "uniform", "low": 1000, "high": 2000},
    },
    "lock: {name: mu, hold_ns: 5us}": {"kind": "lock", "name": "mu", "hold_ns": 5000},
    "pointer_writes: 200": {"kind": "pointer_writes", "count": 200},
    "replace: {set: cache, count: 0.2}": {"kind": "replace", "set": "cache", "count": 0.2},
    "publish: {set: cache, count: 1}": {"kind": "publish", "set": "cache", "count": 1},
    "delete: {set: cache, count: 1}": {"kind": "delete", "set": "cache", "count": 1},
    "fifo: cache": {"kind": "fifo", "set": "cache"},
    "fifo: {set: cache, count: 0.5, clear: true}": {
        "kind": "fifo",
        "set": "cache",
        "count": 0.5,
        "clear": True,
    },
    "call: {count: 10, size: 1KiB, by: pointer}": {
        "kind": "call",
        "count": 10,
        "size": 1024,
        "by": "pointer",
    },
    "leak: 256B": {"kind": "leak", "size": 256},
    "pool_get: {pool: b, size: 4KiB}": {"kind": "pool_get", "pool": "b", "size": 4096},
    "gc: {}": {"kind": "gc"},
    "gc:": {"kind": "gc"},
    "gc": {"kind": "gc"},
}


@pytest.mark.parametrize("short", SHORT)
def test_short_steps(short: str) -> None:
    data: dict[str, Any] = {
        "name": "a",
        "retained": [{"name": "cache", "entries": 1}],
        "requests": [{"workers": 1, "steps": [SHORT[short]]}],
    }
    sets = "\nretained: [{name: cache, entries: 1}]"
    assert parse_spec(LOOP + f"  - {short}" + sets) == spec_from_dict(data)


def test_every_kind_of_step_has_a_short_form_here() -> None:
    refer_to_others = {"pool_put", "keep", "drop"}
    assert {str(step["kind"]) for step in SHORT.values()} | refer_to_others == set(STEP_MODELS)
    made = "  - allocate: {name: a, size: 64}\n"
    assert parse_spec(LOOP + made + "  - drop: a").requests[0].steps[1] == DropStep(name="a")
    kept = parse_spec(LOOP + made + "  - keep: {name: a, lifetime: {mean: 1us}}").requests[0].steps[1]
    assert kept == KeepStep(name="a", lifetime=Distribution(mean=1000))
    assert parse_spec(LOOP + "  - pool_get: {pool: b, size: 8}\n  - pool_put: b").requests[0].steps[
        1
    ] == PoolPutStep(pool="b")


def test_a_spec_made_in_python_obeys_the_same_rules() -> None:
    steps = (CpuStep(ns="10us"), GCStep())  # type: ignore[arg-type]
    assert Spec(name="a", requests=(RequestClass(workers=1, steps=steps),)).requests[0].steps == steps
    with pytest.raises(ValueError, match="nothing says how requests arrive"):
        Spec(name="a", requests=(RequestClass(steps=steps),))
    with pytest.raises(ValueError, match="needs mean and cv"):
        AllocateStep(size=8, lifetime=Distribution(kind="lognormal", mean=5.0))


# ---- files -------------------------------------------------------------------------------------------------


def _recorded(tmp_path: Path, csv: str | None) -> Path:
    path = tmp_path / "spec.yaml"
    path.write_text(HEAD + "requests:\n- arrivals: recorded\n  arrivals_csv: times.csv\n  steps: [gc]\n")
    if csv is not None:
        (tmp_path / "times.csv").write_text(csv)
    return path


def test_arrival_times_are_read_relative_to_the_spec(tmp_path: Path) -> None:
    spec = load_spec(_recorded(tmp_path, ARRIVALS.read_text()))
    assert spec.requests[0].arrival_times_ns == (0, 1000, 1000, 2_500_000, 40_000_000)


@pytest.mark.parametrize(
    ("csv", "message", "remedy"),
    [
        (None, "cannot be read: No such file", "relative to the spec file"),
        ("time\n1\n", "has no column arrival_ns", "name the column"),
        ("", "has no column arrival_ns", "name the column"),
        ("arrival_ns\n", "has no rows", "at least one"),
        ("arrival_ns\n1\n-5\n", "line 3: '-5' is no time", "whole ns"),
        ("arrival_ns\n1.5\n", "line 2: '1.5' is no time", "whole ns"),
        ("arrival_ns\n٣\n", "line 2: '٣' is no time", "whole ns"),
        ("arrival_ns,x\n,1\n", "line 2: '' is no time", "whole ns"),
        ("arrival_ns\n5\n4\n", "line 3: 4 comes after 5", "sort"),
    ],
)
def test_bad_arrival_files(tmp_path: Path, csv: str | None, message: str, remedy: str) -> None:
    with pytest.raises(SpecError) as caught:
        load_spec(_recorded(tmp_path, csv))
    (problem,) = caught.value.problems
    assert (problem.path, problem.line, problem.value) == ("$.requests[0].arrivals_csv", 4, "'times.csv'")
    assert message in problem.message
    assert remedy in problem.remedy


def test_a_missing_spec_file(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"cannot read .*none\.yaml: No such file.*gcsim init"):
        load_spec(tmp_path / "none.yaml")


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(b"\xff\xfe\x00name")
    with pytest.raises(SpecError, match="is not UTF-8 text"):
        load_spec(tmp_path / "a.yaml")


def test_the_path_of_a_profile_is_relative_to_the_spec(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("{}")
    (tmp_path / "a.yaml").write_text(HEAD + "machine: {profile: mine.yaml}")
    assert load_spec(tmp_path / "a.yaml").machine.profile == str((tmp_path / "mine.yaml").resolve())
    (tmp_path / "a.yaml").write_text(HEAD + "machine: {profile: yours.yaml}")
    with pytest.raises(SpecError, match=r"\$\.machine\.profile \(line 2\): 'yours.yaml' is no file"):
        load_spec(tmp_path / "a.yaml")
