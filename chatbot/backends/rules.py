"""Which kind of refusal a provider means, by its status, its codes and its words.

There is no agreement among them: the same 403 is a token without a permission, a model with a gate, and a filter. Each
rule is met by what a provider was seen to answer; tests/chatbot/refusals.py has those answers, with their sources.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from chatbot.backends import kinds
from chatbot.backends.kinds import Kind


@dataclass(frozen=True)
class Rule:
    """`kind` is meant where a code or the words match, within `statuses` if there are any; or by a status alone."""

    kind: Kind
    codes: tuple[str, ...] = ()  # whole words
    words: tuple[str, ...] = ()
    statuses: tuple[int, ...] = ()

    def meets(self, status: int | None, codes: str, words: str) -> bool:
        """Whether it does; an event in a stream has no status, and is met by what it says."""
        if not self.codes and not self.words:
            return status in self.statuses
        if self.statuses and status is not None and status not in self.statuses:
            return False
        return _has(rf"\b(?:{'|'.join(self.codes)})\b" if self.codes else "", codes) or _has(
            "|".join(self.words), words
        )


def _has(pattern: str, text: str) -> bool:
    return bool(pattern) and re.search(pattern, text, re.IGNORECASE | re.DOTALL) is not None


def kind_of(status: int | None, codes: str, words: str) -> Kind:
    """The kind of the first rule that meets it."""
    for rule in RULES:
        if rule.meets(status, codes, words):
            return rule.kind
    return kinds.REJECTED if status and status < 500 else kinds.FAILED


# What is about money comes early: it borrows the statuses and the words of all others. Before it what ends by itself,
# since limits of a minute are told with an offer to sell higher ones.
RULES = (
    Rule(
        kinds.RATE_LIMITED,
        words=(r"(retry|try again) (in|after) .{0,12}\d", r"^rate limit (reached|exceeded)"),
        statuses=(429,),
    ),
    Rule(
        kinds.UNPAID,
        words=(
            r"pay.?as.?you.?go.{0,40}\bnot\b",
            r"\bnot\b.{0,30}pay.?as.?you.?go",
            r"(add|no|valid|missing|without) .{0,20}payment method",
            r"billing.{0,30}(not|n't).{0,15}(enabled|active|configured|set up)",
            r"(enable|activate|set up) billing",
        ),
    ),
    Rule(
        kinds.CREDITS,
        codes=(
            r"insufficient_(user_)?(quota|balance|credits?|funds)",
            r"credits?_(limit|exhausted|insufficient)",
            r"not_enough_\w+",
            r"payment_required",
            r"billing_\w+",
            r"out_of_credits",
            r"budget_exceeded",
            r"arrearage",
            r"\w*overdue\w*",
        ),
        words=(
            r"(exceed|used (up|all)|r[ua]n out|out of|exhaust|deplet|insufficient|not enough|no remaining|too low|low|"
            r"more|negative|zero|reached).{0,60}(credit|balance|funds|spending|monthly included)",
            r"(credit|balance|funds|budget|spending limit).{0,40}(exceed|used up|exhaust|deplet|insufficient|too low|"
            r"not enough|negative|reached|required)",
            r"exceeded your current quota|plan and billing|payment required",
            r"(purchase|buy|add|top up|recharge) .{0,20}(credit|balance|funds)",
            r"(account|quota).{0,30}(overdue|arrears)|(trial|free) (key|tier|plan).{0,60}(/|per) ?month",
            r"quota is not enough|余额不足|额度不足|欠费",
        ),
    ),
    Rule(kinds.CREDITS, statuses=(402,)),
    Rule(
        kinds.FILTERED,
        codes=(
            r"content_?(filter\w*|policy\w*)",
            r"ResponsibleAI\w*",
            r"moderation\w*",
            r"\w*inspection_?failed",
            r"(PROHIBITED|SENSITIVE)_\w+",
            r"safety\w*",
            r"flagged",
        ),
        words=(
            r"content (management |filter\w* |safety |usage )?polic",
            r"content[_ -]?filter|moderation|\bflagged\b",
            r"(inappropriate|harmful|sensitive|unsafe|prohibited) content",
            r"safety (system|filter|polic|setting|reason)",
            r"(violat|against).{0,60}(polic|guideline)",
            r"blocked (by|due to|for) .{0,40}(safety|filter|polic)",
            r"敏感|违规|不安全",
        ),
    ),
    Rule(
        kinds.GATED,
        codes=(r"gated\w*", r"model_access_denied", r"model_terms_required"),
        words=(
            r"\bgated\b|authorized list|awaiting (a )?review|(ask for|request) access|not been granted",
            r"(accept|agree to|acknowledge).{0,40}(terms|licen[cs]e|conditions|agreement)",
            r"access to (the |this )?(model|repo\w*|resource) .{0,120}(restricted|denied|limited|disabled)",
            r"(not|n't|no) (have )?access to (the |this )?(requested )?(model|repo)|must have access to it",
        ),
    ),
    Rule(
        kinds.FORBIDDEN,
        codes=(
            r"insufficient_(permission|scope)s?",
            r"permission_(denied|error)",
            r"missing_scopes?",
            r"forbidden",
            r"access_denied\w*",
            r"unsupported_country\w*",
        ),
        words=(
            r"(sufficient|missing|required|lacks?|without).{0,40}(permission|scope|privilege)",
            r"(not|n't) (have|allowed|permitted|authori[sz]ed).{0,60}(permission|to (call|use|access|perform|invoke))",
            r"permission (denied|to )",
            r"(country|region|territory).{0,30}not supported",
        ),
        statuses=(401, 403),
    ),
    Rule(
        kinds.NO_PROVIDER,
        codes=(
            r"model_not_supported",
            r"provider_not_(supported|found|available)",
            r"no_(\w+_)?(provider|endpoint)s?\w*",
        ),
        words=(
            r"not supported by .{0,40}provider",
            r"provider .{0,60}not supported|unsupported provider",
            r"no (\w+ ){0,3}(provider|endpoint)s?\b.{0,60}(found|available|mapping|support|match|enabled)",
        ),
    ),
    Rule(
        kinds.LOADING,
        codes=(r"(model_)?(is_)?loading", r"model_(warming\w*|starting|not_ready)"),
        words=(
            r"(currently|still|is|being) (being )?(load|warm|start|initiali[sz]|wak)(ing|ed)\b",
            r"\bloading model|warming up",
            r"model .{0,60}not (yet )?(ready|loaded)",
            r"cold.?start|scal(ed|ing) (to|up|from).{0,10}(zero|0|replica)",
        ),
        statuses=(400, 404, 409, 425, 429, 500, 502, 503, 504),
    ),
    Rule(
        kinds.TOO_LONG,
        codes=(
            r"context_(length|window)_exceeded",
            r"\w*exceed_context\w*",
            r"string_above_max_length",
            r"request_(entity_)?too_large",
            r"(prompt|input|message|context)_too_(long|large)",
            r"tokens_limit_reached",
            r"\w*max_prompt_tokens_exceeded",
        ),
        words=(
            r"(maximum|max|model'?s) context|context (length|window|size|limit)|max_model_len|maximum prompt length",
            r"(prompt|inputs?|messages?|conversation)\b.{0,60}\b(too (long|large)|longer than|exceeds?)",
            r"(request|payload|entity) (is )?too large|too many (\w+ )?tokens|exceeded model token",
            r"reduce (the length|your (prompt|message|input))",
            r"tokens.{0,40}must be <=|exceeds? .{0,40}(token|input|length|context) limit",
            r"input length.{0,30}(should|must|exceed)|exceeds? .{0,20}maximum .{0,20}(length|tokens)",
        ),
    ),
    Rule(
        kinds.UNAUTHORISED,
        codes=(
            r"(invalid|incorrect|expired|missing|wrong|unknown)_(api_?key|token|credentials?|auth\w*|user_token)",
            r"auth\w*_(error|failed|required)",
            r"unauthenticated|unauthorized|no_auth\w*",
            r"api_?key_invalid|invalidapikey|token_(expired|revoked)",
        ),
        words=(
            r"(invalid|incorrect|wrong|expired|revoked|missing|malformed|unknown|no|valid)\b.{0,25}\b"
            r"(api.?key|token\b|credential|username or password|auth\w* header)",
            r"(api.?keys?|\btoken|credentials?)\b.{0,30}\b(not valid|not found|invalid|expired|revoked|incorrect|"
            r"missing|disabled|required)",
            r"authentication (failed|required|error|is required)|not authenticated|please log ?in",
            r"non-Hugging Face API key",
        ),
        statuses=(400, 401, 403, 407),
    ),
    Rule(kinds.UNAUTHORISED, statuses=(401, 407)),
    Rule(
        kinds.RATE_LIMITED,
        codes=(
            r"rate_?limit\w*",
            r"too_many_\w+",
            r"resource_exhausted",
            r"throttl\w+",
            r"\w*concurrency\w*",
            r"quota_?exceeded",
            r"(requests|tokens)_per_\w+",
        ),
        words=(
            r"rate.?limit|too many requests|throttl|quota exceeded|(requests|tokens) per|concurren\w+ (limit|request)",
        ),
        statuses=(400, 403, 413, 429, 500, 503, 529),
    ),
    Rule(kinds.RATE_LIMITED, statuses=(429,)),
    Rule(
        kinds.NO_MODEL,
        codes=(
            r"(model|deployment|resource|repo)_?not_?(found|exist\w*)",
            r"not_?found\w*",
            r"(invalid|unknown)_model\w*",
            r"model_(decommissioned|deprecated|removed|unavailable)",
        ),
        words=(
            r"model\b.{0,120}\b(not found|not exist|n't exist|not a valid|decommission|deprecated|removed|retired|"
            r"no longer|unknown)",
            r"(no such|unknown|invalid) model|not a valid model|repository not found",
            r"endpoint .{0,30}(paused|stopped|deleted)|invalid state",
        ),
        statuses=(400, 403, 404, 410, 422),
    ),
    Rule(kinds.NO_MODEL, statuses=(404, 410)),
    Rule(
        kinds.UNSUPPORTED,
        codes=(
            r"unsupported_\w+",
            r"unknown_(parameter|field)",
            r"invalid_(parameter|value|type)\w*",
            r"extra_forbidden",
            r"literal_error",
        ),
        words=(
            r"(unsupported|unrecogni[sz]ed|unknown|unexpected|extra|invalid) (\w+ )?"
            r"(arguments?|parameters?|fields?|values?|inputs?|property|keyword|role)",
            r"not (supported|permitted|allowed)|(does not|n't) support|only .{0,30}(supported|allowed)",
            r"must (be|alternate)|should be|system (role|message|prompt)",
        ),
        statuses=(400, 405, 415, 422),
    ),
    Rule(kinds.TOO_LONG, statuses=(413, 414)),
    Rule(
        kinds.TIMED_OUT,
        codes=(r"\w*time_?d?_?out\w*", r"deadline_exceeded"),
        words=(r"timed? ?out|deadline exceeded",),
        statuses=(408, 500, 502, 503, 504, 524),
    ),
    Rule(kinds.TIMED_OUT, statuses=(408, 504, 524)),
    Rule(kinds.FORBIDDEN, statuses=(403, 451)),
    Rule(kinds.UNSUPPORTED, statuses=(405, 415, 422)),
    Rule(
        kinds.UNAVAILABLE,
        codes=(r"\w*overload\w*", r"service_unavailable\w*", r"server_error", r"unavailable\w*"),
        words=(r"overloaded",),
    ),
    Rule(kinds.UNAVAILABLE, statuses=tuple(range(500, 600))),
)
