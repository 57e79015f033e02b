"""The PI controller, call by call, bit for bit."""

from __future__ import annotations

from pathlib import Path

import pytest

from gcsim.policy.pi_controller import PIController
from tests.policy.vector_files import Records, bits, files_of, number


@pytest.mark.parametrize("path", files_of("pi_controller"), ids=lambda path: path.name)
def test_pi_controller(path: Path) -> None:
    for record in Records(path):
        controller = PIController(
            kp=number(record["kp"]),
            ti=number(record["ti"]),
            tt=number(record["tt"]),
            minimum=number(record["min"]),
            maximum=number(record["max"]),
        )
        for index, op in enumerate(record["ops"]):
            output, ok = controller.next(number(op["input"]), number(op["setpoint"]), number(op["period"]))
            got = (
                bits(output),
                ok,
                bits(controller.err_integral),
                controller.err_overflow,
                controller.input_overflow,
            )
            want = (
                bits(number(op["output"])),
                op["ok"],
                bits(number(op["err_integral"])),
                op["err_overflow"],
                op["input_overflow"],
            )
            assert got == want, f"{record['case']} op {index}"
