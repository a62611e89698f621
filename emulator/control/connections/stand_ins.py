"""The repositories at the other end of a connection: stand-ins on this machine, so that nothing leaves loopback."""

from __future__ import annotations

from typing import TYPE_CHECKING

from emulator.control.connections.tables import Push, tables
from emulator.data.repositories import StandIns
from emulator.data.repositories.stand_ins import PREFIX
from emulator.state.store import Store

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

__all__ = ["PREFIX", "application", "stand_ins", "url"]


def application(store: Store) -> WSGIApplication:
    """What is mounted at `PREFIX`."""
    return store.once(_stand_ins)


def stand_ins(store: Store) -> StandIns:
    return store.once(_stand_ins)


def url(store: Store, name: str) -> str:
    """Where git clients find the stand-in of `owner/name`."""
    return f"{store.config.url}{PREFIX}{name}"


def _stand_ins(store: Store) -> StandIns:
    def pushed(name: str, reference: str, old: str, new: str) -> None:
        with store.change():
            tables(store).pushes.append(Push(name, reference, old, new))

    return StandIns(store.folder / "github", pushed)
