"""One direction of an LSTM layer -> operations (Sak et al. 2014; Han et al. 2017)."""

from __future__ import annotations

from penstock.fixed import Fixed
from penstock.layers.build import Builder, Source, split_columns
from penstock.model import LstmDirection
from penstock.ops import StateRead, StateWrite


def lower_lstm(build: Builder, part: LstmDirection, sources: list[Source]) -> str:
    """Add one direction's operations; returns the node of y.

    i = sigma(W_ix x + W_ir y' + w_ic . c' + b_i)      f = sigma(W_fx x + W_fr y' + w_fc . c' + b_f)
    g = act(W_gx x + W_gr y' + b_g)                    c = f . c' + i . g
    o = sigma(W_ox x + W_or y' + w_oc . c + b_o)       m = o . tanh(c)         y = W_ym m, or m
    """
    types = build.types
    cell_type = types.cell(build.named("c"))
    m_type = types.product(build.named("m"))
    y_type = m_type if part.projection is None else types.output(build.named("y"))
    y_before = _read_state(build, "y", part.outputs, y_type)
    c_before = _read_state(build, "c", part.cells, cell_type)

    acc = {gate: _gate_sum(build, part, gate, sources, y_before) for gate in part.w_x}
    i = _gate(build, part, "i", acc, "sigma", c_before)
    f = _gate(build, part, "f", acc, "sigma", c_before)
    g = _gate(build, part, "g", acc, part.g_function, None)
    kept, fresh = build.mul("kept", f, c_before), build.mul("fresh", i, g)
    c = build.requant("c", build.add("c_sum", kept, fresh), cell_type)
    _write_state(build, "c", c)
    o = _gate(build, part, "o", acc, "sigma", c)
    tanh_c = build.function("tanh_c", "tanh", c, types.reach(build.named("c"), "tanh"))
    m = build.requant("m", build.mul("m_product", o, tanh_c), m_type)
    y = m
    if part.projection is not None:
        projected = build.matvec("acc_y", (m, "W_ym", part.projection))
        y = build.requant("y", projected, y_type)
    _write_state(build, "y", y)
    return y


def _gate_sum(
    build: Builder, part: LstmDirection, gate: str, sources: list[Source], y_before: str
) -> str:
    products = split_columns(f"W_{gate}x", part.w_x[gate], sources)
    return build.matvec(f"acc_{gate}", *products, (y_before, f"W_{gate}r", part.w_r[gate]))


def _gate(
    build: Builder,
    part: LstmDirection,
    gate: str,
    acc: dict[str, str],
    function: str,
    c: str | None,
) -> str:
    terms = [acc[gate]]
    if part.bias[gate].any():
        terms.append(build.bias(f"b_{gate}", part.bias[gate], acc[gate]))
    if part.peephole and c is not None:
        most = build.graph[acc[gate]].tensor.type.frac - build.graph[c].tensor.type.frac
        weights = build.weights(f"w_{gate}c", part.peephole[gate], most)
        terms.append(build.mul(f"peephole_{gate}", weights, c))
    pre = build.add(f"pre_{gate}", *terms)
    return build.function(
        gate, function, pre, build.types.reach(build.named(f"pre_{gate}"), function)
    )


def _read_state(build: Builder, name: str, length: int, kind: Fixed) -> str:
    read = StateRead(build.named(name), length, kind)
    return build.graph.add(build.named(f"{name}_before"), read, sweep=build.sweep)


def _write_state(build: Builder, name: str, value: str) -> None:
    write = StateWrite(build.named(name))
    build.graph.add(build.named(f"{name}_after"), write, value, sweep=build.sweep)
