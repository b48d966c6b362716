"""The kernel takes words out of beats as the packer laid them in, whatever their widths."""

from __future__ import annotations

import re

import numpy as np
import pytest
from support import random_model

from penstock import Hardware
from penstock.driver import compile_model
from penstock.formats.protocol import Entries, Field
from penstock.packing.words import pack_words

WORDS = 40
PRINT = """
int main() {
  std::vector<beat_t> beats(BEATS);
  for (int k = 0; k < BEATS * BEAT_BITS / 8; ++k) {
    beats[k / (BEAT_BITS / 8)].range(8 * (k % (BEAT_BITS / 8)) + 7, 8 * (k % (BEAT_BITS / 8))) =
        std::getchar();
  }
  hls::stream<beat_t, BEAT_STREAM_DEPTH> read;
  word_stream words;
  DATAFLOW_BEGIN
  PROCESS(for (const beat_t &beat : beats) read.write(beat);)
  PROCESS(unpack_run<OWN>(40, read, words);)
  PROCESS(for (int n = 0; n < 40; ++n) {
    const word_t word = words.read();
    for (int p = 0; p < GROUP_PES; ++p) {
      const weight_t weight = word.entry[p].to_uint64();
      const gap_t gap = word.entry[p].to_uint64() >> weight_t::width;
      std::printf("%d %d ", weight.to_int(), gap.to_int());
    }
  })
  DATAFLOW_END
}
"""


@pytest.fixture(scope="module")
def kernel():
    model = random_model(inputs=3, cells=(5,), outputs=2, density=0.5, head=2, pes=2, seed=1)
    return compile_model(model, None, Hardware(pes=2)).files


@pytest.mark.parametrize(
    ("port_bits", "pes", "weight", "index"),
    [(512, 16, 12, 6), (512, 28, 12, 5), (512, 17, 9, 3), (128, 4, 16, 8), (128, 2, 3, 2),
     (256, 32, 4, 4), (512, 32, 8, 8), (128, 1, 2, 1)],
)  # fmt: skip
def test_words_come_out_as_they_were_packed(
    port_bits, pes, weight, index, kernel, run_cpp, tmp_path
):
    """Also where the kernel's widest weights and indices have more bits: 16 and 8."""
    generator = np.random.default_rng(pes)
    weights = generator.integers(-(1 << weight - 1), 1 << weight - 1, (WORDS, pes))
    gaps = generator.integers(0, 1 << index, (WORDS, pes))
    fields = (Field("weight", "weight_bits", weight, True), Field("gap", "index_bits", index))
    packed = pack_words(Entries({"weight": weights, "gap": gaps}), fields, port_bits)
    config = kernel["kernel/config.h"].decode()
    for name, value in {"BEAT_BITS": port_bits, "GROUP_PES": pes, "ENTRY_BITS": 24}.items():
        config, count = re.subn(rf"const int {name} = \d+;", f"const int {name} = {value};", config)
        assert count == 1
    config = re.sub(r"ap_int<\d+> weight_t", "ap_int<16> weight_t", config)
    config = re.sub(r"ap_uint<\d+> gap_t", "ap_uint<8> gap_t", config)
    (tmp_path / "config.h").write_text(config)
    (tmp_path / "trace.h").write_bytes(kernel["kernel/trace.h"])
    ports = kernel["kernel/ports.h"].decode()
    (tmp_path / "ports.h").write_text(
        re.sub(r"static void unpack_words.*?\n}\n", "", ports, flags=re.S)
    )
    beats = len(packed) * 8 // port_bits
    source = (
        f'#include <vector>\n#include <cstdio>\n#include "ports.h"\nconst int BEATS = {beats};\n'
    )
    told = run_cpp(source + PRINT.replace("OWN", f"{weight}, {index}"), "-I.", "-w", given=packed)
    assert [int(word) for word in told.split()] == np.stack([weights, gaps], -1).ravel().tolist()
