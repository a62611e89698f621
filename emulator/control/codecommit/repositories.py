"""CodeCommit's operations on repositories, their tags and their branches."""

from __future__ import annotations

import re
import uuid
from datetime import UTC, datetime
from typing import Any

from emulator.control.codecommit.house import (
    CodeCommitTables,
    Deed,
    operations,
    own,
    page,
    repositories,
    repository_deed,
    repository_name,
    required,
)
from emulator.data.repositories import CodeCommitError, Repository
from emulator.state.call import Answer, AwsError, Call
from emulator.state.store import Store

_PAGE = 1000
_TAGS_LIMIT = 50
_DESCRIPTION_LIMIT = 1000
_AWS_MANAGED_KEY = "alias/aws/codecommit"


def create_repository(store: Store, call: Call) -> Answer:
    name = required(
        call, "repositoryName", "RepositoryNameRequired", "A repository name is required, but was not specified."
    )
    tags = _checked_tags(call.parameters.get("tags") or {})
    description = _checked_description(call)
    with store.change():
        repository = repositories(store).create(name, description)
        deed = Deed(call.account, call.region, tags, call.parameters.get("kmsKeyId"))
        store.table(CodeCommitTables).deeds[name] = deed
    return {"repositoryMetadata": _metadata(store, call, repository, deed)}


def get_repository(store: Store, call: Call) -> Answer:
    name = repository_name(store, call)
    return {"repositoryMetadata": _described(store, call, name)}


def batch_get_repositories(store: Store, call: Call) -> Answer:
    names = required(
        call,
        "repositoryNames",
        "RepositoryNamesRequired",
        "At least one repository name object is required, but was not specified.",
    )
    if len(names) > 100:
        raise AwsError(
            "MaximumRepositoryNamesExceededException",
            "The maximum number of allowed repository names was exceeded. Currently, this number is 100.",
        )
    found: list[Answer] = []
    missing: list[str] = []
    for name in dict.fromkeys(names):
        try:
            found.append(_described(store, call, name))
        except CodeCommitError as error:
            if error.code != "RepositoryDoesNotExistException":
                raise
            missing.append(name)
    return {"repositories": found, "repositoriesNotFound": missing}


def list_repositories(store: Store, call: Call) -> Answer:
    by_date = call.parameters.get("sortBy") == "lastModifiedDate"
    found = sorted(own(store, call), key=lambda one: (one.modified if by_date else 0, one.name))
    if call.parameters.get("order") == "descending":
        found.reverse()
    part, token = page(found, call.parameters.get("nextToken"), _PAGE)
    listed = [{"repositoryName": one.name, "repositoryId": one.identifier} for one in part]
    return {"repositories": listed, **_next(token)}


def delete_repository(store: Store, call: Call) -> Answer:
    """Deleting what is not there is no error, and answers nothing."""
    try:
        name = repository_name(store, call)
    except CodeCommitError as error:
        if error.code == "RepositoryDoesNotExistException":
            return {}
        raise
    with store.change():
        identifier = repositories(store).delete(name)
        store.table(CodeCommitTables).deeds.pop(name, None)
    return {"repositoryId": identifier} if identifier else {}


def update_repository_name(store: Store, call: Call) -> Answer:
    old = repository_name(store, call, "oldName")
    new = required(call, "newName", "RepositoryNameRequired", "A repository name is required, but was not specified.")
    with store.change():
        repositories(store).rename(old, new)
        deeds = store.table(CodeCommitTables).deeds
        deeds[new] = deeds.pop(old)
    return {}


def update_repository_description(store: Store, call: Call) -> Answer:
    repositories(store).describe(repository_name(store, call), _checked_description(call))
    return {}


def update_repository_encryption_key(store: Store, call: Call) -> Answer:
    name = repository_name(store, call)
    deed = repository_deed(store, call, name)
    original = deed.key or _AWS_MANAGED_KEY
    with store.change():
        deed.key = call.parameters["kmsKeyId"]
    identifier = repositories(store).get(name).identifier
    return {"repositoryId": identifier, "kmsKeyId": deed.key, "originalKmsKeyId": original}


def get_repository_triggers(store: Store, call: Call) -> Answer:
    deed = repository_deed(store, call, repository_name(store, call))
    return {"configurationId": deed.triggers_version, "triggers": deed.triggers}


def put_repository_triggers(store: Store, call: Call) -> Answer:
    deed = repository_deed(store, call, repository_name(store, call))
    with store.change():
        deed.triggers = list(call.parameters.get("triggers") or [])
        deed.triggers_version = str(uuid.uuid4())
    return {"configurationId": deed.triggers_version}


# Tags


def tag_resource(store: Store, call: Call) -> Answer:
    deed = _tagged(store, call)
    tags = _checked_tags({**deed.tags, **(call.parameters.get("tags") or {})})
    with store.change():
        deed.tags = tags
    return {}


def untag_resource(store: Store, call: Call) -> Answer:
    deed = _tagged(store, call)
    with store.change():
        for key in call.parameters.get("tagKeys") or []:
            deed.tags.pop(key, None)
    return {}


def list_tags_for_resource(store: Store, call: Call) -> Answer:
    return {"tags": dict(_tagged(store, call).tags)}


# Branches


def create_branch(store: Store, call: Call) -> Answer:
    name = repository_name(store, call)
    commit = required(call, "commitId", "CommitIdRequired", "A commit ID was not specified.")
    repositories(store).create_branch(name, branch_name(call), commit)
    return {}


def get_branch(store: Store, call: Call) -> Answer:
    name, branch = repository_name(store, call), branch_name(call)
    return {"branch": {"branchName": branch, "commitId": repositories(store).branch(name, branch)}}


def list_branches(store: Store, call: Call) -> Answer:
    branches = sorted(repositories(store).branches(repository_name(store, call)))
    part, token = page(branches, call.parameters.get("nextToken"), _PAGE)
    return {"branches": part, **_next(token)}


def delete_branch(store: Store, call: Call) -> Answer:
    name, branch = repository_name(store, call), branch_name(call)
    commit = repositories(store).delete_branch(name, branch)
    return {"deletedBranch": {"branchName": branch, "commitId": commit}} if commit else {}


def update_default_branch(store: Store, call: Call) -> Answer:
    name = repository_name(store, call)
    repositories(store).set_default_branch(name, branch_name(call, "defaultBranchName"))
    return {}


def branch_name(call: Call, parameter: str = "branchName") -> str:
    return str(required(call, parameter, "BranchNameRequired", "A branch name is required, but was not specified."))


def _described(store: Store, call: Call, name: str) -> Answer:
    deed = repository_deed(store, call, name)
    return _metadata(store, call, repositories(store).get(name), deed)


def _metadata(store: Store, call: Call, repository: Repository, deed: Deed) -> Answer:
    """The API's RepositoryMetadata; a repository without description or commit has no such member."""
    name = repository.name
    branch = repositories(store).default_branch(name)
    return {
        "accountId": deed.account,
        "repositoryId": repository.identifier,
        "repositoryName": name,
        **({"repositoryDescription": repository.description} if repository.description else {}),
        **({"defaultBranch": branch} if branch else {}),
        "lastModifiedDate": datetime.fromtimestamp(repository.modified, UTC),
        "creationDate": datetime.fromtimestamp(repository.created, UTC),
        "cloneUrlHttp": f"{store.config.url}/v1/repos/{name}",
        "cloneUrlSsh": f"ssh://git-codecommit.{deed.region}.amazonaws.com/v1/repos/{name}",
        "Arn": call.arn(name),
        **({"kmsKeyId": deed.key} if deed.key else {}),
    }


def _tagged(store: Store, call: Call) -> Deed:
    arn = required(
        call,
        "resourceArn",
        "ResourceArnRequired",
        "A valid Amazon Resource Name (ARN) for an CodeCommit resource is required.",
    )
    found = re.fullmatch(r"arn:aws[\w-]*:codecommit:[\w-]+:\d{12}:([\w.-]+)", arn)
    if found is None:
        raise AwsError("InvalidResourceArnException", "The value for the resource ARN is not valid.")
    return repository_deed(store, call, found[1])


def _checked_tags(tags: dict[str, Any]) -> dict[str, str]:
    if any(key.startswith("aws:") for key in tags):
        raise AwsError(
            "InvalidSystemTagUsageException", "The specified tag is not valid. Key names cannot be prefixed with aws:."
        )
    if len(tags) > _TAGS_LIMIT:
        raise AwsError(
            "TooManyTagsException", "The maximum number of tags for an CodeCommit resource has been exceeded."
        )
    if any(not 1 <= len(key) <= 128 or len(value) > 256 for key, value in tags.items()):
        raise AwsError("InvalidTagsMapException", "The map of tags is not valid.")
    return dict(tags)


def _checked_description(call: Call) -> str | None:
    description = call.parameters.get("repositoryDescription")
    if description and len(description) > _DESCRIPTION_LIMIT:
        raise AwsError("InvalidRepositoryDescriptionException", "The specified repository description is not valid.")
    return description or None


def _next(token: str | None) -> Answer:
    return {"nextToken": token} if token else {}


OPERATIONS = operations(
    {
        "BatchGetRepositories": batch_get_repositories,
        "CreateBranch": create_branch,
        "CreateRepository": create_repository,
        "DeleteBranch": delete_branch,
        "DeleteRepository": delete_repository,
        "GetBranch": get_branch,
        "GetRepository": get_repository,
        "GetRepositoryTriggers": get_repository_triggers,
        "ListBranches": list_branches,
        "ListRepositories": list_repositories,
        "ListTagsForResource": list_tags_for_resource,
        "PutRepositoryTriggers": put_repository_triggers,
        "TagResource": tag_resource,
        "UntagResource": untag_resource,
        "UpdateDefaultBranch": update_default_branch,
        "UpdateRepositoryDescription": update_repository_description,
        "UpdateRepositoryEncryptionKey": update_repository_encryption_key,
        "UpdateRepositoryName": update_repository_name,
    }
)
