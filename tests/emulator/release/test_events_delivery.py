"""Which events a rule matches, what its targets are sent, and what PutEvents refuses."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from emulator.control.events.patterns import matches
from emulator.loops import events
from emulator.loops.runner import Loop, Runner
from emulator.state.store import Store
from tests.waiting import eventually

EVENT = {
    "source": "shop", "detail-type": "Order", "region": "us-east-1", "resources": ["arn:a", "arn:b"],
    "detail": {"id": "o-1", "count": 3, "paid": True, "to": {"city": "Oslo"}, "lines": [{"sku": "x"}, {"sku": "y"}],
               "address": "10.0.0.7", "note": None},
}  # fmt: skip


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ({"source": ["shop"]}, True),
        ({"source": ["other"]}, False),
        ({"source": ["other", "shop"], "detail-type": ["Order"]}, True),
        ({"source": ["shop"], "detail-type": ["Refund"]}, False),
        ({"resources": ["arn:b"]}, True),
        ({"detail": {"to": {"city": ["Oslo"]}}}, True),
        ({"detail": {"to": {"street": ["Oslo"]}}}, False),
        ({"detail": {"lines": {"sku": ["y"]}}}, True),
        ({"detail": {"lines": {"sku": ["z"]}}}, False),
        ({"detail": {"id": [{"prefix": "o-"}]}}, True),
        ({"detail": {"id": [{"suffix": "-2"}]}}, False),
        ({"detail": {"id": [{"equals-ignore-case": "O-1"}]}}, True),
        ({"detail": {"id": [{"wildcard": "o*1"}]}}, True),
        ({"detail": {"id": [{"anything-but": "o-1"}]}}, False),
        ({"detail": {"id": [{"anything-but": ["a", "b"]}]}}, True),
        ({"detail": {"id": [{"anything-but": {"prefix": "o-"}}]}}, False),
        ({"detail": {"missing": [{"anything-but": "x"}]}}, False),
        ({"detail": {"missing": [{"exists": False}]}}, True),
        ({"detail": {"id": [{"exists": False}]}}, False),
        ({"detail": {"count": [3]}}, True),
        ({"detail": {"count": [{"numeric": [">", 1, "<=", 3]}]}}, True),
        ({"detail": {"count": [{"numeric": ["=", 4]}]}}, False),
        ({"detail": {"paid": [1]}}, False),
        ({"detail": {"paid": [True], "note": [None]}}, True),
        ({"detail": {"address": [{"cidr": "10.0.0.0/24"}]}}, True),
        ({"detail": {"address": [{"cidr": "10.1.0.0/24"}]}}, False),
        ({"detail": {"$or": [{"id": ["no"]}, {"count": [3]}]}}, True),
        ({"detail": {"$or": [{"id": ["no"]}, {"count": [4]}]}}, False),
    ],
)
def test_a_pattern_matches_as_eventbridge_says(pattern: dict[str, Any], expected: bool) -> None:
    assert matches(pattern, EVENT) is expected


@pytest.fixture
def bus(store: Store) -> Iterator[Any]:
    """A client; a rule "orders" matches what the source "shop" puts."""
    runner = Runner(store, [Loop("events", events.reconcile, 0.05)])
    runner.start()
    client = store.clients("events")
    client.put_rule(Name="orders", EventPattern=json.dumps({"source": ["shop"]}))
    yield client
    runner.close()


def _queue(store: Store, bus: Any, **target: Any) -> str:
    url = store.clients("sqs").create_queue(QueueName="orders")["QueueUrl"]
    arn = "arn:aws:sqs:us-east-1:123456789012:orders"
    bus.put_targets(Rule="orders", Targets=[{"Id": "1", "Arn": arn, **target}])
    return str(url)


def _received(store: Store, url: str) -> str:
    def message() -> str:
        found = store.clients("sqs").receive_message(QueueUrl=url).get("Messages", [])
        return str(found[0]["Body"]) if found else ""

    return str(eventually(message))


def _put(bus: Any, source: str = "shop", **changes: Any) -> dict[str, Any]:
    entry = {"Source": source, "DetailType": "Order", "Detail": json.dumps({"id": "o-1", "count": 3}), **changes}
    answer: dict[str, Any] = bus.put_events(Entries=[entry])
    return answer


def test_an_event_reaches_a_queue_whole(store: Store, bus: Any) -> None:
    url = _queue(store, bus)
    _put(bus, "elsewhere")
    identifier = _put(bus)["Entries"][0]["EventId"]
    event = json.loads(_received(store, url))
    assert event["id"] == identifier and event["detail"] == {"id": "o-1", "count": 3}
    assert (event["source"], event["detail-type"], event["account"]) == ("shop", "Order", "123456789012")


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ({"Input": '{"said": 1}'}, {"said": 1}),
        ({"InputPath": "$.detail"}, {"id": "o-1", "count": 3}),
        (
            {"InputTransformer": {"InputPathsMap": {"id": "$.detail.id", "n": "$.detail.count"},
                                  "InputTemplate": '{"order": "<id>", "id": <id>, "count": <n>}'}},
            {"order": "o-1", "id": "o-1", "count": 3},
        ),
    ],
)  # fmt: skip
def test_a_target_is_sent_what_it_makes_of_the_event(
    store: Store, bus: Any, target: dict[str, Any], message: dict[str, Any]
) -> None:
    url = _queue(store, bus, **target)
    _put(bus)
    assert json.loads(_received(store, url)) == message


def test_a_disabled_rule_sends_nothing(store: Store, bus: Any) -> None:
    url = _queue(store, bus)
    bus.disable_rule(Name="orders")
    bus.put_rule(Name="second", EventPattern=json.dumps({"detail-type": ["Second"]}))
    bus.put_targets(Rule="second", Targets=[{"Id": "1", "Arn": "arn:aws:sqs:us-east-1:123456789012:orders"}])
    _put(bus)
    second = _put(bus, DetailType="Second")["Entries"][0]["EventId"]
    assert json.loads(_received(store, url))["id"] == second  # events are delivered in their order


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"Source": "aws.codecommit"}, "NotAuthorizedForSourceException"),
        ({"Detail": "{"}, "MalformedDetail"),
        ({"Detail": "[]"}, "MalformedDetail"),
        ({"DetailType": ""}, "InvalidArgument"),
    ],
)
def test_an_entry_that_is_no_event_is_refused_alone(bus: Any, change: dict[str, str], code: str) -> None:
    good = {"Source": "shop", "DetailType": "Order", "Detail": "{}"}
    answer = bus.put_events(Entries=[{**good, **change}, good])
    assert answer["FailedEntryCount"] == 1
    assert answer["Entries"][0]["ErrorCode"] == code and answer["Entries"][1]["EventId"]
