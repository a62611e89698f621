"""One environment's settings: read, checked and frozen before anything else happens.

Flags (``--set table.key=value``) beat environment variables (``CHATBOT_DEPLOY_<TABLE>_<KEY>``), which beat
``environments/<name>.toml``, which beats the defaults of the table in ``settings.py``.
"""

from __future__ import annotations

import difflib
import json
import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from orchestrator import commands
from orchestrator.errors import BadSetting, Refused
from orchestrator.rules import RULES
from orchestrator.settings import NAME, SETTINGS, TABLES, Setting, find

PREFIX = "CHATBOT_DEPLOY_"
CHECKOUT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Config:
    """The settings of environment ``name``, complete and valid; ``root`` is the checkout that is deployed."""

    name: str
    root: Path
    values: Mapping[str, Mapping[str, Any]]
    source: str

    def get(self, table: str, key: str) -> Any:
        return self.values[table][key]

    def table(self, table: str) -> dict[str, Any]:
        return dict(self.values[table])

    @property
    def prefix(self) -> str:
        """What every resource is named after."""
        return str(self.get("environment", "name")) or f"chatbot-{self.name}"

    @property
    def region(self) -> str:
        return str(self.get("environment", "region"))

    @property
    def endpoint_url(self) -> str:
        """Where the AWS APIs are; empty: AWS itself."""
        return str(self.get("environment", "endpoint_url"))

    @property
    def endpoint_is_loopback(self) -> bool:
        return bool(self.endpoint_url) and is_loopback(self.endpoint_url)

    @property
    def listener_ports(self) -> tuple[int, int]:
        """The production and the test listener's."""
        network = self.values["network"]
        production = network["production_port"] or (443 if network["certificate_arn"] else 80)
        return int(production), int(network["test_port"])

    @property
    def scratch(self) -> Path:
        return self.root / ".orchestrator" / self.name

    @property
    def tags(self) -> dict[str, str]:
        """What every resource of this environment carries beside the stacks' own ``Application`` and ``ManagedBy``."""
        return {"Environment": self.name, **self.get("environment", "tags")}

    def command(self, verb: str) -> str:
        """``verb`` as the user would type it for this environment."""
        return commands.command(verb, self.name)


def is_loopback(url: str) -> bool:
    """Whether ``url`` can only be reached from this machine."""
    host = urlsplit(url).hostname or ""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def load(name: str, root: Path = CHECKOUT, flags: Iterable[str] = (), env: Mapping[str, str] | None = None) -> Config:
    """The settings of environment ``name``; every problem is a ``Refused`` that says where it is."""
    path = _file(name, root)
    layers = [_from_file(path, root), _from_environment(os.environ if env is None else env), _from_flags(flags)]
    values: dict[str, dict[str, Any]] = {table: {} for table in TABLES}
    where: dict[tuple[str, str], str] = {}
    for setting in SETTINGS:
        values[setting.table][setting.key] = setting.default
        where[setting.table, setting.key] = "default"
    for layer in layers:
        for (table, key), (value, place) in layer.items():
            values[table][key] = value
            where[table, key] = place
    config = Config(name, root, values, str(path.relative_to(root)))
    _check_together(config, where)
    return config


def _file(name: str, root: Path) -> Path:
    folder = root / "environments"
    path = folder / f"{name}.toml"
    if re.fullmatch(r"[a-z][a-z0-9-]{0,30}", name) and path.is_file():
        return path
    known = sorted(file.stem for file in folder.glob("*.toml"))
    if not known:
        raise Refused(f"{folder} holds no environment", "run from a checkout, or name one with --root")
    raise Refused(
        f"there is no environment '{name}': {folder / (name + '.toml')} does not exist{_nearest(name, known)}",
        f"environments: {', '.join(known)}; a new one starts as a copy of environments/example.toml",
    )


Layer = dict[tuple[str, str], tuple[Any, str]]


def _from_file(path: Path, root: Path) -> Layer:
    place = str(path.relative_to(root))
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Refused(f"{place} is not valid TOML: {error}", "mend the line that it names") from None
    layer: Layer = {}
    for table, keys in document.items():
        if table not in TABLES:
            raise BadSetting(place, f"[{table}]", f"unknown table{_nearest(table, TABLES)}", _known(TABLES))
        if not isinstance(keys, dict):
            raise BadSetting(place, table, "is not a table", f"write [{table}] on a line of its own")
        for key, value in keys.items():
            setting = _setting(place, table, key)
            layer[table, key] = (_typed(place, setting, value), place)
    return layer


def _from_environment(env: Mapping[str, str]) -> Layer:
    names = {f"{PREFIX}{s.table}_{s.key}".upper(): s for s in SETTINGS}
    layer: Layer = {}
    for variable, text in env.items():
        if not variable.startswith(PREFIX):
            continue
        if variable not in names:
            raise BadSetting("environment variable", variable, f"unknown{_nearest(variable, names)}", "unset it")
        setting = names[variable]
        value = _parsed(f"environment variable {variable}", setting, text)
        layer[setting.table, setting.key] = (value, f"environment variable {variable}")
    return layer


def _from_flags(flags: Iterable[str]) -> Layer:
    layer: Layer = {}
    for flag in flags:
        name, equals, text = flag.partition("=")
        table, dot, key = name.strip().partition(".")
        if not equals or not dot:
            raise BadSetting("--set", flag, "is not TABLE.KEY=VALUE", "for example: --set ecs.desired_count=3")
        if table not in TABLES:
            raise BadSetting("--set", flag, f"unknown table '{table}'{_nearest(table, TABLES)}", _known(TABLES))
        setting = _setting("--set", table, key)
        layer[table, key] = (_parsed("--set", setting, text), "--set")
    return layer


def _setting(place: str, table: str, key: str) -> Setting:
    setting = find(table, key)
    if setting is None:
        known = [s.key for s in SETTINGS if s.table == table]
        raise BadSetting(place, f"{table}.{key}", f"unknown key{_nearest(key, known)}", _known(known))
    return setting


def _parsed(place: str, setting: Setting, text: str) -> Any:
    """``text`` from a variable or a flag: TOML where that is what the type needs, else the text itself."""
    value: Any = text.strip()
    if setting.type is not str:
        if setting.type is list and not value.startswith("["):
            value = json.dumps([part.strip() for part in value.split(",") if part.strip()])
        try:
            value = tomllib.loads(f"value = {value}")["value"]
        except tomllib.TOMLDecodeError:
            raise BadSetting(place, setting.name, f"'{text}' is not {setting.type_name}", setting.help) from None
    return _typed(place, setting, value)


def _typed(place: str, setting: Setting, value: Any) -> Any:
    right = isinstance(value, setting.type) and not (setting.type is not bool and isinstance(value, bool))
    if setting.type is float and isinstance(value, int) and not isinstance(value, bool):
        right, value = True, float(value)
    if not right:
        found = f"{value!r} is not {setting.type_name}"
        raise BadSetting(place, setting.name, found, setting.help)
    problem = setting.problem(value)
    if problem:
        raise BadSetting(place, setting.name, problem, setting.help)
    return value


def _check_together(config: Config, where: Mapping[tuple[str, str], str]) -> None:
    for rule in RULES:
        if rule.broken(config.values):
            place = where[rule.table, rule.key].replace("default", config.source)
            raise BadSetting(place, f"{rule.table}.{rule.key}", rule.problem, rule.remedy)

    if problem := NAME(config.prefix):
        raise BadSetting(config.source, "environment.name", f"is not set, and {problem}", "set a shorter one")


def _nearest(word: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f" (did you mean '{close[0]}'?)" if close else ""


def _known(names: Iterable[str]) -> str:
    return f"known: {', '.join(sorted(names))}"
