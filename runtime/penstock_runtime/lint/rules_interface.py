"""Rules about the top function's ports."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace

from penstock_runtime.lint.finding import Findings
from penstock_runtime.lint.pragmas import Pragma
from penstock_runtime.lint.reader import Kernel
from penstock_runtime.lint.scopes import number_of
from penstock_runtime.lint.tree import Function, Variable

OWN_OPTIONS = {"mode", "port", "depth", "offset", "bundle", "name"}
"""Options in which ports of one bundle may differ, or which are the bundle."""


def check_interface(kernel: Kernel, top: Function, findings: Findings) -> None:
    """Every port has its pragmas, and they go together."""
    ports: dict[str, list[Pragma]] = defaultdict(list)
    for pragma in top.body.pragmas:
        if pragma.name == "INTERFACE":
            ports[pragma.options.get("port", "")].append(_by_position(pragma))
    for variable in top.parameters:
        _check_port(variable, ports[variable.name], kernel, findings)
    modes = {pragma.words[0] for pragma in ports["return"] if pragma.words}
    if not modes & {"s_axilite", "ap_ctrl_none", "ap_ctrl_hs", "ap_ctrl_chain"}:
        findings.add(
            "port-interface", top.at, "the top function's return has no INTERFACE",
            "#pragma HLS INTERFACE s_axilite port=return",
        )  # fmt: skip
    _check_bundles(ports, findings)
    _check_partitions(top, findings)


def _by_position(pragma: Pragma) -> Pragma:
    """The same, its mode among the words."""
    return replace(pragma, words=(*pragma.words, pragma.options.get("mode", "")))


def _check_port(
    variable: Variable, pragmas: list[Pragma], kernel: Kernel, findings: Findings
) -> None:
    memory = next((one for one in pragmas if "m_axi" in one.words), None)
    mode = _mode(variable)
    has_mode = any(mode in one.words for one in pragmas)
    if not (has_mode or (mode == "s_axilite" and pragmas)):
        findings.add(
            "port-interface", variable.at, f"{variable.name} has no INTERFACE {mode} pragma",
            f"#pragma HLS INTERFACE {mode} port={variable.name}",
        )  # fmt: skip
    if memory is not None:
        missing = [name for name in ("bundle", "offset", "depth") if name not in memory.options]
        depth = number_of(memory.options.get("depth", "1"), kernel.constants)
        if missing:
            findings.add(
                "port-options", memory.at, f"{variable.name} has no {' and no '.join(missing)}",
                "co-simulation needs the depth, and defaults change between versions",
            )  # fmt: skip
        elif depth is None or depth < 1:
            findings.add(
                "port-options", memory.at, f"the depth of {variable.name} is no positive constant"
            )
    if variable.type.pointers and variable.type.is_record:
        findings.add(
            "struct-port", variable.at, f"{variable.name} points to structs",
            "move ap_uint, and take it apart behind the port",
        )  # fmt: skip


def _mode(variable: Variable) -> str:
    """How a port must be connected; a scalar may be so in other ways."""
    if variable.type.is_stream:
        return "axis"
    return "m_axi" if variable.type.pointers else "s_axilite"


def _check_bundles(ports: dict[str, list[Pragma]], findings: Findings) -> None:
    """A bundle is one port's; if it is shared all the same, its options are equal."""
    users: dict[str, list[Pragma]] = defaultdict(list)
    for pragmas in ports.values():
        for pragma in pragmas:
            if "m_axi" in pragma.words and "bundle" in pragma.options:
                users[pragma.options["bundle"]].append(pragma)
    for bundle, pragmas in users.items():
        first = _shared_options(pragmas[0])
        for pragma in pragmas[1:]:
            name = pragma.options["port"]
            if _shared_options(pragma) != first:
                findings.add(
                    "bundle-options", pragma.at,
                    f"{name} has other options than {pragmas[0].options['port']} in {bundle}",
                )  # fmt: skip
            else:
                findings.add(
                    "shared-bundle", pragma.at,
                    f"{name} and {pragmas[0].options['port']} share {bundle}",
                    "a bundle for each, or they wait for each other",
                )  # fmt: skip


def _shared_options(pragma: Pragma) -> dict[str, str]:
    return {key: value for key, value in pragma.options.items() if key not in OWN_OPTIONS}


def _check_partitions(top: Function, findings: Findings) -> None:
    pointers = {variable.name for variable in top.parameters if variable.type.pointers}
    for pragma in top.body.pragmas:
        if pragma.name in ("ARRAY_PARTITION", "ARRAY_RESHAPE") and pragma.variable in pointers:
            findings.add(
                "partitioned-port", pragma.at, f"{pragma.variable} is an m_axi port",
                "copy it to an array of the kernel's own",
            )  # fmt: skip
