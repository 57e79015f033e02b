"""The Go ecosystem's text formats, so that tools made for real programs read simulated ones, and the other way round.

``gctrace`` writes and parses the runtime's line per collection.
"""
