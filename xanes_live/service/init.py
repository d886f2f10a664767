"""The command `init`: a commented configuration after a few questions.

What is asked can also be given as options; with ``--yes`` nothing is asked. If a Tiled server can
be read, the last runs in it show which data keys are energy, I0 and the signals.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import typer

from xanes_live.config import API_KEY_VARIABLE, TiledConfig, key_from, parse
from xanes_live.errors import ConfigurationError
from xanes_live.service.find_raw import Found, look
from xanes_live.service.suggest import Proposal, Recognised, propose, shown
from xanes_live.service.template import toml

ADDRESS = {"zmq": "127.0.0.1:5578", "kafka": "127.0.0.1:9092", "none": ""}


@dataclass(frozen=True, slots=True)
class Answers:
    """What is known so far; None where it has to be asked, found or taken from the defaults."""

    source: str | None = None
    address: str | None = None
    topics: tuple[str, ...] = ()
    tiled: str | None = None
    raw_path: str | None = None
    results_path: str | None = None


def init_command(
    output: Path, answers: Answers, *, ask: bool, force: bool = False, runs: int = 5
) -> int:
    """Ask, look, write `output`; returns the exit code.

    Raises
    ------
    ConfigurationError
        If the file exists, cannot be written, or an answer is not a possible setting.
    """
    if output.exists() and not force:
        raise ConfigurationError(f"{output} exists; --force writes over it")
    question = _prompt if ask else _default
    answers = _source(answers, question)
    uri = answers.tiled or question("Tiled server", TiledConfig().uri)
    key = key_from(API_KEY_VARIABLE) or (_secret() if ask else "")
    found = look(uri, key or None, answers.raw_path, runs)
    _say(found.words)
    raw = answers.raw_path if answers.raw_path is not None else question("Raw runs in", found.path)
    results = answers.results_path or question("Results to", beside(raw))
    answers = replace(answers, tiled=uri, raw_path=raw, results_path=results)
    proposal = propose(found.runs)
    _report(found.runs, proposal)
    _write(output, *contents(answers, found, proposal))
    _say([f"wrote {output}", f"next: {API_KEY_VARIABLE}=… xanes-live check --config {output}"])
    return 0


def beside(raw_path: str) -> str:
    """Return where results go by custom: in a sandbox beside the raw runs."""
    parent = raw_path.strip("/").rpartition("/")[0]
    return f"{parent}/sandbox/xanes_live" if parent else "sandbox/xanes_live"


def contents(
    answers: Answers, found: Found, proposal: Proposal
) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
    """Return the settings to write, by section, and the remarks to go with them."""
    source: dict[str, Any] = {"kind": answers.source, "address": answers.address}
    if answers.source == "kafka":
        source["topics"] = answers.topics
    elif answers.source == "zmq":
        source["serializer"] = "json"
    else:
        del source["address"]
    tiled: dict[str, Any] = {
        "uri": answers.tiled,
        "raw_path": answers.raw_path,
        "results_path": answers.results_path,
    }
    if found.access_tags:
        tiled["access_tags"] = found.access_tags
    notes = {f"beamline.{role}": f"({why})" for role, why in proposal.doubtful.items()}
    if proposal.settings:
        count = sum(bool(run.mapping) for run in found.runs)
        notes["beamline"] = (
            f"The keys that are set are those of the last {count} absorption scans in Tiled. A key "
            "that is set has to be in every scan; take the line out to let each scan decide."
        )
    return {"source": source, "tiled": tiled, "beamline": dict(proposal.settings)}, notes


def _write(output: Path, values: dict[str, dict[str, Any]], notes: dict[str, str]) -> None:
    parse(values, "answers")  # an impossible answer is refused before anything is written
    head = (
        f"Configuration of xanes_live, written by `init` on {time.strftime('%Y-%m-%d')}.\n"
        "What is not set has the default shown. Test it with `xanes-live check --config FILE`."
    )
    try:
        output.write_text(toml(values, notes, head), encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"{output}: {error.strerror}") from None


def _source(answers: Answers, question: Callable[[str, str], str]) -> Answers:
    kind = answers.source or question("Documents come from (zmq, kafka, none)", "zmq")
    if kind not in ADDRESS:
        raise ConfigurationError(f"source {kind!r}: expected zmq, kafka or none")
    address = answers.address
    if address is None and kind != "none":
        label = "Out side of the proxy" if kind == "zmq" else "Kafka servers"
        address = question(label, ADDRESS[kind])
    topics = answers.topics
    if kind == "kafka" and not topics:
        given = question("Kafka topics (comma between)", "bluesky.documents")
        topics = tuple(word.strip() for word in given.split(",") if word.strip())
    return replace(answers, source=kind, address=address, topics=topics)


def _prompt(text: str, default: str) -> str:
    return str(typer.prompt(text, default=default))


def _default(text: str, default: str) -> str:  # noqa: ARG001 - stands for a question
    return default


def _secret() -> str:
    text = "Tiled key to look at the last runs with (not written; empty: do not look)"
    return str(typer.prompt(text, default="", hide_input=True, show_default=False))


def _say(lines: Sequence[str]) -> None:
    for line in lines:
        sys.stdout.write(line + "\n")


def _report(runs: Sequence[Recognised], proposal: Proposal) -> None:
    """Say how each run was read, and what is proposed."""
    for run in runs:
        keys = [f"{role} = {shown(key)}" for role, key in run.mapping.items()]
        told = ", ".join([*([run.edge] if run.edge else []), *keys]) or run.reason
        _say([f"  {run.title}: {told}{' (guessed from the data)' if run.guessed else ''}"])
    for role, why in proposal.doubtful.items():
        _say([f"  {role} is left to each scan: {why}"])
