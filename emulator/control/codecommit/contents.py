"""CodeCommit's operations on commits, files and folders."""

from __future__ import annotations

from typing import Any

from emulator.control.codecommit.house import operations, page, repositories, repository_name, required
from emulator.control.codecommit.repositories import branch_name
from emulator.data.repositories import (
    MODES,
    Author,
    Changes,
    CodeCommitError,
    Commit,
    Created,
    Entry,
    Person,
    Put,
    Repositories,
)
from emulator.state.call import Answer, AwsError, Call
from emulator.state.store import Store

_FOLDER, _SUBMODULE, _LINK = "040000", "160000", "120000"
_DIFFERENCES_PAGE = 400
_TEXT_LIMITS = {
    "authorName": (
        256,
        "NameLengthExceeded",
        "The user name is not valid because it has exceeded the character limit.",
    ),
    "name": (256, "NameLengthExceeded", "The user name is not valid because it has exceeded the character limit."),
    "email": (256, "InvalidEmail", "The specified email address exceeds the maximum number of characters allowed."),
    "commitMessage": (6000, "CommitMessageLengthExceeded", "The commit message is too long. Provide a shorter string."),
}


def get_commit(store: Store, call: Call) -> Answer:
    name = repository_name(store, call)
    identifier = required(call, "commitId", "CommitIdRequired", "A commit ID was not specified.")
    return {"commit": _commit(repositories(store).commit(name, identifier))}


def batch_get_commits(store: Store, call: Call) -> Answer:
    name = repository_name(store, call)
    identifiers = required(
        call,
        "commitIds",
        "CommitIdsListRequired",
        "A list of commit IDs is required, but was either not specified or the list was empty.",
    )
    if len(identifiers) > 100:
        raise AwsError(
            "CommitIdsLimitExceededException", "The maximum number of allowed commit IDs in a batch request is 100."
        )
    commits: list[Answer] = []
    errors: list[Answer] = []
    for identifier, found in repositories(store).commits(name, identifiers).items():
        if isinstance(found, CodeCommitError):
            errors.append({"commitId": identifier, "errorCode": found.code, "errorMessage": found.message})
        else:
            commits.append(_commit(found))
    return {"commits": commits, "errors": errors}


def get_file(store: Store, call: Call) -> Answer:
    name = repository_name(store, call)
    file = repositories(store).file(name, call.parameters.get("filePath", ""), call.parameters.get("commitSpecifier"))
    return {
        "commitId": file.commit,
        "blobId": file.entry.identifier,
        "filePath": file.entry.path,
        "fileMode": MODES[file.entry.mode],
        "fileSize": file.entry.size,
        "fileContent": file.content,
    }


def get_folder(store: Store, call: Call) -> Answer:
    name = repository_name(store, call)
    path, specifier = call.parameters.get("folderPath", ""), call.parameters.get("commitSpecifier")
    folder = repositories(store).folder(name, path, specifier)

    def paths(entry: Entry) -> Answer:
        return {"absolutePath": entry.path, "relativePath": entry.path.rpartition("/")[2]}

    def files(*modes: str) -> list[Answer]:
        chosen = [entry for entry in folder.entries if entry.mode in modes]
        return [{"blobId": entry.identifier, **paths(entry), "fileMode": MODES[entry.mode]} for entry in chosen]

    return {
        "commitId": folder.commit,
        "folderPath": folder.path,
        "treeId": folder.tree,
        "subFolders": [{"treeId": one.identifier, **paths(one)} for one in folder.entries if one.mode == _FOLDER],
        "files": files(*(mode for mode in MODES if mode != _LINK)),
        "symbolicLinks": files(_LINK),
        "subModules": [{"commitId": one.identifier, **paths(one)} for one in folder.entries if one.mode == _SUBMODULE],
    }


def get_blob(store: Store, call: Call) -> Answer:
    name = repository_name(store, call)
    blob = required(call, "blobId", "BlobIdRequired", "A blob ID is required, but was not specified.")
    return {"content": repositories(store).blob(name, blob)}


def get_differences(store: Store, call: Call) -> Answer:
    name = repository_name(store, call)
    after = required(call, "afterCommitSpecifier", "CommitRequired", "A commit was not specified.")
    paths = [call.parameters.get(key) or "" for key in ("beforePath", "afterPath")]
    found = repositories(store).differences(name, call.parameters.get("beforeCommitSpecifier"), after, *paths)
    size = call.parameters.get("MaxResults") or _DIFFERENCES_PAGE
    if size < 1:
        raise AwsError("InvalidMaxResultsException", "The specified number of maximum results is not valid.")
    part, token = page(found, call.parameters.get("NextToken"), size)
    differences = [
        {
            "changeType": one.kind,
            **({"beforeBlob": _blob(one.before)} if one.before else {}),
            **({"afterBlob": _blob(one.after)} if one.after else {}),
        }
        for one in part
    ]
    return {"differences": differences, **({"NextToken": token} if token else {})}


def create_commit(store: Store, call: Call) -> Answer:
    parameters = call.parameters
    changes = Changes(
        puts=tuple(_put(each) for each in parameters.get("putFiles") or []),
        deletes=tuple(each["filePath"] for each in parameters.get("deleteFiles") or []),
        modes=tuple((each["filePath"], each["fileMode"]) for each in parameters.get("setFileModes") or []),
        keep_empty_folders=bool(parameters.get("keepEmptyFolders")),
    )
    created = _create(store, call, changes, "authorName")
    return {
        "commitId": created.commit,
        "treeId": created.tree,
        "filesAdded": [_file_metadata(entry) for entry in created.added],
        "filesUpdated": [_file_metadata(entry) for entry in created.updated],
        "filesDeleted": [_file_metadata(entry) for entry in created.deleted],
    }


def put_file(store: Store, call: Call) -> Answer:
    content = call.parameters.get("fileContent")
    if not content:
        raise CodeCommitError("FileContentRequired")
    put = Put(call.parameters.get("filePath", ""), content, call.parameters.get("fileMode"))
    try:
        created = _create(store, call, Changes((put,)), "name")
    except CodeCommitError as error:
        if error.code == "NoChangeException":
            raise CodeCommitError("SameFileContent") from None
        raise
    blob = (*created.added, *created.updated)[0].identifier
    return {"commitId": created.commit, "treeId": created.tree, "blobId": blob}


def delete_file(store: Store, call: Call) -> Answer:
    path = call.parameters.get("filePath", "")
    keep = bool(call.parameters.get("keepEmptyFolders"))
    created = _create(store, call, Changes(deletes=(path,), keep_empty_folders=keep), "name")
    deleted = created.deleted[0]
    return {"commitId": created.commit, "treeId": created.tree, "blobId": deleted.identifier, "filePath": deleted.path}


def _create(store: Store, call: Call, changes: Changes, name_parameter: str) -> Created:
    name, branch = repository_name(store, call), branch_name(call)
    for parameter in (name_parameter, "email", "commitMessage"):
        limit, code, message = _TEXT_LIMITS[parameter]
        if len(call.parameters.get(parameter) or "") > limit:
            raise AwsError(f"{code}Exception", message)
    said = [call.parameters.get(parameter) for parameter in (name_parameter, "email", "commitMessage")]
    held: Repositories = repositories(store)
    return held.create_commit(name, branch, call.parameters.get("parentCommitId"), Author(*said), changes)


def _put(entry: dict[str, Any]) -> Put:
    source = entry.get("sourceFile") or {}
    content, mode = entry.get("fileContent"), entry.get("fileMode")
    return Put(entry["filePath"], content, mode, source.get("filePath"), bool(source.get("isMove")))


def _commit(commit: Commit) -> Answer:
    def person(one: Person) -> Answer:
        return {"name": one.name, "email": one.email, "date": one.date}

    return {
        "commitId": commit.identifier,
        "treeId": commit.tree,
        "parents": list(commit.parents),
        "message": commit.message,
        "author": person(commit.author),
        "committer": person(commit.committer),
        "additionalData": commit.additional,
    }


def _blob(entry: Entry) -> Answer:
    return {"blobId": entry.identifier, "path": entry.path, "mode": entry.mode}


def _file_metadata(entry: Entry) -> Answer:
    return {"absolutePath": entry.path, "blobId": entry.identifier, "fileMode": MODES[entry.mode]}


OPERATIONS = operations(
    {
        "BatchGetCommits": batch_get_commits,
        "CreateCommit": create_commit,
        "DeleteFile": delete_file,
        "GetBlob": get_blob,
        "GetCommit": get_commit,
        "GetDifferences": get_differences,
        "GetFile": get_file,
        "GetFolder": get_folder,
        "PutFile": put_file,
    }
)
