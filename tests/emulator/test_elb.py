from __future__ import annotations

import os
import signal
import ssl
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from emulator.emulator import Emulator
from emulator.loops.elb import DataPlane
from emulator.state.targets import Targets
from tests import ports
from tests.waiting import eventually


@contextmanager
def server(name: str) -> Iterator[int]:
    """A target that says its name; answers its port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(name)))
            self.end_headers()
            self.wfile.write(name.encode())

        def log_message(self, *_: Any) -> None: ...

    running = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield running.server_port
    finally:
        running.shutdown()


@dataclass
class Stand:
    """A load balancer with one listener on a free port and two target groups."""

    elb: Any
    arn: str
    listener: str
    port: int
    blue: str
    green: str

    def get(self) -> str:
        with urllib.request.urlopen(f"http://localhost:{self.port}/", timeout=60) as answer:
            text: bytes = answer.read()
            return text.decode()

    def health(self, group: str) -> list[str]:
        found = self.elb.describe_target_health(TargetGroupArn=group)["TargetHealthDescriptions"]
        return [each["TargetHealth"]["State"] for each in found]


@pytest.fixture
def stand(emulator: Emulator, free_port: int) -> Stand:
    ec2, elb = emulator.store.clients("ec2"), emulator.store.clients("elbv2")
    subnets = [each["SubnetId"] for each in ec2.describe_subnets()["Subnets"][:2]]
    vpc = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    arn = elb.create_load_balancer(Name="chatbot", Subnets=subnets)["LoadBalancers"][0]["LoadBalancerArn"]
    blue, green = (
        elb.create_target_group(
            Name=colour,
            Protocol="HTTP",
            Port=7860,
            VpcId=vpc,
            TargetType="ip",
            HealthCheckIntervalSeconds=5,
            HealthCheckTimeoutSeconds=2,
            HealthyThresholdCount=2,
            UnhealthyThresholdCount=2,
        )["TargetGroups"][0]["TargetGroupArn"]
        for colour in ("blue", "green")
    )
    for group in (blue, green):
        elb.modify_target_group_attributes(
            TargetGroupArn=group, Attributes=[{"Key": "deregistration_delay.timeout_seconds", "Value": "1"}]
        )
    listener = elb.create_listener(
        LoadBalancerArn=arn,
        Port=free_port,
        Protocol="HTTP",
        DefaultActions=[{"Type": "forward", "TargetGroupArn": blue}],
    )["Listeners"][0]["ListenerArn"]
    return Stand(elb, arn, listener, free_port, blue, green)


def test_a_load_balancer_is_reached_by_its_dns_name(stand: Stand) -> None:
    stand.elb.get_waiter("load_balancer_available").wait(LoadBalancerArns=[stand.arn])
    found = stand.elb.describe_load_balancers(Names=["chatbot"])["LoadBalancers"][0]
    assert (found["DNSName"], found["State"]["Code"]) == ("localhost", "active")


def test_nobody_comes_in_whom_no_security_group_lets_in(emulator: Emulator, stand: Stand) -> None:
    """Elastic Load Balancing user guide, "Security groups for your Application Load Balancer": what no rule allows is
    dropped. Here it is refused, which visitors see sooner."""
    ec2 = emulator.store.clients("ec2")
    group = ec2.create_security_group(
        GroupName="shut", Description="shut", VpcId=ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    )
    rule = {"IpProtocol": "tcp", "FromPort": stand.port, "ToPort": stand.port, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
    where = {"GroupId": group["GroupId"], "IpPermissions": [rule]}

    def answer() -> int:
        try:
            with urllib.request.urlopen(f"http://localhost:{stand.port}/", timeout=60) as page:
                return int(page.status)
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return 0

    eventually(lambda: answer() == 503, what="the listener, with no targets")
    stand.elb.set_security_groups(LoadBalancerArn=stand.arn, SecurityGroups=[group["GroupId"]])
    eventually(lambda: answer() == 0, what="nobody let in")
    ec2.authorize_security_group_ingress(**where)
    eventually(lambda: answer() == 503, what="the listener, open")
    ec2.revoke_security_group_ingress(**where)
    eventually(lambda: answer() == 0, what="nobody let in again")


def test_requests_reach_a_registered_target_and_its_health_is_true(stand: Stand) -> None:
    with server("hello") as port:
        stand.elb.register_targets(TargetGroupArn=stand.blue, Targets=[{"Id": "127.0.0.1", "Port": port}])
        waiter = stand.elb.get_waiter("target_in_service")
        waiter.wait(TargetGroupArn=stand.blue, WaiterConfig={"Delay": 1, "MaxAttempts": 20})
        assert stand.get() == "hello"


def test_a_target_is_found_through_the_address_book(emulator: Emulator, stand: Stand) -> None:
    with server("task") as port:
        emulator.store.table(Targets).addresses["10.0.1.7", 7860] = f"127.0.0.1:{port}"
        stand.elb.register_targets(TargetGroupArn=stand.blue, Targets=[{"Id": "10.0.1.7"}])
        eventually(lambda: stand.get() == "task")
        found = stand.elb.describe_target_health(TargetGroupArn=stand.blue)["TargetHealthDescriptions"][0]
        assert found["Target"] == {"Id": "10.0.1.7", "Port": 7860}


def test_a_deregistered_target_drains_and_is_then_unused(stand: Stand) -> None:
    with server("hello") as port:
        target = {"Id": "127.0.0.1", "Port": port}
        stand.elb.register_targets(TargetGroupArn=stand.blue, Targets=[target])
        eventually(lambda: stand.health(stand.blue) == ["healthy"])
        stand.elb.deregister_targets(TargetGroupArn=stand.blue, Targets=[target])
        waiter = stand.elb.get_waiter("target_deregistered")
        waiter.wait(TargetGroupArn=stand.blue, Targets=[target], WaiterConfig={"Delay": 1, "MaxAttempts": 10})
        eventually(lambda: stand.health(stand.blue) == [])


def test_traffic_moves_with_the_listener(stand: Stand) -> None:
    with server("blue") as blue, server("green") as green:
        stand.elb.register_targets(TargetGroupArn=stand.blue, Targets=[{"Id": "127.0.0.1", "Port": blue}])
        stand.elb.register_targets(TargetGroupArn=stand.green, Targets=[{"Id": "127.0.0.1", "Port": green}])
        eventually(lambda: stand.get() == "blue")
        assert stand.health(stand.green) == ["unused"]
        forward = {
            "Type": "forward",
            "ForwardConfig": {"TargetGroups": [{"TargetGroupArn": stand.green, "Weight": 100}]},
        }
        stand.elb.modify_listener(ListenerArn=stand.listener, DefaultActions=[forward])
        eventually(lambda: stand.get() == "green")
        groups = stand.elb.describe_target_groups(TargetGroupArns=[stand.blue, stand.green])["TargetGroups"]
        assert [each["LoadBalancerArns"] for each in groups] == [[], [stand.arn]]


def test_a_killed_proxy_is_replaced_with_the_same_configuration(emulator: Emulator, stand: Stand) -> None:
    with server("hello") as port:
        stand.elb.register_targets(TargetGroupArn=stand.blue, Targets=[{"Id": "127.0.0.1", "Port": port}])
        eventually(lambda: stand.get() == "hello")
        before = emulator.store.once(DataPlane).proxy.pid
        assert before
        os.kill(before, signal.SIGKILL)
        eventually(lambda: emulator.store.once(DataPlane).proxy.pid not in (None, before))
        eventually(lambda: stand.get() == "hello")


def test_a_deleted_listener_lets_go_of_its_port(stand: Stand) -> None:
    eventually(lambda: _status(stand) == 503)
    stand.elb.delete_listener(ListenerArn=stand.listener)
    eventually(lambda: _refused(stand))


def test_a_listener_on_a_port_of_another_program_is_refused_with_its_name(stand: Stand) -> None:
    with server("other") as port, pytest.raises(ClientError, match=f"cannot listen on 127.0.0.1:{port}.*pid"):
        stand.elb.create_listener(
            LoadBalancerArn=stand.arn,
            Port=port,
            Protocol="HTTP",
            DefaultActions=[{"Type": "forward", "TargetGroupArn": stand.blue}],
        )


def test_an_https_listener_shows_the_certificate_of_acm(emulator: Emulator, stand: Stand, tmp_path: Path) -> None:
    acm = emulator.store.clients("acm")
    arn = acm.request_certificate(DomainName="localhost")["CertificateArn"]
    port = ports.free_port()
    stand.elb.create_listener(
        LoadBalancerArn=stand.arn,
        Port=port,
        Protocol="HTTPS",
        Certificates=[{"CertificateArn": arn}],
        DefaultActions=[{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "204"}}],
    )
    trusted = tmp_path / "certificate.pem"
    trusted.write_text(acm.get_certificate(CertificateArn=arn)["Certificate"])
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # Amazon's issuer is only a name here
    url = f"https://localhost:{port}/"
    eventually(lambda: urllib.request.urlopen(url, context=context, timeout=60).status == 204)
    assert ssl.get_server_certificate(("localhost", port)).strip() == trusted.read_text().strip()


def test_a_load_balancer_needs_two_subnets(stand: Stand) -> None:
    with pytest.raises(ClientError, match="At least two subnets"):
        stand.elb.create_load_balancer(Name="lonely", Subnets=["subnet-1"])


def test_a_target_group_in_use_is_not_deleted(stand: Stand) -> None:
    with pytest.raises(ClientError, match="currently in use"):
        stand.elb.delete_target_group(TargetGroupArn=stand.blue)


def test_an_unknown_target_group_is_named(stand: Stand) -> None:
    with pytest.raises(stand.elb.exceptions.TargetGroupNotFoundException):
        stand.elb.describe_target_health(TargetGroupArn=stand.blue[:-4] + "0000")


def _status(stand: Stand) -> int:
    try:
        stand.get()
    except urllib.error.HTTPError as error:
        return error.code
    return 200


def _refused(stand: Stand) -> bool:
    try:
        stand.get()
    except urllib.error.URLError as error:
        return isinstance(error.reason, ConnectionRefusedError)
    return False
