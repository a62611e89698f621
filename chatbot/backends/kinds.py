"""The ways in which a model does not answer: what a visitor reads of each, and what its operator does about it.

The one table of them (docs/chatbot.md shows it); chatbot.backends.refusals says which one an answer of a provider is.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """`visitor`: what is the matter, and whether trying again helps; `{when}` stands for when.

    `site`: it meets every question, not this one alone; `retried`: a moment later it may be gone, so it is tried once
    more before anybody reads of it.
    """

    name: str
    visitor: str
    operator: str
    when: str = "in a moment"  # where the provider names no time
    site: bool = True
    retried: bool = False

    @property
    def again(self) -> bool:
        """Whether trying again may help, as the visitor reads it."""
        return "will not help" not in self.visitor


CREDITS = Kind(
    "credits",
    "The credits of this site for its model are used up. Trying again will not help until its operator adds some.",
    "add credits at the provider (Hugging Face: https://huggingface.co/settings/billing), or set a CHATBOT_MODEL or "
    "CHATBOT_PROVIDER that the account can pay",
)
UNPAID = Kind(
    "unpaid",
    "This site's account is not set up to pay for its model. Trying again will not help until its operator does so.",
    "turn on paying as you go or add a means of payment at the provider (Hugging Face: "
    "https://huggingface.co/settings/billing), or set another CHATBOT_PROVIDER",
)
GATED = Kind(
    "gated",
    "This site has not been given access to its model. Trying again will not help until its operator has asked for it.",
    "ask for access or accept the terms on the model's page, as the account that the token is of; or set another "
    "CHATBOT_MODEL",
)
NO_PROVIDER = Kind(
    "no_provider",
    "No provider that this site uses offers its model. Trying again will not help until its operator chooses another.",
    "set a CHATBOT_MODEL that a provider offers (https://huggingface.co/models?inference_provider=all), or the "
    "CHATBOT_PROVIDER that offers it, and see that it is on in https://huggingface.co/settings/inference-providers",
)
NO_MODEL = Kind(
    "no_model",
    "This site's model is not to be found. Trying again will not help until its operator has looked at it.",
    "correct CHATBOT_MODEL, and CHATBOT_BASE_URL if there is one: it is what stands before /chat/completions and most "
    "often ends in /v1",
)
LOADING = Kind(
    "loading",
    "The model is being loaded. Please try again {when}.",
    "wait; a server that loads its model at the first question can be kept warm there",
    when="in a minute",
    retried=True,
)
TOO_LONG = Kind(
    "too_long",
    "This is too long for the model. Please shorten your message or start a new conversation.",
    "lower CHATBOT_MAX_TURNS, CHATBOT_MAX_INPUT_CHARS or CHATBOT_MAX_TOKENS until they fit into the model's context",
    site=False,
)
FILTERED = Kind(
    "filtered",
    "The provider's content filter did not let this question or its answer through. Asking the same again will not "
    "help; other words may.",
    "nothing, unless it meets harmless questions: then loosen the provider's filter, or look at CHATBOT_SYSTEM_PROMPT",
    site=False,
)
UNAUTHORISED = Kind(
    "unauthorised",
    "The model's provider does not accept this site's token. Trying again will not help until its operator sets "
    "another.",
    "make a token (Hugging Face: https://huggingface.co/settings/tokens), then: python -m orchestrator secret set; "
    "for an OpenAI-compatible server it is CHATBOT_API_KEY",
)
FORBIDDEN = Kind(
    "forbidden",
    "This site's token is valid, but is not allowed to use the model. Trying again will not help until its operator "
    "allows it.",
    "give the token the permission to call the model (Hugging Face: 'Make calls to Inference Providers' in "
    "https://huggingface.co/settings/tokens)",
)
RATE_LIMITED = Kind(
    "rate_limited",
    "The model is receiving too many requests. Please try again {when}.",
    "raise the limit at the provider, or lower CHATBOT_RATE_PER_MINUTE",
    when="in a minute",
)
PAGE = Kind(
    "page",
    "Something that is not the model answered. Trying again will not help until this site's operator has looked at it.",
    "see what lies in front of the model: a proxy, a sign-in page, a CHATBOT_BASE_URL that is not an API's (it most "
    "often ends in /v1)",
)
UNREACHABLE = Kind(
    "unreachable",
    "The model's server cannot be reached right now. Please try again {when}.",
    "see that the server runs and that tasks reach it: routes, security groups, a way to the internet; with "
    "CHATBOT_BASE_URL its address, port, and http or https",
    retried=True,
)
CERTIFICATE = Kind(
    "certificate",
    "The model's server could not prove that it is the right one. Trying again will not help until its operator has "
    "looked at it.",
    "give the server a certificate that a public authority signed, for the name in CHATBOT_BASE_URL; or put your own "
    "authority into the image and name its file in SSL_CERT_FILE",
)
NO_NAME = Kind(
    "no_name",
    "The model's server was not found by its name. If it stays so in a minute, trying again will not help until its "
    "operator has looked at it.",
    "see that tasks can resolve names: the VPC's resolver, a way to the internet; with CHATBOT_BASE_URL correct its "
    "host, and give a private name its hosted zone",
)
UNAVAILABLE = Kind(
    "unavailable",
    "The model is not available right now. Please try again {when}.",
    "look at the provider's status page, or the server's own log",
    retried=True,
)
NOT_INSTALLED = Kind(
    "not_installed",
    "This site has no model. Trying again will not help until its operator has given it one.",
    "set a token (python -m orchestrator secret set) or CHATBOT_BASE_URL, or put a model into the image: build "
    "argument WITH_MODEL=1, or MODEL_GGUF",
)
TIMED_OUT = Kind(
    "timed_out",
    "The model took too long to answer. Please try again {when}.",
    "if it stays so, raise CHATBOT_FIRST_TOKEN_SECONDS or set a faster CHATBOT_MODEL",
    retried=True,
)
STALLED = Kind(
    "stalled",
    "The model stopped in the middle of its answer. What had arrived is kept; try again for a whole one.",
    "if it stays so, raise CHATBOT_STALL_SECONDS or CHATBOT_ANSWER_SECONDS, or set a faster CHATBOT_MODEL",
)
INTERRUPTED = Kind(
    "interrupted",
    "The connection to the model broke off. What had arrived is kept; try again for a whole answer.",
    "look at the log of the model's server, and at what lies between: proxies end what is silent for long",
    retried=True,
)
UNSUPPORTED = Kind(
    "unsupported",
    "The model does not work with this site's settings. Trying again will not help until its operator changes them.",
    "change the setting that the provider names, or set another CHATBOT_MODEL",
)
REJECTED = Kind(
    "rejected",
    "The model's provider did not take this request. Asking the same again will not help; a new conversation may.",
    "read what the provider says of it; a CHATBOT_ setting may be one that it does not take",
    site=False,
)
GARBLED = Kind(
    "garbled",
    "The model's answer could not be read. Please try again {when}.",
    "see that CHATBOT_BASE_URL is of an OpenAI-compatible API, and what lies between",
)
EMPTY = Kind(
    "empty",
    "The model sent no answer. Please try again, or ask in other words.",
    "a model that thinks before it answers may spend all its tokens on that: raise CHATBOT_MAX_TOKENS",
    site=False,
)
FAILED = Kind(
    "backend",
    "The model could not answer. Please try again {when}.",
    "read the log: what failed there was not foreseen",
)

STARTING = Kind("starting", "The model is being loaded. This takes a moment.", "wait until it has been asked once")

KINDS = (
    CREDITS, UNPAID, GATED, NO_PROVIDER, NO_MODEL, LOADING, TOO_LONG, FILTERED, UNAUTHORISED, FORBIDDEN, RATE_LIMITED,
    PAGE, UNREACHABLE, CERTIFICATE, NO_NAME, UNAVAILABLE, NOT_INSTALLED, TIMED_OUT, STALLED, INTERRUPTED, UNSUPPORTED,
    REJECTED, GARBLED, EMPTY, FAILED,
)  # fmt: skip


def in_words(seconds: float) -> str:
    """A time from now, as people say it."""
    seconds = min(seconds, 100 * 86_400)
    if seconds < 2:
        return "in a moment"
    for most, unit, length in ((90, "second", 1), (5400, "minute", 60), (129_600, "hour", 3600)):
        if seconds <= most:
            number = max(1, -int(-seconds // length))
            about = "" if length == 1 else "about "
            return f"in {about}{number} {unit}{'s' if number > 1 else ''}"
    return f"in about {-int(-seconds // 86_400)} days"
