"""The declaration of a pipeline, checked as CreatePipeline and UpdatePipeline check it.

https://docs.aws.amazon.com/codepipeline/latest/userguide/reference-pipeline-structure.html
"""

from __future__ import annotations

import copy
import re
from dataclasses import dataclass

from emulator.control import roles
from emulator.control.codepipeline import triggers
from emulator.control.codepipeline.tables import Json
from emulator.state.call import AwsError, Call
from emulator.state.store import Store

PRINCIPAL = "codepipeline.amazonaws.com"

_NAME = re.compile(r"[A-Za-z0-9.@\-_]{1,100}")


@dataclass(frozen=True)
class Kind:
    """An action type of AWS: how many artifacts it takes and gives, and its configuration."""

    inputs: tuple[int, int]
    outputs: tuple[int, int]
    required: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()


_IMAGES = tuple(f"Image{number}{suffix}" for number in range(1, 5) for suffix in ("ArtifactName", "ContainerName"))

KINDS: dict[tuple[str, str], Kind] = {
    ("Source", "CodeCommit"): Kind(
        (0, 0), (1, 1), ("RepositoryName", "BranchName"), ("PollForSourceChanges", "OutputArtifactFormat")
    ),
    ("Source", "S3"): Kind(
        (0, 0), (1, 1), ("S3Bucket", "S3ObjectKey"), ("PollForSourceChanges", "AllowOverrideForS3ObjectKey")
    ),
    ("Source", "ECR"): Kind((0, 0), (1, 1), ("RepositoryName",), ("ImageTag",)),
    ("Source", "CodeStarSourceConnection"): Kind(
        (0, 0), (1, 1), ("ConnectionArn", "FullRepositoryId", "BranchName"), ("DetectChanges", "OutputArtifactFormat")
    ),
    **{
        (category, "CodeBuild"): Kind(
            (1, 5), (0, 5), ("ProjectName",),
            ("PrimarySource", "EnvironmentVariables", "BatchEnabled", "CombineArtifacts"),
        )
        for category in ("Build", "Test")
    },
    ("Approval", "Manual"): Kind((0, 0), (0, 0), (), ("NotificationArn", "CustomData", "ExternalEntityLink")),
    ("Deploy", "CodeDeployToECS"): Kind(
        (1, 5), (0, 0),
        ("ApplicationName", "DeploymentGroupName", "TaskDefinitionTemplateArtifact", "AppSpecTemplateArtifact"),
        ("TaskDefinitionTemplatePath", "AppSpecTemplatePath", *_IMAGES),
    ),
    ("Deploy", "ECS"): Kind((1, 1), (0, 0), ("ClusterName", "ServiceName"), ("FileName", "DeploymentTimeout")),
    ("Deploy", "S3"): Kind(
        (1, 1), (0, 0), ("BucketName", "Extract"), ("ObjectKey", "KMSEncryptionKeyARN", "CannedACL", "CacheControl")
    ),
    ("Invoke", "Lambda"): Kind((0, 5), (0, 5), ("FunctionName",), ("UserParameters",)),
}  # fmt: skip


def checked(store: Store, call: Call, given: Json) -> Json:
    """`given` with AWS's defaults in it; raises AWS's errors."""
    declaration = _with_defaults(given)
    _top(declaration)
    for position, stage in enumerate(declaration["stages"]):
        _stage(stage, position, call.region)
    _names(declaration["stages"])
    _artifacts(declaration["stages"])
    triggers.check(declaration)
    if declaration["pipelineType"] == "V2" and (found := triggers.with_defaults(declaration)):
        declaration["triggers"] = found
    try:
        roles.check(store, declaration["roleArn"], PRINCIPAL)
    except roles.RoleRefused as error:
        raise AwsError(
            "InvalidStructureException",
            f"CodePipeline is not authorized to perform AssumeRole on role {declaration['roleArn']}: {error}",
        ) from error
    return declaration


def _with_defaults(given: Json) -> Json:
    declaration = copy.deepcopy(given)
    declaration.setdefault("pipelineType", "V1")
    declaration.setdefault("executionMode", "SUPERSEDED")
    for stage in declaration["stages"]:
        for action in stage["actions"]:
            action.setdefault("runOrder", 1)
            for member in ("configuration", "inputArtifacts", "outputArtifacts"):
                action.setdefault(member, {} if member == "configuration" else [])
    return declaration


def _top(declaration: Json) -> None:
    if not _NAME.fullmatch(declaration["name"]):
        raise AwsError(
            "ValidationException", f"1 validation error detected: Value '{declaration['name']}' at 'pipeline.name' "
            "failed to satisfy constraint: Member must satisfy regular expression pattern: [A-Za-z0-9.@\\-_]+",
        )  # fmt: skip
    if not declaration.get("artifactStore") and not declaration.get("artifactStores"):
        raise _structure("Pipeline must have either an artifactStore or artifactStores")
    if len(declaration["stages"]) < 2:
        raise _structure("Pipeline has only 1 stage(s). There should be a minimum of 2 stages in a pipeline")
    if declaration["pipelineType"] == "V1":
        if declaration["executionMode"] != "SUPERSEDED":
            raise AwsError("ValidationException", "The execution mode must be SUPERSEDED for a pipeline of the type V1")
        if declaration.get("variables") or declaration.get("triggers"):
            raise AwsError("ValidationException", "Variables and triggers need a pipeline of the type V2")


def _structure(message: str) -> AwsError:
    return AwsError("InvalidStructureException", message)


def _stage(stage: Json, position: int, region: str) -> None:
    if not _NAME.fullmatch(stage["name"]):
        raise AwsError("InvalidStageDeclarationException", f"Stage name '{stage['name']}' is not valid")
    if not stage["actions"]:
        raise AwsError("InvalidStageDeclarationException", f"Stage '{stage['name']}' has no actions")
    if stage.get("beforeEntry") or stage.get("onSuccess") or (stage.get("onFailure") or {}).get("conditions"):
        raise AwsError("ValidationException", f"the emulator does not support the conditions of stage {stage['name']}")
    sources = [action["actionTypeId"]["category"] == "Source" for action in stage["actions"]]
    if position == 0 and not all(sources):
        raise _structure("Pipeline should start with a stage that only contains source actions")
    if position > 0 and any(sources):
        raise _structure(f"Stage '{stage['name']}' has a source action; only the first stage can have one")
    for action in stage["actions"]:
        _action(action, region)


def _action(action: Json, region: str) -> None:
    name, kind_id = action["name"], action["actionTypeId"]
    if not _NAME.fullmatch(name):
        raise _declared(f"Action name '{name}' is not valid")
    kind = KINDS.get((kind_id["category"], kind_id["provider"]))
    if kind is None or kind_id["owner"] != "AWS" or kind_id["version"] != "1":
        named = ", ".join(
            f"{key.capitalize()}: '{kind_id[key]}'" for key in ("category", "provider", "owner", "version")
        )
        raise _declared(
            f"ActionType ({named}) in action '{name}' is not available in region {region.upper().replace('-', '_')}"
        )
    _configuration(name, action["configuration"], kind)
    for word, found, (least, most) in (
        ("input", action["inputArtifacts"], kind.inputs), ("output", action["outputArtifacts"], kind.outputs)
    ):  # fmt: skip
        if not least <= len(found) <= most:
            raise _declared(
                f"Action '{name}' has {len(found)} {word} artifact(s). The number must be between {least} and {most}"
            )
    if not 1 <= action["runOrder"] <= 999:
        raise _declared(f"Action '{name}' has the run order {action['runOrder']}; it must be between 1 and 999")


def _declared(message: str) -> AwsError:
    return AwsError("InvalidActionDeclarationException", message)


def _configuration(name: str, configuration: Json, kind: Kind) -> None:
    for key in kind.required:
        if not configuration.get(key):
            raise _declared(f"Action configuration for action '{name}' is missing required configuration '{key}'")
    for key, value in configuration.items():
        if key not in (*kind.required, *kind.optional):
            raise _declared(f"Action configuration for action '{name}' contains unknown configuration '{key}'")
        if len(value) > 1000 and key != "EnvironmentVariables":
            raise _declared(f"Action configuration '{key}' of action '{name}' is longer than 1000 characters")
    for number in range(1, 5):
        pair = [f"Image{number}{suffix}" for suffix in ("ArtifactName", "ContainerName")]
        given = [key for key in pair if configuration.get(key)]
        if len(given) == 1:
            missing = next(key for key in pair if key not in given)
            raise _declared(f"Action configuration is missing '{missing}' configuration.")


def _names(stages: list[Json]) -> None:
    names = [stage["name"] for stage in stages]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise AwsError("InvalidStageDeclarationException", f"Stage name '{twice}' is not unique in the pipeline")
    namespaces: set[str] = set()
    for stage in stages:
        actions = [action["name"] for action in stage["actions"]]
        if twice := next((name for name in actions if actions.count(name) > 1), None):
            raise _declared(f"Action name '{twice}' is not unique in stage '{stage['name']}'")
        for space in (action["namespace"] for action in stage["actions"] if action.get("namespace")):
            if space in namespaces or space in ("codepipeline", "variables"):
                raise _declared(f"Namespace '{space}' is reserved or not unique in the pipeline")
            namespaces.add(space)


def _artifacts(stages: list[Json]) -> None:
    """Every input is an output of an action before: of an earlier stage, or of a lower run order in the same one."""
    known: set[str] = set()
    for stage in stages:
        for order in sorted({action["runOrder"] for action in stage["actions"]}):
            here = [action for action in stage["actions"] if action["runOrder"] == order]
            for action in here:
                for artifact in action["inputArtifacts"]:
                    if artifact["name"] not in known:
                        raise _declared(
                            f"Input Artifact Bundle {artifact['name']} in action {action['name']} is not declared as "
                            "Output Artifact Bundle in any of the preceding actions"
                        )
            for artifact in (artifact for action in here for artifact in action["outputArtifacts"]):
                if artifact["name"] in known:
                    raise _declared(
                        f"Output Artifact Bundle name must be unique within the pipeline: {artifact['name']}"
                    )
                known.add(artifact["name"])
