"""What comes to the emulator's sockets: each attack, what came back, and that docs/emulator.md says so.

`python -m pytest tests/emulator -k door` prints the table.
"""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from emulator.control.table import MOUNTS
from emulator.data.tasks.docker_network import containers_of
from emulator.emulator import Emulator
from emulator.state.config import Config
from tests.emulator.conftest import EmulatorProcess
from tests.emulator.signing import asked, client, signed

PAGE = (Path(__file__).parents[2] / "docs/emulator.md").read_text()
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
IDENTITY = b"Action=GetCallerIdentity&Version=2011-06-15"
DELETION = b"<Delete><Object><Key>state</Key></Object></Delete>"
ECS = {"X-Amz-Target": "AmazonEC2ContainerServiceV20141113.ListClusters"}


@dataclass(frozen=True)
class Attack:
    """`words` as in docs/emulator.md's table, beside `answer`: the status, and what the text has."""

    words: str
    answer: str
    method: str = "GET"
    path: str = "/"
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    service: str = ""  # signs for it
    secret: str = "test"
    key: str = "test"
    forged: Callable[[str], str] = str


def attack(words: str, answer: str, *request: Any, headers: dict[str, str] | None = None, **more: Any) -> Attack:
    return Attack(words, answer, *request, headers=tuple((headers or {}).items()), **more)


_OTHER = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
ATTACKS = [
    attack("a name that was made to point to this machine", "403 'evil.example:4566' is no name of the emulator",
           "POST", "/", IDENTITY, headers={**FORM, "Host": "evil.example:4566"}, service="sts"),
    attack("a page of another site that signs its call", "403 a page of https://evil.example may not call the emulator",
           "POST", "/", IDENTITY, headers={**FORM, **_OTHER}, service="sts"),
    attack("a picture, a script or a frame of another site's page", "403 a page of another site may not call",
           "GET", "/states/state", headers={"Sec-Fetch-Site": "cross-site"}),
    attack("a link on another page", "403 a link on another page leads nowhere here",
           "GET", "/", headers={"Referer": "https://evil.example/"}),
    attack("a preflight of another site's page", "403 a page may that the emulator was started for",
           "OPTIONS", "/", headers={**_OTHER, "Access-Control-Request-Method": "PUT"}),
    attack("a form that deletes objects, without a word of where it is from", "403 AccessDenied",
           "POST", "/states?delete", DELETION, headers={"Content-Type": "text/plain"}),
    attack("a form that uploads, without a signature", "403 AccessDenied",
           "POST", "/states", b'--x\r\nContent-Disposition: form-data; name="key"\r\n\r\nstate\r\n--x--\r\n',
           headers={"Content-Type": "multipart/form-data; boundary=x"}),
    attack("a call that is not signed", "403 MissingAuthenticationToken", "POST", "/", IDENTITY, headers=FORM),
    attack("a call whose signature is a zero", "400 InvalidSignatureException",
           "POST", "/", b"{}", headers=ECS, service="ecs", forged=lambda header: header.rpartition("=")[0] + "=0"),
    attack("a call that names two who made it", "400 IncompleteSignature",
           "POST", "/", IDENTITY, headers=FORM, service="sts", forged=lambda header: f"{header}, {header[17:]}"),
    attack("a call that is signed with a guessed secret", "403 SignatureDoesNotMatch",
           "POST", "/", IDENTITY, headers=FORM, service="sts", secret="guessed"),
    attack("a call with an access key of nobody", "403 InvalidClientTokenId",
           "POST", "/", IDENTITY, headers=FORM, service="sts", key="AKIAIOSFODNN7EXAMPLE"),
    attack("moto's control API", "403 the control API of moto is not served here",
           "POST", "/moto-api/reset", headers=FORM, service="s3"),
    attack("the registry without its password", "401 UNAUTHORIZED", "GET", "/v2/"),
    attack("a repository without its password", "401", "GET", "/v1/repos/x/info/refs?service=git-receive-pack"),
]  # fmt: skip


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.words)
def test_the_door(emulator: Emulator, attack: Attack, record_property: Callable[[str, object], None]) -> None:
    s3 = emulator.store.clients("s3")
    s3.create_bucket(Bucket="states")
    s3.put_object(Bucket="states", Key="state", Body=b"kept")
    status, text = sent(emulator, attack)
    record_property("attack", (attack.words, f"{status} {text.strip().splitlines()[-1][:160] if text else ''}"))
    expected, _, words = attack.answer.partition(" ")
    assert str(status) == expected and words in text
    assert s3.get_object(Bucket="states", Key="state")["Body"].read() == b"kept"


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.words)
def test_the_doors_table_is_in_the_documentation(attack: Attack) -> None:
    row = next((line for line in PAGE.splitlines() if line.startswith(f"| {attack.words} |")), "")
    assert f"`{attack.answer}" in row, f"docs/emulator.md: | {attack.words} | `{attack.answer}` |"


def sent(emulator: Emulator, attack: Attack) -> tuple[int, str]:
    port = emulator.store.config.port
    headers = {"Host": f"localhost:{port}", **dict(attack.headers)}
    if attack.service:
        credentials = Credentials(attack.key, attack.secret)
        url = f"http://{headers['Host']}{attack.path}"
        headers = signed(attack.method, url, attack.body, attack.service, headers, credentials)
        headers["Authorization"] = attack.forged(headers["Authorization"])
    return asked(emulator, attack.method, attack.path, attack.body, **headers)[:2]


# --- other users of the machine


CALL = """
import socket, sys
with socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=20) as connection:
    connection.sendall(b"GET /_emulator/health HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: close\\r\\n\\r\\n")
    print(connection.makefile("rb").read().decode())
"""
NOBODY = 65_534


def as_nobody(*command: str) -> subprocess.CompletedProcess[str]:
    if os.getuid() != 0:
        pytest.skip("only root can become somebody else")
    python = shutil.which("python3", path="/usr/bin:/usr/local/bin")
    if python is None:
        pytest.skip("no Python that everybody may run")
    return subprocess.run(
        [python if word == "python" else word for word in command], user=NOBODY, group=NOBODY, extra_groups=[],
        capture_output=True, text=True, timeout=60, cwd="/", env={}, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_the_door_keeps_another_user_of_the_machine_out(
    emulator: Emulator, address: str, record_property: Callable[[str, object], None]
) -> None:
    done = as_nobody("python", "-c", CALL, address, str(emulator.store.config.port))
    assert done.stdout.startswith("HTTP/1.1 403"), done.stderr
    assert f"this emulator is not user {NOBODY}'s" in done.stdout and "pid" not in done.stdout
    record_property("attack", ("another user of the machine", f"403 {done.stdout.strip().splitlines()[-1]}"))
    command = [sys.executable, "-c", CALL, address, str(emulator.store.config.port)]
    ours = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert ours.stdout.startswith("HTTP/1.1 200")


def test_the_doors_folder_is_its_owners(emulator_process: EmulatorProcess) -> None:
    folder = emulator_process.folder
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    folder.chmod(0o755)  # as an earlier version left it
    emulator_process.run("stop")
    emulator_process.run("start")
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for name in ("emulator.log", "emulator.json", "tls.pem"):
        assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600, name


def test_dockers_relay_lets_in_the_addresses_of_its_network_alone() -> None:
    lets_in = containers_of("172.18.0.0/16", "172.18.0.1")
    assert lets_in("172.18.0.2") and lets_in("172.18.255.254")
    assert not any(lets_in(address) for address in ("172.18.0.1", "172.17.0.2", "127.0.0.1", "10.0.0.1"))


# --- a key


@pytest.fixture
def keyed(tmp_path: Path) -> Iterator[Emulator]:
    emulator = Emulator(tmp_path / "keyed", Config(port=0, runtime="process", key="a secret & more/=+"))
    yield emulator
    emulator.close()


def test_with_a_key_the_door_lets_in_who_has_it(keyed: Emulator) -> None:
    key = keyed.store.config.key
    assert client(keyed, "sts", secret=key).get_caller_identity()["Account"] == "123456789012"
    with pytest.raises(ClientError, match="SignatureDoesNotMatch"):
        client(keyed, "sts").get_caller_identity()

    def status(path: str, **headers: str) -> int:
        return asked(keyed, path=path, **headers).status

    assert status("/_emulator/health") == 200
    for path in ("/_emulator/connections", "/github.com/a/b/info/refs?service=git-receive-pack"):
        assert status(path) == status(path, Authorization="Bearer no") == status(path, Authorization="Basic é") == 401
        assert status(path, Authorization=f"Bearer {key}") != 401


def test_a_key_is_in_no_command_line_and_no_childs_environment(tmp_path: Path, free_port: int) -> None:
    process = EmulatorProcess(tmp_path / "emulator", free_port)
    environ = {**os.environ, "EMULATOR_KEY": "s3cret", "EMULATOR_FOLDER": str(process.folder)}
    start = [sys.executable, "-m", "emulator", "start", "--port", str(free_port)]
    subprocess.run(start, env=environ, check=True, capture_output=True, timeout=120)
    try:
        session: Any = boto3.Session("test", "s3cret", region_name="us-east-1")
        assert session.client("sts", endpoint_url=process.url).get_caller_identity()
        pid = process.status()["pid"]
        assert "s3cret" not in Path(f"/proc/{pid}/cmdline").read_text()
    finally:
        process.run("stop")


# --- what is mounted


@pytest.mark.parametrize("prefix", [*MOUNTS, "/moto-api", "/_emulator/health"])
def test_the_doors_documentation_has_every_mount(prefix: str) -> None:
    assert f"| `{prefix}" in PAGE
