"""Runs phases: in the order of their needs, as many at a time as that allows, resumable, one deploy at a time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from orchestrator import image_phase, phases
from orchestrator.config import Config
from orchestrator.errors import DeployError, Interrupted, NotApplied, NotNow, PhasesFailed, Refused
from orchestrator.phases import Phase
from orchestrator.site import Outcome, Site, check_ports
from orchestrator.tools import contents, image, model, service
from orchestrator.tools.aws import explained
from orchestrator.tools.terraform_events import Listener, Progress
from orchestrator.turns import Turns


@dataclass(frozen=True)
class Event:
    """What the user may want to see of a phase: ``state`` is waiting, running, or the result of an outcome."""

    phase: str
    state: str
    progress: Progress = field(default_factory=Progress)
    note: str = ""
    seconds: float = 0.0


Watch = Callable[[Event], None]
# Seconds that an interrupted run gives its AWS calls under way; Terraform has all the time that its state needs.
LAST_WORDS = 0.7


class Runner:
    """One run of a verb; ``watch`` gets every event, from any thread."""

    def __init__(self, config: Config, watch: Watch, say: Callable[[str], None]) -> None:
        self.config = config
        self.site = Site(config, say)
        self._watch = watch
        self._yes = False
        self._refresh: frozenset[str] = frozenset()  # the phases that ask AWS whatever their fingerprint says
        self._turns = Turns()
        self._inits: ThreadPoolExecutor
        self._prepared: dict[str, Future[None]] = {}
        self._under_way = threading.Event()
        self._answered: set[str] = set()
        self._quiet_since = 0.0

    def deploy(self, *, refresh: bool = False, yes: bool = False, rebuild: str = "") -> list[Outcome]:
        """Every phase; the outcomes in the table's order. ``rebuild``: the name of an image that is built anew."""
        chosen = phases.names()
        self._refresh, self._yes, self.site.rebuild = frozenset(chosen if refresh else ()), yes, rebuild
        with self._locked("deploy"):
            self.survey()
            due = self._due(chosen)
            self._preflight(due)
            self._prepare(due)
            return self._run(chosen, self._apply, "deploy")

    def phase(self, name: str, *, refresh: bool = False, yes: bool = False, rebuild: str = "") -> list[Outcome]:
        """One phase; a need that was never applied is refused with the command that applies it."""
        phase = phases.find(name)
        if rebuild and name != "image":
            raise Refused(f"phase {name} builds no image", "no other phase builds one than: image")
        self._refresh, self._yes, self.site.rebuild = frozenset([name] if refresh else ()), yes, rebuild
        self.survey(create=False)
        _, missing = phases.answers(self.site, phase)
        if missing:
            raise NotApplied(self._first_missing(missing[0]), name, self.config.name)
        with self._locked(f"phase {name}"):
            self.survey()
            due = self._due([name])
            self._preflight(due)
            self._prepare(due)
            return self._run([name], self._apply, f"phase {name}")

    @contextmanager
    def repairing(self, *, yes: bool) -> Iterator[None]:
        """Holds the deploy lock for several looks and what they make due."""
        self._yes = yes
        with self._locked("repair"):
            self.survey()
            yield

    def bring_back(self, concerned: Iterable[str]) -> list[Outcome]:
        """Applies the ``concerned`` phases, and those that what these answer makes stale; within ``repairing``."""
        self._refresh = frozenset(concerned)
        behind = {name for each in self._refresh for name in phases.dependants(each, phases.names())}
        chosen = [name for name in phases.names() if name in self._refresh | behind]
        self._preflight(self._due(chosen))
        return self._run(chosen, self._apply, "repair")

    def plan(self, chosen: Iterable[str] | None = None, without: Mapping[str, str] | None = None) -> list[Outcome]:
        """What a deploy would change, without changing anything; a phase whose needs are not applied says so.

        ``without``: phases that Terraform is not asked about, and why.
        """
        wanted = [phases.find(name).name for name in chosen or phases.names()]
        self.survey(create=False)
        if not self.site.bucket.exists():
            return [Outcome(name, "planned", "everything: nothing is applied yet") for name in wanted]

        def job(phase: Phase, listener: Listener) -> Outcome:
            why = (without or {}).get(phase.name)
            return Outcome(phase.name, "planned", why) if why else self._plan(phase, listener)

        return self._run(wanted, job, "plan")

    def destroy(self, *, with_data: bool = False) -> list[Outcome]:
        """Every phase, in reverse order; then the state bucket when it is ours. ``with_data``: images and artifacts
        too, where settings protect them."""
        if not self.site.bucket.exists():
            return [Outcome(name, "skipped", "there is nothing") for name in phases.names()]
        with self._locked("destroy"):
            self.survey()
            self._empty(with_data)
            outcomes = self._run(phases.names(), self._destroy, "destroy", reverse=True)
            service.forget_insights(self.site.aws)
            if self.site.bucket.is_ours:
                self.site.bucket.delete()
            return outcomes

    def _empty(self, with_data: bool) -> None:
        """A repository with images in it would fail half way, after the service is gone."""
        with explained("looking before the destroy"):
            held = contents.held(self.site.aws, self.site.states.values())
        if held and not with_data:
            settings = ", ".join(f"{one.setting} = true" for one in held)
            raise Refused(
                f"not empty, and protected from being deleted: {', '.join(map(str, held))}",
                f"lose what they hold: {self.config.command('destroy --with-data')}; or set {settings} in "
                f"{self.config.source}, deploy, then destroy",
            )
        for one in held:
            self.site.say(f"empties {one}")
            contents.empty(self.site.aws, one)

    def survey(self, *, create: bool = True) -> None:
        """What is known to be applied, fetched at once."""
        if create or self.site.bucket.exists():
            stacks = [phase.name for phase in phases.PHASES if not isinstance(phase.work, image_phase.ImageWork)]
            self.site.survey(phases.names(), stacks)

    def outputs(self) -> dict[str, Any]:
        """Every phase's answer, None where it was never applied."""
        self.survey(create=False)
        return {phase.name: phase.work.answer(self.site) for phase in phases.PHASES}

    def lacking(self) -> str:
        """That no model will answer, and what to do; empty where one will. Nothing is asked where settings tell."""
        lack = model.lacks(self.config, "") and model.lacks(self.config, phases.token(self.site))
        return f"{lack}; {model.remedy(self.config)}" if lack else ""

    def need(self, name: str, needed_by: str) -> Mapping[str, Any]:
        """The answer of phase ``name``; refused with the command that applies it when there is none."""
        self.survey(create=False)
        answer = phases.find(name).work.answer(self.site)
        if answer is None:
            raise NotApplied(self._first_missing(name), needed_by, self.config.name)
        return answer

    def secret_name(self) -> str:
        """The token's secret, made now where it is not there yet: a token may come before everything else."""
        self.survey(create=False)
        if not phases.secret_name(self.site):
            self.phase("secret")
        return phases.secret_name(self.site)

    def build_projects(self) -> list[str]:
        """The CodeBuild projects that are there: of first images, and of the pipeline."""
        self.survey(create=False)
        answers = (phases.find(name).work.answer(self.site) for name in ("ecr", "pipeline"))
        return [answer["build_project_name"] for answer in answers if answer]

    def interrupt(self) -> list[str]:
        """Ctrl-C: nothing new is begun, every wait ends; the stacks whose Terraform saves its state now."""
        return self.site.interrupt()

    @contextmanager
    def _locked(self, verb: str) -> Iterator[None]:
        self.site.bucket.ensure()
        taken_over = self.site.bucket.acquire(verb)
        if taken_over:
            self.site.say(taken_over)
        # Of the work under this lock; a verb may take it more than once.
        self._inits = ThreadPoolExecutor(max_workers=2, thread_name_prefix="init")
        self._prepared.clear()
        self._under_way.clear()
        try:
            yield
        finally:
            self._under_way.set()
            self._inits.shutdown(wait=not self.site.cancel.requested, cancel_futures=True)
            self._release_lock()

    def _release_lock(self) -> None:
        """An AWS that does not answer keeps nobody who pressed Ctrl-C: the next run takes a dead run's lock over."""
        if not self.site.cancel.requested:
            return self.site.bucket.release()

        def release() -> None:
            with suppress(DeployError):
                self.site.bucket.release()

        releasing = threading.Thread(target=release, daemon=True)
        releasing.start()
        releasing.join(LAST_WORDS)

    def _first_missing(self, name: str) -> str:
        """The phase to run first: the deepest need that was never applied."""
        _, missing = phases.answers(self.site, phases.find(name))
        return self._first_missing(missing[0]) if missing else name

    def _due(self, chosen: Iterable[str]) -> list[str]:
        """The phases that will have something to do, as far as can be known before the first has run."""
        due: list[str] = []
        for phase in phases.PHASES:
            if phase.name not in set(chosen):
                continue
            needs, missing = phases.answers(self.site, phase)
            late = missing or set(phase.needs).intersection(due)
            if phase.name in self._refresh or late or phase.work.stale(self.site, needs):
                due.append(phase.name)
        return due

    def _preflight(self, due: list[str]) -> None:
        """Refuses what would only be found out in the middle of the work."""
        if self.site.rebuild and image_phase.has_released(self.site):
            what = "what serves is changed by releases: an image that a deploy built anew would wait for the next one"
            raise Refused(what, f"release it: {self.config.command('release --rebuild')}")
        if "image" in due:
            image.choose(self.config.get("image", "builder"), self.config.endpoint_url)
        if "ecs" in due and (why := model.needs_token(self.config)) and not phases.token(self.site):
            raise NotNow(why, f"set one first: {self.config.command('secret set')}; it may come before everything else")
        if "network" in due:
            check_ports(self.site)
        if set(due) - {"image"}:
            _ = self.site.terraform.program

    def _prepare(self, due: list[str]) -> None:
        """Inits ahead what cannot begin yet, once the first that can has had its turn."""
        for name in due:
            phase = phases.find(name)
            if set(phase.needs).intersection(due):
                self._prepared[name] = self._inits.submit(self._prepare_ahead, phase)

    def _prepare_ahead(self, phase: Phase) -> None:
        while not self._under_way.wait(0.2):
            self.site.cancel.wait(0, f"phase '{phase.name}' was not begun")
        with self._turns.take(urgency=-1):
            phase.work.prepare(self.site)

    def _run(
        self, chosen: list[str], job: Callable[[Phase, Listener], Outcome], verb: str, *, reverse: bool = False
    ) -> list[Outcome]:
        """The scheduler: a failed phase stops those behind it and lets those that run come to their end."""
        outcomes: dict[str, Outcome] = {}
        failures: dict[str, DeployError] = {}
        order = phases.sorter(chosen, reverse=reverse)
        self._answered.clear()  # of a run before this one
        passed: set[str] = set()
        for name in chosen:
            self._watch(Event(name, "waiting"))
        running: dict[Future[Outcome], str] = {}
        pool = ThreadPoolExecutor(max_workers=len(chosen), thread_name_prefix="phase")
        try:
            while not self._gives_up():
                new = self._answered.intersection(chosen) - passed
                passed |= new
                order.done(*new)
                for name in order.get_ready():
                    running[pool.submit(self._one, phases.find(name), job)] = name
                if not running:
                    break
                done, _ = wait(running, return_when=FIRST_COMPLETED, timeout=0.1)
                for future in done:
                    name = running.pop(future)
                    try:
                        outcomes[name] = future.result()
                        self._answered.add(name)
                    except DeployError as error:
                        failures[name] = error
        finally:
            pool.shutdown(wait=not self.site.cancel.requested)
        for name in running.values():
            failures[name] = Interrupted("its call of AWS or of a tool was not waited for")
        self._report(chosen, outcomes, failures, verb)
        return [outcomes[name] for name in chosen]

    def _gives_up(self) -> bool:
        """Whether the run was interrupted, no Terraform saves a state any more, and the rest has had its last words."""
        now = time.monotonic()
        if not self.site.cancel.requested or self.site.saving():
            self._quiet_since = now
        return now - self._quiet_since > LAST_WORDS

    def _one(self, phase: Phase, job: Callable[[Phase, Listener], Outcome]) -> Outcome:
        began = time.monotonic()
        self.site.cancel.wait(0, f"phase '{phase.name}' was not begun")
        self._watch(Event(phase.name, "running"))
        try:
            outcome = job(phase, lambda progress: self._watch(Event(phase.name, "running", progress)))
        except DeployError as error:
            state = "stopped" if isinstance(error, Interrupted) else "failed"
            self._watch(Event(phase.name, state, note=error.what.splitlines()[0], seconds=time.monotonic() - began))
            raise
        finally:
            self._under_way.set()
        seconds = time.monotonic() - began
        self._watch(Event(phase.name, outcome.result, note=outcome.note, seconds=seconds))
        return outcome

    def _report(
        self, chosen: list[str], outcomes: Mapping[str, Outcome], failures: dict[str, DeployError], verb: str
    ) -> None:
        for name in chosen:
            if name not in outcomes and name not in failures:
                self._watch(Event(name, "blocked", note="waits for what failed"))
        stands = tuple(name for name in chosen if (name in outcomes) is not (verb == "destroy"))
        command = self.config.command(verb)
        if self.site.cancel.requested and len(outcomes) < len(chosen):
            cut = "".join(f"\n  {name}: {error.what}" for name, error in failures.items())
            raise Interrupted(
                f"stopped; what Terraform made is saved; what stands: {', '.join(stands) or 'nothing new'}{cut}",
                f"go on with: {command}",
            )
        if len(chosen) == 1 and failures:
            raise next(iter(failures.values()))
        if failures:
            raise PhasesFailed(failures, stands, command)

    def _apply(self, phase: Phase, listener: Listener) -> Outcome:
        needs, missing = phases.answers(self.site, phase)
        if missing:
            raise NotApplied(missing[0], phase.name, self.config.name)
        stale = phase.work.stale(self.site, needs)
        if not stale and phase.name not in self._refresh:
            return Outcome(phase.name, "skipped", "nothing changed since its last success")
        # Not within the turn: the init ahead takes one of its own.
        ahead = self._prepared.get(phase.name)
        if ahead is not None:
            ahead.result()
        with self._turns.take(phases.urgency(phase.name)) as over:
            self._under_way.set()
            if ahead is None:
                phase.work.prepare(self.site)
            return phase.work.apply(
                self.site,
                needs,
                _until_it_applies(listener, over),
                yes=self._yes,
                answered=lambda: self._answered.add(phase.name),
            )

    def _plan(self, phase: Phase, listener: Listener) -> Outcome:
        needs, missing = phases.answers(self.site, phase)
        if missing:
            return Outcome(phase.name, "planned", f"everything: needs {', '.join(missing)}, not applied yet")
        return phase.work.plan(self.site, needs, listener)

    def _destroy(self, phase: Phase, listener: Listener) -> Outcome:
        needs, _ = phases.answers(self.site, phase)
        return phase.work.destroy(self.site, needs, listener)


def _until_it_applies(listener: Listener, over: Callable[[], None]) -> Listener:
    """``listener``, which also gives the turn back once what is done is waiting more than work."""

    def listen(progress: Progress) -> None:
        if not progress.planning:
            over()
        listener(progress)

    return listen
