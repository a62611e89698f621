"""The command line: every verb, the only place that prints and that ends the program."""

from __future__ import annotations

import getpass
import json
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.live import Live

from orchestrator import config as configuration
from orchestrator import phases, view
from orchestrator.config import CHECKOUT, Config
from orchestrator.errors import DeployError, Interrupted, LeftOver, Refused
from orchestrator.runner import Event, Runner
from orchestrator.site import Outcome

if TYPE_CHECKING:
    from orchestrator.releases import Target

app = typer.Typer(
    name="orchestrator",
    help="Deploys a Hugging Face chatbot on Amazon ECS Fargate with blue/green releases.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
secret = typer.Typer(help="The Hugging Face token in Secrets Manager.", no_args_is_help=True)
app.add_typer(secret, name="secret")

Env = Annotated[str, typer.Option("--env", "-e", help="Environment: environments/NAME.toml.")]
Sets = Annotated[list[str] | None, typer.Option("--set", metavar="TABLE.KEY=VALUE", help="A setting; beats the file.")]
Root = Annotated[Path, typer.Option("--root", help="The checkout that is deployed.", show_default=False)]
Json = Annotated[bool, typer.Option("--json", help="Machine-readable results, alone on standard output.")]
Refresh = Annotated[bool, typer.Option("--refresh", help="Ask AWS for drift even where nothing changed here.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]

LOCAL_NEXT = "make status · make logs · make release · make destroy"


class Terminal:
    """One verb's output: people on stdout, or JSON on stdout and people on stderr."""

    def __init__(self, as_json: bool) -> None:
        self.as_json = as_json
        self.console = Console(stderr=as_json, highlight=False, soft_wrap=True)
        self._board = view.Board()
        self._live: Live | None = None

    def say(self, line: str) -> None:
        self.console.print(line, markup=False)

    def watch(self, event: Event) -> None:
        line = self._board.update(event)
        if self._live is None and line:
            self.say(line)

    def complain(self, error: DeployError) -> None:
        console = Console(stderr=True, highlight=False, soft_wrap=True)
        console.print("error:", style="bold red", end=" ")
        console.print(error.what, markup=False)
        if error.remedy:
            console.print(f"→ {error.remedy}", markup=False)

    def table(self, data: list[tuple[str, ...]]) -> None:
        """Columns on a terminal; where there is none, one line per row that is never cut or wrapped."""
        if self.console.is_terminal:
            self.console.print(view.rows(data))
        else:
            for line in view.plain(data):
                self.say(line)

    def result(self, value: dict[str, Any]) -> None:
        if self.as_json:
            sys.stdout.write(json.dumps(value, indent=2, default=str) + "\n")

    @contextmanager
    def board(self, runner: Runner) -> Iterator[None]:
        """Shows the phases live on a terminal; Ctrl-C stops Terraform gracefully instead of us."""

        def interrupt(*_: object) -> None:
            self.say("interrupted: waits for Terraform to save its state")
            runner.interrupt()

        before = signal.signal(signal.SIGINT, interrupt)
        try:
            if self.console.is_terminal:
                with Live(self._board, console=self.console, refresh_per_second=8) as self._live:
                    yield
            else:
                yield
        finally:
            self._live = None
            signal.signal(signal.SIGINT, before)


@contextmanager
def errors(terminal: Terminal) -> Iterator[None]:
    """Ends the program with the exit code and the message of an error of ours."""
    try:
        yield
    except DeployError as error:
        terminal.complain(error)
        terminal.result({"error": error.what, "remedy": error.remedy, "exit_code": error.exit_code})
        raise typer.Exit(error.exit_code) from None
    except KeyboardInterrupt:
        terminal.say("interrupted")
        raise typer.Exit(Interrupted.exit_code) from None


def _load(env: str, root: Path, sets: list[str] | None) -> Config:
    return configuration.load(env, root.resolve(), sets or ())


def _run(env: str, sets: list[str] | None, root: Path, as_json: bool, job: Callable[[Runner, Terminal], None]) -> None:
    terminal = Terminal(as_json)
    with errors(terminal):
        config = _load(env, root, sets)
        job(Runner(config, terminal.watch, terminal.say), terminal)


def _outcomes(runner: Runner, outcomes: list[Outcome], **more: Any) -> dict[str, Any]:
    return {"environment": runner.config.name, "phases": [outcome.as_dict() for outcome in outcomes], **more}


@app.command()
def deploy(
    env: Env = "local",
    refresh: Refresh = False,
    yes: Yes = False,
    as_json: Json = False,
    sets: Sets = None,
    root: Root = CHECKOUT,
) -> None:
    """Everything that is not there yet or has changed; the same command goes on after any interruption."""

    def job(runner: Runner, terminal: Terminal) -> None:
        with terminal.board(runner):
            outcomes = runner.deploy(refresh=refresh, yes=yes)
        _first_release(runner, outcomes)
        outputs = runner.outputs()
        skipped = [outcome.phase for outcome in outcomes if outcome.result == "skipped"]
        if len(skipped) == len(outcomes):
            terminal.say(f"no changes: skipped {', '.join(skipped)}")
        terminal.table(view.farewell(outputs, _next(runner.config)))
        terminal.result(_outcomes(runner, outcomes, outputs=outputs))

    _run(env, sets, root, as_json, job)


@app.command()
def phase(
    name: Annotated[str, typer.Argument(help="The phase: see docs/orchestrator.md.")],
    env: Env = "local",
    refresh: Refresh = False,
    yes: Yes = False,
    as_json: Json = False,
    sets: Sets = None,
    root: Root = CHECKOUT,
) -> None:
    """One phase alone; what it needs must have been applied."""

    def job(runner: Runner, terminal: Terminal) -> None:
        with terminal.board(runner):
            outcomes = runner.phase(name, refresh=refresh, yes=yes)
        terminal.result(_outcomes(runner, outcomes))

    _run(env, sets, root, as_json, job)


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
        with terminal.board(runner):
            outcomes = runner.plan(names)
        terminal.table(view.changes(outcomes))
        changed = [outcome.phase for outcome in outcomes if outcome.result == "planned"]
        terminal.say(f"would change: {', '.join(changed)}" if changed else "no changes")
        terminal.result(_outcomes(runner, outcomes, changed=changed))
        if detailed_exitcode and changed:
            raise typer.Exit(3)

    _run(env, sets, root, as_json, job)


@app.command()
def outputs(env: Env = "local", as_json: Json = False, sets: Sets = None, root: Root = CHECKOUT) -> None:
    """What every phase answered when it was last applied."""

    def job(runner: Runner, terminal: Terminal) -> None:
        found = runner.outputs()
        if not terminal.as_json:
            terminal.table(view.flat(found))
        terminal.result(found)

    _run(env, sets, root, as_json, job)


@app.command()
def destroy(
    env: Env = "local", yes: Yes = False, as_json: Json = False, sets: Sets = None, root: Root = CHECKOUT
) -> None:
    """Everything down, in reverse order, then a scan of the APIs that shows that nothing is left."""

    def job(runner: Runner, terminal: Terminal) -> None:
        from orchestrator.tools import leaks

        if not yes:
            _confirm(f"destroy '{runner.config.prefix}' of environment '{runner.config.name}' with all its data?")
        with terminal.board(runner):
            outcomes = runner.destroy()
        found = leaks.scan(runner.site.aws)
        if not found:
            terminal.say(f"nothing is left: looked for {leaks.count()} kinds of resources")
        terminal.result(_outcomes(runner, outcomes, left=found, kinds_looked_for=leaks.count()))
        if found:
            raise LeftOver(
                "something of this environment is still there:\n  " + "\n  ".join(found),
                f"run it again: {runner.config.command('destroy')}; what stays was made by someone else",
            )

    _run(env, sets, root, as_json, job)


@app.command()
def status(env: Env = "local", as_json: Json = False, sets: Sets = None, root: Root = CHECKOUT) -> None:
    """What runs: phases, colours and their traffic, tasks, targets, alarms."""

    def job(runner: Runner, terminal: Terminal) -> None:
        from orchestrator import status as reading

        runner.survey(create=False)
        found = reading.read(runner.site)
        if not as_json:
            terminal.table(view.status(found))
        terminal.result(found)

    _run(env, sets, root, as_json, job)


@app.command()
def logs(
    env: Env = "local",
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until Ctrl-C.")] = False,
    since: Annotated[str, typer.Option(help="How far back: 30s, 10m, 2h, 1d.")] = "10m",
    sets: Sets = None,
    root: Root = CHECKOUT,
) -> None:
    """What the tasks say, from CloudWatch Logs."""

    def job(runner: Runner, terminal: Terminal) -> None:
        from orchestrator.tools import logs as reading

        span = reading.seconds(since)
        group = runner.need("ecs", "logs")["log_group_name"]
        for line in reading.read(runner.site.aws, group, span, follow=follow):
            terminal.say(line)

    _run(env, sets, root, False, job)


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

    _run(env, sets, root, as_json, job)


@secret.command("set")
def secret_set(env: Env = "local", sets: Sets = None, root: Root = CHECKOUT) -> None:
    """Puts the token from standard input (or a hidden prompt) into Secrets Manager; it is never an argument."""

    def job(runner: Runner, terminal: Terminal) -> None:
        from orchestrator.tools import secret as store

        name = runner.need("ecs", "secret set")["secret_name"]
        prompt = "Hugging Face token: "
        token = store.check(getpass.getpass(prompt) if sys.stdin.isatty() else sys.stdin.read())
        store.put(runner.site.aws, name, token)
        terminal.say(f"set {name}; tasks that start from now on have it")
        terminal.say("running ones get it with the next release: " + runner.config.command("release"))

    _run(env, sets, root, False, job)


@secret.command("status")
def secret_status(env: Env = "local", as_json: Json = False, sets: Sets = None, root: Root = CHECKOUT) -> None:
    """Whether a token is set, never which."""

    def job(runner: Runner, terminal: Terminal) -> None:
        from orchestrator.tools import secret as store

        name = runner.need("ecs", "secret status")["secret_name"]
        found = store.status(runner.site.aws, name)
        terminal.say(f"{name}: {'set since ' + found.since if found.is_set else 'not set'}")
        terminal.result({"secret": name, "set": found.is_set, "since": found.since})

    _run(env, sets, root, as_json, job)


@app.command()
def unlock(env: Env = "local", yes: Yes = False, sets: Sets = None, root: Root = CHECKOUT) -> None:
    """Removes the deploy lock of a machine that is gone; a lock of this machine's dead runs goes by itself."""

    def job(runner: Runner, terminal: Terminal) -> None:
        if not yes:
            _confirm("is the run that holds the lock really gone?")
        holder = runner.site.bucket.force_unlock() if runner.site.bucket.exists() else None
        terminal.say(f"removed the lock of {holder.get('who')} on {holder.get('host')}" if holder else "not locked")

    _run(env, sets, root, False, job)


def _release_target(runner: Runner, verb: str) -> Target:
    from orchestrator.releases import Target

    pipeline = runner.need("pipeline", verb)
    answers = {name: phases.find(name).work.answer(runner.site) or {} for name in ("network", "ecs")}
    return Target(answers["network"], answers["ecs"], pipeline)


def _first_release(runner: Runner, outcomes: list[Outcome]) -> None:
    """Pushes the first commit after the pipeline was made; an interrupted one is begun by the next deploy."""
    from orchestrator import releases
    from orchestrator.following import Follower

    if all(outcome.result == "skipped" for outcome in outcomes) and runner.site.record("pipeline").get("released"):
        return
    target = _release_target(runner, "deploy")
    if releases.first_is_due(runner.site, target):
        runner.site.say("first release: pushes what is committed through the pipeline")
        commit = releases.push(runner.site, target)
        Follower(runner.site, target).execution(releases.execution_of(runner.site, target, commit))
    runner.site.put_record("pipeline", runner.site.record("pipeline") | {"released": True})


@app.command()
def release(
    env: Env = "local",
    follow: Annotated[
        bool, typer.Option("--follow", help="Only follow the release that runs, or the last one.")
    ] = False,
    again: Annotated[bool, typer.Option("--again", help="Release the branch's head once more.")] = False,
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

        site, target = runner.site, _release_target(runner, "release")
        follower = Follower(site, target)
        deployment = execution = ""
        if follow:
            execution = releases.latest_execution(site, target)
        else:
            releases.preflight(site, target)
            if image:
                deployment = releases.deploy_image(site, target, image)
            elif again:
                execution = releases.again(site, target)
            else:
                execution = releases.execution_of(site, target, releases.push(site, target))
        if wait and deployment:
            follower.deployment(deployment)
        elif wait:
            follower.execution(execution)
        terminal.say(f"released; chat at {target.network['url']}" if wait else f"begun: {deployment or execution}")
        terminal.result({"execution": execution, "deployment": deployment, "waited": wait})

    _run(env, sets, root, as_json, job)


@app.command()
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

        found = reading.recent(runner.site.aws, _release_target(runner, "history"), most)
        if not as_json:
            terminal.table(view.history(found))
        terminal.result({"releases": [asdict(release) for release in found]})

    _run(env, sets, root, as_json, job)


@app.command()
def rollback(
    to: Annotated[
        str, typer.Argument(metavar="RELEASE", help="Commit, digest or deployment; else the one before.")
    ] = "",
    env: Env = "local",
    as_json: Json = False,
    sets: Sets = None,
    root: Root = CHECKOUT,
) -> None:
    """Back to an earlier release, blue/green like any other."""

    def job(runner: Runner, terminal: Terminal) -> None:
        from orchestrator import releases
        from orchestrator.following import Follower

        target = _release_target(runner, "rollback")
        releases.preflight(runner.site, target)
        deployment, name = releases.rollback(runner.site, target, to)
        terminal.say(f"back to {name}")
        Follower(runner.site, target).deployment(deployment)
        terminal.result({"deployment": deployment, "release": name})

    _run(env, sets, root, as_json, job)


@app.command()
def stop(env: Env = "local", as_json: Json = False, sets: Sets = None, root: Root = CHECKOUT) -> None:
    """Ends the release that runs; the traffic goes back to where it was."""

    def job(runner: Runner, terminal: Terminal) -> None:
        from orchestrator import releases

        stopped = releases.stop(runner.site, _release_target(runner, "stop"))
        terminal.say(f"stopped {stopped}")
        terminal.result({"stopped": stopped})

    _run(env, sets, root, as_json, job)


@app.command()
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

        target = _release_target(runner, "approve")
        name = releases.approve(runner.site, target, reject=reject, summary=summary)
        terminal.say(f"{'rejected' if reject else 'approved'} {name}")
        terminal.result({"approval": name, "approved": not reject})

    _run(env, sets, root, as_json, job)


def _confirm(question: str) -> None:
    if not sys.stdin.isatty():
        raise Refused("there is no terminal to ask on", "add --yes")
    if not typer.confirm(question):
        raise Refused("not confirmed", "nothing was touched")


def _next(config: Config) -> str:
    if config.name == "local":
        return LOCAL_NEXT
    return " · ".join(f"make {verb} ENV={config.name}" for verb in ("status", "logs", "release", "destroy"))


def main() -> None:
    """The program's entry."""
    app()
