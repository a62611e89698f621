"""What CodeCommit refuses, by the names and sentences of its API, and who may not speak git to it.

https://docs.aws.amazon.com/codecommit/latest/APIReference/CommonErrors.html and each operation's "Errors".
"""

from __future__ import annotations

_SENTENCES = {
    "BlobIdDoesNotExist": "The specified blob does not exist.",
    "BranchDoesNotExist": "Branch {0} does not exist",
    "BranchNameExists": "Branch {0} already exists",
    "BranchNameIsTagName": (
        "The specified branch name is not valid because it is a tag name. Enter the name of a branch in the "
        "repository. For a list of valid branch names, use ListBranches."
    ),
    "CommitDoesNotExist": (
        "The specified commit does not exist or no commit was specified, and the specified repository has no "
        "default branch."
    ),
    "CommitIdDoesNotExist": "The specified commit ID does not exist.",
    "DefaultBranchCannotBeDeleted": (
        "The specified branch is the default branch for the repository, and cannot be deleted. To delete this "
        "branch, you must first set another branch as the default branch."
    ),
    "DirectoryNameConflictsWithFileName": (
        "A file cannot be added to the repository because the specified path has a directory with the same name as "
        "the file '{0}'."
    ),
    "FileContentAndSourceFileSpecified": (
        "The commit cannot be created because both a source file and file content have been specified for the same "
        "file. You cannot provide both. Either specify a source file or provide the file content directly."
    ),
    "FileContentRequired": (
        "The file cannot be added because it is empty. Empty files cannot be added to the repository with this API."
    ),
    "FileContentSizeLimitExceeded": (
        "The file cannot be added because it is too large. The maximum file size is 6 MB, and the combined file "
        "content change size is 7 MB. Consider making these changes using a Git client."
    ),
    "FileDoesNotExist": (
        "The specified file does not exist. Verify that you have used the correct file name, full path, and extension."
    ),
    "FileEntryRequired": (
        "The commit cannot be created because no files have been specified as added, updated, or changed (PutFile "
        "or DeleteFile) for the commit."
    ),
    "FileNameConflictsWithDirectoryName": (
        "A file cannot be added to the repository because the specified file name '{0}' has the same name as a "
        "directory in this repository."
    ),
    "FilePathConflictsWithSubmodulePath": (
        "The commit cannot be created because a specified file path points to a submodule. Verify that the "
        "destination files have valid file paths that do not point to a submodule."
    ),
    "FolderDoesNotExist": (
        "The specified folder does not exist. Either the folder name is not correct, or you did not enter the full "
        "path to the folder."
    ),
    "InvalidBlobId": "The specified blob is not valid.",
    "InvalidBranchName": "The specified reference name is not valid.",
    "InvalidCommit": "The specified commit is not valid.",
    "InvalidCommitId": "The specified commit ID is not valid.",
    "InvalidFileMode": (
        "The specified file mode permission is not valid. For a list of valid file mode permissions, see PutFile."
    ),
    "InvalidParentCommitId": (
        "The parent commit ID is not valid. The commit ID cannot be empty, and must match the head commit ID for "
        "the branch of the repository where you want to add or update a file."
    ),
    "InvalidPath": "The specified path is not valid.",
    "InvalidRepositoryName": (
        "The repository name is not valid. Repository names can be any valid combination of letters, numbers, "
        "periods, underscores, and dashes between 1 and 100 characters in length. Repository names cannot end in "
        ".git."
    ),
    "MaximumFileEntriesExceeded": (
        "The number of specified files to change as part of this commit exceeds the maximum number of files that "
        "can be changed in a single commit. Consider using a Git client for these changes."
    ),
    "NoChange": (
        "The commit cannot be created because no changes will be made to the repository as a result of this "
        "commit. A commit must contain at least one change."
    ),
    "ParentCommitDoesNotExist": (
        "The parent commit ID is not valid because it does not exist. The specified parent commit ID does not "
        "exist in the specified branch of the repository."
    ),
    "ParentCommitIdOutdated": (
        "The file could not be added because the provided parent commit ID is not the current tip of the specified "
        "branch. To view the full commit ID of the current head of the branch, use GetBranch."
    ),
    "ParentCommitIdRequired": (
        "A parent commit ID is required. To view the full commit ID of a branch in a repository, use GetBranch or "
        "a Git command (for example, git pull or git log)."
    ),
    "PathDoesNotExist": "The specified path does not exist.",
    "PathRequired": "The folderPath for a location cannot be null.",
    "RepositoryDoesNotExist": "{0} does not exist",
    "RepositoryNameExists": "Repository named {0} already exists",
    "RestrictedSourceFile": (
        "The commit cannot be created because one of the changes specifies copying or moving a .gitkeep file."
    ),
    "SameFileContent": (
        "The file was not added or updated because the content of the file is exactly the same as the content of "
        "that file in the repository and branch that you specified."
    ),
    "SamePathRequest": (
        "The commit cannot be created because one or more changes in this commit duplicate actions in the same "
        "file path. For example, you cannot make the same delete request to the same file in the same file path "
        "twice, or make a delete request and a move request to the same file as part of the same commit."
    ),
    "SourceFileOrContentRequired": (
        "The commit cannot be created because no source files or file content have been specified for the commit."
    ),
}


class CodeCommitError(Exception):
    """An API error: `code` is the exception's name (`RepositoryDoesNotExistException`), `message` its sentence."""

    def __init__(self, name: str, *values: str) -> None:
        self.code = f"{name}Exception"
        self.message = _SENTENCES[name].format(*values)
        super().__init__(f"{self.code}: {self.message}")


class Unauthenticated(Exception):
    """No credentials: git is asked for them (401)."""


class Forbidden(Exception):
    """Credentials that do not hold, or do not allow this (403)."""
