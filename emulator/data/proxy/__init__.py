"""The ELB data plane: an Application Load Balancer in a process of its own, on real sockets.

It is `python -m emulator.data.proxy`; the class `Proxy` starts it and talks to it:

    proxy = Proxy()
    proxy.start()
    proxy.configure(Configuration(generation=1, listeners=(…), target_groups=(…)))
    for event in proxy.events():  # in a thread of its own; ends when the process does
        …
    proxy.close()

**In** (stdin, one JSON line each): `Configuration`, always the whole of it; fields are those of the dataclasses in
`messages`, rules have the shape of DescribeRules. A new one takes effect for the next request, also on connections that
are open. Nothing that is under way is broken by it:

- a listener keeps its socket through every change but that of its port; a removed one closes its port and answers what
  it has begun;
- a target that is gone from it, or is there with `state="draining"`, gets nothing new, and `Drained` says when its last
  request (stream, websocket) has ended, or when what was left after `deregistration_delay` has been cut;
- a target group that no rule forwards to is `unused`: not checked.

**Out** (stdout, one JSON line each): `Configured` or `Refused` for each configuration (a refused one changes nothing),
`Bound` or `BindFailed` per listener (retried every second), `HealthChanged`, `Drained`, and every second `Metrics`.

The end of stdin, or of the parent, ends it at once, with every socket.
"""

from .client import Proxy
from .messages import (
    BadMessage,
    BindFailed,
    Bound,
    Configuration,
    Configured,
    Drained,
    Event,
    HealthChanged,
    HealthCheck,
    Listener,
    Metric,
    Metrics,
    Refused,
    Stickiness,
    Target,
    TargetGroup,
)

__all__ = [
    "BadMessage",
    "BindFailed",
    "Bound",
    "Configuration",
    "Configured",
    "Drained",
    "Event",
    "HealthChanged",
    "HealthCheck",
    "Listener",
    "Metric",
    "Metrics",
    "Proxy",
    "Refused",
    "Stickiness",
    "Target",
    "TargetGroup",
]
