"""Lessons on Go's memory management: two small simulations each, before and after a change, and what to see in them.

``catalog`` has the lessons as data, their claims included; ``compare`` runs both sides and judges the claims;
``picture`` draws them.  The specs lie in ``specs`` and, for reading, in `workloads/lessons/`.
"""
