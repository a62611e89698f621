"""The loops that run, in the order in which they start."""

from __future__ import annotations

from emulator.loops import alarms, autoscaling, codebuild, codedeploy, codepipeline, ecs, elb, events
from emulator.loops.runner import Loop

LOOPS: list[Loop] = [
    elb.LOOP, ecs.LOOP, codebuild.LOOP, codedeploy.LOOP, codepipeline.LOOP, events.LOOP, alarms.LOOP, autoscaling.LOOP,
]  # fmt: skip
