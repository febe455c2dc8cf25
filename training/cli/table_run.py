"""Runs the experiments of a table, protocol by protocol, and writes their reports."""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from msgspec.structs import replace as replace_fields

from ..corpora.example import Example
from ..errors import SettingsError
from ..experiments.protocols import PROTOCOLS, VALIDATIONS, ProtocolName, ValidationName, leaks
from ..experiments.table_rows import GOLD, GROUPS, PROBE, RECOGNIZED, Group, TableRow, paper_rows
from . import options
from .console import PreparationProgress, print_total

if TYPE_CHECKING:
    from ..experiments.experiment import Experiment
    from ..experiments.folds import Fold
    from ..experiments.prepare_table import PreparedTable
    from ..experiments.report import Report

Name = TypeVar("Name", ProtocolName, ValidationName)


@dataclass(frozen=True, slots=True)
class TableOptions:
    """The options of `papers` and `folds`, besides the experiment."""

    corpus: Sequence[str]
    data: Sequence[Path]
    out: Path
    work: Path
    workers: int
    asr: str
    cpu: bool
    part: bool
    hours: bool


@dataclass(frozen=True, slots=True)
class PaperRows:
    """The rows of the papers. groups: only of these, and the baselines; empty: all."""

    groups: tuple[Group, ...]

    def of(self, experiment: Experiment, examples: Sequence[Example], asr: str) -> list[TableRow]:
        from ..experiments.ablations import fine_tunes

        rows = paper_rows(
            experiment.alphas,
            experiment.fused_alphas,
            transcripts=_other_transcripts(experiment, examples, asr),
            fine_tuned=fine_tunes(experiment),
        )
        heard = all(example.path is not None for example in examples)
        return [
            row
            for row in rows
            if (not self.groups or row.group in ("baseline", *self.groups)) and (heard or row.name != PROBE)
        ]


def row_groups(names: Sequence[str] | None) -> tuple[Group, ...]:
    known = GROUPS[1:-1]
    found = tuple(group for group in known if group in (names or ()))
    if wrong := sorted(set(names or ()) - set(found)):
        raise SettingsError(
            f"expected --rows to be of {', '.join(known)}, got {wrong[0]}: choose one of them"
        )
    return found


def _other_transcripts(experiment: Experiment, examples: Sequence[Example], asr: str) -> tuple[str, ...]:
    """The row with other words than the baseline's, where there are any."""
    from ..experiments.ablations import aligned_granularities

    # Other alignments than the baseline's would be a second difference between the rows.
    if aligned_granularities(experiment) or not any(e.english and e.path and not e.paired for e in examples):
        return ()
    if experiment.data.text_source == "recognized":
        return (GOLD,)
    return (RECOGNIZED,) if experiment.data.text_source == "gold" and asr != "none" else ()


def run_protocols(
    experiment: Experiment,
    protocols: Sequence[str] | None,
    validation: str | None,
    rows: TableRow | PaperRows,
    title: str,
    args: TableOptions,
) -> None:
    """A report for each protocol; with several, in a folder each, and the claims of all beside them."""
    from ..experiments.claims import claim_table

    options.check_output_folder(args.out, "--output-dir")
    options.check_output_folder(args.work, "--work")
    chosen = _named(protocols or [experiment.protocol], PROTOCOLS, "--protocol")
    plans = [with_protocol(experiment, name, validation) for name in chosen]
    examples = options.read_corpora(args.corpus, args.data, part=args.part)
    reports: dict[str, Report] = {}
    for plan in plans:
        place = args if len(plans) == 1 else replace(args, out=args.out / plan.protocol)
        if (report := _run(plan, rows, title, place, examples)) is not None:
            reports[plan.protocol] = report
    if len(reports) > 1:
        claims = claim_table({name: report.gains for name, report in reports.items()})
        file = args.out / "claims.md"
        file.write_text("\n".join([f"# {title}", "", *claims]), encoding="utf-8")
        print("\n".join(claims))
        print(file)


def with_protocol(experiment: Experiment, protocol: ProtocolName, validation: str | None) -> Experiment:
    """validation: as it was asked for; None: the experiment's with its own protocol, else the protocol's."""
    from ..experiments.experiment import check_consistency

    wanted = experiment.validation if protocol == experiment.protocol else None
    if validation is not None:
        (wanted,) = _named([validation], VALIDATIONS, "--validation")
    changed = replace_fields(experiment, protocol=protocol, validation=wanted)
    check_consistency(changed, "--protocol and --validation")
    return changed


def _named(names: Sequence[str], known: Mapping[Name, str], option: str) -> list[Name]:
    found = {str(name): name for name in known}
    for name in names:
        if name not in found:
            raise SettingsError(f"expected {option} to be one of {', '.join(found)}, got {name}: choose one")
    return [found[name] for name in dict.fromkeys(names)]


def _run(
    experiment: Experiment,
    chosen: TableRow | PaperRows,
    title: str,
    args: TableOptions,
    examples: Sequence[Example],
) -> Report | None:
    """chosen: the only row of the table, or those of the papers. None in a process that writes no report."""
    from ..experiments.environment import RunMetadata, commit, machine
    from ..experiments.measure_cost import measure_table
    from ..experiments.prepare_table import CACHE, TableRequest, prepare_table
    from ..experiments.reference_results import IEMOCAP_NOT_RUN
    from ..experiments.report import write_report
    from ..experiments.table import run_table
    from ..trainer.callbacks import progress_bars
    from ..trainer.runtime import make_accelerator

    started = time.monotonic()
    of_papers = isinstance(chosen, PaperRows)
    rows = [chosen] if isinstance(chosen, TableRow) else chosen.of(experiment, examples, args.asr)
    request = TableRequest(
        experiment=experiment,
        examples=tuple(examples),
        units=options.disjoint_units(args.corpus),
        rows=tuple(rows),
        asr=args.asr,
        work=args.work,
        cpu=args.cpu,
        sphinx_words=not of_papers,
    )
    accelerator = make_accelerator(experiment.trainer.precision, cpu=args.cpu, tf32=experiment.trainer.tf32)
    if args.workers > 1 and (accelerator.num_processes > 1 or accelerator.device.type != "cpu"):
        raise SettingsError(
            f"expected one worker on {accelerator.device} with {accelerator.num_processes} processes, got "
            f"--workers {args.workers}: workers are for the cores of a CPU"
        )
    with progress_bars() as bars:
        prepared = prepare_table(request, accelerator, PreparationProgress(bars))
        if args.hours:
            cost = measure_table(request, prepared, args.work / CACHE)
            bars.console.print(f"{experiment.protocol}: nothing was trained; leave --hours out to start")
            print(cost.markdown())
            return None
        results = run_table(request, prepared, bars, args.workers)
    if not accelerator.is_main_process:
        return None
    tested = sum(len(fold.test) for fold in prepared.folds)
    counts = {"fold": len(prepared.folds), "fit": len(results), "test clip": tested}
    print_total(bars.console, counts, time.monotonic() - started)
    metadata = RunMetadata(
        command=f"python -m emostream.training {shlex.join(sys.argv[1:])}",
        corpus=_tested_on(prepared.folds, part=args.part or experiment.max_per_speaker_label > 0),
        protocol=PROTOCOLS[experiment.protocol],
        protocol_name=experiment.protocol,
        leaks=leaks(experiment.protocol),
        validation=_validation(experiment, prepared.folds),
        device=str(accelerator.device),
        date=datetime.now(UTC).date().isoformat(),
        machine=machine(),
        commit=commit(),
        notes=_notes(experiment, prepared),
    )
    report = write_report(
        args.out,
        title,
        results,
        about=metadata,
        comparisons=None if of_papers else [],
        inflated=any(example.paired for example in examples),
        missing_corpora=[] if "iemocap" in args.corpus or not of_papers else [IEMOCAP_NOT_RUN],
    )
    print(report.file.read_text(encoding="utf-8").split("## Files")[0].rstrip())
    print(f"\n{report.file}")
    return report


def _notes(experiment: Experiment, prepared: PreparedTable) -> tuple[str, ...]:
    encoders = f"Encoders: {experiment.model.audio}, {experiment.model.text}."
    words = f"Words: {experiment.data.text_source}"
    words += f" by {prepared.transcriber}." if prepared.transcriber else "."
    return (*([experiment.note] if experiment.note else []), encoders, words)


def _tested_on(folds: Sequence[Fold], *, part: bool) -> str:
    corpora = ", ".join(sorted({example.corpus for fold in folds for example in fold.test}))
    return f"part of {corpora}" if part else corpora


def _validation(experiment: Experiment, folds: Sequence[Fold]) -> str:
    """What the validation set was, how large, and what it decided."""
    if experiment.protocol == "split":
        source = "the corpus's own dev split"
    elif experiment.protocol == "utterance":
        source = VALIDATIONS["utterances"]
    elif experiment.validation == "dialogues":
        source = VALIDATIONS["dialogues"]
    elif experiment.protocol == "speaker" and _partner_validates(folds):
        source = VALIDATIONS["partner"]
    else:
        known = all(example.speaker for fold in folds for example in fold.validation)
        source = VALIDATIONS["speakers"] if known else "whole dialogues, as far as they are known"
    shares = [len(fold.validation) / len(fold.train + fold.validation) for fold in folds]
    stops = experiment.trainer.keep == "best" or experiment.trainer.patience > 0
    decides = "stops training, chooses alpha and fits" if stops else "chooses alpha and fits"
    return f"{source}, {sum(shares) / len(shares):.0%} of what is not tested; it {decides} the calibration"


def _partner_validates(folds: Sequence[Fold]) -> bool:
    """Whether test and validation examples share dialogues, as only partners do."""
    return all(
        {example.dialogue for example in fold.validation} & {example.dialogue for example in fold.test}
        for fold in folds
    )
