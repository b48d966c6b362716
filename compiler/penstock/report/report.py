"""report.json: everything that the compiler found out about one network on one hardware.

Plain JSON in a stable order; the same compile gives the same bytes. ``render_report`` makes
report.html from it, and from pictures of the matrices. Schema 4:

schema, penstock (version)
network     name, inputs, outputs, input_exponents (k_j of each input, whose raw integer stands for
            2**k_j times its value; empty: all are zero); layers [name, kind, direction (once: not
            at every step), sources (the values that it reads: x, or those of other layers), inputs,
            outputs, weights; and
            what a layer of its kind has: cells, projection, peepholes, gates, function, activation,
            how]; results (the values that leave); sweeps [index, direction, phases]
hardware    the settings, with what the compiler chose in place of what was left open; chosen (the
            names of those); and what follows: queue_depth (null: no queues), groups, group_pes,
            accumulator_banks
tensors     every value: name, operation, sweep, phase (that computes it; null: none), inputs (names
            of what it reads, in the operation's order), state (that it reads or writes, or null),
            shape, type (s16.12 = signed, 16 bits, 12 of them
            fraction), rounding, overflow (the modes of ap_fixed), proven raw interval lo..hi, the
            same as values value_lo..value_hi
proof       accumulators [name, matrices, lo, hi, value_lo, value_hi, proven_width, chosen_width],
            kernel_width (the one that the kernel gives all of them); from the packed bytes: weights
            (non-zeros found), words, hazard_distance (words required between two uses of an
            accumulator address), min_distance (the least that there is; null: none is used twice)
phases      name, sweep, direction, matvecs, operands, rows, words, bound, utilization = bound /
            words, nonzeros, padding, bubbles (with the broadcast dataflow also empty: entries for
            columns without non-zeros, and queues: those that wait for one; with bank unbalanced, of
            banks with fewer non-zeros than the fullest, in the place of padding), weight_bits,
            index_bits, entry_bits, rows_per_pe,
            siblings, slots, ways, bytes (all ports), pe_nonzeros and pe_entries (non-zeros and
            padding) of each PE
totals      weights (dense), nonzeros, density, words, bound, utilization (of the SpMV phases),
            padding, bubbles, bits {weights, indices, padding, bubbles, beat_fill} of the weight
            files, bits_per_nonzero; compression {dense_values, dense_bytes, compiled,
            compiled_bytes, ratio, counted (what is counted, in words)}
timeline    spans [name, kind (load, spmv, parts, drain, cells, commit, clear, program, flush),
            sweep, direction, start, cycles, bound, is_beside (it begins with the span before),
            is_first (it comes once, before the first step)] of the compute process, one step of
            every sweep after the other; cycles_per_step (of the slowest of processes [name,
            cycles]), slowest (its name), compute_cycles (of compute, if it need not wait),
            stall_cycles (its wait for words), cycles_by_kind, bound_per_step, utilization = bound /
            cycles; cycles_once (sweeps that run once a sequence); call {begin, once, end (of every
            call), reload, given, zero, store (of those that do so), first (one step, parameters
            loaded), one_step (carried, state not given back), long (of long_steps steps)};
            clock_mhz, microseconds_per_step, steps_per_second (all lanes); weight_bytes_per_step,
            weight_gb_per_s_peak (one word a cycle), weight_gb_per_s_mean (10**9 bytes)
resources   label, rules (in words), logic_error (relative, of LUT and FF), device, its memory's
            bandwidth_gb_per_s (null: not known); totals of dsp, bram18, uram, lut, lut_memory, ff
            {used, least, most (what the error allows), total, planned_share, limit, share, fits
            (null: can't be told), verdict (fits, unsure, does not fit)}; multipliers [name, count,
            dsp_each, dsp]; blocks [name, count, lut_each, ff_each, lut, ff] (without memories);
            memories [name, kind, count, depth, width, storage, bram18, uram, lut, is_moved (out of
            block RAM or UltraRAM, which is scarce; a name may have several rows)]; ports {count,
            limit (null: not known), are_too_many, slower_by_port, slower_by_channel,
            slower_by_device (products take so many times as long), each [name, channel,
            gb_per_s_beats (a beat a cycle), gb_per_s_streaming (while its reader runs),
            gb_per_s_mean, gb_per_s_offered]}
error       null without a float network; else, both compared on frames {source, is_synthetic,
            sequences, steps (of all of them), of_sequences, of_steps (how many there were)}:
            output {of (y, or the logits behind a label), max_abs_error, rms_error, float_rms,
            relative_error = rms_error / float_rms, outputs, each [output, max_abs_error,
            rms_error] (at most 64: those of the greatest error)}; decisions {rule, agree, of,
            agreement}; labels {measure (accuracy, mean squared error), of, float, fixed} or null;
            measure (how tensors are compared, in words); worst (names); tensors [name, type, the
            four figures, values, histogram {lo, hi (of the type), counts (of float values, from lo
            to hi), below, above, peak} or null]; clipped {count, of}: values out of range, without
            tables' inputs; saturations [name, kind (input frame, value, table input), count, of,
            first_step]; warnings. Measured figures have four significant digits
sparsity    of every matrix: name, phase, shape, nonzeros, density; by_row, by_column, by_pe {least,
            mean, most, empty (how many have none)} non-zeros; shared_rows (whose non-zeros all PEs
            share; they count for no PE in by_pe). In banks, a PE is a multiplier
quantization  [of (name in the model), columns of it, name, shape, type, step, peak, max_abs_error,
            rms_error, snr_db, float_nonzeros, nonzeros, histogram (as of error, of the float
            non-zeros as they are stored, so times 2**e where rows have exponents)]: dequantized
            minus float weights
notes       sentences
provenance  files {model, calibration, calibration_lengths, calibration_state, validate (those that
            there were): name (without folders), sha256}; settings {network, hardware, precision
            (null: the network carries its own)}, as they were given or are by default: null is left
            open, types are text; versions {penstock, numpy, and what else read the network};
            command (that makes the project again, beside these files; null if something came from
            Python). No times, no places: the same compile elsewhere gives the same

Utilizations, densities and shares are fractions of 1; a null ratio has nothing to divide by.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from penstock.config import Origin
from penstock.fidelity.verdict import Fidelity
from penstock.machine import Machine
from penstock.machine.resources import estimate
from penstock.model import RecurrentModel
from penstock.packing.validate import Proof
from penstock.provenance import provenance_section
from penstock.report.error import error_section
from penstock.report.network import network_section, proof_section, tensors_section
from penstock.report.page import render_page
from penstock.report.phases import phases_section, totals_section
from penstock.report.quantization import quantization_section
from penstock.report.remarks import remarks
from penstock.report.resources import fit_notes, resources_section
from penstock.report.sparsity import Picture, placed_matrices, sparsity_section
from penstock.report.timing import stream_notes, timeline_section, timing_notes
from penstock.reported import SCHEMA
from penstock.version import __version__

LINE = 160


def build_report(
    machine: Machine,
    proof: Proof,
    model: RecurrentModel | None,
    notes: Sequence[str],
    origin: Origin,
    input_exponents: Sequence[int] = (),
    error: Fidelity | None = None,
    chosen: Sequence[str] = (),
) -> dict[str, Any]:
    """The report as plain values, see the module's text.

    model: the float network behind the graph, if there is one: layers, and what quantization
    changed. origin: the files and settings behind it. error: how far the graph is from the network.
    chosen: settings that were left to the compiler. What does not fit the device becomes a note.
    """
    float_weights = model.weights() if model else {}
    timeline, resources = timeline_section(machine), resources_section(estimate(machine))
    phases, totals = phases_section(machine), totals_section(machine, float_weights)
    hardware = _hardware(machine, chosen)
    return {
        "schema": SCHEMA,
        "penstock": __version__,
        "network": network_section(machine, model, input_exponents),
        "hardware": hardware,
        "tensors": tensors_section(machine),
        "proof": proof_section(machine, proof),
        "phases": phases,
        "totals": totals,
        "timeline": timeline,
        "resources": resources,
        "error": error_section(error),
        "sparsity": sparsity_section(placed_matrices(machine)),
        "quantization": quantization_section(machine.graph, float_weights),
        "notes": [
            *notes,
            *remarks(hardware, totals, phases, timeline),
            *stream_notes(machine),
            *timing_notes(machine),
            *fit_notes(resources, timeline),
        ],
        "provenance": provenance_section(origin),
    }


def _hardware(machine: Machine, chosen: Sequence[str]) -> dict[str, Any]:
    return {
        **asdict(machine.hardware),
        "port_bits": machine.hardware.beat_bits,
        "part": machine.hardware.target,
        "elements_per_cycle": machine.hardware.cell_units,
        "overlap": machine.hardware.overlaps,
        "weight_storage": "onchip" if machine.on_chip else "stream",
        "chosen": list(chosen),
        "queue_depth": machine.hardware.activation_queue if machine.hardware.is_broadcast else None,
        "groups": machine.groups.groups,
        "group_pes": machine.groups.group_pes,
        "accumulator_banks": machine.plan.banks,
    }


def render_report(report: dict[str, Any], pictures: Mapping[str, Picture]) -> dict[str, str]:
    """File name -> text: report.json, and report.html for people. pictures: of the matrices."""
    return {"report.json": f"{_json(report)}\n", "report.html": render_page(report, pictures)}


def _json(value: Any, indent: str = "") -> str:
    """JSON text in which what is short, and every list of numbers, takes one line."""
    line = json.dumps(value, allow_nan=False)
    is_flat = isinstance(value, list) and not any(isinstance(item, dict) for item in value)
    if is_flat or len(indent + line) <= LINE or not isinstance(value, list | dict):
        return line
    deeper = f"{indent} "
    if isinstance(value, dict):
        items = [f"{json.dumps(key)}: {_json(item, deeper)}" for key, item in value.items()]
    else:
        items = [_json(item, deeper) for item in value]
    body = f",\n{deeper}".join(items)
    first, last = "{}" if isinstance(value, dict) else "[]"
    return f"{first}\n{deeper}{body}\n{indent}{last}"
