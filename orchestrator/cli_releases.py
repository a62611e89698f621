"""The command line's second half: the verbs of releases."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator import phases, view
from orchestrator.config import CHECKOUT
from orchestrator.errors import NotNow, Unreachable
from orchestrator.runner import Runner
from orchestrator.site import Outcome
from orchestrator.terminal import Env, Json, Rebuild, Root, Sets, Terminal, run
from orchestrator.tools.image import rebuild_name

if TYPE_CHECKING:
    from orchestrator.releases import Target


def add_to(app: typer.Typer) -> None:
    """Gives the program its release verbs."""
    for verb in (release, history, rollback, stop, approve):
        app.command()(verb)


def _target(runner: Runner, verb: str) -> Target:
    from orchestrator.releases import Target

    pipeline = runner.need("pipeline", verb)
    answers = {name: phases.find(name).work.answer(runner.site) or {} for name in ("network", "ecs")}
    return Target(answers["network"], answers["ecs"], pipeline)


def first(runner: Runner, outcomes: list[Outcome]) -> None:
    """Begins the first release after the pipeline was made; one that could not begin is begun by the next deploy."""
    from orchestrator import releases
    from orchestrator.following import Follower

    if all(outcome.result == "skipped" for outcome in outcomes) and runner.site.record("pipeline").get("released"):
        return
    target = _target(runner, "deploy")
    try:
        execution = releases.first(runner.site, target)
    except (NotNow, Unreachable) as error:  # everything stands; only somebody else can say yes
        return runner.site.say(f"no release yet: {error.what}; {error.remedy}")
    if execution:
        runner.site.say(f"the chatbot answers already: {target.network['url']}")
        Follower(runner.site, target).execution(execution)
    runner.site.put_record("pipeline", runner.site.record("pipeline") | {"released": True})


def release(
    env: Env = "local",
    follow: Annotated[bool, typer.Option("--follow", help="Only follow the newest release.")] = False,
    again: Annotated[bool, typer.Option("--again", help="Release the branch's head once more.")] = False,
    rebuild: Rebuild = False,
    image: Annotated[str, typer.Option(help="Release this image (REPOSITORY@sha256:…) past the pipeline.")] = "",
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Follow it to its end.")] = True,
    as_json: Json = False,
    sets: Sets = None,
    root: Root = CHECKOUT,
) -> None:
    """Pushes what is committed and follows it live: stages, lifecycle events, traffic."""

    def job(runner: Runner, terminal: Terminal) -> None:
        from orchestrator import releases
        from orchestrator.following import Follower

        site, target = runner.site, _target(runner, "release")
        follower = Follower(site, target)
        deployment = execution = ""
        if follow:
            execution = releases.latest_execution(site, target)
        else:
            releases.preflight(site, target)
            if image:
                deployment = releases.deploy_image(site, target, image)
            elif again or rebuild:
                execution = releases.again(site, target, rebuild_name() if rebuild else "")
            else:
                execution = releases.begin(site, target)
        if wait and deployment:
            follower.deployment(deployment)
        elif wait:
            follower.execution(execution)
        terminal.say(f"released; chat at {target.network['url']}" if wait else f"begun: {deployment or execution}")
        terminal.result({"execution": execution, "deployment": deployment, "waited": wait})

    run(env, sets, root, as_json, job)


def history(
    env: Env = "local",
    most: Annotated[int, typer.Option("--most", min=1, max=100, help="How many.")] = 20,
    as_json: Json = False,
    sets: Sets = None,
    root: Root = CHECKOUT,
) -> None:
    """Releases: commit, digest, who, when, result and why."""

    def job(runner: Runner, terminal: Terminal) -> None:
        from orchestrator import history as reading

        found = reading.recent(runner.site.aws, _target(runner, "history"), most)
        if not as_json:
            terminal.table(view.history(found))
        terminal.result({"releases": [asdict(release) for release in found]})

    run(env, sets, root, as_json, job)


def rollback(
    to: Annotated[str, typer.Argument(metavar="RELEASE", help="Commit, digest, deployment.")] = "",
    env: Env = "local",
    as_json: Json = False,
    sets: Sets = None,
    root: Root = CHECKOUT,
) -> None:
    """Back to an earlier release, blue/green like any other."""

    def job(runner: Runner, terminal: Terminal) -> None:
        from orchestrator import releases
        from orchestrator.following import Follower

        target = _target(runner, "rollback")
        releases.preflight(runner.site, target, despite_alarms=True)
        deployment, name = releases.rollback(runner.site, target, to)
        terminal.say(f"back to {name}")
        Follower(runner.site, target).deployment(deployment)
        terminal.result({"deployment": deployment, "release": name})

    run(env, sets, root, as_json, job)


def stop(env: Env = "local", as_json: Json = False, sets: Sets = None, root: Root = CHECKOUT) -> None:
    """Ends the release that runs; the traffic goes back to where it was."""

    def job(runner: Runner, terminal: Terminal) -> None:
        from orchestrator import stopping

        stopped = stopping.stop(runner.site, _target(runner, "stop"))
        terminal.say(f"stopped {stopped}")
        terminal.result({"stopped": stopped})

    run(env, sets, root, as_json, job)


def approve(
    env: Env = "local",
    reject: Annotated[bool, typer.Option("--reject", help="Say no.")] = False,
    summary: Annotated[str, typer.Option(help="Why.")] = "",
    as_json: Json = False,
    sets: Sets = None,
    root: Root = CHECKOUT,
) -> None:
    """Answers the approval that the pipeline waits for."""

    def job(runner: Runner, terminal: Terminal) -> None:
        from orchestrator import releases

        target = _target(runner, "approve")
        name = releases.approve(runner.site, target, reject=reject, summary=summary)
        terminal.say(f"{'rejected' if reject else 'approved'} {name}")
        terminal.result({"approval": name, "approved": not reject})

    run(env, sets, root, as_json, job)
