"""The PI controller of Go's runtime: pace of the background scavenger, and cons/mark estimate of Go 1.19."""

from __future__ import annotations

import math


class PIController:
    """A proportional-integral controller with a clamped output and anti-windup.

    Args:
        kp: proportional constant.
        ti: integral time constant, in the unit of `period`; 0 switches the integral part off.
        tt: reset time, same unit; 0 switches the integral part off.
        minimum: lower bound of the output, also the output after a failure.
        maximum: upper bound of the output.

    Source: runtime/mgcscavenge.go piController (go1.19 .. go1.27). Simplified: no.
    """

    __slots__ = ("err_integral", "err_overflow", "input_overflow", "kp", "maximum", "minimum", "ti", "tt")

    def __init__(self, *, kp: float, ti: float, tt: float, minimum: float, maximum: float) -> None:
        self.kp = kp
        self.ti = ti
        self.tt = tt
        self.minimum = minimum
        self.maximum = maximum
        self.err_integral = 0.0
        self.err_overflow = False
        self.input_overflow = False

    def next(self, measured: float, setpoint: float, period: float) -> tuple[float, bool]:
        """Feed one sample; returns the new output and whether the computation stayed finite.

        The flags `input_overflow` and `err_overflow` stay set once raised; the integral is reset with them.
        """
        prop = self.kp * (setpoint - measured)
        raw_output = prop + self.err_integral

        output = raw_output
        if math.isinf(output) or math.isnan(output):
            self.err_integral = 0.0
            self.input_overflow = True
            return self.minimum, False
        if output < self.minimum:
            output = self.minimum
        elif output > self.maximum:
            output = self.maximum

        if self.ti != 0 and self.tt != 0:
            # The second term is the anti-windup: it bleeds the integral while the output is clamped.
            integral_gain = self.kp * period / self.ti
            self.err_integral += integral_gain * (setpoint - measured) + (period / self.tt) * (
                output - raw_output
            )
            if math.isinf(self.err_integral) or math.isnan(self.err_integral):
                self.err_integral = 0.0
                self.err_overflow = True
                return self.minimum, False
        return output, True
