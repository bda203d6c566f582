"""Why a model can't be fetched."""

from framelane.core.errors import FramelaneError


class FetchError(FramelaneError):
    """A model can't be fetched; the message says what to do."""
