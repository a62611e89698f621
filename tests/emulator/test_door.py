"""Who may call the emulator: its user's own programs, by its own names, signed. No web page, nobody else's program."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

import pytest

from emulator.emulator import Emulator
from emulator.state.config import Config
from tests.emulator.signing import asked, client

if TYPE_CHECKING:
    from playwright.sync_api import Browser

CHROMIUM = Path(__file__).parents[1] / "quiet_chromium"

FORM = "application/x-www-form-urlencoded"
IDENTITY = "Action=GetCallerIdentity&Version=2011-06-15"


@pytest.fixture
def kept(emulator: Emulator) -> Any:
    """A bucket with an object, which no stranger may read, change or delete."""
    s3 = client(emulator, "s3", version="s3v4")
    s3.create_bucket(Bucket="states")
    s3.put_object(Bucket="states", Key="state", Body=b"kept")
    return s3


def is_kept(s3: Any) -> bool:
    return bool(s3.get_object(Bucket="states", Key="state")["Body"].read() == b"kept")


# Everything that listens behind the port: API, S3, registry, git, stand-ins of GitHub, task metadata, the console.
PATHS = ("/", "/states/state", "/states?list-type=2", "/v2/", "/v1/repos/x/info/refs?service=git-upload-pack",
         "/github.com/a/b/info/refs?service=git-upload-pack", "/_emulator/health", "/_emulator/connections",
         "/_emulator/metadata/v4/x", "/2015-03-31/functions/", "/moto-api/data.json")  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("host", ["evil.test", "evil.test:4566", "localhost.evil.test", "127.0.0.1.evil.test", "x", ""])
def test_a_name_that_was_made_to_point_here_gets_nothing(emulator: Emulator, kept: Any, path: str, host: str) -> None:
    status, body, _, *_ = asked(emulator, path=path, service="s3", Host=host)
    assert status in (400, 403) and "kept" not in body and "emulator.log" not in body


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.test"},
        {"Origin": "null"},
        {"Origin": "http://localhost:1"},  # another program of this machine's
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
        {"Referer": "https://evil.test/page"},
    ],
    ids=str,
)
def test_a_page_of_somebody_else_gets_nothing(
    emulator: Emulator, kept: Any, path: str, headers: dict[str, str]
) -> None:
    for method in ("GET", "POST", "PUT", "DELETE"):
        for service in ("", "s3"):
            status, body, answered, *_ = asked(emulator, method, path, service=service, **headers)
            assert status == 403 and "kept" not in body
            assert not [name for name in answered if name.lower().startswith("access-control")]
    assert is_kept(kept)


def test_a_preflight_gets_nothing(emulator: Emulator, kept: Any) -> None:
    for path in PATHS:
        for origin in ("https://evil.test", emulator.url):
            status, _, answered, *_ = asked(
                emulator, "OPTIONS", path, Origin=origin, Access_Control_Request_Method="PUT",
                Access_Control_Request_Headers="authorization",
            )  # fmt: skip
            assert status == 403 and not [name for name in answered if name.lower().startswith("access-control")]


@pytest.mark.parametrize(
    "method, path, kind, body",
    [
        ("POST", "/states?delete", "text/plain", "<Delete><Object><Key>state</Key></Object></Delete>"),
        ("POST", "/states?delete", "", "<Delete><Object><Key>state</Key></Object></Delete>"),
        ("PUT", "/states/state", "text/plain", "mine"),
        ("DELETE", "/states/state", "", ""),
        ("POST", "/states", "multipart/form-data; boundary=x",
         '--x\r\nContent-Disposition: form-data; name="key"\r\n\r\nstate\r\n--x\r\n'
         'Content-Disposition: form-data; name="file"\r\n\r\nmine\r\n--x--\r\n'),
        ("GET", "/states/state", "", ""),
        ("GET", "/states", "", ""),
        ("GET", "/", "", ""),
        ("POST", "/", FORM, "Action=DeleteRole&RoleName=x&Version=2010-05-08"),
        ("POST", "/", FORM, "Action=GetCallerIdentity&Version=2011-06-15"),
        ("GET", "/?Action=GetCallerIdentity&Version=2011-06-15", "", ""),
        ("POST", "/2015-03-31/functions/x/invocations", "application/json", "{}"),
        ("POST", "/moto-api/reset", "", ""),
        ("POST", "/moto-api/seed", "", "1"),
    ],
)  # fmt: skip
def test_what_is_not_signed_is_refused(
    emulator: Emulator, kept: Any, method: str, path: str, kind: str, body: str
) -> None:
    status, text, _, *_ = asked(emulator, method, path, body, **({"Content_Type": kind} if kind else {}))
    assert status == 403 and "kept" not in text
    assert is_kept(kept)


def test_the_refusal_is_in_the_words_of_the_service(emulator: Emulator, kept: Any) -> None:
    _, xml, _, *_ = asked(emulator, "POST", "/", IDENTITY, Content_Type=FORM)
    assert "<Code>MissingAuthenticationToken</Code>" in xml
    status, body, _, *_ = asked(
        emulator, "POST", "/", "{}", X_Amz_Target="AmazonEC2ContainerServiceV20141113.ListClusters"
    )
    assert (status, json.loads(body)["__type"]) == (400, "MissingAuthenticationTokenException")
    _, s3, _, *_ = asked(emulator, "GET", "/states")
    assert "<Code>AccessDenied</Code>" in s3
    _, malformed, _, *_ = asked(
        emulator, "POST", "/", IDENTITY, Content_Type=FORM, Authorization="AWS4-HMAC-SHA256 hello"
    )
    assert "<Code>IncompleteSignature" in malformed


@pytest.mark.parametrize("path", ["/moto-api/reset", "/moto-api/seed?a=1", "/moto-api/reset-auth", "/moto-api/config"])
@pytest.mark.parametrize("service", ["", "s3", "moto_api", "moto-api"])
def test_motos_own_api_is_off(emulator: Emulator, kept: Any, path: str, service: str) -> None:
    assert asked(emulator, "POST", path, service=service)[0] >= 400
    assert is_kept(kept)


def test_what_aws_serves_unsigned_is_served(emulator: Emulator, kept: Any) -> None:
    trust = {"Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Principal": {"Federated": "x"}, "Action": "sts:AssumeRoleWithWebIdentity",
    }]}  # fmt: skip
    role = client(emulator, "iam").create_role(RoleName="web", AssumeRolePolicyDocument=json.dumps(trust))["Role"][
        "Arn"
    ]
    fields = {"Action": "AssumeRoleWithWebIdentity", "Version": "2011-06-15", "RoleArn": role, "RoleSessionName": "me",
              "WebIdentityToken": "token"}  # fmt: skip
    status, body, _, *_ = asked(emulator, "POST", "/", urlencode(fields), Content_Type=FORM)
    assert status == 200 and "<AccessKeyId>" in body
    kept.put_object(Bucket="states", Key="public", Body=b"for all", ACL="public-read")
    assert asked(emulator, path="/states/public")[:2] == (200, "for all")


def test_a_presigned_url_is_served_but_not_from_a_page(emulator: Emulator, kept: Any) -> None:
    for operation, method, body in (("get_object", "GET", ""), ("put_object", "PUT", "kept")):
        parts = urlsplit(kept.generate_presigned_url(operation, {"Bucket": "states", "Key": "state"}, ExpiresIn=60))
        url = f"{parts.path}?{parts.query}"
        assert asked(emulator, method, url, body, Host=parts.netloc)[0] == 200
        assert asked(emulator, method, url, body, Host=parts.netloc, Sec_Fetch_Site="cross-site")[0] == 403


@pytest.mark.parametrize(
    "host", ["localhost", "127.0.0.1", "[::1]", "LOCALHOST", "states.s3.localhost", "x.localhost."]
)
def test_its_own_names_are_answered(emulator: Emulator, host: str) -> None:
    named = f"{host}:{emulator.store.config.port}"
    assert asked(emulator, path="/_emulator/health", Host=named)[0] == 200
    status, body, _, *_ = asked(emulator, "POST", "/", IDENTITY, service="sts", Content_Type=FORM, Host=named)
    assert status == 200 and "<Account>" in body


# --- who is let in by name


@pytest.fixture
def open_to(tmp_path: Path) -> Iterator[Emulator]:
    config = Config(port=0, runtime="process", allow_hosts=("aws.test",), allow_origins=("http://localhost:3000",))
    emulator = Emulator(tmp_path / "open", config)
    yield emulator
    emulator.close()


def test_dockers_relay_is_called_by_its_address(emulator: Emulator) -> None:
    assert asked(emulator, path="/_emulator/health", Host="172.18.0.1:4566")[0] == 403
    emulator.store.config.relays.add("172.18.0.1")
    assert asked(emulator, path="/_emulator/health", Host="172.18.0.1:4566")[0] == 200


def test_a_name_and_a_page_may_be_let_in(open_to: Emulator) -> None:
    assert asked(open_to, path="/_emulator/health", Host="aws.test:4566")[0] == 200
    assert asked(open_to, path="/_emulator/health", Host="bws.test:4566")[0] == 403
    ours = {"Origin": "http://localhost:3000", "Sec_Fetch_Site": "same-site"}
    status, _, answered, *_ = asked(
        open_to, "OPTIONS", "/", **ours, Access_Control_Request_Method="POST",
        Access_Control_Request_Headers="authorization,x-amz-target",
    )  # fmt: skip
    assert (status, answered["Access-Control-Allow-Origin"]) == (200, "http://localhost:3000")
    assert answered["Access-Control-Allow-Headers"] == "authorization,x-amz-target"
    status, body, answered, *_ = asked(open_to, "POST", "/", IDENTITY, service="sts", Content_Type=FORM, **ours)
    assert (status, answered["Access-Control-Allow-Origin"]) == (200, "http://localhost:3000") and "<Account>" in body
    assert asked(open_to, "POST", "/", IDENTITY, Content_Type=FORM, **ours)[0] == 403, "it has to sign all the same"
    theirs = {"Origin": "http://localhost:3001", "Sec_Fetch_Site": "same-site"}
    status, body, _, *_ = asked(open_to, "POST", "/", IDENTITY, service="sts", Content_Type=FORM, **theirs)
    assert status == 403 and "--allow-origin" in body


def test_a_buckets_rules_let_a_page_in_to_the_bucket_and_to_nothing_else(emulator: Emulator, kept: Any) -> None:
    kept.create_bucket(Bucket="site")
    kept.put_object(Bucket="site", Key="logo", Body=b"a logo")
    rule = {"AllowedOrigins": ["https://*.shop.test"], "AllowedMethods": ["GET", "PUT"], "AllowedHeaders": ["*"]}
    kept.put_bucket_cors(Bucket="site", CORSConfiguration={"CORSRules": [rule]})
    page = {"Origin": "https://www.shop.test", "Sec_Fetch_Site": "cross-site"}
    status, body, answered, *_ = asked(emulator, path="/site/logo", service="s3", **page)
    assert (status, body, answered["Access-Control-Allow-Origin"]) == (200, "a logo", page["Origin"])
    assert asked(emulator, "OPTIONS", "/site/logo", **page, Access_Control_Request_Method="PUT")[0] == 200
    assert asked(emulator, path="/states/state", service="s3", **page)[0] == 403
    assert asked(emulator, path="/site/logo", service="lambda", **page)[0] == 403
    port = emulator.store.config.port
    by_name = {**page, "Host": f"site.localhost:{port}"}
    assert asked(emulator, "POST", "/", IDENTITY, service="sts", Content_Type=FORM, **by_name)[0] == 403
    target = "AmazonEC2ContainerServiceV20141113.ListClusters"
    assert asked(emulator, "POST", "/", "{}", X_Amz_Target=target, **by_name)[0] == 403
    for origin in ("https://www.shop.test.evil.test", "http://www.shop.test", "null"):
        assert asked(emulator, path="/site/logo", service="s3", **{**page, "Origin": origin})[0] == 403
    assert is_kept(kept)


# --- clients that nobody here wrote


@pytest.mark.slow(group="foreign")
def test_the_javascript_sdk(emulator: Emulator, tmp_path: Path) -> None:
    if not shutil.which("npm"):
        pytest.skip("npm is not installed")
    shutil.copytree(Path(__file__).parent / "javascript", tmp_path, dirs_exist_ok=True)
    install = ["npm", "install", "--no-audit", "--no-fund", "--no-package-lock"]
    subprocess.run(install, cwd=tmp_path, check=True, capture_output=True, timeout=300)
    done = subprocess.run(
        ["node", "client.mjs", emulator.url], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "account": "123456789012",
        "cluster": "js",
        "object": "text",
        "presigned": "text",
        "alarm": ["a", 1.5, True],
        "application": "ECS",
        "token": 1,
        "builds": ["js:none"],
        "session": "123456789012",
        "errors": ["ClusterNotFoundException", "NoSuchKey", "ValidationException", "InvalidSignatureException"],
    }


def test_curl_by_hand_with_credentials(emulator: Emulator) -> None:
    if not shutil.which("curl"):
        pytest.skip("curl is not installed")
    signed = ["curl", "-s", "--aws-sigv4", "aws:amz:us-east-1:sts", "-u", "test:test", "-d", IDENTITY, emulator.url]
    assert "<Account>" in subprocess.run(signed, capture_output=True, text=True, check=True).stdout
    unsigned = ["curl", "-s", "-d", IDENTITY, emulator.url]
    assert "MissingAuthenticationToken" in subprocess.run(unsigned, capture_output=True, text=True, check=True).stdout


def test_the_aws_cli(emulator: Emulator) -> None:
    pytest.importorskip("awscli", reason="awscli is not installed")
    env = {"PATH": os.environ["PATH"], "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test",
           "AWS_DEFAULT_REGION": "us-east-1"}  # fmt: skip
    command = [sys.executable, "-m", "awscli", "--endpoint-url", emulator.url, "sts", "get-caller-identity"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=True, timeout=60)
    assert "Account" in done.stdout


# --- a real browser


ATTACK = """<!doctype html><title>attack</title><form method=post enctype=text/plain target=frame></form>
<iframe name=frame></iframe><script>
const api = new URLSearchParams(location.search).get("api");
const paths = new URLSearchParams(location.search).get("paths").split(" ");
window.read = [];
async function attempt(path, options) {
  try {
    const answer = await fetch(api + path, options);
    if (answer.type !== "opaque" && answer.ok) window.read.push([path, await answer.text()]);
  } catch (error) { /* the browser keeps it from us */ }
}
window.attack = async () => {
  const authorization = "AWS4-HMAC-SHA256 Credential=test/20261126/us-east-1/s3/aws4_request, "
    + "SignedHeaders=host, Signature=0";
  const deletion = "<Delete><Object><Key>state</Key></Object></Delete>";
  for (const path of paths) {
    await attempt(path, { mode: "no-cors" });
    await attempt(path, { headers: { authorization } });
    await attempt(path, { method: "POST", mode: "no-cors", body: "x=1" });
    await attempt(path, { method: "PUT", body: "mine", headers: { authorization } });
    await attempt(path, { method: "DELETE", headers: { authorization } });
  }
  await attempt("/states?delete", { method: "POST", mode: "no-cors", body: deletion });
  await attempt("/moto-api/reset", { method: "POST", mode: "no-cors" });
  const form = document.forms[0];
  form.action = api + "/states?delete";
  form.submit();
  const image = new Image();
  image.src = api + "/moto-api/data.json";
  await new Promise((resolve) => setTimeout(resolve, 500));
  return window.read;
};
</script>"""


class _Evil(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(ATTACK.encode())

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def evil() -> Iterator[int]:
    """The port of a stranger's web site."""
    site = ThreadingHTTPServer(("127.0.0.1", 0), _Evil)
    threading.Thread(target=site.serve_forever, daemon=True).start()
    yield site.server_address[1]
    site.shutdown()
    site.server_close()


@pytest.mark.browser
@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "rebound.test"])
def test_a_browser_gets_nothing_for_a_strangers_page(
    emulator: Emulator, kept: Any, evil: int, name: str, browser: Browser
) -> None:
    rules = "MAP evil.test 127.0.0.1, MAP rebound.test 127.0.0.1"
    another = browser.browser_type.launch(
        executable_path=CHROMIUM, args=["--no-sandbox", f"--host-resolver-rules={rules}"]
    )
    try:
        page, target = another.new_page(), f"http://{name}:{emulator.store.config.port}"
        page.goto(f"http://evil.test:{evil}/?" + urlencode({"api": target, "paths": " ".join(PATHS)}))
        assert page.evaluate("attack()") == []
        # After rebinding the stranger's own name is the emulator's address: all is of the same origin.
        for path in PATHS if name == "rebound.test" else ():
            answer = page.goto(f"{target}{path}")
            assert answer is not None and answer.status in (400, 403)
    finally:
        another.close()
    assert is_kept(kept)
    assert asked(emulator, path="/_emulator/health")[0] == 200
