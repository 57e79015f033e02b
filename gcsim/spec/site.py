"""Where a program allocates: sites, whose fate (stack or heap) the release's compiler decides."""

from __future__ import annotations

import warnings
from typing import Literal, Self

from pydantic import Field, model_validator

from gcsim.spec.fields import Bool, Bytes, Count, Model, Name, check_pointers

Construct = Literal[
    "variable", "new", "composite", "make", "make_map", "append", "conversion", "interface_conversion"
]
Flow = Literal[
    "returned",
    "global",
    "stored_in_argument",
    "copied",
    "closure_local",
    "closure_returned",
    "goroutine",
    "defer",
    "channel",
    "map_value",
    "interface_escaping",
    "interface_local",
    "container_local",
    "argument_not_retained",
    "argument_to_unknown_function",
    "method_value_returned",
    "outlives_loop_iteration",
]


with warnings.catch_warnings():
    # The compiler's word is wanted here; pydantic's deprecated method of this name, which it hides, is not.
    warnings.filterwarnings("ignore", 'Field name "construct"')

    class AllocationSite(Model):
        """A place in the program that allocates: on the stack or in the heap, as the release's compiler decides."""

        name: Name = Field(description="what steps call it")
        construct: Construct = Field(  # type: ignore[assignment]  # pydantic's own is deprecated
            description="what allocates: a variable whose address is taken, new, &T{} (composite), make of a slice, "
            "make of a map, append, string to bytes (conversion), a value put into an interface"
        )
        size: Bytes | None = Field(default=None, description="bytes, as far as the compiler knows them")
        constant_size: Bool = Field(default=True, description="make: the size is a constant")
        pointer_words: Count = Field(default=0, description="words up to the last pointer; 0 = pointer-free")
        flows: tuple[Flow, ...] = Field(
            default=(),
            max_length=100,
            description="what happens to its address; none: only used in the function",
        )
        escapes: Bool | None = Field(
            default=None, description="what a compiler said about it (-gcflags=-m), instead of the rules"
        )
        where: str = Field(default="", description="file and line, and the compiler's words, for people")

        @model_validator(mode="after")
        def _fits(self) -> Self:
            check_pointers(self.size, self.pointer_words)
            return self
