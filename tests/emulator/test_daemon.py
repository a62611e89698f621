"""`python -m emulator start|stop|status|logs`, and what is left after a kill -9: nothing."""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from emulator.state import guardian
from emulator.state.children import Children
from tests.emulator.conftest import EmulatorProcess
from tests.ports import free_port
from tests.waiting import eventually


def alive(pid: int) -> bool:
    return guardian.started(pid) is not None


def test_start_is_idempotent_and_stop_leaves_nothing(emulator_process: EmulatorProcess) -> None:
    pid = emulator_process.status()["pid"]
    again = emulator_process.run("start")
    assert f"already running at {emulator_process.url} (pid {pid})" in again.stdout
    stopped = emulator_process.run("stop")
    assert "left behind: processes none; ports none" in stopped.stdout
    assert not alive(pid)
    assert emulator_process.run("status", check=False).returncode == 1
    assert "no emulator is running" in emulator_process.run("stop").stdout


def test_it_can_be_started_again_at_once(emulator_process: EmulatorProcess) -> None:
    first = emulator_process.status()["pid"]
    emulator_process.run("stop")
    emulator_process.run("start")
    assert emulator_process.status()["pid"] != first


def test_a_busy_port_is_an_error_that_names_the_culprit_and_the_remedy(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        done = EmulatorProcess(tmp_path, port).run("start", check=False)
    assert done.returncode == 1
    assert f"port {port} is taken by pid {os.getpid()}" in done.stderr
    assert f"--port {port + 1}" in done.stderr


def test_another_emulator_on_the_port_is_named(emulator_process: EmulatorProcess, tmp_path: Path) -> None:
    done = EmulatorProcess(tmp_path / "other", emulator_process.port).run("start", check=False)
    assert done.returncode == 1
    assert f"by the emulator of {emulator_process.folder}" in done.stderr


def test_one_folder_has_one_emulator(emulator_process: EmulatorProcess) -> None:
    done = emulator_process.run("start", "--port", str(emulator_process.port + 1), check=False)
    assert done.returncode == 1
    assert f"is running on port {emulator_process.port}" in done.stderr


def test_a_recycled_pid_is_not_killed(tmp_path: Path, free_port: int) -> None:
    (tmp_path / "emulator.json").write_text(f'{{"pid": {os.getpid()}, "since": "1", "port": {free_port}}}')
    (tmp_path / "children").mkdir()
    (tmp_path / "children" / "abc").write_text(f"{os.getpid()}\n1\nsomebody\n")
    assert EmulatorProcess(tmp_path, free_port).run("stop").returncode == 0  # and this test still runs


def test_logs_are_printed(emulator_process: EmulatorProcess) -> None:
    assert f"serving at {emulator_process.url}" in emulator_process.run("logs").stdout


def test_status_says_since_when_and_what(emulator_process: EmulatorProcess) -> None:
    status = emulator_process.status()
    assert status["status"] == "ok" and {"ecs", "ecr", "elbv2"} <= set(status["services"])
    assert abs(status["started"] - time.time()) < 60
    assert emulator_process.url in emulator_process.run("status").stdout


def test_kill_of_the_emulator_takes_the_proxy_and_all_children_with_it(emulator_process: EmulatorProcess) -> None:
    _listen(emulator_process)
    record = emulator_process.folder / "children"
    eventually(lambda: len(guardian.marked(record)) >= 3)  # itself, its guardian, the proxy
    os.kill(emulator_process.status()["pid"], signal.SIGKILL)
    eventually(lambda: guardian.marked(record) == [])
    emulator_process.run("start")
    assert emulator_process.status()["listeners"] == []


def test_a_killed_guardian_is_replaced(tmp_path: Path) -> None:
    children = Children(tmp_path / "children")
    try:
        eventually(lambda: _guardian(tmp_path))
        before = _guardian(tmp_path)[0]
        os.kill(before, signal.SIGKILL)
        eventually(lambda: _guardian(tmp_path) not in ([], [before]))
    finally:
        children.close()
    assert _guardian(tmp_path) == []


def test_children_end_with_all_they_started(tmp_path: Path) -> None:
    children = Children(tmp_path / "children")
    ended: list[int] = []
    child = children.spawn(
        ["sh", "-c", "sleep 1000 & setsid sleep 1000 & wait"],
        name="tree",
        on_exit=lambda child: ended.append(child.pid),
    )
    eventually(lambda: len(guardian.members(child.pid, child.mark)) == 3)
    assert child.stop(grace=2) == -signal.SIGTERM
    assert guardian.members(child.pid, child.mark) == []
    eventually(lambda: ended == [child.pid])
    children.close()
    assert list((tmp_path / "children").iterdir()) == []


def test_a_child_that_ignores_sigterm_is_killed_after_its_grace() -> None:
    children = Children()
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(1000)"
    child = children.spawn([sys.executable, "-c", code], name="stubborn", stdout=-1)
    assert child.stdout and child.stdout.readline()
    began = time.monotonic()
    assert child.stop(grace=0.5) == -signal.SIGKILL
    assert 0.4 < time.monotonic() - began < 60
    children.close()


def test_a_program_that_does_not_exist_is_an_error_at_once() -> None:
    children = Children()
    with pytest.raises(FileNotFoundError):
        children.spawn(["/no/such/program"], name="nothing")
    children.close()


def test_what_a_killed_emulator_left_is_reaped_by_the_next(tmp_path: Path) -> None:
    record = tmp_path / "children"
    record.mkdir()
    orphan = Children().spawn(["sleep", "1000"], name="orphan")
    (record / "token").write_text(f"{orphan.pid}\n{guardian.started(orphan.pid)}\norphan\n")
    children = Children(record)
    assert children.reaped == ["orphan"]
    eventually(lambda: orphan.poll() is not None)
    children.close()


def _guardian(folder: Path) -> list[int]:
    return guardian.members(-1, str(folder / "children" / "guardian"))


def _listen(process: EmulatorProcess) -> None:
    ec2, elb = process.client("ec2"), process.client("elbv2")
    subnets = [each["SubnetId"] for each in ec2.describe_subnets()["Subnets"][:2]]
    arn = elb.create_load_balancer(Name="chatbot", Subnets=subnets)["LoadBalancers"][0]["LoadBalancerArn"]
    answer = {"StatusCode": "200", "ContentType": "text/plain", "MessageBody": "hi"}
    action = {"Type": "fixed-response", "FixedResponseConfig": answer}
    port = free_port()
    elb.create_listener(LoadBalancerArn=arn, Port=port, Protocol="HTTP", DefaultActions=[action])
    eventually(lambda: process.status()["listeners"] == [port])
    assert urllib.request.urlopen(f"http://localhost:{port}/").read() == b"hi"
