"""Account settings: kept and answered; containerInsights is the default of new clusters."""

from __future__ import annotations

from emulator.control.ecs import errors, lookup
from emulator.state.call import Answer, Call
from emulator.state.store import Store

_VALUES = ("enabled", "disabled", "on", "off")
DEFAULTS = {
    "awsvpcTrunking": "disabled",
    "containerInsights": "disabled",
    "containerInstanceLongArnFormat": "enabled",
    "defaultLogDriverMode": "non-blocking",
    "dualStackIPv6": "enabled",
    "fargateFIPSMode": "disabled",
    "fargateTaskRetirementWaitPeriod": "7",
    "guardDutyActivate": "off",
    "serviceLongArnFormat": "enabled",
    "tagResourceAuthorization": "off",
    "taskLongArnFormat": "enabled",
}


def put_account_setting(store: Store, call: Call) -> Answer:
    return _put(store, call, call.parameters.get("principalArn") or _root(call))


def put_account_setting_default(store: Store, call: Call) -> Answer:
    return _put(store, call, "")


def _put(store: Store, call: Call, principal: str) -> Answer:
    name, value = call.parameters["name"], call.parameters["value"]
    _check(name)
    if DEFAULTS[name] in _VALUES and value not in (*_VALUES, "enhanced"):
        raise errors.invalid(f"Invalid value {value} for {name}.")
    with store.change():
        lookup.tables(store).settings[principal, name] = value
    return {"setting": _setting(name, value, principal or _root(call))}


def delete_account_setting(store: Store, call: Call) -> Answer:
    name = call.parameters["name"]
    _check(name)
    principal = call.parameters.get("principalArn") or _root(call)
    with store.change():
        value = lookup.tables(store).settings.pop((principal, name), DEFAULTS[name])
    return {"setting": _setting(name, value, principal)}


def list_account_settings(store: Store, call: Call) -> Answer:
    """Those that were set; with `effectiveSettings` all that hold, defaults included."""
    settings = lookup.tables(store).settings
    principal = call.parameters.get("principalArn") or _root(call)
    wanted = call.parameters.get("name")
    if wanted:
        _check(wanted)
    found = {name: value for (who, name), value in settings.items() if who == principal}
    if call.parameters.get("effectiveSettings"):
        found = DEFAULTS | {name: value for (who, name), value in settings.items() if who == ""} | found
    shown = [
        _setting(name, value, principal)
        for name, value in sorted(found.items())
        if wanted in (None, "", name) and call.parameters.get("value") in (None, "", value)
    ]
    return lookup.page(call, shown, "settings", limit=10 if call.parameters.get("maxResults") else 100)


def _check(name: str) -> None:
    if name not in DEFAULTS:
        raise errors.invalid(f"{name} should be one of [{','.join(sorted(DEFAULTS))}]")


def _setting(name: str, value: str, principal: str) -> Answer:
    return {"name": name, "value": value, "principalArn": principal, "type": "user"}


def _root(call: Call) -> str:
    return f"arn:aws:iam::{call.account}:root"
