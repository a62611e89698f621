"""CodePipeline's events.

https://docs.aws.amazon.com/codepipeline/latest/userguide/detect-state-changes-cloudwatch-events.html
"""

from __future__ import annotations

from emulator.control.codepipeline.tables import ActionRun, Execution, Json
from emulator.control.events.bus import emit
from emulator.state.store import Store


def _notify(store: Store, execution: Execution, what: str, detail: Json) -> None:
    account, region = execution.scope
    base = {"pipeline": execution.pipeline, "execution-id": execution.id, "version": float(execution.version)}
    arn = f"arn:aws:codepipeline:{region}:{account}:{execution.pipeline}"
    emit(
        store, execution.scope, "aws.codepipeline", f"CodePipeline {what} Execution State Change", {**base, **detail},
        [arn],
    )  # fmt: skip


def notify_execution(store: Store, execution: Execution, state: str) -> None:
    trigger = {"execution-trigger": execution.pushed} if execution.pushed else {}
    _notify(store, execution, "Pipeline", {"state": state, "start-time": execution.started.isoformat(), **trigger})


def notify_stage(store: Store, execution: Execution, stage: str, state: str) -> None:
    _notify(store, execution, "Stage", {"stage": stage, "state": state})


def notify_action(store: Store, execution: Execution, run: ActionRun, state: str) -> None:
    kind = run.declaration["actionTypeId"]
    detail: Json = {
        "stage": run.stage, "action": run.name, "state": state, "region": execution.scope[1],
        "type": {key: kind[key] for key in ("owner", "provider", "category", "version")},
    }  # fmt: skip
    if run.external_id or run.error:
        detail["execution-result"] = {
            "external-execution-id": run.external_id, "external-execution-summary": run.summary,
            "external-execution-url": run.external_url, "error-code": (run.error or {}).get("code"),
        }  # fmt: skip
    _notify(store, execution, "Action", detail)
