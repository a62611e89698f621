"""Amazon CloudWatch: metrics are kept and alarms evaluated (by loops/alarms); dashboards are moto's."""

from __future__ import annotations

from emulator.control.cloudwatch import alarms, metrics
from emulator.control.operation import Operation

OPERATIONS: dict[str, Operation] = {**alarms.OPERATIONS, **metrics.OPERATIONS}
