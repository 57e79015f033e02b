"""Colours and words shared by all figures.  One hue per thing, wherever it is drawn."""

from __future__ import annotations

INK = "#1b2733"
MUTED = "#64748b"
GRID = "#e8edf3"
ACCENT = "#2563eb"
ACCENT_SOFT = "#93b4f5"
GOAL = "#0f766e"
TRIGGER = "#d97706"
LIMIT = "#be123c"
MEMORY = "#94a3b8"
NURSERY = "#0891b2"
FRONT = "#be123c"

# State of a P -> colour and words, in the order in which they are stacked: the program, the collector, the rest.
STATES: dict[str, tuple[str, str]] = {
    "mutator": ("#7f9ccb", "program"),
    "assist": ("#c2185b", "mark assist"),
    "dedicated": ("#e4572e", "dedicated worker"),
    "fractional": ("#f2994a", "fractional worker"),
    "idle_worker": ("#f4cf7c", "idle worker"),
    "stw": ("#111827", "world stopped"),
    "sweep": ("#4d9d6e", "sweep"),
    "scavenge": ("#8b6fc0", "scavenge"),
    "overhead": ("#b8c4d4", "scheduler, system calls"),
    "idle": ("#eef2f6", "idle"),
}
COLLECTOR = ("assist", "dedicated", "fractional", "idle_worker", "stw", "sweep", "scavenge")

PAUSES: dict[str, tuple[str, str]] = {
    "sweep_termination": ("#6366f1", "sweep termination"),
    "mark_termination": ("#111827", "mark termination"),
    "stop_the_world": ("#be123c", "whole cycle, world stopped"),
    "minor": ("#0891b2", "minor collection"),
    "other": ("#94a3b8", "other"),
}

COLOURS: dict[str, tuple[str, str]] = {
    "black": ("#1f2937", "black: reached and scanned"),
    "grey": ("#9ca3af", "grey: reached, not scanned"),
    "white": ("#e5e7eb", "white: not reached yet, garbage included"),
}

# Cause of a slow request -> colour and words.
CAUSES: dict[str, tuple[str, str]] = {
    "pause": ("#111827", "world stopped"),
    "assist": ("#c2185b", "its own mark assists"),
    "marking": ("#f2994a", "ran while a cycle was marking"),
    "queue": ("#6366f1", "waited to be begun"),
    "other": ("#b8c4d4", "no collection involved"),
}

QUANTILE_LINES = {"p50": ("#93b4f5", 0.5), "p99": ("#2563eb", 0.99), "p999": ("#1e3a8a", 0.999)}
