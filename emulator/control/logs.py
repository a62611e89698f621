"""CloudWatch Logs: moto keeps groups and events; FilterLogEvents is ours, for order across streams and for patterns."""

from __future__ import annotations

from emulator.control.log_patterns import pattern
from emulator.control.operation import Operation
from emulator.state import moto
from emulator.state.call import Answer, AwsError, Call
from emulator.state.store import Store

_LIMIT = 10_000


def filter_log_events(store: Store, call: Call) -> Answer:
    """By time, streams interleaved. The token is the number of events that were read: events are only ever added."""
    asked = call.parameters
    group = asked.get("logGroupName") or str(asked.get("logGroupIdentifier", "")).rpartition(":log-group:")[2]
    streams = moto.log_events(call.account, call.region, group)
    if streams is None:
        raise AwsError("ResourceNotFoundException", "The specified log group does not exist.")
    names, prefix = asked.get("logStreamNames"), asked.get("logStreamNamePrefix") or ""
    matches = pattern(asked.get("filterPattern") or "")
    first, last = asked.get("startTime") or 0, asked.get("endTime")
    found = [
        event
        for stream, events in streams.items()
        if (not names or stream in names) and stream.startswith(prefix)
        for event in events
        if first <= event["timestamp"] and (last is None or event["timestamp"] <= last) and matches(event["message"])
    ]
    found.sort(key=lambda event: (event["timestamp"], int(event["eventId"])))
    start, size = int(asked.get("nextToken") or 0), int(asked.get("limit") or _LIMIT)
    more = {"nextToken": str(start + size)} if start + size < len(found) else {}
    return {"events": found[start : start + size], "searchedLogStreams": []} | more


OPERATIONS: dict[str, Operation] = {"FilterLogEvents": filter_log_events}
