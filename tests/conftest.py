"""What holds for every test: how Hypothesis searches.

`make test` gives the same answer every time. To search further, with new examples each time:
`.venv/bin/pytest tests/property --hypothesis-profile=search`.
"""

import os

from hypothesis import settings

# The tests may themselves run in a container; what they test is a host unless they say otherwise.
os.environ["JOULEFLEET_ENVIRONMENT"] = "bare"

settings.register_profile("repeatable", derandomize=True, max_examples=50, deadline=None, database=None)
settings.register_profile("search", max_examples=5000, deadline=None)
settings.load_profile("repeatable")
