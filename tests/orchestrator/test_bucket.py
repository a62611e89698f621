"""The state bucket: private from the first moment, one deploy at a time, and dead runs' locks that go by themselves."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from orchestrator import config as configuration
from orchestrator.errors import Locked, NotNow, Unreachable
from orchestrator.site import Site
from orchestrator.tools import process
from orchestrator.tools.aws import Aws
from orchestrator.tools.bucket import LOCK, Bucket


@pytest.fixture
def bucket(site: Site) -> Bucket:
    site.bucket.ensure()
    return site.bucket


def _hold(site: Site, **holder: object) -> None:
    body = process.identity() | {"who": "ada", "verb": "deploy", "since": "2026-01-01T00:00:00+00:00"} | holder
    site.aws.client("s3").put_object(Bucket=site.bucket.name, Key=LOCK, Body=json.dumps(body).encode())


def _dead_process() -> dict[str, object]:
    with subprocess.Popen(["sleep", "0"]) as child:
        started = process.started(child.pid)
    return {"pid": child.pid, "started": started}


def test_the_bucket_is_private_versioned_and_encrypted(site: Site) -> None:
    assert site.bucket.ensure() is True
    assert site.bucket.ensure() is False
    s3, name = site.aws.client("s3"), site.bucket.name
    assert name == f"{site.config.prefix}-state-{site.aws.account()}-us-east-1"
    assert s3.get_bucket_versioning(Bucket=name)["Status"] == "Enabled"
    assert all(s3.get_public_access_block(Bucket=name)["PublicAccessBlockConfiguration"].values())
    rules = s3.get_bucket_encryption(Bucket=name)["ServerSideEncryptionConfiguration"]["Rules"]
    assert rules[0]["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"


def test_a_name_that_another_environment_has_is_refused_with_whose_it_is(site: Site) -> None:
    site.bucket.ensure()
    tags = [{"Key": "Application", "Value": site.config.prefix}, {"Key": "Environment", "Value": "staging"}]
    site.aws.client("s3").put_bucket_tagging(Bucket=site.bucket.name, Tagging={"TagSet": tags})
    with pytest.raises(NotNow, match=f"the name '{site.config.prefix}' is taken by environment 'staging'"):
        site.bucket.ensure()
    site.aws.client("s3").delete_bucket_tagging(Bucket=site.bucket.name)
    assert site.bucket.exists(), "of a run that was killed before it gave tags"


def test_a_second_deploy_is_refused_with_who_and_since_when(site: Site, bucket: Bucket) -> None:
    _hold(site)
    with pytest.raises(Locked, match=r"ada on .* has been running 'deploy' .* since 2026-01-01"):
        bucket.acquire("deploy")


def test_the_lock_of_a_dead_process_is_released_and_it_is_said(site: Site, bucket: Bucket) -> None:
    _hold(site, **_dead_process())
    assert "released the lock of a run that is gone" in bucket.acquire("deploy")
    held = bucket.read(LOCK)
    assert held is not None and process.lives(held[0])


def test_the_lock_of_another_machine_is_never_released(site: Site, bucket: Bucket) -> None:
    _hold(site, host="another-machine", **_dead_process())
    with pytest.raises(Locked, match="another-machine") as refused:
        bucket.acquire("deploy")
    assert "unlock" in refused.value.remedy


def test_a_released_lock_is_free_again(bucket: Bucket) -> None:
    assert bucket.acquire("deploy") == ""
    bucket.release()
    assert bucket.read(LOCK) is None
    assert bucket.acquire("deploy") == ""


def test_only_ones_own_lock_is_released(site: Site, bucket: Bucket) -> None:
    bucket.acquire("deploy")
    _hold(site, who="someone who forced it")
    bucket.release()
    assert bucket.read(LOCK) is not None


def test_the_state_says_its_output_and_its_identity(bucket: Bucket) -> None:
    assert bucket.state("ecr") is None
    state = {"serial": 3, "lineage": "l", "outputs": {"ecr": {"value": {"a": 1}}}, "resources": [{"mode": "managed"}]}
    bucket.write("ecr.tfstate", state)
    found = bucket.state("ecr")
    assert found is not None
    assert (found.output, found.serial, len(found.managed)) == ({"a": 1}, 3, 1)
    before = found.identity
    bucket.write("ecr.tfstate", state | {"serial": 4})
    again = bucket.state("ecr")
    assert again is not None and again.identity != before


def test_a_bucket_of_ours_goes_with_every_version(site: Site, bucket: Bucket) -> None:
    for serial in range(3):
        bucket.write("ecr.tfstate", {"serial": serial})
    bucket.remove("ecr.tfstate")
    bucket.delete()
    assert not site.bucket.exists()


def test_environments_that_share_a_bucket_of_somebodys_keep_apart_in_it(checkout: Path, site: Site) -> None:
    """Its bucket is neither made nor deleted by us, and may hold another environment's state, or anything."""
    site.aws.client("s3").create_bucket(Bucket="shared-by-all")
    names = ("environment.state_bucket=shared-by-all", "environment.name={}")
    first, second = (
        Bucket(Aws(configuration.load("local", checkout, [part.format(name) for part in names], {})))
        for name in ("first", "second")
    )
    first.write("ecr.tfstate", {"serial": 1, "lineage": "first"})
    assert first.acquire("deploy") == second.acquire("deploy") == ""
    assert second.state("ecr") is None
    assert first.state("ecr") is not None
    entries = site.aws.client("s3").list_objects_v2(Bucket="shared-by-all")["Contents"]
    assert {entry["Key"] for entry in entries} == {"first/ecr.tfstate", "first/deploy.lock", "second/deploy.lock"}
    assert first.sources == "first/sources"
    assert first.key("x") != site.bucket.key("x") == "x"


def test_a_dead_endpoint_is_found_out_at_once(checkout: object) -> None:
    from pathlib import Path

    from orchestrator import config as configuration

    assert isinstance(checkout, Path)
    with pytest.raises(Unreachable, match=r"nothing answers at http://127\.0\.0\.1:9"):
        Site(configuration.load("local", checkout, (), {}), print).aws.account()
