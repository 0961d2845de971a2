"""The command line, the outermost layer: only here do papermill and the book appear.

Help, and errors in what was asked for, come at once: whatever needs torch or pandas is imported inside of a command,
after its input was checked.
"""

import json
import logging
import os
import shlex
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from .data import added, files, human_labels, registry, sources
from .errors import InputError, StoreError
from .paths import as_folder, at_home, data_dir, project_root
from .sections import SECTIONS
from .sections.asked import parameters_of
from .study import settings
from .study.checks import asked_workers, check, duration
from .study.store import Store, check_holds_no_export, read_unit
from .training import own_teachers


@contextmanager
def in_one_line() -> Iterator[None]:
    """Meanwhile a user's error ends the process with one line, and exit code 2; what cannot be read or written, 3."""
    try:
        yield
    except OSError as error:
        what = f"{error.filename}: {error.strerror}" if error.filename and error.strerror else str(error)
        typer.echo(f"kdlib: {what}", err=True)
        raise SystemExit(3) from None
    except (InputError, StoreError) as error:
        typer.echo(f"kdlib: {error}", err=True)
        raise SystemExit(2 if isinstance(error, InputError) else 3) from None


with in_one_line():  # of sections and profiles, whose files anybody may change
    ONE_SECTION = f"one of {', '.join(SECTIONS)}"
    PROFILES = ", ".join(settings.profile_names())

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Re-execute Vats & Crandall (2021) on response-based knowledge distillation: train teachers and students, "
    "and see what was measured beside what the paper printed.",
)
store_app = typer.Typer(no_args_is_help=True, help="List, remove, check, send or receive what was computed.")
app.add_typer(store_app, name="store")

INTERRUPTED = 130  # the exit code that shells and typer have for Ctrl-C
# What else ends a command as Ctrl-C does: `kill`, a cluster or a machine that shuts down; a terminal that was closed.
ENDING = (signal.SIGTERM, signal.SIGHUP)


class DataGroup(typer.core.TyperGroup):
    """The commands on data sets; what is none of them is the name of a data set, which is shown."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:
        """Put `show` before what is no command: `kdlib data mnist` is `kdlib data show mnist`."""
        if not args or args[0] not in (*self.commands, "--help"):
            args = ["show", *args]
        return super().parse_args(ctx, args)


data_app = typer.Typer(cls=DataGroup, help="List the known data sets, get or check one, add or remove your own.")
app.add_typer(data_app, name="data")

teacher_app = typer.Typer(
    no_args_is_help=True, help="Add, list or remove teachers of your own: the logits of a data set's images."
)
app.add_typer(teacher_app, name="teacher")

Section = Annotated[str, typer.Argument(help=f"{ONE_SECTION}; several with commas between them, or all")]
DatasetOption = Annotated[str | None, typer.Option(help="a data set that `kdlib data list` names (default: digits)")]
ProfileOption = Annotated[
    str | None,
    typer.Option(help=f"how much is run: {PROFILES} (default: KDLIB_PROFILE, else {settings.DEFAULT_PROFILE})"),
]
ParameterOption = Annotated[
    list[str] | None,
    typer.Option(
        "-p", "--parameter", help="name=value, a parameter of the notebook, such as seeds=2; once for each parameter"
    ),
]
PATH = {"parser": at_home, "metavar": "PATH"}  # a shell leaves the ~ of `--store=~/x` alone
StoreOption = Annotated[
    Path | None, typer.Option(**PATH, help="folder of the store (default: KDLIB_STORE, else store/)")
]
JsonOption = Annotated[bool, typer.Option("--json", help="for a program to read")]


def main() -> None:
    """The entry point: a user's error is one line, and exit code 2; what cannot be read or written, 3.

    Ctrl-C is 130, and what else ends a command, as shells have it.
    """
    for stream in ("stdin", "stdout", "stderr"):
        if getattr(sys, stream) is None:  # closed by who started this; the next file to be opened would take its place
            setattr(sys, stream, open(os.devnull, "r" if stream == "stdin" else "w"))  # noqa: SIM115
    if sys.unraisablehook is sys.__unraisablehook__:
        sys.unraisablehook = _unraisable
    received = []

    def end(number: int, _: object) -> None:
        received.append(number)
        raise KeyboardInterrupt

    for number in ENDING:
        if signal.getsignal(number) is signal.SIG_DFL:  # what `nohup` starts ignores one
            signal.signal(number, end)
    try:
        with in_one_line():
            app()
    except SystemExit as ended:
        if received or ended.code == INTERRUPTED:
            for number in (signal.SIGINT, *ENDING):
                signal.signal(number, signal.SIG_IGN)  # a second one, as snakemake sends, would find it ending
            logging.disable()  # nor has what ends half-way anything to say
            said = "interrupted; what was finished is kept, and the same command goes on from there"
            typer.echo(f"kdlib: {said}", err=True)
            raise SystemExit(128 + received[0] if received else INTERRUPTED) from None
        raise
    except ModuleNotFoundError as error:
        if not error.name or error.name.partition(".")[0] == __package__:
            raise
        typer.echo(f"kdlib: {error.name} is not installed: `pip install -e '.[book]'` in the project does it", err=True)
        raise SystemExit(2) from None


def _unraisable(lost: Any) -> None:
    """Send a Ctrl-C again that came while Python called what may not raise, and was lost."""
    if not issubclass(lost.exc_type, KeyboardInterrupt):
        sys.__unraisablehook__(lost)
        return
    later = threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT))
    later.daemon = True
    later.start()


@data_app.command("list")
def data_list() -> None:
    """List all known data sets, and which are here."""
    from .data.dataset import load_dataset

    for known in registry.dataset_names():
        if registry.is_absent(known):
            typer.echo(f"{known:14} not here")
            continue
        try:
            dataset = load_dataset(known)
            shape = "x".join(map(str, dataset.shape))
            state = f"here: {len(dataset.labels)} training and {dataset.test_size} test images of {shape}"
        except InputError as error:
            state = str(error)
        typer.echo(f"{known:14} {state}")
    for known, labels in human_labels.HUMAN_LABELS.items():
        typer.echo(f"{known:14} {'here' if human_labels.is_here(known) else 'not here'}: {labels}")


@data_app.command("show")
def data_show(
    name: Annotated[
        str | None, typer.Argument(help="one of those that `kdlib data list` names; without it, they are listed")
    ] = None,
    source: Annotated[
        Path | None, typer.Option("--from", **PATH, help="copy it from this folder, which has torchvision's layout")
    ] = None,
    download: Annotated[bool, typer.Option(help="fetch it from its publisher")] = False,
    list_all: Annotated[bool, typer.Option("--list", hidden=True)] = False,
    verify: Annotated[bool, typer.Option(help="say whether its checksum is the publisher's")] = False,
) -> None:
    """Get or check a data set, and tell how it was read; `kdlib data NAME` is the same."""
    if name is None and (source is not None or download or verify):
        raise InputError(
            "which data set is meant? `kdlib data list` names them, `kdlib data NAME ...` gets or checks one"
        )
    if list_all or name is None:
        data_list()
        return
    if name in human_labels.HUMAN_LABELS:
        if download:
            raise InputError(f"{name} is not downloaded. {human_labels.how_to_get(name)}")
        if source is not None:
            human_labels.fetch(name, source)
        human_labels.checked(name)
        typer.echo(f"{name}: complete, its sha256 is the published one\n  {human_labels.HUMAN_LABELS[name]}")
        return
    registry.find_source(name)
    if source is not None and download:
        raise InputError("--from and --download exclude each other: files that are here, or those that are published")
    if source is not None or download:
        sources.fetch(name, data_dir(), source)
    registry.check_files(name)
    from .data.dataset import describe, load_dataset
    from .training.models import network_sizes

    dataset = load_dataset(name)
    checked = f" ({files.checked_by(name, data_dir())})" if verify else ""
    typer.echo(f"{name}: complete{checked}")
    if registry.find_source(name).added and (declared := added.find(name)):
        typer.echo(f"  added from {declared.source}")
    counts = network_sizes(dataset.family, dataset.shape, dataset.classes)
    shown = ", ".join(f"{role.replace('_', ' ')} {count:,}" for role, count in counts.items())
    for line in (*describe(dataset), f"networks of table 7's {dataset.family}, with parameters: {shown}"):
        typer.echo(f"  {line}")


@data_app.command("add")
def data_add(
    name: Annotated[str, typer.Argument(help="a lower-case word, by which all commands then know it")],
    path: Annotated[
        Path,
        typer.Argument(
            **PATH,
            help="a folder of pictures by class (PNG, JPEG; with or without train/ and test/), or an .npz, CSV, "
            "Parquet, ARFF, .mat or IDX file, or a folder of these",
        ),
    ],
    test: Annotated[Path | None, typer.Option(**PATH, help="where the test part is, if it lies elsewhere")] = None,
    family: Annotated[
        str | None,
        typer.Option(help="whose networks of table 7: mnist (of grey images), fashion_mnist, cifar10 (of coloured)"),
    ] = None,
    label: Annotated[str | None, typer.Option(metavar="COLUMN", help="the column of labels")] = None,
    group: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN",
            help="the column of what is not to be divided; of pictures, what follows the group in a file's name (_)",
        ),
    ] = None,
    title: Annotated[str | None, typer.Option(help="what the book calls it (default: its name)")] = None,
    seed: Annotated[int, typer.Option(min=0, help="of the division, where there is no test part")] = 0,
    size: Annotated[str | None, typer.Option(metavar="HEIGHTxWIDTH", help="resize all pictures")] = None,
    shape: Annotated[
        str | None, typer.Option(metavar="HEIGHTxWIDTH", help="of a row of pixels that is no square; also 3x..., ...x3")
    ] = None,
) -> None:
    """Make a data set of your own known by a name: it is read, checked, divided if it is not, and stored."""
    registry.check_name(name)
    workers = asked_workers()
    given = {"size": _sizes("size", size, 2), "shape": _sizes("shape", shape, 2, 3)}
    from .data.adding.add import add
    from .data.adding.parts import Options

    options = Options(label=label, group=group, workers=workers, **given)
    known, said = add(name, path, test=test, family=family, title=title, seed=seed, options=options)
    typer.echo(f"{name}: {'added' if known == name else f'is {known}'}")
    for line in said:
        typer.echo(f"  {line}")
    typer.echo(f"`kdlib data {known}` shows its networks; next: `kdlib run all --dataset {known}`, and `make book`")


@data_app.command("remove")
def data_remove(name: Annotated[str, typer.Argument(help="a data set that was added")]) -> None:
    """Remove a data set that was added; its pages and what was computed on it stay."""
    added.remove(name)
    typer.echo(f"{name}: removed")


@teacher_app.command("add")
def teacher_add(
    name: Annotated[str, typer.Argument(help="a lower-case word, by which parameters then know it")],
    dataset: Annotated[str, typer.Option(help="the data set whose images it was asked about")],
    path: Annotated[
        Path | None,
        typer.Argument(
            **PATH,
            help="its logits: an .npz or .safetensors file with arrays train and test [N, C], or a Parquet file with "
            "columns split, index and logits; without it, the network that a file of plugins/ registered by this name",
        ),
    ] = None,
) -> None:
    """Keep the logits of a teacher of your own, which then stands in for one of the paper's where responses suffice."""
    registry.check_files(dataset)
    for line in (f"{name}: added", *(f"  {line}" for line in own_teachers.add(name, dataset, path))):
        typer.echo(line)
    places = ",".join(section for section, about in SECTIONS.items() if not about.needs)
    typer.echo(
        f"`kdlib run {places} --dataset {dataset} -p large_teacher={name}` puts it in; or small_teacher. "
        "Its pages take the place of those of table 7's teacher; -o FILE writes one elsewhere"
    )


@teacher_app.command("list")
def teacher_list() -> None:
    """List the teachers that were added: whose logits they are, and how often right."""
    for name in own_teachers.names():
        found = own_teachers.find(name)
        typer.echo(f"{found.dataset:14} {found.describe()}")


@teacher_app.command("remove")
def teacher_remove(name: Annotated[str, typer.Argument(help="a teacher that was added")]) -> None:
    """Remove a teacher of your own; what was computed with it stays."""
    own_teachers.remove(name)
    typer.echo(f"{name}: removed")


def _sizes(option: str, text: str | None, *axes: int) -> tuple[int, ...] | None:
    """Pixels of a side such as "28x28", as whole numbers; None where nothing is given."""
    if text is None:
        return None
    parts = text.lower().split("x")
    if len(parts) not in axes or not all(part.isdecimal() and 1 <= int(part) <= 8192 for part in parts):
        raise InputError(f"--{option} {text!r} cannot be used; allowed: pixels of the sides, such as 28x28")
    return tuple(map(int, parts))


@app.command("models")
def models_command(as_json: JsonOption = False) -> None:
    """Show the networks of the paper's table 7: their parameter counts here beside the printed ones."""
    project_root()
    from .sections.entropy.tables import table7_rows

    rows = table7_rows()
    if as_json:
        typer.echo(json.dumps(rows, indent=1))
        return
    typer.echo(f"{'data set':14} {'network':17} {'parameters':>11} {'paper':>12}  identified")
    for row in rows:
        paper = f"{row['paper']:,}" if row["paper"] else "not legible"
        typer.echo(f"{row['dataset']:14} {row['network']:17} {row['parameters']:>11,} {paper:>12}  {row['identified']}")


@app.command("systems")
def systems_command(as_json: JsonOption = False) -> None:
    """List the distillation systems: parameters with defaults, what is tuned; with --json, origins and readings too."""
    from .data import plugins
    from .report import systems

    plugins.load()
    plugins.warn()
    found = systems.rows()
    typer.echo(json.dumps(found, indent=1) if as_json else systems.text(found))


@app.command()
def compute(
    section: Section,
    dataset: DatasetOption = None,
    profile: ProfileOption = None,
    parameter: ParameterOption = None,
    store: StoreOption = None,
    only: Annotated[str | None, typer.Option(help="teachers: train these alone")] = None,
    part: Annotated[
        str, typer.Option(help="i/n, with --only teachers: the i-th of n disjoint parts, for as many jobs")
    ] = "1/1",
    fresh: Annotated[
        bool, typer.Option(help="train stored students again; exit code 1 if one comes out unexpectedly")
    ] = False,
    within: Annotated[
        str | None,
        typer.Option(help="8m, 90s or 1h30m: do what decides most, in the order that `plan` shows, and end in time"),
    ] = None,
) -> None:
    """Train what a section (or all) still lacks, without its notebook; what was stopped goes on where it was."""
    started = time.monotonic() - time.process_time()  # what imports took counts too
    if only not in (None, "teachers"):
        raise InputError(f"--only {only!r} cannot be used; allowed: teachers")
    index, slash, count = part.partition("/")
    if not (slash and index.isdecimal() and count.isdecimal() and 1 <= int(index) <= int(count)):
        raise InputError(f"--part {part!r} cannot be used; allowed: i/n with i from 1 to n, such as 2/5")
    if only is None and part != "1/1":
        raise InputError("--part divides teachers: give --only teachers with it")
    if only and fresh:
        raise InputError("--fresh trains students again: leave out --only teachers")
    seconds = None if within is None else duration(within)
    if seconds and (only or fresh):
        raise InputError("--within has an order of its own: leave out --only and --fresh")
    given = parameters_of(section, dataset, profile, parameter)
    from .sections.opening import open_studies
    from .study.plan import teacher_runs

    studies = open_studies(given, store)
    if fresh:
        from .book import against_reference

        if not any(study.units()[1] for study in studies):
            raise InputError(f"--fresh trains students again, and {section} has none")
        counts = [against_reference.recompute(study, typer.echo) for study in studies]
        raise typer.Exit(1 if sum(counts) else 0)
    if only:
        runs = teacher_runs(studies)[int(index) - 1 :: int(count)]
        studies[0].train_teachers(runs)
        typer.echo(f"{len(runs)} teachers in {studies[0].store.root}")
        return
    if seconds:
        from .sections import order

        for line in order.until(studies, started + seconds):
            typer.echo(line)
        return
    for study in studies:
        study.tables()
        typer.echo(f"{study.section}: {len(study.used)} units in {study.store.root}")


@app.command()
def plan(
    section: Section,
    dataset: DatasetOption = None,
    profile: ProfileOption = None,
    parameter: ParameterOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say what a section (or all) still lacks, and what time and memory it will take on this machine."""
    given = parameters_of(section, dataset, profile, parameter)
    from .report import plans
    from .sections import order
    from .sections.opening import open_studies

    studies = open_studies(given, store)
    stages = order.stages(studies)
    command = ["kdlib", "compute", section, "--dataset", studies[0].dataset.name]
    command += ["--profile", studies[0].settings.profile]
    command += [word for text in parameter or [] for word in ("-p", text)]
    command += ["--store", str(store)] if store else []
    report = plans.report(studies, shlex.join(command)) | {"order": [asdict(stage) for stage in stages]}
    if as_json:
        typer.echo(json.dumps(report, indent=1))
        return
    typer.echo(plans.text(report))
    typer.echo("with --within, in this order (the first teacher seeds of a section, then one more):")
    for line in order.text(stages):
        typer.echo(f"  {line}")


@app.command()
def bench(
    dataset: Annotated[str, typer.Option(help=f"one of {', '.join(sources.TORCHVISION)}")] = "mnist",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N")] = "auto",
    epochs: Annotated[int, typer.Option(min=1, help="of each student that is trained; of table 4's there are 20")] = 1,
    as_json: JsonOption = False,
    save: Annotated[bool, typer.Option(help="keep the rows in results/, for the book's page on performance")] = False,
) -> None:
    """Measure what kdlib's training gains over the loop that you would write: some minutes."""
    if dataset not in sources.TORCHVISION:
        allowed = ", ".join(sources.TORCHVISION)
        raise InputError(f"bench needs a data set of torchvision's, got {dataset!r}; allowed: {allowed}")
    check("device", device)
    if save:
        project_root()
    registry.check_files(dataset)
    from .book import bench as benchmark
    from .book import performance

    rows = []
    for row in benchmark.run(dataset, device, epochs):
        rows.append(row)
        if not as_json:
            typer.echo(performance.line(row))
    if as_json:
        typer.echo(json.dumps(rows, indent=1))
    if save:
        typer.echo(f"kept in {performance.save(rows, dataset)}", err=True)


@app.command()
def campaign(
    out: Annotated[
        Path | None, typer.Option(**PATH, help="folder that comes back from the machine: at most 8 small files")
    ] = None,
    within: Annotated[str, typer.Option(help="the time there is, such as 9m")] = "9m",
    dataset: Annotated[str, typer.Option(help="one or several, such as mnist,fashion_mnist")] = "mnist",
    profile: Annotated[str, typer.Option(help=f"how much is run: {PROFILES}")] = "paper",
    parameter: ParameterOption = None,
    source: Annotated[
        list[Path] | None,
        typer.Option("--from", **PATH, help="folder of an earlier campaign, to go on from; may be repeated"),
    ] = None,
    store: StoreOption = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N")] = "auto",
    needs: Annotated[bool, typer.Option("--needs", help="only say whether this machine has what it needs")] = False,
) -> None:
    """Use a GPU that is at hand for some minutes: parity, benchmark, units in order of value; exported as they come."""
    started = time.monotonic() - time.process_time()  # what imports took counts too
    if needs:
        from . import needs as needed

        lines, lacking = needed.report()
        typer.echo("\n".join(lines))
        if lacking:
            typer.echo(f"kdlib: this machine lacks {', '.join(lacking)}", err=True)
            raise typer.Exit(1)
        from .training import devices

        where = devices.find_device(device)
        about = devices.environment(where)
        typer.echo(f"{where}: {about['device']}; code {about['commit']} (KDLIB_COMMIT names it where there is no .git)")
        for name in dataset.split(","):
            registry.check_files(name)
            typer.echo(f"{name}: here")
        return
    if out is None:
        raise InputError("--out FOLDER is needed: what comes back from the machine")
    as_folder(out, "--out")
    seconds = duration(within)
    check("device", device)
    for folder in source or []:
        if not folder.is_dir() or not any(folder.iterdir()):
            raise InputError(f"--from {folder} holds nothing: the folder --out of an earlier campaign is meant")
    parameters = [*(parameter or []), f"device={device}"]
    given = {name: parameters_of("all", name, profile, parameters) for name in dataset.split(",")}
    from .book import campaign as work

    for line in work.run(given, out, started + seconds, sources=source or [], store=store, device=device):
        typer.echo(line)


@app.command()
def run(
    section: Section,
    dataset: DatasetOption = None,
    profile: ProfileOption = None,
    parameter: ParameterOption = None,
    store: StoreOption = None,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", **PATH, help="file of the page, an .ipynb (default: under _build/pages/)"),
    ] = None,
    publish: Annotated[bool, typer.Option(help="write the reference page and its results, of a whole profile")] = False,
) -> None:
    """Execute a section's notebook (or all), and train what it lacks: its page for the book."""
    project_root()
    given = parameters_of(section, dataset, profile, parameter)
    if len(given) > 1 and output is not None:
        raise InputError("-o names one page: give it with one section, and leave it out with several")
    from .book import pages, replaced

    if output is None and not publish:
        for line in filter(None, (replaced.told(name, own) for name, own in given.items())):
            typer.echo(line, err=True)
    if len(given) > 1:
        for name, own in given.items():
            pages.check(name, own, publish=publish)
        from .sections.opening import open_studies

        open_studies(given, store)
    for name, own in given.items():
        typer.echo(f"{name}: {pages.run(name, own, store=store, output=output, publish=publish)}")


@app.command()
def page(
    section: Annotated[str, typer.Argument(help=ONE_SECTION)],
    dataset: DatasetOption = None,
    profile: ProfileOption = None,
    parameter: ParameterOption = None,
    store: StoreOption = None,
    watch: Annotated[bool, typer.Option(help="again at every save, until interrupted")] = False,
) -> None:
    """Show an edited notebook as a page of the book; of its jupytext pair the file that changed is taken."""
    project_root()
    if section not in SECTIONS:
        raise InputError(f"unknown section {section!r}; allowed: {', '.join(SECTIONS)}")
    given = parameters_of(section, dataset, profile, parameter)[section]
    from .book import editing

    for line in (editing.watch if watch else editing.page)(section, given, store=store):
        typer.echo(line)


@app.command()
def book(
    build: Annotated[bool, typer.Option(help="render it as HTML, or only assemble its sources")] = True,
    output: Annotated[
        Path | None, typer.Option(**PATH, help="folder in which _build/html is made (default: the project)")
    ] = None,
    only: Annotated[str | None, typer.Option(help="data sets that alone are shown, with commas between them")] = None,
) -> None:
    """Make the book of all executed pages, as HTML that can be read without a network."""
    project_root()
    if output:
        as_folder(output, "--output")
    shown = None if only is None else only.split(",")
    for name in shown or ():
        registry.find_source(name)
    from .book import assembly

    for line in assembly.make(build=build, output=output, only=shown):
        typer.echo(line)


@app.command()
def scoreboard(as_json: JsonOption = False) -> None:
    """List the verdicts on the pages that are there: in short, or all with their numbers."""
    from .book import assembly
    from .book.history import History

    board = assembly.scoreboard_of(assembly.find_pages())
    if as_json:
        found = {"rules": History(project_root()).commit_of_rules(), "verdicts": board.rows()}
        typer.echo(json.dumps(found, indent=1, ensure_ascii=False))
    else:
        for line in board.short_table():
            typer.echo(line)


@app.command()
def verify() -> None:
    """Check that notebooks, pages, tables, rules and store belong together, and list what a reader must know of them.

    That is each opening of a test split, and each rule that the git history shows to be newer than a page's numbers.
    """
    root = project_root()
    from .book import page_data, verification
    from .book.history import History

    history = History(root)
    for line in verification.openings():
        typer.echo(f"test split opened by {line}")
    for line in (*verification.notes(history), *page_data.not_compared()):
        typer.echo(line)
    problems = verification.problems(history)
    sound, damaged = Store().verify()
    problems += [f"store: {path.parent.name}/{path.name} is {what}" for path, what in damaged]
    for problem in problems:
        typer.echo(problem, err=True)
    typer.echo(f"{len(sound)} units sound; {len(problems)} problems")
    raise typer.Exit(1 if problems else 0)


@app.command()
def compare(
    dataset: Annotated[str, typer.Option(help="a data set with a reference in results/")] = "mnist",
    profile: ProfileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Hold the pages that you ran against the reference: what differs by more than teacher seeds explain?"""
    project_root()
    registry.find_source(dataset)
    profile = profile or settings.default_profile()
    settings.profile_values(profile, dataset)
    from .book import pages

    ours, reference = pages.compared(dataset, profile)
    from .book import against_reference

    table, other = against_reference.table(dataset, ours, reference)
    for line in other:
        typer.echo(f"not the same run: {line}", err=True)
    typer.echo(table.to_json(orient="records", indent=1) if as_json else against_reference.text(table))


def _there(folder: Path | None) -> Store:
    """A store that is to be looked at. Raises `InputError` where none is."""
    store = Store(folder)
    if not store.root.exists():
        raise InputError(
            f"there is no store {store.root}: nothing was computed there yet; --store names another folder"
        )
    if not os.access(store.root, os.R_OK | os.X_OK):
        raise InputError(f"the store {store.root} cannot be read: ask whose it is; --store names another folder")
    return store


@store_app.command("list")
@store_app.command("ls", hidden=True)
def store_list(store: StoreOption = None) -> None:
    """List what was computed here: each unit's kind, key, size, seconds, and what it is."""
    for path in _there(store).paths():
        try:
            unit = read_unit(path)
        except FileNotFoundError:  # removed meanwhile
            continue
        except ValueError as error:
            typer.echo(f"{path.parent.name:8} {path.stem} {error}")
            continue
        config = unit.config
        what = config.get("measure") or config.get("network") or unit.kind
        inner = config
        while isinstance(within := inner.get("teacher") or inner.get("student"), dict):
            inner = within
        about = f"{inner.get('dataset')} {what} seed {inner.get('seed')} batch {inner.get('batch_size')}"
        size = path.stat().st_size
        typer.echo(f"{unit.kind:8} {path.stem} {size:>10} B {unit.provenance.get('seconds', 0):>8.1f} s  {about}")


@store_app.command("remove")
@store_app.command("rm", hidden=True)
def store_remove(
    keys: Annotated[list[str], typer.Argument(help="keys as `store list` prints them, or beginnings of them")],
    store: StoreOption = None,
) -> None:
    """Remove what was computed, by key: it is computed again when it is needed."""
    chosen = set()
    known = list(Store(store).paths())
    for key in keys:
        found = [path for path in known if path.stem.startswith(key)]
        if len(found) != 1:
            raise InputError(f"key {key!r} names {len(found)} units; `kdlib store list` lists them")
        chosen.update(found)
    for path in chosen:
        path.unlink()
    typer.echo(f"{len(chosen)} removed")


@store_app.command("verify")
def store_verify(store: StoreOption = None) -> None:
    """Read and check everything that was computed here; exit code 1 if anything is damaged or unreadable."""
    sound, damaged = _there(store).verify()
    for path, what in damaged:
        typer.echo(f"{path.parent.name}/{path.name}: {what}", err=True)
    typer.echo(f"{len(sound)} sound, {len(damaged)} damaged or unreadable (a run computes damaged ones again)")
    raise typer.Exit(1 if damaged else 0)


@store_app.command("export")
def store_export(
    folder: Annotated[Path, typer.Argument(**PATH, help="folder for the files, without an earlier export")],
    part: Annotated[int, typer.Option(help="size of a file in MiB, about", min=1)] = 64,
    responses: Annotated[
        bool,
        typer.Option(
            "--responses", help="with each teacher's responses after its last epoch: to train further students there"
        ),
    ] = False,
    store: StoreOption = None,
) -> None:
    """Pack what was computed here for another machine, in a few files: everything but the tensors of teachers."""
    place, target = Store(store), as_folder(folder, "FOLDER")
    check_holds_no_export(target)
    if responses:
        from .study.workers import store_last_responses

        store_last_responses(place)
    for file in place.export(target, part << 20):
        typer.echo(file)


@store_app.command("import")
def store_import(
    files: Annotated[list[Path], typer.Argument(**PATH, help="files of `kdlib store export`")],
    store: StoreOption = None,
) -> None:
    """Take what another machine exported: notebooks read it, and train nothing of it again."""
    place = Store(store)
    for file in files:
        typer.echo(f"{file}: {place.import_file(file)} units")
