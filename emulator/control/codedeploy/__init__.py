"""CodeDeploy's API; what its deployments do is in emulator/loops/codedeploy."""

from __future__ import annotations

from emulator.control.codedeploy import applications, configs, deployments, groups, targets
from emulator.control.operation import Operation

OPERATIONS: dict[str, Operation] = {
    **applications.OPERATIONS,
    **configs.OPERATIONS,
    **groups.OPERATIONS,
    **deployments.OPERATIONS,
    **targets.OPERATIONS,
}
