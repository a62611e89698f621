"""What a rule's target is sent, by the service in its ARN.

https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-targets.html
"""

from __future__ import annotations

import json
import re
import time
import uuid
from collections.abc import Callable
from typing import Any

from emulator.control import roles
from emulator.control.codepipeline.tables import tables
from emulator.state.clients import DEVELOPER
from emulator.state.store import Store

PRINCIPAL = "events.amazonaws.com"

Json = dict[str, Any]


class Undeliverable(Exception):
    """A target of a service that the emulator sends nothing to."""


def deliver(store: Store, rule: Json, target: Json, event: Json) -> None:
    """Raises ClientError where the target refuses, RoleRefused where its role does."""
    service, region = target["Arn"].split(":")[2:4]
    send = _TARGETS.get(service)
    role = target.get("RoleArn")
    credentials = roles.assume(store, role, PRINCIPAL) if role else DEVELOPER

    def client(name: str) -> Any:
        return store.clients(name, region or event["region"], credentials)

    if service == "codepipeline":
        return _codepipeline(store, client, rule, target, event)
    if send is None:
        raise Undeliverable(f"the emulator delivers no events to {service}")
    return send(client, target, _input(target, event))


def _codepipeline(store: Store, client: Callable[[str], Any], rule: Json, target: Json, event: Json) -> None:
    """It takes no input; the token tells the pipeline which rule starts it, and that it is started once."""
    token = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{rule['Arn']} {event['id']}"))
    with store.lock:
        tables(store).event_rules[token] = rule["Arn"]
    client("codepipeline").start_pipeline_execution(name=target["Arn"].split(":")[5], clientRequestToken=token)


def _input(target: Json, event: Json) -> str:
    """The event, or what the target makes of it."""
    if target.get("Input"):
        return str(target["Input"])
    if target.get("InputPath"):
        return json.dumps(_path(target["InputPath"], event))
    transformer = target.get("InputTransformer")
    if not transformer:
        return json.dumps(event)
    values = {name: _path(path, event) for name, path in (transformer.get("InputPathsMap") or {}).items()}
    template = transformer["InputTemplate"]

    def value(matched: re.Match[str]) -> str:
        found = values.get(matched[2])
        quoted = matched[1] == '"' or not template.lstrip().startswith("{")
        text = found if isinstance(found, str) else json.dumps(found)
        return f"{matched[1]}{text}" if quoted else f"{matched[1]}{json.dumps(found)}"

    return re.sub(r"(.?)<([A-Za-z0-9_-]+)>", value, template, flags=re.DOTALL)


def _path(path: str, event: Json) -> Any:
    found: Any = event
    for part in path.removeprefix("$").strip(".").split("."):
        found = found.get(part) if part and isinstance(found, dict) else found
    return found


def _lambda(client: Callable[[str], Any], target: Json, text: str) -> None:
    client("lambda").invoke(FunctionName=target["Arn"], InvocationType="Event", Payload=text)


def _sqs(client: Callable[[str], Any], target: Json, text: str) -> None:
    url = client("sqs").get_queue_url(QueueName=target["Arn"].split(":")[5])["QueueUrl"]
    group = (target.get("SqsParameters") or {}).get("MessageGroupId")
    client("sqs").send_message(QueueUrl=url, MessageBody=text, **({"MessageGroupId": group} if group else {}))


def _sns(client: Callable[[str], Any], target: Json, text: str) -> None:
    client("sns").publish(TopicArn=target["Arn"], Message=text)


def _codebuild(client: Callable[[str], Any], target: Json, text: str) -> None:
    client("codebuild").start_build(projectName=target["Arn"].rpartition("/")[2])


def _logs(client: Callable[[str], Any], target: Json, text: str) -> None:
    group, stream = target["Arn"].split(":")[6], str(uuid.uuid4())
    client("logs").create_log_stream(logGroupName=group, logStreamName=stream)
    event = {"timestamp": int(time.time() * 1000), "message": text}
    client("logs").put_log_events(logGroupName=group, logStreamName=stream, logEvents=[event])


_TARGETS: dict[str, Callable[[Callable[[str], Any], Json, str], None]] = {
    "codebuild": _codebuild, "lambda": _lambda, "logs": _logs, "sns": _sns, "sqs": _sqs,
}  # fmt: skip
