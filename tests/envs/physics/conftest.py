"""Settings for the tests of the physics."""

from hypothesis import settings

# The first call of a law compiles it, which no deadline of a single example can cover.
settings.register_profile("compiled", deadline=None)
settings.load_profile("compiled")
