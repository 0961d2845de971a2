"""The command line, the outermost layer: only here do papermill and the book appear."""

import json
import shlex
from pathlib import Path
from typing import Annotated

import typer

from .data import registry, sources
from .data.dataset import describe, load_dataset
from .errors import InputError, StoreError
from .paths import data_dir
from .sections import SECTIONS
from .sections.asked import named, parse_parameters
from .sections.entropy.tables import table7_rows
from .sections.opening import open_studies
from .study import settings
from .study.plan import teacher_runs
from .study.store import Store, from_bytes

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)
store_app = typer.Typer(no_args_is_help=True, help="What was computed here: list, remove, verify, send.")
app.add_typer(store_app, name="store")

Section = Annotated[str, typer.Argument(help=f"one of {', '.join(SECTIONS)}, or all")]
DatasetOption = Annotated[str | None, typer.Option(help="data set (default: digits)")]
ProfileOption = Annotated[
    str | None, typer.Option(help="smoke, quick, paper-cpu or paper (default: KDLIB_PROFILE, else quick)")
]
ParameterOption = Annotated[list[str] | None, typer.Option("-p", "--parameter", help="name=value, as papermill's")]
StoreOption = Annotated[Path | None, typer.Option(help="folder of the store (default: KDLIB_STORE, else store/)")]


def main() -> None:
    """The entry point: a user's error is one line, and exit code 2; what cannot be read or written, 3."""
    try:
        app()
    except (InputError, StoreError, OSError) as error:
        typer.echo(f"kdlib: {error}", err=True)
        raise SystemExit(2 if isinstance(error, InputError) else 3) from None


@app.command("data")
def data_command(
    name: Annotated[str | None, typer.Argument(help="data set")] = None,
    source: Annotated[Path | None, typer.Option("--from", help="a folder in torchvision's layout")] = None,
    download: Annotated[bool, typer.Option(help="fetch it from its publisher")] = False,
    list_all: Annotated[bool, typer.Option("--list", help="all known data sets, and which are here")] = False,
    verify: Annotated[bool, typer.Option(help="read and check it")] = False,
) -> None:
    """Get, list and check data sets."""
    if list_all or name is None:
        for known in registry.dataset_names():
            try:
                dataset = load_dataset(known)
                shape = "x".join(map(str, dataset.shape))
                state = f"here: {len(dataset.labels)} training and {dataset.test_size} test images of {shape}"
            except InputError as error:
                state = "not here" if "was not found under" in str(error) else str(error)
            typer.echo(f"{known:14} {state}")
        return
    registry.find_source(name)
    if source is not None or download:
        sources.fetch(name, data_dir(), source)
    dataset = load_dataset(name)
    checked = f" ({sources.checked_by(name, data_dir())})" if verify else ""
    typer.echo(f"{name}: complete{checked}")
    for line in describe(dataset):
        typer.echo(f"  {line}")


@app.command("models")
def models_command(as_json: Annotated[bool, typer.Option("--json", help="machine readable")] = False) -> None:
    """Table 7: our networks' parameter counts beside the paper's."""
    rows = table7_rows()
    if as_json:
        typer.echo(json.dumps(rows, indent=1))
        return
    typer.echo(f"{'data set':14} {'network':17} {'parameters':>11} {'paper':>12}  identified")
    for row in rows:
        paper = f"{row['paper']:,}" if row["paper"] else "not legible"
        typer.echo(f"{row['dataset']:14} {row['network']:17} {row['parameters']:>11,} {paper:>12}  {row['identified']}")


@app.command()
def compute(
    section: Section,
    dataset: DatasetOption = None,
    profile: ProfileOption = None,
    parameter: ParameterOption = None,
    store: StoreOption = None,
    only: Annotated[str | None, typer.Option(help="teachers: their runs alone")] = None,
    part: Annotated[str, typer.Option(help="i/n: the i-th of n disjoint parts, for as many jobs")] = "1/1",
    fresh: Annotated[bool, typer.Option(help="train stored students again; exit code 1 if one does not hold")] = False,
) -> None:
    """Fill the store for a section (or all): what its notebook would compute, without papermill."""
    if only not in (None, "teachers"):
        raise InputError(f"--only {only!r} cannot be used; allowed: teachers")
    index, slash, count = part.partition("/")
    if not (slash and index.isdigit() and count.isdigit() and 1 <= int(index) <= int(count)):
        raise InputError(f"--part {part!r} cannot be used; allowed: i/n with i from 1 to n, such as 2/5")
    if only is None and part != "1/1":
        raise InputError("--part divides teachers: give --only teachers with it")
    studies = open_studies(section, dataset, profile, parameter, store)
    if fresh:
        from .book import against_reference

        if not any(study.units()[1] for study in studies):
            raise InputError(f"--fresh trains students again, and {section} has none")
        counts = [against_reference.recompute(study, typer.echo) for study in studies]
        raise typer.Exit(1 if sum(counts) else 0)
    if only:
        runs = teacher_runs(studies)[int(index) - 1 :: int(count)]
        studies[0].runs(runs)
        typer.echo(f"{len(runs)} teachers in {studies[0].store.root}")
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
    as_json: Annotated[bool, typer.Option("--json", help="machine readable")] = False,
) -> None:
    """What a section (or all) still lacks, what it will cost on this device, and how earlier estimates fared."""
    from .report import plans

    studies = open_studies(section, dataset, profile, parameter, store)
    command = ["kdlib", "compute", section, "--dataset", studies[0].dataset.name]
    command += ["--profile", studies[0].settings.profile]
    command += [word for text in parameter or [] for word in ("-p", text)]
    command += ["--store", str(store)] if store else []
    report = plans.report(studies, shlex.join(command))
    typer.echo(json.dumps(report, indent=1) if as_json else plans.text(report))


@app.command()
def bench(
    dataset: Annotated[str, typer.Option(help="a data set that torchvision has")] = "mnist",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N")] = "auto",
    epochs: Annotated[int, typer.Option(min=1, help="of each student that is trained; of table 4's there are 20")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="machine readable")] = False,
    save: Annotated[bool, typer.Option(help="keep the rows in results/, for the book's page on performance")] = False,
) -> None:
    """Measure side by side what a user would write and what kdlib does: some minutes."""
    from .book import performance

    rows = []
    for row in performance.measure(dataset, device, epochs):
        rows.append(row)
        if not as_json:
            typer.echo(performance.line(row))
    if as_json:
        typer.echo(json.dumps(rows, indent=1))
    if save:
        typer.echo(f"kept in {performance.save(rows, dataset)}", err=True)


@app.command()
def run(
    section: Section,
    dataset: DatasetOption = None,
    profile: ProfileOption = None,
    parameter: ParameterOption = None,
    store: StoreOption = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="where the page goes")] = None,
    publish: Annotated[bool, typer.Option(help="write the reference page and its results")] = False,
) -> None:
    """Execute a section's notebook: its page for the book."""
    from .book import pages

    if section == "all" and output is not None:
        raise InputError("-o names one page: give it with one section, and leave it out with all")
    names = named(section)
    given = {name: parse_parameters(name, dataset, profile, parameter, strict=section != "all") for name in names}
    if section == "all":
        for name in names:
            pages.check(name, given[name], publish=publish)
        open_studies(section, dataset, profile, parameter, store)
    for name in names:
        typer.echo(f"{name}: {pages.run(name, given[name], store=store, output=output, publish=publish)}")


@app.command()
def page(
    section: Annotated[str, typer.Argument(help=f"one of {', '.join(SECTIONS)}")],
    dataset: DatasetOption = None,
    profile: ProfileOption = None,
    parameter: ParameterOption = None,
    store: StoreOption = None,
    watch: Annotated[bool, typer.Option(help="again at every save, until interrupted")] = False,
) -> None:
    """See a notebook that was edited as a page of the book; of its two halves the one that changed is taken."""
    from .book import editing

    given = parse_parameters(section, dataset, profile, parameter)
    for line in (editing.watch if watch else editing.page)(section, given, store=store):
        typer.echo(line)


@app.command()
def book(
    build: Annotated[bool, typer.Option(help="render it, warnings are errors")] = True,
    output: Annotated[
        Path | None, typer.Option(help="folder of the HTML that gets _build/html (default: the project)")
    ] = None,
) -> None:
    """Assemble the executed pages into the book and render it."""
    from .book import assembly

    for line in assembly.make(build=build, output=output):
        typer.echo(line)


@app.command()
def verify() -> None:
    """Check that notebooks, pages, tables, rules and store belong together, and list the openings of test splits."""
    from .book import verification

    for line in verification.openings():
        typer.echo(f"test split opened by {line}")
    problems = verification.problems()
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
    as_json: Annotated[bool, typer.Option("--json", help="machine readable")] = False,
) -> None:
    """Hold the pages that were run here against the reference: what differs by more than teacher seeds explain?"""
    from .book import against_reference

    table, other = against_reference.table(dataset, profile or settings.default_profile())
    for line in other:
        typer.echo(f"not the same run: {line}", err=True)
    typer.echo(table.to_json(orient="records", indent=1) if as_json else against_reference.text(table))


@store_app.command("ls")
def store_ls(store: StoreOption = None) -> None:
    """Every unit: kind, key, size, seconds, and what it is."""
    for path in Store(store).paths():
        try:
            unit = from_bytes(path.read_bytes())
        except ValueError as error:
            typer.echo(f"{path.parent.name:8} {path.stem} {error}")
            continue
        config = unit.config
        what = config.get("measure") or config.get("network")
        inner = config
        while isinstance(within := inner.get("teacher") or inner.get("student"), dict):
            inner = within
        about = f"{inner.get('dataset')} {what} seed {inner.get('seed')} batch {inner.get('batch_size')}"
        size = path.stat().st_size
        typer.echo(f"{unit.kind:8} {path.stem} {size:>10} B {unit.provenance.get('seconds', 0):>8.1f} s  {about}")


@store_app.command("rm")
def store_rm(
    keys: Annotated[list[str], typer.Argument(help="keys as `store ls` prints them, or beginnings of them")],
    store: StoreOption = None,
) -> None:
    """Remove units by key."""
    chosen = []
    known = list(Store(store).paths())
    for key in keys:
        found = [path for path in known if path.stem.startswith(key)]
        if len(found) != 1:
            raise InputError(f"key {key!r} names {len(found)} units; `kdlib store ls` lists them")
        chosen += found
    for path in chosen:
        path.unlink()
    typer.echo(f"{len(chosen)} removed")


@store_app.command("verify")
def store_verify(store: StoreOption = None) -> None:
    """Read every unit and check it; exit code 1 if any is damaged."""
    sound, damaged = Store(store).verify()
    for path, what in damaged:
        typer.echo(f"{path.parent.name}/{path.name}: {what}", err=True)
    typer.echo(f"{len(sound)} sound, {len(damaged)} damaged (a run computes those again)")
    raise typer.Exit(1 if damaged else 0)


@store_app.command("export")
def store_export(
    folder: Annotated[Path, typer.Argument(help="gets the files")],
    part: Annotated[int, typer.Option(help="MiB a file, about", min=1)] = 64,
    store: StoreOption = None,
) -> None:
    """Pack what was computed here for another machine, in a few files: everything but the tensors of teachers."""
    place = Store(store)
    files = place.export(folder, part << 20)
    if not files:
        raise InputError(f"the store {place.root} is empty: there is nothing to export")
    for file in files:
        typer.echo(file)


@store_app.command("import")
def store_import(
    files: Annotated[list[Path], typer.Argument(help="files of `kdlib store export`")], store: StoreOption = None
) -> None:
    """Lay another machine's units beneath this store: notebooks read them and train nothing."""
    place = Store(store)
    for file in files:
        typer.echo(f"{file}: {place.take_in(file)} units")


settings.profile_names()  # a broken profiles file is found at once
