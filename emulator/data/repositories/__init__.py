"""CodeCommit's repositories: git over HTTP as a WSGI application, and the same repositories as an object."""

from emulator.data.repositories.commits import Author, Changes, Created, Put
from emulator.data.repositories.errors import CodeCommitError, Forbidden, Unauthenticated
from emulator.data.repositories.git import ZERO
from emulator.data.repositories.history import MODES, Commit, Difference, Entry, File, Folder, Person
from emulator.data.repositories.repositories import Repositories, Repository
from emulator.data.repositories.signature import Access, SignatureCheck

__all__ = [
    "MODES",
    "ZERO",
    "Access",
    "Author",
    "Changes",
    "CodeCommitError",
    "Commit",
    "Created",
    "Difference",
    "Entry",
    "File",
    "Folder",
    "Forbidden",
    "Person",
    "Put",
    "Repositories",
    "Repository",
    "SignatureCheck",
    "Unauthenticated",
]
