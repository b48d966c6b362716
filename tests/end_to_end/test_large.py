"""What compiles also simulates, at sizes where types and stacks come to their ends."""

from __future__ import annotations

import pytest
from support import random_model

from penstock import Hardware
from penstock.driver import compile_model
from penstock_runtime.csim import csim

pytestmark = pytest.mark.long


def test_more_classes_than_16_bits_count_in_16_lanes(cpp_flags, tmp_path):
    """A frame of results is 2 MB, and the table of positions needs more than unsigned short."""
    model = random_model(cells=(2,), inputs=2, head=65_538, at="step", density=1, pes=2)
    folder = compile_model(model, None, Hardware(pes=2, lanes=16)).write(tmp_path / "project")
    assert "const unsigned POSITION_OF[65538]" in (folder / "kernel/ports.h").read_text()
    done = csim(folder)
    assert done.passed and "0 different" in done.output


def program(kilobytes):
    return f"""
        #include <hls_stream.h>
        static void fill(hls::stream<int, 3> &a) {{
          volatile char frame[{kilobytes} << 10];
          for (int k = 0; k < {kilobytes}; ++k) frame[k << 10] = char(k);
          a.write(frame[1 << 10]);
        }}
        static void take(hls::stream<int, 3> &a) {{ std::printf("took %d", a.read()); }}
        int main() {{
          hls::stream<int, 3> a("a");
          DATAFLOW_BEGIN
          PROCESS(fill(a);)
          PROCESS(take(a);)
          DATAFLOW_END
        }}
        """


@pytest.fixture(params=[(), ("-DPENSTOCK_THREADS",)], ids=["contexts", "threads"])
def fibers(request):
    return request.param


def test_a_process_may_have_100_megabytes_on_its_stack(run_cpp, fibers):
    assert run_cpp(program(100 << 10), *fibers) == "took 1"


def test_a_process_that_needs_more_ends_before_it_writes_elsewhere(run_cpp, fibers):
    assert run_cpp(program(129 << 10), *fibers, status=-11) == ""
