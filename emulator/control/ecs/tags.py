"""Tags of every kind of resource."""

from __future__ import annotations

from emulator.control.ecs import errors, lookup
from emulator.state.call import Answer, Call
from emulator.state.store import Store


def _tags(store: Store, arn: str) -> dict[str, str]:
    tables = lookup.tables(store)
    if arn in tables.tasks:
        return tables.tasks[arn].tags
    task_sets = {each.arn for service in tables.services.values() for each in service.task_sets}
    definitions = {each.arn for revisions in tables.families.values() for each in revisions}
    if arn in tables.clusters or arn in tables.services or arn in task_sets or arn in definitions:
        return tables.tags.setdefault(arn, {})
    if not arn.startswith("arn:"):
        raise errors.invalid("The ARN provided is invalid.")
    raise errors.invalid("The specified resource was not found.")


def tag_resource(store: Store, call: Call) -> Answer:
    with store.change():
        tags = _tags(store, call.parameters["resourceArn"])
        new = lookup.tags_of(call.parameters["tags"])
        if any(key.lower().startswith("aws:") for key in new):
            raise errors.invalid("Tag keys cannot start with 'aws:'; this prefix is reserved for AWS use.")
        if len(tags | new) > 50:
            raise errors.invalid("Resource can have at most 50 tags.")
        tags.update(new)
        return {}


def untag_resource(store: Store, call: Call) -> Answer:
    with store.change():
        tags = _tags(store, call.parameters["resourceArn"])
        for key in call.parameters["tagKeys"]:
            tags.pop(key, None)
        return {}


def list_tags_for_resource(store: Store, call: Call) -> Answer:
    with store.lock:
        return {"tags": lookup.tag_list(_tags(store, call.parameters["resourceArn"]))}
