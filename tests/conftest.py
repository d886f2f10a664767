"""What all tests have in common."""

from contextlib import suppress

with suppress(ImportError):
    from hypothesis import settings

    # How long an example takes says more of the machine than of the code.
    settings.register_profile("untimed", deadline=None)
    settings.load_profile("untimed")
