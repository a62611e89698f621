"""CodeConnections, by its new name and by its old one (CodeStar connections), and the repositories behind them."""

from __future__ import annotations

from emulator.control.connections.console import PREFIX as CONSOLE_PREFIX
from emulator.control.connections.console import console
from emulator.control.connections.operations import OPERATIONS
from emulator.control.connections.stand_ins import PREFIX, application

__all__ = ["CONSOLE_PREFIX", "OPERATIONS", "PREFIX", "application", "console"]
