"""How long the properties are looked for, and that CI always looks in the same places."""

import os

from hypothesis import HealthCheck, settings

settings.register_profile(
    "accel_track",
    max_examples=60,
    stateful_step_count=30,
    deadline=None,
    derandomize=bool(os.environ.get("CI")),
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
settings.register_profile("long", settings.get_profile("accel_track"), max_examples=600, derandomize=False)
settings.load_profile(os.environ.get("ACCEL_TRACK_TEST_PROPERTIES", "accel_track"))
