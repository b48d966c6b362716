"""Projects whose frames and results are AXI streams: files, the PYNQ driver, the test bench."""

from __future__ import annotations

import re
import sys

import pytest
from codegen.drivers import assert_driver_agrees, frames
from codegen.emitted import PROJECTS, STREAMED, Emitted, make
from support import random_model

from penstock.driver import compile_model
from penstock.settings import Hardware

pytestmark = pytest.mark.long


@pytest.fixture(scope="module", params=STREAMED)
def project(request, tmp_path_factory):
    return Emitted(request.param, tmp_path_factory.mktemp(request.param) / "project")


@pytest.fixture(scope="module")
def card():
    """A project for a card."""
    return compile_model(
        random_model(**PROJECTS["projection"][0]), None, Hardware(pes=8, io="stream")
    )


def test_the_driver_gives_the_interpreters_bits(project, driver):
    assert_driver_agrees(project, driver())


def test_the_driver_counts_what_the_dma_received(project, driver, monkeypatch):
    accelerator = driver()
    channel = type(accelerator._dma.recvchannel)
    moved = channel.moved

    def lose_a_beat(self, argument):
        argument.count -= 0 if self._sends else accelerator.beat_bytes
        moved(self, argument)

    monkeypatch.setattr(channel, "moved", lose_a_beat)
    monkeypatch.setattr(channel, "wait", lambda self: None)
    with pytest.raises(RuntimeError, match=r"y ended after \d+ of \d+ bytes"):
        accelerator.run(frames(project, 3, seed=4))


def test_the_driver_refuses_a_call_that_the_dma_can_not_count(project, driver):
    accelerator = driver()
    accelerator._dma.buffer_max_size = 31
    with pytest.raises(ValueError, match=r"a call of \d+ bytes; the DMA's limit is 31"):
        accelerator.run(frames(project, 12, seed=4))
    assert accelerator._dma.recvchannel._buffer is None  # nothing is on its way
    with pytest.raises(ValueError, match="x has no steps"):
        accelerator.run(frames(project, 0, seed=4))


def test_the_driver_takes_a_dma_by_its_name(project, driver, monkeypatch):
    driver()
    overlay = sys.modules["pynq"].Overlay
    one = overlay.__init__

    def with_another(self, bitfile):
        one(self, bitfile)
        self.ip_dict["axi_dma_1"] = {"type": "xilinx.com:ip:axi_dma:7.1"}
        self.axi_dma_1 = object()

    monkeypatch.setattr(overlay, "__init__", with_another)
    with pytest.raises(ValueError, match="the overlay holds 2 AXI DMAs, not one"):
        driver()
    assert driver(dma="axi_dma_1")._dma is not None


def test_make_csim_compiles_without_warnings_and_passes(project, cpp_flags):
    flags = " ".join(flag for flag in cpp_flags if "/" in flag or flag == "-isystem")
    done = make(project.folder, "csim", f"AP_INCLUDE={flags}")
    assert done.returncode == 0, done.stderr
    assert "warning" not in done.stderr
    assert re.search(r"^PASS: 3 calls, \d+ beats compared, 0 different$", done.stdout, re.M)
    assert make(project.folder, "clean").returncode == 0


def test_a_stream_has_no_register_no_bank_and_no_host_program(project):
    top = project.texts["kernel/lstm_top.cpp"]
    assert re.findall(r"INTERFACE axis port=(\w+)\n", top) == ["x", "y"]
    assert not {"x", "y"} & set(re.findall(r"(?:m_axi|s_axilite) port=(\w+)", top))
    assert not re.findall(r"^sp=\w+\.[xy]:", project.texts["link.cfg"], re.M)
    assert not [path for path in project.files if path.startswith("host/")]
    assert "-C host" not in project.texts["Makefile"] + project.texts["README.md"]
    assert "`host/`" not in project.texts["README.md"]


def test_the_readme_tells_how_the_streams_are_used(project):
    readme, machine = project.texts["README.md"], project.compiled.machine
    bits, y = machine.hardware.beat_bits, machine.port("y").beats
    assert f"| frames and results | AXI streams of {bits} bits |" in readme
    assert f"A call takes exactly steps x {machine.port('x').beats} beats of `x`." in readme
    how_many = f"steps x {y}" if machine.port("y").is_per_step else f"{y}"
    assert f"A call gives exactly {how_many} beats of `y`, with TLAST at the very last" in readme
    waits = {"kv260": "A step gives its result without the next frame.",
             "pynq-z2": "A call takes all its frames before it gives its result."}  # fmt: skip
    assert [text in readme for text in waits.values()] == [name == project.name for name in waits]
    assert "| `y` | out |" in readme and "an AXI DMA without scatter gather" in readme


def test_the_manifest_says_where_frames_and_results_pass(project, card):
    assert project.compiled.manifest.interface.io == card.manifest.interface.io == "stream"
    assert compile_model(random_model(), None, Hardware(pes=4)).manifest.interface.io == "memory"


def test_for_a_card_there_are_kernels_to_connect_and_no_program(card):
    link = card.files["link.cfg"].decode()
    assert "#   stream_connect=source_1.out:lstm_top_1.x\n" in link
    assert not [path for path in card.files if path.startswith(("host/", "pynq/"))]
    assert (
        "frames and results are AXI streams (--io stream), which no host moves on xcu55c: there is "
        "no host program and no driver; connect x and y to kernels of yours (link.cfg)"
    ) in card.notes
    assert "There is no host program: a card's platform has no" in card.files["README.md"].decode()


def test_an_fpga_without_a_processor_has_no_driver_either():
    hardware = Hardware(pes=4, io="stream", board="adm-pcie-ku3")
    compiled = compile_model(random_model(), None, hardware)
    assert not [path for path in compiled.files if path.startswith(("host/", "pynq/"))]
    assert any("which no host moves on xcku060" in note for note in compiled.notes)


def test_what_a_dma_moves_is_said_to_be_in_no_figure(project):
    (note,) = [note for note in project.compiled.notes if "AXI streams" in note]
    assert re.fullmatch(
        r"frames and results are AXI streams \(--io stream\): the PYNQ driver moves them by an AXI "
        r"DMA, whose two memory ports and 0\.\d+ GB/s are in no figure here", note
    )  # fmt: skip
