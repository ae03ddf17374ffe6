"""`manage.py finetune create|list|follow|results|cancel`: training runs from a terminal."""

from __future__ import annotations

import time
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from training import live, plans, runs, tasks, wording
from training.management import lookup
from training.ml.config import FIT_RANGES
from training.ml.errors import PipelineError
from training.models import TrainingRun

POLL_SECONDS = 0.5
WHOLE_NUMBERS = {"batch_size", "max_length", "patience", "seed", "devices", "evaluations"}


class Command(BaseCommand):
    help = "Start and follow training runs. Exit status 1 when the run that was followed did not succeed."

    def add_arguments(self, parser: ArgumentParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        create = verbs.add_parser("create", help="queue a run; what is not given is chosen automatically")
        create.add_argument("--base", default="active", help="a model's name or id (default: the active model)")
        create.add_argument("--dataset", required=True, help="a frozen version's name, number or hash")
        create.add_argument("--method", default="", choices=["", *TrainingRun.Method.values])
        create.add_argument("--name", default="", help="becomes part of the new model's name")
        create.add_argument("--follow", action="store_true", help="stay until it ends")
        for name, (low, high) in FIT_RANGES.items():
            kind = int if name in WHOLE_NUMBERS else float
            create.add_argument(f"--{name.replace('_', '-')}", type=kind, help=f"{low:g} to {high:g}")
        listed = verbs.add_parser("list", help="the newest runs first")
        one = [
            verbs.add_parser(verb, help=text)
            for verb, text in (
                ("follow", "tell what happens until the run ends"),
                ("results", "the figures of the new model"),
                ("cancel", "end the run"),
            )
        ]
        for subparser in one:
            subparser.add_argument("run", type=int)
        for subparser in (create, listed, *one):
            subparser.add_argument("--json", action="store_true", help="print JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            getattr(self, f"_{options['verb']}")(options)
        except (PipelineError, runs.RunRefused) as error:
            raise CommandError(wording.error_text(error)) from error

    def _create(self, options: dict[str, Any]) -> None:
        chosen = {name: options[name] for name in FIT_RANGES if options[name] is not None}
        run = plans.plan_run(
            base=lookup.model(options["base"]),
            dataset=lookup.dataset(options["dataset"]),
            method=options["method"],
            name=options["name"],
            chosen=chosen,
        )
        runs.queue_run(run)
        tasks.ring_runs()
        self._tell(options, _facts(run), f"Run {run.pk} is in the queue.")
        if options["follow"]:
            self._follow(options | {"run": run.pk})

    def _list(self, options: dict[str, Any]) -> None:
        found = [_facts(run) for run in TrainingRun.objects.select_related("base", "dataset")[:100]]
        lines = [f"{fact['run']:>5}  {fact['status']:<10}  {fact['share']:>4.0%}  {fact['name']}" for fact in found]
        self._tell(options, found, "\n".join(lines) or "There is no run yet.")

    def _follow(self, options: dict[str, Any]) -> None:
        after = 0
        while True:
            run = lookup.run(options["run"])
            told = live.since(run, after)
            after = told["seq"]
            for line in told["lines"]:
                self._tell(options, line, line["text"])
            if run.is_finished:
                break
            time.sleep(POLL_SECONDS)
        if run.status != TrainingRun.Status.SUCCEEDED:
            raise CommandError(wording.run_error(run) or f"The run was {run.status}.", returncode=1)

    def _results(self, options: dict[str, Any]) -> None:
        run = lookup.run(options["run"])
        figures = live.figures(run)
        lines = [f"{item['split']:<40} {item['metric']:<20} {item['value']:.4f}" for item in figures]
        self._tell(options, _facts(run) | {"figures": figures}, "\n".join(lines) or "There are no figures yet.")

    def _cancel(self, options: dict[str, Any]) -> None:
        run = lookup.run(options["run"])
        runs.request_cancel(run)
        self._tell(options, _facts(run), f"Run {run.pk} is being cancelled.")

    def _tell(self, options: dict[str, Any], facts: Any, text: str) -> None:
        self.stdout.write(lookup.as_json(facts) if options["json"] else text)


def _facts(run: TrainingRun) -> dict[str, Any]:
    return {
        "run": run.pk,
        "name": run.name,
        "status": run.status,
        "method": run.method,
        "base": run.base.name,
        "dataset": run.dataset.name,
        "config": run.config,
        "share": run.share_done,
        "model": live.state(run)["model"],
        "error": wording.run_error(run),
    }
