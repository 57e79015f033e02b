"""A machine profile from micro records: least squares with priors.

Unknowns are the logarithms of the profile's constants relative to their priors (`priors.yaml`).  Residuals are those of
the observations (`observations`) and, for each constant, how far it has moved from its prior; so combinations that the
records leave open stay where they were.  Uncertainties come from the curvature at the solution.  A constant whose
uncertainty the records do not make clearly smaller is *unidentified*: it goes back to its prior, value and origin, and the
others are fitted again.

Micro records only: every other program checks predictions, and a fit that has seen it proves nothing.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
import numpy.typing as npt
import yaml
from scipy.optimize import least_squares

from gcsim.errors import Problem, SpecError
from gcsim.fit.observations import Observation, observations
from gcsim.fit.records import Record
from gcsim.spec.models import GO_RELEASES
from gcsim.spec.profile import CONSTANTS, Constant, MachineProfile, Stall, measured_release

FloatArray = npt.NDArray[np.float64]

DIGITS = 4
"""Significant digits of a fitted constant: more than it is known to, few enough to be the same everywhere."""
IDENTIFIED = 0.7
"""A constant is identified if its uncertainty is below so much of the prior's."""
_FIXED = 1e-9  # relative standard deviation below which a constant is not fitted
_STEP = 1e-4  # of the logarithm, for slopes
_SAME_PACE = 0.1  # logarithm of the pace of a machine that priors are taken for as they are
_SHARE = 0.1  # records that give less of what is known about a constant are not named with it
_NAMED = 4
_WIDTH = 118


@dataclass(frozen=True, kw_only=True)
class FittedConstant:
    """One constant of the profile.

    Attributes:
        name: as in the profile; a stall's numbers are ``stalls[0].rate_per_s``.
        value: what the profile gets.
        sigma: its relative standard deviation, the prior's if it is unidentified.
        prior, prior_sigma: what was taken for granted; 0 = not fitted.
        identified: whether the records say more than the prior.
        cases: records that say most about it, in order of weight; empty if unidentified.
        origin: what the profile says.
    """

    name: str
    value: float
    sigma: float
    prior: float
    prior_sigma: float
    identified: bool
    cases: tuple[str, ...]
    origin: str


@dataclass(frozen=True, kw_only=True)
class FittedObservation:
    """One number of a record beside what the profile says; `residual` is the difference in standard deviations."""

    case: str
    name: str
    measured: float
    fitted: float
    sigma: float
    residual: float


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """A fitted profile and how good it is.

    Attributes:
        profile: the machine profile.
        constants, observations: in the profile's order; by case.
        chi2: sum of squared residuals of the observations.
        dof: observations less constants identified.
    """

    profile: MachineProfile
    constants: tuple[FittedConstant, ...]
    observations: tuple[FittedObservation, ...]
    chi2: float
    dof: int

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "name": self.profile.name,
            "go": self.profile.go,
            "chi2": self.chi2,
            "dof": self.dof,
            "constants": [vars(c) | {"cases": list(c.cases)} for c in self.constants],
            "observations": [vars(o) for o in self.observations],
        }


# ---- priors ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Prior:
    value: float
    sigma: float
    origin: str


@cache
def _priors() -> dict[str, Any]:
    data: dict[str, Any] = yaml.safe_load((files("gcsim.fit") / "priors.yaml").read_text())
    return data


def priors(go_release: str) -> tuple[dict[str, _Prior], list[dict[str, Any]]]:
    """Constants by name, those of stalls among them, and the stalls, for the measured release nearest to this one."""
    release = _priors()["releases"][measured_release(go_release)]
    constants = {
        name: _Prior(p["value"], p["sigma"], p["origin"]) for name, p in release["constants"].items()
    }
    constants = {name: constants[name] for name in CONSTANTS}
    for i, stall in enumerate(release["stalls"]):
        for field, sigma in zip(_STALL_FIELDS, stall["sigmas"], strict=True):
            constants[f"stalls[{i}].{field}"] = _Prior(stall[field], sigma, stall["origin"])
    return constants, release["stalls"]


_STALL_FIELDS = ("rate_per_s", "mean_ns", "sigma")


# ---- fitting ---------------------------------------------------------------------------------------------------


def calibrate(records: Sequence[Record], *, name: str, machine: str | None = None) -> Calibration:
    """The profile of the machine that made these records.

    Args:
        records: micro cases of one Go release, with repeats.
        name: what the profile is called.
        machine: what the machine is, for people; default: the recorded one.
    Raises:
        SpecError: another record than a micro case, one without repeats, or of another release; all at once.
    """
    release = _check(records)
    found = [o for record in records for o in observations(record)]
    known, stalls = priors(release)
    machine = machine or _priors()["machine"]
    template = _Template(known, stalls, name=name, go=release, machine=machine)
    pace = _pace(found, template)
    if abs(math.log(pace)) > _SAME_PACE:
        known = {n: _at_pace(n, prior, pace) for n, prior in known.items()}
        template = _Template(known, stalls, name=name, go=release, machine=machine)
    read = frozenset[str]().union(*(_reads(o, template) for o in found))
    free = [n for n, p in known.items() if p.sigma > _FIXED and n in read]
    solution, spread, shares = _fit(found, template, free, {})
    identified = [n for n in free if spread[n] < IDENTIFIED * known[n].sigma]
    while True:  # what goes back to its prior may leave another unidentified
        solution, spread, shares = _fit(found, template, identified, solution)
        still = [n for n in identified if spread[n] < IDENTIFIED * known[n].sigma]
        if still == identified:
            break
        identified = still
    values = {n: _rounded(known[n].value * math.exp(solution[n])) for n in identified}
    constants = []
    for n, prior in known.items():
        is_known = n in values
        cases = _cases(found, shares[n]) if is_known else ()
        constants.append(
            FittedConstant(
                name=n,
                value=values.get(n, prior.value),
                sigma=spread[n] if is_known else prior.sigma,
                prior=prior.value,
                prior_sigma=prior.sigma,
                identified=is_known,
                cases=cases,
                origin=f"measured: calibrate, {', '.join(cases)}, ± {100 * spread[n]:.2g} %"
                if is_known
                else prior.origin,
            )
        )
    profile = template.profile(values, {c.name: c.origin for c in constants if c.identified})
    fitted = tuple(
        FittedObservation(
            case=o.case,
            name=o.name,
            measured=o.measured,
            fitted=o.predict(profile),
            sigma=o.sigma,
            residual=o.residual(profile),
        )
        for o in found
    )
    return Calibration(
        profile=profile,
        constants=tuple(constants),
        observations=fitted,
        chi2=sum(o.residual**2 for o in fitted),
        dof=len(fitted) - len(identified),
    )


def _is_cpu_time(name: str, prior: _Prior) -> bool:
    """Whether the constant is time that a processor takes: what goes with how fast it is."""
    return prior.sigma > _FIXED and name.endswith(("_ns", "_ns_per_byte")) and not name.startswith("stalls[")


def _pace(found: Sequence[Observation], template: _Template) -> float:
    """How many times what the priors say all CPU times together take here.

    Priors come from one machine; on one of another age most of them are off in the same direction, and a constant that no
    observation determines by itself follows the others.
    """
    scaled = [n for n, prior in template.known.items() if _is_cpu_time(n, prior)]

    def residuals(x: FloatArray) -> FloatArray:
        factor = math.exp(float(x[0]))
        profile = template.trial({n: template.known[n].value * factor for n in scaled})
        return np.array([o.residual(profile) for o in found])

    return math.exp(float(least_squares(residuals, [0.0], loss="soft_l1").x[0]))


def _at_pace(name: str, prior: _Prior, pace: float) -> _Prior:
    if not _is_cpu_time(name, prior):
        return prior
    origin = f"{prior.origin}; times {pace:.2g}, as micro programs are here on the whole"
    return _Prior(_rounded(prior.value * pace), prior.sigma, origin)


def _check(records: Sequence[Record]) -> str:
    """Release of the records, as profiles name it."""
    problems = []
    releases = sorted({_release(r) for r in records})
    for record in records:
        if not record.is_micro:
            problems.append(
                Problem(
                    record.case,
                    message="is not a micro case: predictions are checked on it, so it must not enter the calibration",
                    remedy="leave it out; give records of micro-* programs only",
                )
            )
        elif not record.repeats:
            problems.append(
                Problem(record.case, message="has no repeats, so nothing was measured", remedy="leave it out")
            )
        if len(releases) > 1 and _release(record) != releases[-1]:
            problems.append(
                Problem(
                    record.case,
                    message=f"is of Go {_release(record)}, others are of {releases[-1]}",
                    remedy="calibrate each release by itself",
                )
            )
    if not records:
        problems.append(Problem("records", message="none given", remedy="give records of micro-* programs"))
    elif releases[-1] not in GO_RELEASES:
        problems.append(
            Problem("$.settings.go", value=repr(releases[-1]), message="unknown release", remedy="")
        )
    if problems:
        raise SpecError(problems, source="calibrate")
    return releases[-1]


def _release(record: Record) -> str:
    return ".".join(str(record.settings["go"]).removeprefix("go").split(".")[:2])


class _Trial:
    """Numbers in place of a profile, thousands of times; remembers which were read."""

    def __init__(self, values: Mapping[str, float], stalls: Sequence[Mapping[str, Any]]) -> None:
        self._values = values
        self.read: set[str] = set()
        self.stalls = tuple(
            _StallTrial(self, i, all_cores_busy=s.get("all_cores_busy", False)) for i, s in enumerate(stalls)
        )

    def __getitem__(self, name: str) -> float:
        self.read.add(name)
        return self._values[name]


class _StallTrial:
    def __init__(self, trial: _Trial, number: int, *, all_cores_busy: bool) -> None:
        self._trial, self._number = trial, number
        self.all_cores_busy = all_cores_busy

    rate_per_s = property(lambda self: self._trial[f"stalls[{self._number}].rate_per_s"])
    mean_ns = property(lambda self: self._trial[f"stalls[{self._number}].mean_ns"])
    sigma = property(lambda self: self._trial[f"stalls[{self._number}].sigma"])


class _Template:
    """Profiles that differ from the priors in some constants."""

    def __init__(
        self,
        known: Mapping[str, _Prior],
        stalls: Sequence[Mapping[str, Any]],
        *,
        name: str,
        go: str,
        machine: str,
    ) -> None:
        self.known = known
        self._stalls = [{k: v for k, v in stall.items() if k != "sigmas"} for stall in stalls]
        self._head = {"name": name, "go": go, "machine": machine}

    def trial(self, values: Mapping[str, float]) -> _Trial:
        """For one evaluation: numbers only."""
        return _Trial({n: values.get(n, p.value) for n, p in self.known.items()}, self._stalls)

    def profile(self, values: Mapping[str, float], origins: Mapping[str, str]) -> MachineProfile:
        """The profile, checked."""
        stalls = self._stalls_with(values)
        for i, stall in enumerate(stalls):
            # A stall has one origin: the fitted numbers, then the prior's words on what is left of it.
            fitted = [f for f in _STALL_FIELDS if f"stalls[{i}].{f}" in origins]
            if len(fitted) == len(_STALL_FIELDS):
                stall["origin"] = origins[f"stalls[{i}].{fitted[0]}"]
            elif fitted:
                rest = stall["origin"].split(": ", 1)[1]
                stall["origin"] = (
                    f"{origins[f'stalls[{i}].{fitted[0]}']} ({', '.join(fitted)}); before: {rest}"
                )
        return MachineProfile(
            **self._head,
            constants={
                n: Constant(
                    value=values.get(n, self.known[n].value), origin=origins.get(n, self.known[n].origin)
                )
                for n in CONSTANTS
            },
            stalls=tuple(Stall(**s) for s in stalls),
        )

    def _stalls_with(self, values: Mapping[str, float]) -> list[dict[str, Any]]:
        return [
            {**s, **{f: values[k] for f in _STALL_FIELDS if (k := f"stalls[{i}].{f}") in values}}
            for i, s in enumerate(self._stalls)
        ]


def _fit(
    found: Sequence[Observation], template: _Template, free: Sequence[str], start: Mapping[str, float]
) -> tuple[dict[str, float], dict[str, float], dict[str, FloatArray]]:
    """Least squares over these constants.

    Returns:
        Logarithm of each over its prior; its relative standard deviation; and the squared slope of each observation's
        residual, one value per observation: how much it says about the constant.
    """
    known = template.known
    sigmas = np.array([known[n].sigma for n in free])

    if not free:
        return {}, {}, {}
    reads = [_reads(o, template) for o in found]

    def profile_at(x: FloatArray) -> _Trial:
        return template.trial({n: known[n].value * math.exp(float(v)) for n, v in zip(free, x, strict=True)})

    def residuals(x: FloatArray) -> FloatArray:
        profile = profile_at(x)
        return np.array([o.residual(profile) for o in found] + list(x / sigmas))

    def slopes_at(x: FloatArray) -> FloatArray:
        """Central differences, only where an observation reads the constant at all."""
        slopes = np.zeros((len(found) + len(free), len(free)))
        for i, n in enumerate(free):
            slopes[len(found) + i, i] = 1.0 / sigmas[i]
            step = np.zeros(len(free))
            step[i] = _STEP
            low, high = profile_at(x - step), profile_at(x + step)
            for j, o in enumerate(found):
                if n in reads[j]:
                    slopes[j, i] = (o.residual(high) - o.residual(low)) / (2 * _STEP)
        return slopes

    result = least_squares(
        residuals,
        np.array([start.get(n, 0.0) for n in free]),
        jac=slopes_at,
        x_scale=sigmas,
        xtol=1e-8,
        ftol=1e-10,
        gtol=1e-10,
    )
    jacobian: FloatArray = result.jac
    covariance = np.linalg.inv(jacobian.T @ jacobian)
    spread = np.sqrt(np.diag(covariance))
    slopes = jacobian[: len(found)] ** 2
    return (
        {n: float(v) for n, v in zip(free, result.x, strict=True)},
        {n: float(v) for n, v in zip(free, spread, strict=True)},
        {n: slopes[:, i] for i, n in enumerate(free)},
    )


def _reads(observation: Observation, template: _Template) -> frozenset[str]:
    """Which constants a prediction depends on."""
    trial = template.trial({})
    observation.predict(trial)
    return frozenset(trial.read)


def _cases(found: Sequence[Observation], shares: FloatArray) -> tuple[str, ...]:
    """Micro cases that say most about a constant: program and P, the release being the profile's."""
    weight: dict[str, float] = {}
    for observation, share in zip(found, shares, strict=True):
        program, _, settings = observation.case.partition("__")
        procs = next((part for part in settings.split("_") if part[:1] == "p" and part[1:].isdigit()), "")
        key = f"{program} {procs}".strip()
        weight[key] = weight.get(key, 0.0) + float(share)
    total = sum(weight.values())
    order = sorted(weight, key=lambda case: (-round(weight[case] / total, 3), case))
    return tuple(case for case in order if weight[case] >= _SHARE * total)[:_NAMED] or tuple(order[:1])


def _rounded(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")


# ---- writing ---------------------------------------------------------------------------------------------------


def profile_yaml(calibration: Calibration) -> str:
    """The profile as text: a head that says how it came about, one constant a line.  Same records, same bytes."""
    profile = calibration.profile
    known = sum(c.identified for c in calibration.constants)
    lines = [
        f"# Machine profile for Go {profile.go}, made by `gcsim calibrate` of the records of micro-* programs: {known} numbers are",
        f"# fitted to {len(calibration.observations)} observations, chi2 / degrees of freedom {calibration.chi2:.0f} / {calibration.dof}.  The others are priors, whose origins say",
        '# where they come from ("micro-..." there: medians worked out by hand).  p1, p2: the run with one or two Ps.',
        f"name: {profile.name}",
        f'go: "{profile.go}"',
        f"machine: {json.dumps(profile.machine, ensure_ascii=False)}",
        "constants:",
    ]
    for name, constant in profile.constants.items():
        lines.append(f"  {name}: {{value: {_number(constant.value)}, origin: {_text(constant.origin)}}}")
    lines.append("stalls:" if profile.stalls else "stalls: []")
    for stall in profile.stalls:
        numbers = ", ".join(f"{f}: {_number(getattr(stall, f))}" for f in _STALL_FIELDS)
        busy = ", all_cores_busy: true" if stall.all_cores_busy else ""
        busy += ", spread: true" if stall.spread else ""
        lines.append(f"  - {{{numbers}{busy}, origin: {_text(stall.origin)}}}")
    return "\n".join(lines) + "\n"


def _number(value: float) -> str:
    return f"{value:.10g}" if value < 1e10 else repr(value)


def _text(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
