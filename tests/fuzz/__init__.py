"""Random events of every kind that a feed or a user could send, and what must hold after them.

Each target has a ``play(rng, events, seen)`` that plays one round of about that many events on
fresh objects, raises AssertionError where something that must hold does not, and counts in `seen`
what came up, so that a run can tell what it has covered. A round is made of its seed alone.

``python -m tests.fuzz [EVENTS] [SEED]`` plays many rounds; `tests/core/test_fuzz.py` a few.
"""
