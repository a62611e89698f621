"""`doctor` and `secret set` ask the model as tasks would, and say what it says."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest

from chatbot import settings
from chatbot.settings import BACKENDS
from orchestrator import config as configuration
from orchestrator import doctor
from orchestrator.config import CHECKOUT, Config
from orchestrator.errors import NotNow
from orchestrator.runner import Runner
from orchestrator.site import Site
from orchestrator.tools import model, secret
from tests.chatbot.fake_openai import FakeOpenAI

TOKEN = "hf_" + "x" * 34


@pytest.fixture
def fake() -> Iterator[FakeOpenAI]:
    server = FakeOpenAI().start()
    yield server
    server.stop()


def of(site: Site, **settings: str) -> Site:
    """The same environment, whose tasks ask a model with these settings."""
    sets = [
        f"environment.name={site.config.prefix}",
        *(f"ecs.chatbot_{name}={value}" for name, value in settings.items()),
    ]
    config = configuration.load("local", site.config.root, sets, {})
    return Site(config, site.say)


def applied(site: Site, token: str = "") -> str:
    """As after a deploy: the secret is there, and the state says where. Its name."""
    name = f"{site.config.prefix}/hf-token"
    site.aws.client("secretsmanager").create_secret(Name=name, SecretString=token or secret.PLACEHOLDER)
    site.bucket.ensure()
    outputs = {"secret": {"value": {"name": name}}}
    site.bucket.write("secret.tfstate", {"serial": 1, "lineage": "l", "outputs": outputs})
    return name


def finding(site: Site) -> doctor.Finding:
    return doctor.CHECKS["model"](site)


@pytest.mark.parametrize(
    ("fault", "level", "kind", "says", "remedy"),
    [
        ("hf_credits", "error", "credits (HTTP 402)", "exceeded your monthly included credits", "settings/billing"),
        ("hf_permission", "error", "forbidden (HTTP 403)", "sufficient permissions", "Inference Providers"),
        ("hf_gated", "error", "gated (HTTP 403)", "not in the authorized list", "ecs.chatbot_model"),
        ("hf_token", "error", "unauthorised (HTTP 401)", "Invalid username or password", "secret set"),
        ("hf_loading", "warning", "loading (HTTP 503)", "currently loading", "wait"),
    ],
)  # fmt: skip
def test_the_doctor_says_what_the_model_says_and_what_to_do(
    site: Site, fake: FakeOpenAI, fault: str, level: str, kind: str, says: str, remedy: str
) -> None:
    there = of(site, backend="huggingface", base_url=fake.url, model=f"refuses/{fault}")
    applied(there, TOKEN)
    found = finding(there)
    assert (found.name, found.level) == ("model", level)
    assert kind in found.text and says in found.text and remedy in found.remedy
    assert TOKEN not in found.text + found.remedy


def test_the_doctor_asks_with_the_token_that_is_stored_and_before_there_is_one_nobody(site: Site) -> None:
    fake = FakeOpenAI(key=TOKEN).start()
    there = of(site, backend="huggingface", base_url=fake.url, system_prompt="Be brief.")
    assert (finding(there).level, fake.requests) == ("warning", [])
    name = applied(there)
    assert finding(there).level == "warning" and "secret set" in finding(there).remedy
    secret.put(there.aws, name, TOKEN)
    assert finding(there).level == "ok" and "huggingface fake-model answered in" in finding(there).text
    assert fake.requests[-1]["max_tokens"] == 1
    assert fake.requests[-1]["messages"][0] == {"role": "system", "content": "Be brief."}
    fake.stop()


def test_a_model_in_the_image_is_asked_by_nobody_and_none_at_all_is_a_finding(config: Config, site: Site) -> None:
    assert "none in the image" in finding(site).text
    in_image = [f"environment.name={site.config.prefix}", 'image.build_args={ WITH_MODEL = "1" }']
    has = Site(configuration.load("local", site.config.root, in_image, {}), site.say)
    assert finding(has) == doctor.Finding("model", "ok", "the one that is in the image")
    values = {**config.values, "environment": {**config.table("environment"), "endpoint_url": ""}}
    on_aws = configuration.Config("prod", config.root, values, config.source)
    assert "no token, no server" in model.lacks(on_aws, "") and not model.lacks(on_aws, TOKEN)
    assert "secret set --env prod" in model.remedy(on_aws)
    assert "secret set --env prod" in Runner(on_aws, lambda _: None, print).lacking(), "nothing is applied, so no token"
    own = configuration.Config(
        "prod", config.root, {**values, "ecs": {**config.table("ecs"), "chatbot_backend": "embedded"}}, ""
    )
    assert "tasks will not be ready" in model.lacks(own, TOKEN)
    with_model = {**values, "image": {**config.table("image"), "build_args": {"WITH_MODEL": "1"}}}
    assert not model.lacks(configuration.Config("prod", config.root, with_model, config.source), "")


def test_what_this_machine_cannot_reach_tasks_may(config: Config) -> None:
    values = {**config.values, "ecs": {**config.table("ecs"), "chatbot_base_url": "http://127.0.0.1:9/v1"}}
    here = model.ask(configuration.Config("local", config.root, values, config.source), "")
    assert (here.ready, here.kind) == (False, "unreachable") and "tasks may reach it" not in here.text
    values |= {"environment": {**config.table("environment"), "endpoint_url": ""}}
    there = model.ask(configuration.Config("prod", config.root, values, config.source), "")
    assert there.again and "tasks may reach it" in there.text


def put(site: Site, *more: str, **settings: str) -> subprocess.CompletedProcess[str]:
    sets = {
        "environment.name": site.config.prefix,
        **{f"ecs.chatbot_{name}": value for name, value in settings.items()},
    }
    options = [part for name, value in sets.items() for part in ("--set", f"{name}={value}")]
    return subprocess.run(
        [sys.executable, "-m", "orchestrator", "secret", "set", "--root", str(site.config.root), *options, *more],
        cwd=CHECKOUT, input=TOKEN, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_a_token_that_the_model_does_not_take_is_not_stored_unless_it_is_wanted(site: Site, fake: FakeOpenAI) -> None:
    name = applied(site)
    there = {"backend": "huggingface", "base_url": fake.url, "model": "refuses/hf_permission"}
    done = put(site, **there)
    assert done.returncode == 2 and "not stored" in done.stderr and "--unchecked" in done.stderr
    assert "sufficient permissions" in done.stderr and TOKEN not in done.stdout + done.stderr
    assert not secret.status(site.aws, name).is_set
    assert put(site, "--unchecked", **there).returncode == 0
    assert secret.status(site.aws, name).is_set


def test_a_token_is_asked_with_before_and_after_it_is_stored(site: Site) -> None:
    fake = FakeOpenAI(key=TOKEN).start()
    name = applied(site)
    done = put(site, backend="huggingface", base_url=fake.url, model="m")
    assert done.returncode == 0, done.stderr
    assert "asked with it: huggingface m answered in" in done.stdout
    assert len(fake.requests) == 2 and secret.status(site.aws, name).is_set
    fake.stop()


def test_credits_that_are_used_up_are_told_and_the_token_is_stored(site: Site, fake: FakeOpenAI) -> None:
    name = applied(site)
    done = put(site, backend="huggingface", base_url=fake.url, model="refuses/hf_credits")
    assert done.returncode == 0 and "credits (HTTP 402)" in done.stdout and "billing" in done.stdout
    assert secret.status(site.aws, name).is_set


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("base_url", ["", "http://localhost:1/v1"])
@pytest.mark.parametrize("token", ["", TOKEN])
def test_who_is_asked_is_what_the_chatbot_itself_decides(
    config: Config, backend: str, base_url: str, token: str
) -> None:
    environment = {"CHATBOT_BACKEND": backend, "CHATBOT_BASE_URL": base_url, "HF_TOKEN": token}
    try:
        decided = settings.load(environment).backend
    except settings.SettingsError:  # refused there: nobody is asked
        return
    sets = [f"ecs.chatbot_backend={backend}", *([f"ecs.chatbot_base_url={base_url}"] if base_url else [])]
    ours = configuration.load("local", config.root, sets, {})
    assert model.is_remote(ours, token) == (decided != "embedded")


def test_a_deploy_whose_tasks_could_not_start_is_refused_until_there_is_a_token(site: Site) -> None:
    asks = of(site, backend="huggingface")
    assert "no token is set: tasks will not start" in finding(asks).text
    runner = Runner(asks.config, lambda _: None, print)
    with pytest.raises(NotNow, match="no token is set") as refused:
        runner.deploy()
    assert "secret set" in refused.value.remedy
    applied(site, TOKEN)
    runner = Runner(asks.config, lambda _: None, print)
    runner.survey(create=False)
    assert not runner.lacking()
