"""How much is tried: the same at each run, so that red stays red; with `--hypothesis-profile long` more, at random."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# No deadline for an example: a machine that is busy with other things is no finding. Each test has one of its own.
settings.register_profile(
    "same",
    max_examples=100,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.register_profile("long", settings.get_profile("same"), max_examples=5000, derandomize=False)
settings.load_profile("same")
