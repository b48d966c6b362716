"""Identifiers: unique in their scope, never a word of C++ or of the kernel; text that stays put."""

from __future__ import annotations

import re
import subprocess

import pytest
from graphs import Sketch
from support import random_model

from penstock import Hardware
from penstock.codegen.hls.names import (
    CONSTANTS,
    COUNTERS,
    KERNEL,
    KEYWORDS,
    LIBRARY,
    Names,
    Scope,
    constant,
    cpp,
    identifier,
    lengths_of_lanes,
    one_line,
)
from penstock.driver import compile_graph, compile_model
from penstock.fixed import Fixed, Overflow, Rounding
from penstock.machine import describe
from penstock.schedule import schedule
from penstock_runtime.csim import compiler, include_flags

C_IDENTIFIER = re.compile(r"[A-Za-z](?:_?[A-Za-z0-9])*")


def test_the_default_modes_of_a_type_are_those_of_ap_fixed():
    assert cpp(Fixed(12, 10)) == "ap_fixed<12, 2>"
    rounded = Fixed(16, 15, False, Rounding.RND, Overflow.SAT)
    assert cpp(rounded) == "ap_ufixed<16, 1, AP_RND, AP_SAT>"


def named(graph):
    machine = describe(graph, schedule(graph, Hardware(pes=2)))
    return machine, Names(machine)


def two_values(first, second):
    s = Sketch()
    a = s.requant(first, s.product("l0.acc", 8, "x"))
    return s.done(s.requant(second, a))


@pytest.mark.parametrize(
    "name", ["l0.W_ix", "a..b", "_x", "__init__", "7up", "", "żółw", "a b", "x*/ int evil; /*", "é"]
)
def test_any_name_becomes_an_identifier(name):
    assert C_IDENTIFIER.fullmatch(identifier(name))
    assert C_IDENTIFIER.fullmatch(constant(name))


def test_a_name_that_is_taken_gives_way_to_the_next_and_then_to_numbers():
    scope = Scope({"new"})
    assert [scope.take("new", "l0_new"), scope.take("new", "l0_new")] == ["l0_new", "l0_new_2"]
    inner = scope.inside()
    assert inner.take("l0_new") == "l0_new_3"
    assert scope.take("l0_new") == "l0_new_3"  # what is inside is not seen outside


def test_nodes_of_one_phase_with_the_same_last_part_are_told_apart():
    machine, names = named(two_values("p.v", "q.v"))
    (phase,) = machine.phases
    local = names.locals_of(phase)
    assert (local["p.v"], local["q.v"], local["l0.acc"]) == ("p_v", "q_v", "l0_acc")


@pytest.mark.parametrize("word", ["new", "take", "raw", "errno", "EOF", "co_await", "packet_t"])
def test_words_of_the_language_and_of_the_kernel_are_not_used(word):
    machine, names = named(two_values(f"l0.{word}", "l0.z"))
    local = names.locals_of(machine.phases[0])
    assert local[f"l0.{word}"] == f"l0_{word}"
    machine, names = named(two_values(word, "z"))
    local = names.locals_of(machine.phases[0])[word]
    assert local == ("nEOF" if word == "EOF" else f"{word}_2")


TABLE_OF_KEYWORDS = """
    alignas alignof asm auto bool break case catch char char8_t char16_t char32_t class concept
    const consteval constexpr constinit const_cast continue co_await co_return co_yield decltype
    default delete do double dynamic_cast else enum explicit export extern false float for friend
    goto if inline int long mutable namespace new noexcept nullptr operator private protected public
    register reinterpret_cast requires return short signed sizeof static static_assert static_cast
    struct switch template this thread_local throw true try typedef typeid typename union unsigned
    using virtual void volatile wchar_t while
    and and_eq bitand bitor compl not not_eq or or_eq xor xor_eq
"""
"""ISO/IEC 14882:2020, tables 5 [lex.key] and 2 [lex.digraph]."""


def test_no_keyword_of_the_language_is_missing():
    assert set(TABLE_OF_KEYWORDS.split()) <= KEYWORDS


def test_constants_of_phases_and_segments_keep_clear_of_the_kernels():
    s = Sketch()
    pes = s.requant("v", s.product("pes", 8, "x"))
    _, names = named(s.done(s.requant("w", s.product("q", 5, pes))))
    assert names.phase("pes") == "N_PES"


def test_no_macro_of_the_headers_is_used_for_anything(tmp_path):
    """Whatever the headers of the kernel and the test bench define, as the names of everything."""
    files = compile_graph(two_values("l0.v", "l0.z"), Hardware(pes=2)).files
    texts = [files[path].decode() for path in files if path.startswith(("kernel/", "tb/lstm"))]
    headers = sorted(set(re.findall(r"^#include <.*>$", "\n".join(texts), re.M)))
    (tmp_path / "all.h").write_text("\n".join(headers) + "\n")
    done = subprocess.run(
        [compiler(), "-std=c++14", *include_flags(), "-dM", "-E", "-x", "c++", "all.h"],
        cwd=tmp_path, text=True, capture_output=True, check=True,
    )  # fmt: skip
    macros = set(re.findall(r"^#define (\w+)", done.stdout, re.M))
    assert len(macros) > 400
    for macro in macros:
        machine, names = named(two_values(macro, "l0.z"))
        (phase,) = machine.phases
        assert names.locals_of(phase)[macro] not in macros
        assert constant(macro) not in macros
        assert Scope(KEYWORDS | KERNEL | LIBRARY | CONSTANTS).take(identifier(macro)) not in macros


DECLARED = re.compile(
    r"\b(?:unsigned|int|bool|raw|phase_t|ap_u?int<[^>]*>|[a-z]+_t) &?(\w+)(?= =|;|\[|,|\)| :)"
)


KERNELS = [
    {}, {"overlap": False}, {"weight_storage": "onchip"},
    {"weight_storage": "onchip", "overlap": False}, {"lanes": 2, "overlap": True}, {"lanes": 2},
    {"io": "stream"}, {"pes": 6},
    {"dataflow": "broadcast"}, {"dataflow": "broadcast", "weight_storage": "onchip", "lanes": 2},
    {"dataflow": "bank", "rows": 8, "banks": 2, "pes": 16},
    {"dataflow": "bank", "rows": 4, "banks": 4, "pes": 16, "lanes": 2, "weight_storage": "onchip"},
    {"dataflow": "bank", "rows": 4, "banks": 4, "pes": 16, "lanes": 2, "interleave": 2,
     "weight_storage": "onchip"},
]  # fmt: skip


def with_everything(hardware):
    """The files of a network with states, parameters and results of all kinds."""
    model = random_model(
        inputs=5, cells=(6, 5), bidirectional=[True, False], head=3, activation="argmax",
        peephole=True,
    )  # fmt: skip
    return compile_model(model, None, Hardware(max_steps=9, **{"pes": 4, **hardware})).files


@pytest.mark.parametrize("hardware", KERNELS, ids=str)
def test_every_local_name_of_the_kernel_is_reserved_where_values_have_theirs(hardware):
    files = compile_graph(two_values("l0.v", "l0.z"), Hardware(**{"pes": 2, **hardware})).files
    unit = set(DECLARED.findall(files["kernel/cell_unit.h"].decode()))
    beside = set(DECLARED.findall(files["kernel/compute.h"].decode()))
    own = {"l0_acc_lanes", "x_0_packets"}
    assert {"lane", "index" if hardware.get("dataflow") == "bank" else "slot"} <= unit - own
    assert unit - own <= KERNEL
    assert {"n", "steps"} <= beside
    assert beside - own <= KERNEL | COUNTERS | set(lengths_of_lanes(2))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("l0.gates", "L0_GATES"), ("l12_reverse.y", "L12_REVERSE_Y"), ("head.dense", "HEAD_DENSE"),
        ("int.max", "N_INT_MAX"), ("nan", "N_NAN"), ("l0", "N_L0"),
    ],
)  # fmt: skip
def test_constants_of_layers_are_their_names_and_others_keep_clear_of_macros(name, expected):
    assert constant(name) == expected


@pytest.mark.parametrize("name", ["n", "k", "bank", "value", "length_0"])
def test_a_state_may_have_the_name_of_a_counter_or_an_argument(name):
    s = Sketch()
    old = s.state(name, 8)
    s.write(name, s.sum("l0.v", s.product("l0.acc", 8, "x"), old))
    machine, names = named(s.done("l0.v"))
    (state,) = machine.kept.states
    assert names.array(machine.kept.array_of(state)) == f"{name}_2"


OWN = re.compile(r"l\d|head|sigma|tanh|^ways_|x_\d|_H$", re.IGNORECASE)
"""Names that are the network's, and guards of headers."""


@pytest.mark.parametrize("hardware", KERNELS, ids=str)
def test_every_name_that_the_kernel_declares_is_reserved(hardware):
    files = with_everything(hardware)
    texts = [files[path].decode() for path in files if path.startswith("kernel/")]
    text = re.sub(r"//[^\n]*|#pragma[^\n]*", "", "\n".join(texts))
    declared = set(re.findall(r"^(?:static|inline)[^;={}]*?\b(\w+)\(", text, re.MULTILINE))
    declared |= set(re.findall(r"\btypedef [^;]*?(\w+);", text))
    declared |= set(re.findall(r"^struct (\w+)", text, re.MULTILINE))
    declared |= set(re.findall(r"^(?:static )?const \w+(?: \w+)? ([A-Z]\w+)(?: =|\[)", text, re.M))
    declared |= set(re.findall(r"#define (\w+)", text))
    assert len(declared) > 50
    kernels = {name for name in declared if not OWN.search(name)}
    assert kernels <= KERNEL | CONSTANTS | KEYWORDS


@pytest.mark.parametrize(
    "text",
    ["a\nb", "x*/ int evil; /*", "evil\\", "what??/", "$(touch pwned)", "[exec touch pwned]",
     "a|b [x](javascript:1) `", "</script><img src=x>", "{{ 7 * 7 }}", "a\u2028b\x0bc", "#define x",
     "abc\u202edef"],
)  # fmt: skip
def test_text_of_others_can_not_leave_its_line(text):
    kept = one_line(text)
    assert kept.isprintable()
    assert not set(kept) & set("*/\\?$()[]{}|<>`#\"';\n")
    graph = two_values("l0.v", "l0.z")
    graph.name = text
    for path, content in compile_graph(graph, Hardware(pes=2)).files.items():
        if not path.endswith((".bin", ".dat", ".safetensors", ".json", ".html")):
            assert text not in content.decode(), path
