"""The command line: the verbs that deploy, look and take down. Only it, its other half and ``terminal`` print."""

from __future__ import annotations

import getpass
import sys
from dataclasses import asdict
from typing import Annotated, Any

import typer

from orchestrator import cli_releases, phases, view
from orchestrator.config import CHECKOUT, Config
from orchestrator.errors import DeployError, Interrupted, LeftOver, NotNow, Refused
from orchestrator.image_phase import has_released, newer_bases
from orchestrator.runner import Runner
from orchestrator.site import Outcome
from orchestrator.terminal import (
    Env,
    Json,
    Rebuild,
    Refresh,
    Root,
    Sets,
    Terminal,
    Unchecked,
    Yes,
    confirm,
    end_now,
    run,
    speak_plainly,
)
from orchestrator.tools.image import rebuild_name

app = typer.Typer(
    name="orchestrator",
    help="Deploys a Hugging Face chatbot on Amazon ECS Fargate with blue/green releases.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
secret = typer.Typer(help="The Hugging Face token in Secrets Manager.", no_args_is_help=True)
app.add_typer(secret, name="secret")
cli_releases.add_to(app)

LOCAL_NEXT = "make status · make logs · make release · make destroy"


def _outcomes(runner: Runner, outcomes: list[Outcome], **more: Any) -> dict[str, Any]:
    return {"environment": runner.config.name, "phases": [outcome.as_dict() for outcome in outcomes], **more}


@app.command()
def deploy(
    env: Env = "local",
    refresh: Refresh = False,
    rebuild: Rebuild = False,
    yes: Yes = False,
    as_json: Json = False,
    sets: Sets = None,
    root: Root = CHECKOUT,
) -> None:
    """Everything that is not there yet or has changed; the same command goes on after any interruption."""

    def job(runner: Runner, terminal: Terminal) -> None:
        from orchestrator import repair as repairing
        from orchestrator import status as reading

        mended = repairing.before_a_deploy(runner, lambda: terminal.board(runner), yes=yes)
        with terminal.board(runner):
            outcomes = runner.deploy(refresh=refresh, yes=yes, rebuild=rebuild_name() if rebuild else "")
        cli_releases.first(runner, outcomes)
        seen = repairing.after_a_deploy(runner, lambda: terminal.board(runner), yes=yes)
        outputs = runner.outputs()
        skipped = [outcome.phase for outcome in outcomes if outcome.result == "skipped"]
        if len(skipped) == len(outcomes) and not mended:
            terminal.say(f"no changes: skipped {', '.join(skipped)}")
        for base in newer_bases(runner.site):
            command = runner.config.command("release --rebuild" if has_released(runner.site) else "deploy --rebuild")
            terminal.say(f"{base} has moved since the image was built: {command}")
        if lack := runner.lacking():
            terminal.say(lack)
        told = reading.verdict(seen)
        terminal.verdict(told)
        terminal.table(view.farewell(outputs, _next(runner.config)))
        terminal.result(_outcomes(runner, outcomes, outputs=outputs, mended=mended, **told))
        if told["verdict"] == "DOWN":
            raise typer.Exit(told["exit_code"])

    run(env, sets, root, as_json, job)


@app.command()
def phase(
    name: Annotated[str, typer.Argument(help="The phase: see docs/orchestrator.md.")],
    env: Env = "local",
    refresh: Refresh = False,
    rebuild: Rebuild = False,
    yes: Yes = False,
    as_json: Json = False,
    sets: Sets = None,
    root: Root = CHECKOUT,
) -> None:
    """One phase alone; what it needs must have been applied."""

    def job(runner: Runner, terminal: Terminal) -> None:
        with terminal.board(runner):
            outcomes = runner.phase(name, refresh=refresh, yes=yes, rebuild=rebuild_name() if rebuild else "")
        terminal.result(_outcomes(runner, outcomes))

    run(env, sets, root, as_json, job)


@app.command()
def plan(
    names: Annotated[list[str] | None, typer.Argument(help="Phases; all when none is named.")] = None,
    env: Env = "local",
    refresh: Refresh = False,
    detailed_exitcode: Annotated[bool, typer.Option(help="Exit code 3 when something would change.")] = False,
    as_json: Json = False,
    sets: Sets = None,
    root: Root = CHECKOUT,
) -> None:
    """What a deploy would change, per phase, without changing anything; it asks AWS, with or without --refresh."""

    def job(runner: Runner, terminal: Terminal) -> None:
        from orchestrator import repair as repairing

        by_hand = repairing.by_hand(runner)
        with terminal.board(runner):
            outcomes = runner.plan(names, without=repairing.not_to_compare(by_hand))
        terminal.table(view.changes(outcomes))
        for fault in by_hand:
            terminal.say(f"changed by hand: {fault.text}")
        changed = [outcome.phase for outcome in outcomes if outcome.result == "planned"]
        if changed or not by_hand:
            terminal.say(f"would change: {', '.join(changed)}" if changed else "no changes")
        if by_hand:
            terminal.say(f"deploy mends what was changed by hand, and so does: {runner.config.command('repair')}")
        if lack := runner.lacking():
            terminal.say(lack)
        terminal.result(_outcomes(runner, outcomes, changed=changed, by_hand=[fault.text for fault in by_hand]))
        if detailed_exitcode and (changed or by_hand):
            raise typer.Exit(3)

    run(env, sets, root, as_json, job)


@app.command()
def outputs(env: Env = "local", as_json: Json = False, sets: Sets = None, root: Root = CHECKOUT) -> None:
    """What every phase answered when it was last applied."""

    def job(runner: Runner, terminal: Terminal) -> None:
        found = runner.outputs()
        if not terminal.as_json:
            terminal.table(view.flat(found))
        terminal.result(found)

    run(env, sets, root, as_json, job)


@app.command()
def destroy(
    env: Env = "local",
    with_data: Annotated[
        bool, typer.Option("--with-data", help="Images and artifacts that settings protect, too.")
    ] = False,
    yes: Yes = False,
    as_json: Json = False,
    sets: Sets = None,
    root: Root = CHECKOUT,
) -> None:
    """Everything down, in reverse order, then a scan of the APIs that shows that nothing is left."""

    def job(runner: Runner, terminal: Terminal) -> None:
        from orchestrator.tools import leaks

        if not yes:
            confirm(f"destroy '{runner.config.prefix}' of environment '{runner.config.name}' with all its data?")
        with terminal.board(runner):
            outcomes = runner.destroy(with_data=with_data)
        found = leaks.scan(runner.site.aws)
        if not found:
            terminal.say(f"nothing is left: looked for {leaks.count()} kinds of resources")
        if roles := leaks.of_the_account(runner.site.aws):
            terminal.say(f"the account keeps what AWS made for whoever uses these services: {', '.join(roles)}")
        terminal.result(_outcomes(runner, outcomes, left=found, kinds_looked_for=leaks.count()))
        if found:
            raise LeftOver(
                "something of this environment is still there:\n  " + "\n  ".join(found),
                f"run it again: {runner.config.command('destroy')}; what stays was made by someone else",
            )

    run(env, sets, root, as_json, job)


@app.command()
def status(env: Env = "local", as_json: Json = False, sets: Sets = None, root: Root = CHECKOUT) -> None:
    """What visitors get (UP, DOWN, or that it cannot be seen from here), why, what mends it, and what runs.

    Exit code: 0 UP, 1 DOWN, 4 cannot be seen from here, 2 nothing is deployed.
    """

    def job(runner: Runner, terminal: Terminal) -> None:
        from orchestrator import status as reading

        runner.survey(create=False)
        told = reading.read(runner.site)
        terminal.verdict(told)
        if not as_json:
            terminal.table(view.status(told))
        if told["verdict"] is None:
            raise NotNow("nothing is deployed that visitors could see", f"run: {runner.config.command('deploy')}")
        terminal.result(told)
        if told["exit_code"]:
            raise typer.Exit(told["exit_code"])

    run(env, sets, root, as_json, job)


@app.command()
def repair(
    env: Env = "local", yes: Yes = False, as_json: Json = False, sets: Sets = None, root: Root = CHECKOUT
) -> None:
    """Brings back what was changed by hand, and says what; when nothing is wrong in sight, Terraform compares all."""

    def job(runner: Runner, terminal: Terminal) -> None:
        from orchestrator import repair as repairing
        from orchestrator import status as reading

        runner.survey(create=False)
        repairing.require_whole(runner)
        repaired = repairing.repair(runner, lambda: terminal.board(runner), everything=True, yes=yes)
        told = reading.verdict(repaired.health)
        done = [*repaired.done, *(outcome.phase for outcome in repaired.outcomes if outcome.changes)]
        terminal.say(f"mended: {len(repaired.done)}" if done else "there was nothing to mend")
        terminal.verdict(told)
        terminal.result(_outcomes(runner, repaired.outcomes, mended=repaired.done, **told))
        if told["exit_code"] or repaired.health.mendable:
            raise typer.Exit(told["exit_code"] or DeployError.exit_code)

    run(env, sets, root, as_json, job)


@app.command()
def logs(
    env: Env = "local",
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until Ctrl-C.")] = False,
    since: Annotated[str, typer.Option(help="How far back: 30s, 10m, 2h, 1d.")] = "10m",
    build: Annotated[bool, typer.Option("--build", help="All that the newest build said, instead.")] = False,
    sets: Sets = None,
    root: Root = CHECKOUT,
) -> None:
    """What the tasks say, from CloudWatch Logs; or the newest build in CodeBuild."""

    def job(runner: Runner, terminal: Terminal) -> None:
        from orchestrator.tools import codebuild
        from orchestrator.tools import logs as reading

        if build:
            found = codebuild.newest(runner.site.aws, runner.build_projects())
            if found is None:
                raise Refused("no build has run there yet", "Docker's own builds say all they have to where they run")
            terminal.say(f"{found['id']} {found['buildStatus']}")
            for line in codebuild.log_of(runner.site.aws, found):
                terminal.say(line)
            return
        span = reading.seconds(since)
        group = runner.need("ecs", "logs")["log_group_name"]
        for line in reading.read(runner.site.aws, group, span, follow=follow):
            terminal.say(line)

    run(env, sets, root, False, job)


@app.command()
def doctor(env: Env = "local", as_json: Json = False, sets: Sets = None, root: Root = CHECKOUT) -> None:
    """Looks at everything that a deploy needs; exit code 2 when something is missing."""

    def job(runner: Runner, terminal: Terminal) -> None:
        from orchestrator import doctor as examination

        findings = examination.examine(runner.site)
        terminal.table(view.findings(findings))
        terminal.result({"findings": [asdict(finding) for finding in findings]})
        wrong = [finding.name for finding in findings if finding.level == "error"]
        if wrong:
            raise typer.Exit(Refused.exit_code)

    run(env, sets, root, as_json, job)


@secret.command("set")
def secret_set(env: Env = "local", unchecked: Unchecked = False, sets: Sets = None, root: Root = CHECKOUT) -> None:
    """Puts the token from standard input (or a hidden prompt) into Secrets Manager; it is never an argument.

    The model is asked for one token with it before it is stored, and with what is stored after that; one that the model
    does not take is not stored.
    """

    def job(runner: Runner, terminal: Terminal) -> None:
        from orchestrator.tools import model
        from orchestrator.tools import secret as store

        name = runner.secret_name()
        prompt = "Hugging Face token: "
        token = store.check(getpass.getpass(prompt) if sys.stdin.isatty() else sys.stdin.read())
        asks = model.asks_with_token(runner.config) and not unchecked
        reply = model.ask(runner.config, token) if asks else None
        if reply and reply.is_of_the_token:
            raise Refused(f"not stored: {reply.text}", f"{reply.remedy}; or store it all the same: --unchecked")
        store.put(runner.site.aws, name, token)
        terminal.say(f"set {name}; tasks that start from now on have it")
        if reply and reply.ready:
            reply = model.ask(runner.config, store.read(runner.site.aws, name))
        if reply:
            told = f" → {reply.remedy}" if reply.remedy else ""
            terminal.say(f"the model, asked with it: {reply.text}{told}")
        if phases.find("ecs").work.answer(runner.site):
            terminal.say(f"running ones get it with the next release: {runner.config.command('release')}")
        else:
            terminal.say(f"go on with: {runner.config.command('deploy')}")

    run(env, sets, root, False, job)


@secret.command("status")
def secret_status(env: Env = "local", as_json: Json = False, sets: Sets = None, root: Root = CHECKOUT) -> None:
    """Whether a token is set, never which."""

    def job(runner: Runner, terminal: Terminal) -> None:
        from orchestrator.tools import secret as store

        name = runner.need("secret", "secret status")["name"]
        found = store.status(runner.site.aws, name)
        terminal.say(f"{name}: {'set since ' + found.since if found.is_set else 'not set'}")
        terminal.result({"secret": name, "set": found.is_set, "since": found.since})

    run(env, sets, root, as_json, job)


@app.command()
def unlock(env: Env = "local", yes: Yes = False, sets: Sets = None, root: Root = CHECKOUT) -> None:
    """Removes the deploy lock of a machine that is gone; a lock of this machine's dead runs goes by itself."""

    def job(runner: Runner, terminal: Terminal) -> None:
        if not yes:
            confirm("is the run that holds the lock really gone?")
        holder = runner.site.bucket.force_unlock() if runner.site.bucket.exists() else None
        terminal.say(f"removed the lock of {holder.get('who')} on {holder.get('host')}" if holder else "not locked")

    run(env, sets, root, False, job)


def _next(config: Config) -> str:
    if config.name == "local":
        return LOCAL_NEXT
    return " · ".join(f"make {verb} ENV={config.name}" for verb in ("status", "logs", "release", "destroy"))


def main() -> None:
    """The program's entry."""
    speak_plainly()
    try:
        app()
    except SystemExit as end:
        if end.code == Interrupted.exit_code:
            end_now(Interrupted.exit_code)
        raise
