"""What holds for every test."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

# A loaded machine is no failure: speed is measured in benchmarks. CI tries the same examples each time, so that a red
# run there can be repeated; a developer's run goes on looking for new ones.
settings.register_profile("here", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", settings.get_profile("here"), derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "here")
