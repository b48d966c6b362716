"""Networks that are trained for an exploration: one for each density and width of weights."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args, get_type_hints

from penstock.entry import load_checkpoint
from penstock.errors import PenstockError
from penstock.exploration.axes import SWITCHES, TRAINED, Axis, axes_of
from penstock.exploration.network import Network, digest_of, versions
from penstock.exploration.rows import Training
from penstock.exploration.space import Base, Point, points_of
from penstock.exploration.store import Store
from penstock.exploration.study import Study
from penstock.option import digits

if TYPE_CHECKING:
    from penstock.compress import Recipe
    from penstock.compress.dataset import Dataset

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Trainings:
    """How networks are trained: see ``penstock.compress.run_recipe``.

    factory: makes the module. folder: where checkpoints go, one for each density and width, and
    what resumes a training that was interrupted. Where the recipe's pattern is balanced over PEs,
    it is balanced over the most that are explored, and so over all that divide them.
    """

    factory: Callable[[], Any]
    data: Dataset
    recipe: Recipe
    folder: Path
    name: str = "FACTORY"

    def study(
        self, given: Mapping[str, Any], base: Base, store: Store, progress: Progress
    ) -> Study:
        """Train what is not there yet, one after the other. Raises PenstockError."""
        axes = axes_of(given)
        _check(axes)
        recipe = self._balanced(axes)
        of_training = [axis for axis in axes if axis.field.name in TRAINED]
        combined = list(itertools.product(*(axis.values for axis in of_training)))
        for values in combined:
            _recipe_of_point(recipe, of_training, values).check()
        folder = _made(self.folder)
        points: list[Point] = []
        networks, trainings, models = {}, {}, {}
        for number, values in enumerate(combined):
            progress("trainings", number, len(combined))
            own = _named(of_training, values)
            path = folder / f"{_file_name(own)}.safetensors"
            training = self._trained(_recipe_of_point(recipe, of_training, values), path, store)
            loaded = load_checkpoint(path)
            network = Network.of(loaded)
            single = [Axis(axis.field, (own[axis.field.name],))
                      if axis.field.name in own else axis for axis in axes]  # fmt: skip
            for point in points_of(single, base, loaded.precision):
                numbered = replace(point, number=len(points) + 1)
                points.append(numbered)
                networks[numbered.number], trainings[numbered.number] = network, training
            models[values] = path
        progress("trainings", len(combined), len(combined))
        return Study(self.name, axes, base, points, networks, trainings, models)

    def _balanced(self, axes: Sequence[Axis]) -> Recipe:
        """The recipe, over the most PEs."""
        counts = [v for axis in axes if axis.field.name == "pes" for v in axis.values if v]
        if not counts or self.recipe.pattern not in ("pe_balanced", "column_balanced"):
            return self.recipe
        most = max(counts)
        odd = [count for count in counts if most % count]
        if odd:
            raise PenstockError(
                f"no pattern is balanced over both {odd[0]} and {most} PEs", "pes",
                f"explore PEs that divide {most}, or one number after the other",
            )  # fmt: skip
        return replace(self.recipe, pes=most)

    def _trained(self, recipe: Recipe, path: Path, store: Store) -> Training:
        """What is known of this very training, if its checkpoint is there; else it is run."""
        from penstock.compress.recipe import digest_of_run, run_recipe
        from penstock.compress.training import score_name

        run = digest_of_run(self.factory, self.data, recipe)
        key = digest_of((versions(), "training", run))
        known = store.find([key]).get(key)
        if isinstance(known, Training) and _sha256(path) == known.sha256:
            return known
        outcome = run_recipe(self.factory, self.data, recipe, path)
        last = list(outcome.scores)[-1]
        found = Training(
            score_name(recipe.task), outcome.split, outcome.scores["dense"].accuracy,
            outcome.scores[last].accuracy, outcome.density, _sha256(path),
        )  # fmt: skip
        store.keep({key: (repr(recipe), found)})
        return found


def recipe_of(words: Sequence[str]) -> Recipe:
    """``name=value`` of each field as ``penstock compress`` calls it. Raises PenstockError."""
    from penstock.compress import Recipe

    kinds: dict[str, type[Any]] = {
        name: (get_args(hint) or (hint,))[0]  # of int | None, int
        for name, hint in get_type_hints(Recipe).items() if name != "densities"
    }  # fmt: skip
    given: dict[str, Any] = {}
    for word in words:
        name, equals, text = word.partition("=")
        name = name.strip().removeprefix("--").replace("-", "_")
        if name not in kinds:
            near = get_close_matches(name, kinds, 1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(kinds)}"
            raise PenstockError(f"a recipe has no {name!r}", "--recipe", hint)
        try:
            given[name] = SWITCHES[text] if kinds[name] is bool else kinds[name](text)
        except (KeyError, ValueError) as error:
            raise PenstockError(
                f"{word!r} gives {name} no value" if not equals else f"{text!r} is no {name}",
                "--recipe", f"write {name}=VALUE, such as {name}={_example(kinds[name])}",
            ) from error  # fmt: skip
    return Recipe(**given)


def _example(kind: type[Any]) -> str:
    return {bool: "yes", int: "8", float: "0.1"}.get(kind, "WORD")


def _check(axes: Sequence[Axis]) -> None:
    """Of the number formats, only the weights' width is trained point by point."""
    for axis in axes:
        if axis.field.of == "precision" and axis.field.name not in TRAINED:
            raise PenstockError(
                f"{axis.field.option} is no axis of a training", axis.field.option,
                "give it to the recipe (--recipe)",
            )  # fmt: skip


def _named(axes: Sequence[Axis], values: Sequence[Any]) -> dict[str, Any]:
    return dict(zip((axis.field.name for axis in axes), values, strict=True))


def _recipe_of_point(recipe: Recipe, axes: Sequence[Axis], values: Sequence[Any]) -> Recipe:
    names = {"density": "density", "weights": "weight_bits"}
    own = {names[name]: value for name, value in _named(axes, values).items()}
    return replace(recipe, **own)


def _file_name(own: Mapping[str, Any]) -> str:
    """``density0.1-weight-bits8``: every digit, so that no two points share a file."""
    named = (f"{TRAINED[name].removeprefix('--')}{digits(value)}" for name, value in own.items())
    return "-".join(named) or "trained"


def _made(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PenstockError(
            f"the folder for checkpoints can't be made: {error.strerror}", str(folder),
            "choose another (--models)",
        ) from error  # fmt: skip
    return folder


def _sha256(path: Path) -> str:
    """Empty if there is no such file."""
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
