"""The tensors beside the recurrent modules: a Linear head, embeddings, and what is neither."""

from __future__ import annotations

from dataclasses import dataclass

from penstock.errors import PenstockError
from penstock.fixed import FloatArray
from penstock.frontend.chain import LIVE, Stack
from penstock.frontend.options import ASSUMED, AT, HeadOptions
from penstock.frontend.reader import Reader, shape, some
from penstock.frontend.roles import Matrix, Places, Role
from penstock.frontend.strangers import (
    is_counter,
    is_initial_state,
    is_loss,
    module_of,
    what_it_is,
)
from penstock.layers import DenseHead


@dataclass(frozen=True)
class Rest:
    """What stands beside the recurrent modules. recurrent: the names of their tensors."""

    reader: Reader
    stacks: list[Stack]
    recurrent: set[str]

    def read(
        self, options: HeadOptions | None, notes: list[str]
    ) -> tuple[DenseHead | None, FloatArray | None]:
        """The head, and the table of an embedding, each None without one.

        Nothing else may be left. Raises PenstockError, by name.
        """
        reader = self.reader
        self._leave_out(notes)
        self._refuse_states()
        matrices = self._matrices()
        self._refuse_strangers(matrices)
        places = Places(
            self.stacks[0].inputs, self.stacks[-1].outputs, reader.where, options is not None
        )
        roles = places.assign(matrices)
        head: DenseHead | None = None
        tables: list[FloatArray] = []
        for one in matrices:
            reader.left.discard(one.name)
            if roles[one.name] == Role.EMBEDDING:
                tables.append(one.value)
                notes.append(embedding_note(one.name, one.value))
            else:
                head = self._head(one, options or HeadOptions(), notes)
        is_frame = len(tables) == 1 and tables[0].shape[1] == places.inputs
        return head, tables[0] if is_frame else None

    def _leave_out(self, notes: list[str]) -> None:
        """Note what no result depends on."""
        for rule, why in ((is_counter, "a count"), (is_loss, "of a loss")):
            found = sorted(
                name for name in self.reader.left if rule(name, self.reader.tensors[name])
            )
            if found:
                notes.append(f"{some(found)} ({why}) {'are' if found[1:] else 'is'} left out")
            self.reader.left.difference_update(found)

    def _refuse_states(self) -> None:
        layers = [layer for one in self.stacks for layer in one.layers]
        counts = {
            count * parts
            for part in (part for layer in layers for part in layer)
            for count in (part.cells, part.outputs)
            for parts in (1, sum(len(layer) for layer in layers))
        }
        tensors = self.reader.tensors
        found = [n for n in self.reader.left if is_initial_state(n, tensors[n], counts)]
        if found:
            raise PenstockError(
                f"{some(found)} {'are' if found[1:] else 'is'} of an initial state that was "
                "learned, and no weight of a layer",
                self.reader.where,
                "leave it out with --only PREFIX, and give it to penstock run with --state",
            )

    def _matrices(self) -> list[Matrix]:
        tensors, left = self.reader.tensors, self.reader.left
        order = list(tensors)
        place = {name: index for index, name in enumerate(order)}
        start = min(place[name] for name in self.recurrent)
        says = order != sorted(order)
        return [
            Matrix(
                name, tensors[name], f"{name.removesuffix('weight')}bias" in left,
                place[name] < start if says else None,
            )
            for name in order
            if name in left and name.endswith("weight") and tensors[name].ndim == 2
            and not self._kind(name)
        ]  # fmt: skip

    def _kind(self, name: str) -> str:
        """What a tensor's module is, if that is known; empty for a Linear layer."""
        module, tensors = module_of(name), self.reader.tensors
        if not module:
            return ""
        own = {n.rpartition(".")[2]: tensors[n] for n in self._by_module()[module]}
        return what_it_is(module, own)

    def _by_module(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for name in self.reader.left:
            found.setdefault(module_of(name), []).append(name)
        return found

    def _refuse_strangers(self, matrices: list[Matrix]) -> None:
        """Name what no head or embedding is made of, and say what it is."""
        known = {one.name for one in matrices}
        known |= {f"{one.name.removesuffix('weight')}bias" for one in matrices if one.has_bias}
        kinds: dict[str, list[str]] = {}
        for name in sorted(self.reader.left - known):
            kinds.setdefault(self._kind(name), []).append(name)
        if not kinds:
            return
        listed = "; ".join(
            some(names) + (f" ({kind})" if kind else "") for kind, names in sorted(kinds.items())
        )
        raise PenstockError(
            f"can't compile {listed}: a state dict does not say what forward does with it",
            self.reader.where,
            LIVE,
        )

    def _head(self, found: Matrix, options: HeadOptions, notes: list[str]) -> DenseHead:
        because = f"{found.name} gives {len(found.value)} outputs"
        bias = None
        if found.has_bias:
            stem = found.name.removesuffix("weight")
            bias = self.reader.take(f"{stem}bias", found.value.shape[:1], because)
        if options.at is None:
            self._check_directions(found)
            notes.append(
                f"head: {found.title} ({shape(found.value.shape)}), {AT[ASSUMED]}, assumed; "
                "--head to change"
            )
        return DenseHead(found.value, bias, options.activation)

    def _check_directions(self, head: Matrix) -> None:
        """Where the last layer has two directions, the last frame is not the final state."""
        if self.stacks[-1].is_bidirectional:
            raise PenstockError(
                f"the head {head} reads a bidirectional layer, and a state dict does not say when",
                self.reader.where,
                "say --head final for h_n of both directions, --head last for the last step's "
                "output[:, -1], or --head step for every step",
            )


def embedding_note(name: str, table: FloatArray) -> str:
    """What is said of an embedding."""
    return f"{name} is an embedding of {len(table)} entries: the look-up stays on the host"
