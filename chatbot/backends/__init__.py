"""Where answers come from: three backends behind the interface in `base`, and one that says that there is none."""

from __future__ import annotations

from chatbot.backends.base import Backend
from chatbot.settings import Settings


def create(settings: Settings) -> Backend:
    """The backend that the settings name. Cheap: it neither loads a model nor calls out; `check` does."""
    # Imported here so that the embedded app pays for no HTTP client at start, and the others for no llama.cpp.
    if settings.backend == "embedded":
        from chatbot.backends.embedded import Embedded

        return Embedded(settings)
    if settings.backend == "none":
        from chatbot.backends.absent import Absent

        return Absent()
    from chatbot.backends.remote import huggingface, openai

    return huggingface(settings) if settings.backend == "huggingface" else openai(settings)
