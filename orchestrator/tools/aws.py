"""The one door to AWS: makes the clients, says who we are, and hands the same credentials to Terraform.

A loopback endpoint is an emulator: localstack-client's session, the credentials ``test``/``test``. Anything else is
boto3's own search for credentials. Imported lazily: boto3 costs a third of a second.
"""

from __future__ import annotations

import os
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from orchestrator.commands import command
from orchestrator.config import Config
from orchestrator.errors import AwsFailed, BadCredentials, Unreachable

EMULATOR_KEY = "test"
CREDENTIAL_ERRORS = frozenset({
    "InvalidClientTokenId", "SignatureDoesNotMatch", "ExpiredToken", "ExpiredTokenException", "AuthFailure",
    "UnrecognizedClientException", "InvalidAccessKeyId", "RequestExpired",
})  # fmt: skip
# Every service's codes are words; a bare status, or none, is what the SDK makes of an answer that is not AWS's. S3 has
# no body to name the error of a HEAD, and says 301, 400, 403, 404 or 412.
AWS_CODE = re.compile(r"[A-Za-z][\w.:-]+|301|400|403|404|412")
PERMISSIONS = re.compile("AccessDenied|Unauthori[sz]ed|NotAuthorized|AuthorizationError|403")
BUSY = re.compile("Throttl|TooManyRequests|RequestLimitExceeded|SlowDown|Unavailable|Internal")
QUOTA = re.compile("LimitExceeded|Quota")
ABSENT = re.compile("NotFound|DoesNotExist|NoSuch|404")


# What a shell may say beside a profile that is named: boto3 passes it over then, and other programs do not.
_OTHER_IDENTITIES = (
    "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN", "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE", "AWS_ROLE_ARN", "AWS_ROLE_SESSION_NAME", "AWS_WEB_IDENTITY_TOKEN_FILE",
)  # fmt: skip


def _emulator_secret() -> str:
    """Of an emulator that was started with a key, that key."""
    return os.environ.get("EMULATOR_KEY") or EMULATOR_KEY


def entries(client: Any, call: str, *keys: str, **parameters: Any) -> Iterator[Any]:
    """What all pages of an answer have under these keys, one after the other."""
    for page in client.get_paginator(call).paginate(**parameters):
        for key in keys:
            yield from page.get(key) or ()


class Aws:
    """Clients of one environment, made once each; safe from any thread."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self._clients: dict[str, Any] = {}
        self._session: Any = None
        self._account = ""
        # boto3 sessions are not safe to make clients from in several threads; the clients themselves are.
        self._lock = threading.RLock()

    def client(self, service: str) -> Any:
        """Made after the account was looked at, where the environment names one: nothing is done in another."""
        with self._lock:
            if service not in self._clients:
                if self.config.get("environment", "account"):
                    self.account()
                self._clients[service] = self._make(service)
            return self._clients[service]

    def _make(self, service: str, *, tries: int = 8, patience: int = 60) -> Any:
        from botocore.config import Config as BotoConfig

        options: dict[str, Any] = {
            "retries": {"mode": "standard", "max_attempts": tries},
            "connect_timeout": 5,
            "read_timeout": patience,
        }
        if not self.config.endpoint_url:
            # AWS is meant: an endpoint that a shell names for other work would be another world than Terraform's.
            options["ignore_configured_endpoint_urls"] = True
        else:
            # A bucket as part of the host name would need DNS that only AWS has.
            options["s3"] = {"addressing_style": "path"}
        return self._made_session().client(service, config=BotoConfig(**options), **self._endpoint())

    def _made_session(self) -> Any:
        if self._session is None:
            self._session = self._local_session() if self.config.endpoint_is_loopback else self._aws_session()
        return self._session

    def _endpoint(self) -> dict[str, str]:
        loopback_or_none = self.config.endpoint_is_loopback or not self.config.endpoint_url
        return {} if loopback_or_none else {"endpoint_url": self.config.endpoint_url}

    def _local_session(self) -> Any:
        from localstack_client.session import Session

        session = Session(
            aws_access_key_id=EMULATOR_KEY,
            aws_secret_access_key=_emulator_secret(),
            aws_session_token=None,
            region_name=self.config.region,
            localstack_host=urlsplit(self.config.endpoint_url).netloc,
        )
        # Its own mapping lets AWS_ENDPOINT_URL of the shell beat the environment's file; the file was checked.
        session._service_endpoint_mapping = dict.fromkeys(session._service_endpoint_mapping, self.config.endpoint_url)
        return session

    def _aws_session(self) -> Any:
        import boto3
        from botocore.exceptions import ProfileNotFound

        profile = self.config.get("environment", "profile") or None
        try:
            return boto3.Session(profile_name=profile, region_name=self.config.region)
        except ProfileNotFound:
            raise BadCredentials(
                f"the AWS configuration has no profile '{profile}'",
                f"run: aws configure --profile {profile}, or change environment.profile",
            ) from None

    def probe(self) -> None:
        """Refuses a dead endpoint at once, before the SDK's patient retries."""
        if not self.config.endpoint_url:
            return
        parts = urlsplit(self.config.endpoint_url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        try:
            socket.create_connection((parts.hostname or "", port), timeout=3).close()
        except OSError as error:
            start = f"--port {port}" if port != 4566 else ""
            remedy = (
                f"start the emulator: python -m emulator start {start}".rstrip()
                if self.config.endpoint_is_loopback
                else "check environment.endpoint_url and the network"
            )
            raise Unreachable(f"nothing answers at {self.config.endpoint_url} ({error})", remedy) from None

    def account(self) -> str:
        """The account that the credentials belong to (STS GetCallerIdentity); refused when AWS does not know them, and
        when it is another than the environment's."""
        with self._lock:
            if not self._account:
                self.probe()
                with explained("sts:GetCallerIdentity"):
                    # Whatever listens there is asked for the first time: nobody waits eight minutes for a mute one.
                    sts = self._make("sts", tries=3, patience=10)
                    try:
                        self._account = sts.get_caller_identity()["Account"]
                    except KeyError as error:  # a page, say: the SDK's parser misses what it looks for
                        raise _stranger(error) from None
                if (wanted := self.config.get("environment", "account")) not in ("", self._account):
                    raise BadCredentials(
                        f"the credentials belong to account {self._account}, the environment to {wanted}",
                        f"use other credentials, or correct environment.account in {self.config.source}",
                    )
            return self._account

    def environment(self) -> dict[str, str]:
        """The environment of a subprocess that calls AWS: ours, with endpoint and credentials made plain, so that it is
        the same identity at the same place as our own clients', whatever else the shell says."""
        env = {key: value for key, value in os.environ.items() if not key.startswith(("TF_", "AWS_ENDPOINT_URL"))}
        env |= {"AWS_REGION": self.config.region, "AWS_DEFAULT_REGION": self.config.region}
        env["AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"] = "false" if self.config.endpoint_url else "true"
        if self.config.endpoint_url:
            env["AWS_ENDPOINT_URL"] = self.config.endpoint_url
        profile = self.config.get("environment", "profile")
        if self.config.endpoint_is_loopback or profile:
            for name in _OTHER_IDENTITIES:
                env.pop(name, None)
        if self.config.endpoint_is_loopback:
            env |= {"AWS_ACCESS_KEY_ID": EMULATOR_KEY, "AWS_SECRET_ACCESS_KEY": _emulator_secret()}
            for name in ("HTTP_PROXY", "http_proxy"):
                env.pop(name, None)
            env["AWS_EC2_METADATA_DISABLED"] = "true"
        else:
            # The two that name a profile are read in another order by boto3 and by Terraform.
            names = [env.pop(name, "") for name in ("AWS_DEFAULT_PROFILE", "AWS_PROFILE")]
            if named := next(filter(None, [profile, *names]), ""):
                env["AWS_PROFILE"] = named
        return env

    def git_environment(self) -> dict[str, str]:
        """The environment of git, with the keys that its credential helper signs with."""
        env = self.environment()
        with self._lock, explained("finding credentials"):
            found = self._made_session().get_credentials()
        if found is None:
            raise BadCredentials("there are no AWS credentials", "run: aws configure, or set environment.profile")
        frozen = found.get_frozen_credentials()
        env |= {"AWS_ACCESS_KEY_ID": frozen.access_key, "AWS_SECRET_ACCESS_KEY": frozen.secret_key}
        env.pop("AWS_SESSION_TOKEN", None)
        return env | ({"AWS_SESSION_TOKEN": frozen.token} if frozen.token else {})


def code(error: Exception) -> str:
    """The error code of a botocore ClientError."""
    response = getattr(error, "response", None) or {}
    return str(response.get("Error", {}).get("Code", ""))


@contextmanager
def explained(what: str) -> Iterator[None]:
    """Turns botocore's errors into ours: who we are, where it is, or what AWS said."""
    from botocore.exceptions import (
        BotoCoreError,
        ClientError,
        EndpointConnectionError,
        NoCredentialsError,
        PartialCredentialsError,
    )
    from botocore.parsers import ResponseParserError

    try:
        yield
    except (NoCredentialsError, PartialCredentialsError) as error:
        raise BadCredentials(str(error), "run: aws configure, or set environment.profile") from None
    except EndpointConnectionError as error:
        raise Unreachable(str(error), "check the network and environment.endpoint_url") from None
    except ClientError as error:
        if code(error) in CREDENTIAL_ERRORS:
            raise BadCredentials(f"AWS refuses the credentials ({code(error)})", "renew them, then try again") from None
        if not AWS_CODE.fullmatch(code(error)):
            raise _stranger(error) from None
        raise AwsFailed(f"{what} failed: {error}", remedy_of(code(error))) from None
    except ResponseParserError as error:
        raise _stranger(error) from None
    except BotoCoreError as error:
        raise AwsFailed(f"{what} failed: {error}", f"try again; see: {command('doctor')}") from None


def remedy_of(error_code: str) -> str:
    """What helps against an AWS error, as far as its code tells.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies.html and each service's "Common Errors".
    """
    if PERMISSIONS.search(error_code):
        return "check the permissions of the credentials"
    if BUSY.search(error_code):
        return "AWS is busy: try again in a minute"
    if QUOTA.search(error_code):
        return "ask AWS for a higher quota, or delete what is not needed"
    if ABSENT.search(error_code):
        return f"it is not there (any more): see {command('status')}; {command('deploy')} brings it back"
    return f"see: {command('status')}"


def _stranger(error: Exception) -> Unreachable:
    words = " ".join(str(error).split())[:200]
    return Unreachable(
        f"what answers there is not AWS's API ({words})",
        "check environment.endpoint_url: another program may listen there",
    )
