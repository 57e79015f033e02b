"""What Go's memory management is made of, and the lessons on each."""

from __future__ import annotations

from gcsim.lessons.catalog import LESSONS

SYSTEMS: dict[str, tuple[str, ...]] = {
    "stack allocation": ("stack", "stack-growth"),
    "heap allocation": ("size-classes", "tiny"),
    "escape analysis": ("escape",),
    "value and reference semantics": ("values",),
    "slices": ("append-hint", "subslice", "queue"),
    "maps": ("map-hint", "map-delete", "map-pointers"),
    "tri-colour marking": ("tricolor", "write-barrier"),
    "concurrent mark and sweep": ("pauses", "gogc"),
    "generations": ("generations", "generational"),
    "stop-the-world collection": ("stop-the-world",),
    "globals": ("globals", "memory-limit"),
    "pointers to large structs": ("large-values", "nil-early", "large-structs"),
    "sync.Pool": ("pool",),
    "scope and lifetime": ("scope",),
    "data structures": ("lists", "arrays"),
    "profiling": ("profile",),
}
"""System -> its lessons; a lesson that is in none of them is listed after them."""


def by_system() -> dict[str, tuple[str, ...]]:
    """Every lesson under what it is about."""
    listed = {name for names in SYSTEMS.values() for name in names}
    rest = tuple(name for name in LESSONS if name not in listed)
    return SYSTEMS | ({"more": rest} if rest else {})
