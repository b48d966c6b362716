"""penstock check: the interpreter against C simulation, value by value."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from penstock.errors import PenstockError
from penstock.fixed import IntArray
from penstock.ir.evaluate import ReferenceEngine
from penstock.ir.saturation import Saturation, merged
from penstock.marker import read_marker
from penstock.packing.validate import validate
from penstock.packing.vectors import vector_file
from penstock_runtime.csim import build, run_testbench
from penstock_runtime.engines import Prepared
from penstock_runtime.engines.compare import EngineDifference, engine_difference
from penstock_runtime.expected import Difference, calls_of, first_difference, interpret
from penstock_runtime.golden import read_golden, result_bytes, wrong_golden
from penstock_runtime.kernel_constants import (
    Constants,
    WrongConstant,
    expected_constants,
    parse_constants,
    wrong_constants,
    wrong_depths,
    wrong_pragmas,
)
from penstock_runtime.loops import WrongCount, wrong_count
from penstock_runtime.project import Project
from penstock_runtime.stimuli import Stimulus, own_stimuli, stimuli

Tell = Callable[[str, int, int], None]
"""Takes what is being done, how many calls are done, and of how many."""


@dataclass(frozen=True)
class WrongGolden:
    """A call of tb/vectors.dat that expects something else than the interpreter, or the kernel."""

    call: int | None
    output: str = ""

    def __str__(self) -> str:
        if self.call is not None:
            return (
                f"call {self.call} of tb/vectors.dat expects other results than the interpreter's"
            )
        return f"the kernel fails on tb/vectors.dat: {self.output.strip()}"


@dataclass(frozen=True)
class CheckResult:
    """What a check found.

    calls: kernel calls that were compared. values: how many values, by what they are. constants:
    entries of the kernel's constants and tables that were compared. loops: pipelined loops whose
    iterations were counted and compared with the plan, in every call. difference: the first one.
    saturations: what was out of range in the user's own sequences. saturated: how many values were
    in the others, which go to the extremes on purpose. wrong_constants: every constant that
    differs. edited: emitted files that were changed since.
    """

    calls: int
    values: dict[str, int]
    difference: Difference | EngineDifference | WrongConstant | WrongCount | WrongGolden | None
    output: str = ""
    constants: int = 0
    wrong_constants: tuple[WrongConstant, ...] = ()
    edited: tuple[str, ...] = ()
    saturations: tuple[Saturation, ...] = ()
    saturated: int = 0
    loops: int = 0

    @property
    def passed(self) -> bool:
        """Every value was the same, and there were some."""
        return self.difference is None and sum(self.values.values()) > 0


def check(
    project: Project,
    steps: int = 4,
    seed: int = 1,
    own: tuple[IntArray, IntArray] | None = None,
    executable: Path | None = None,
    tell: Tell = lambda work, done, of: None,
    engine: Prepared | None = None,
) -> CheckResult:
    """Prove that the kernel computes what the interpreter does, bit for bit.

    The packed weights are the graph's and free of hazards; every constant and table of the kernel
    is what graph and manifest ask for; the golden vectors are whole and the interpreter's; and all
    stimuli, run through both, give the same outputs, final states and traced values: accumulators,
    states and captures of every step. Stops at the first difference.

    own: sequences of the user's, too, as ``Interpreter.quantize`` gives them. executable: the
    project's test bench, if it is built already. tell: takes what is being done, and how far it is.
    engine: another engine, held against the reference on all stimuli as well. Raises PenstockError
    if the weights or vectors are not sound, the C++ does not compile or the test bench breaks off.
    Examples: docs/python.md.
    """
    tell("proving the packed weights", 0, 1)
    _prove_packing(project)
    golden = read_golden(project)
    tell("building C simulation", 0, 1)
    executable = executable or build(project.folder)
    edited = tuple(read_marker(project.folder).edited(project.folder))
    expected = expected_constants(project)
    wrong = _wrong_constants(project, expected, executable)
    compared = sum(len(values) for values in expected.values())
    result = CheckResult(0, {}, wrong[0] if wrong else None, "", compared, wrong, edited)
    number = wrong_golden(project, golden)
    if number is not None and not wrong:
        result = replace(result, difference=WrongGolden(number))
    if result.difference is not None:
        return result
    calls = _calls(project, steps, seed, own)
    different = _engine_difference(project, calls, engine, tell)
    if different is not None:
        return replace(result, difference=different)
    simulated = _simulate(project, executable, calls, tell)
    run = run_testbench(project.folder, executable)
    if simulated.difference is None and not run.passed:
        simulated = replace(simulated, difference=WrongGolden(None, run.output))
    return replace(simulated, constants=compared, edited=edited)


def _calls(
    project: Project, steps: int, seed: int, own: tuple[IntArray, IntArray] | None
) -> list[Stimulus]:
    limit = project.manifest.interface.max_steps
    steps = min(steps, limit) if limit else steps
    states = {
        name: (state.read.tensor.length, state.read.tensor.type)
        for name, state in project.graph.states().items()
    }
    lanes = project.ports.lanes
    calls = [*stimuli(project.input_type, project.inputs, lanes, steps, states, seed)]
    if own is not None:
        calls += own_stimuli(*own, lanes)
    return calls


def _engine_difference(
    project: Project, calls: list[Stimulus], engine: Prepared | None, tell: Tell
) -> EngineDifference | None:
    """Each call by itself: a carried state is one that some call before has left."""
    reference = ReferenceEngine()
    if engine is None or engine[0] == reference.name:
        return None
    right = reference.prepare(project.graph)
    for number, call in enumerate(calls):
        tell(f"{engine[0]} engine", number, len(calls))
        found = engine_difference(*engine, right, call.x, call.lengths, call.state)
        if found is not None:
            return found
    return None


def _simulate(project: Project, executable: Path, calls: list[Stimulus], tell: Tell) -> CheckResult:
    of = len(calls)
    expected = interpret(
        project.graph, calls, project.ports.lanes, lambda done: tell("interpreter", done, of)
    )
    ends = np.cumsum([sum(result_bytes(project, call.x.shape[1])) for call in calls])
    with tempfile.TemporaryDirectory(prefix="penstock-") as scratch:
        vectors, results, trace, counts = (
            Path(scratch) / name for name in ("vectors", "results", "trace", "counts")
        )
        kernel_calls = calls_of(project, expected)
        vectors.write_bytes(vector_file(kernel_calls, project.ports))

        def watch() -> None:
            written = results.stat().st_size if results.exists() else 0
            tell("C simulation", int(np.searchsorted(ends, written, side="right")), of)

        done = run_testbench(
            project.folder, executable, vectors, results, trace, counts, watch=watch
        )
        tell("C simulation", of, of)
        if not done.passed:
            raise _broken_off(project, done.output)
        difference, values = first_difference(
            project, expected, results.read_bytes(), trace.read_bytes()
        )
        miscounted = wrong_count(project, kernel_calls, counts.read_text())
    own = merged(*(item.saturations for item in expected if item.stimulus.is_own))
    ours = [one for item in expected if not item.stimulus.is_own for one in item.saturations]
    return CheckResult(
        len(calls), values, difference or miscounted, done.output,
        loops=len({loop.name for loop in project.manifest.loops}),
        saturations=tuple(one for one in own if one.count),
        saturated=sum(one.count for one in ours),
    )  # fmt: skip


def _wrong_constants(
    project: Project, expected: Constants, executable: Path
) -> tuple[WrongConstant, ...]:
    done = run_testbench(project.folder, executable, "--constants")
    if not done.passed:
        raise _broken_off(project, done.output)
    wrong = wrong_constants(expected, parse_constants(done.output))
    pragmas = wrong_pragmas(project.folder, project.manifest)
    return (*wrong, *pragmas, *wrong_depths(project))


def _broken_off(project: Project, output: str) -> PenstockError:
    return PenstockError(
        f"the test bench aborted: {output.strip() or 'no output'}", str(project.folder),
        "was a file edited? if not, please report it",
    )  # fmt: skip


def _prove_packing(project: Project) -> None:
    """The packed weights are the graph's and free of hazards, which C simulation can't show."""
    manifest, folder = project.manifest, project.folder
    files = [(folder / name).read_bytes() for name in manifest.file_bytes()]
    try:
        validate(project.graph, manifest, files, manifest.kernel.hazard_distance)
    except (AssertionError, ValueError) as error:
        raise PenstockError(
            f"the packed weights are invalid: {error}", str(folder), "compile the model again"
        ) from error
