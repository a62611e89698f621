"""EventBridge: rules and targets are moto's; PutEvents, matching and delivery are ours.

https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEvents.html
"""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime
from typing import Any

from emulator.control.events.bus import deliver
from emulator.control.events.patterns import matches
from emulator.control.operation import Operation
from emulator.state.call import Answer, AwsError, Call
from emulator.state.store import Store

_AT_ONCE = 10
_LARGEST = 262_144  # bytes of one call


def _put(store: Store, call: Call) -> Answer:
    entries = call.parameters["Entries"]
    if not 1 <= len(entries) <= _AT_ONCE:
        raise AwsError(
            "ValidationException",
            f"1 validation error detected: Value '{len(entries)} entries' at 'entries' failed to satisfy constraint: "
            "Member must have length less than or equal to 10",
        )
    if sum(len(json.dumps(entry, default=str)) for entry in entries) > _LARGEST:
        raise AwsError("ValidationException", "Total size of the entries in the request is over the limit.")
    answers = [_one(store, call, entry) for entry in entries]
    return {"FailedEntryCount": sum("ErrorCode" in answer for answer in answers), "Entries": answers}


def _one(store: Store, call: Call, entry: dict[str, Any]) -> Answer:
    for member in ("Source", "DetailType", "Detail"):
        if not entry.get(member):
            return _refused(
                "InvalidArgument", f"Parameter {member} is not valid. Reason: {member} is a required argument."
            )
    if entry["Source"].startswith("aws."):
        return _refused("NotAuthorizedForSourceException", "Not authorized for the source.")
    try:
        detail = json.loads(entry["Detail"])
        if not isinstance(detail, dict):
            raise ValueError
    except ValueError:
        return _refused("MalformedDetail", "Detail is malformed.")
    moment = entry.get("Time") or datetime.now(UTC)
    moment = moment if isinstance(moment, datetime) else datetime.fromtimestamp(float(moment), UTC)
    event = {
        "version": "0", "id": str(uuid.uuid4()), "detail-type": entry["DetailType"], "source": entry["Source"],
        "account": call.account, "time": f"{moment:%Y-%m-%dT%H:%M:%SZ}", "region": call.region,
        "resources": entry.get("Resources") or [], "detail": detail,
    }  # fmt: skip
    deliver(store, (entry.get("EventBusName") or "default").rpartition("/")[2], event)
    return {"EventId": event["id"]}


def _refused(code: str, message: str) -> Answer:
    return {"ErrorCode": code, "ErrorMessage": message}


def _test_pattern(store: Store, call: Call) -> Answer:
    try:
        pattern, event = json.loads(call.parameters["EventPattern"]), json.loads(call.parameters["Event"])
    except ValueError as error:
        raise AwsError("InvalidEventPatternException", f"Event pattern is not valid. Reason: {error}") from error
    return {"Result": matches(pattern, event)}


OPERATIONS: dict[str, Operation] = {"PutEvents": _put, "TestEventPattern": _test_pattern}
