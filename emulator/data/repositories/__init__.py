"""Git repositories, CodeCommit's and stand-ins for GitHub's: WSGI applications over HTTP, and the same as objects."""

from emulator.data.repositories.commits import Author, Changes, Created, Put
from emulator.data.repositories.errors import CodeCommitError, Forbidden, Unauthenticated
from emulator.data.repositories.git import ZERO
from emulator.data.repositories.history import MODES, Commit, Difference, Entry, File, Folder, Person
from emulator.data.repositories.repositories import Repositories, Repository
from emulator.data.repositories.signature import Access, SignatureCheck
from emulator.data.repositories.stand_ins import StandIns, UnknownRepository

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
    "StandIns",
    "Unauthenticated",
    "UnknownRepository",
]
