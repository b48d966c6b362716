// A kernel that breaks no rule: fetch -> compute -> store. The tests break one rule at a time.
#include <ap_axi_sdata.h>
#include <ap_fixed.h>
#include <ap_int.h>
#include <hls_stream.h>

const int PES = 8;
const int CELL_UNITS = 2;
const int DEPTH = 16;
typedef ap_uint<64> beat_t;
typedef ap_int<16> value_t;
typedef ap_int<32> acc_t;
struct packet_t {
  value_t value[CELL_UNITS];
};
typedef ap_axiu<64, 0, 0, 0> axis_t;
typedef hls::stream<axis_t> axis_stream;
typedef hls::stream<beat_t, 8> beat_stream;
typedef hls::stream<packet_t, 8> packet_stream;

// Each call has its own copy.
static value_t rounded(const value_t &x) {
#pragma HLS INLINE off
#pragma HLS PIPELINE II=1
  static const short TABLE[4] = {0, 1, 3, 7};
  const ap_uint<2> index = x.range(1, 0);
  return value_t(TABLE[index]);
}

static void fetch(const beat_t *x, beat_stream &beats, unsigned steps) {
FETCH:
  for (unsigned k = 0; k < steps; ++k) {
#pragma HLS LOOP_TRIPCOUNT max=64
#pragma HLS PIPELINE II=1
    beats.write(x[k]);
  }
}

static void load_state(const beat_t *state, acc_t kept[DEPTH]) {
#pragma HLS INLINE
LOAD:
  for (unsigned k = 0; k < DEPTH; ++k) {
#pragma HLS PIPELINE II=1
    kept[k] = state[k].range(31, 0);
  }
}

static void accumulate(beat_stream &beats, acc_t acc[PES][DEPTH], unsigned steps) {
#pragma HLS INLINE off
ACCUMULATE:
  for (unsigned n = 0; n < steps; ++n) {
#pragma HLS LOOP_TRIPCOUNT max=64
#pragma HLS PIPELINE II=1
#pragma HLS DEPENDENCE variable=acc inter RAW distance=4 true
    const beat_t beat = beats.read();
  PES_OF_BEAT:
    for (int p = 0; p < PES; ++p) {
#pragma HLS UNROLL
      value_t weight;
      weight = beat.range(p * 8 + 7, p * 8);
      const unsigned slot = beat.range(3, 0).to_uint();
      acc[p][slot] += weight;
    }
  }
}

static void cells(acc_t acc[PES][DEPTH], const acc_t kept[DEPTH], packet_stream &results) {
#pragma HLS INLINE off
SLOTS:
  for (unsigned slot = 0; slot < DEPTH; ++slot) {
  NEIGHBOURS:
    for (unsigned q = 0; q < PES / CELL_UNITS; ++q) {
#pragma HLS PIPELINE II=1
#pragma HLS DEPENDENCE variable=acc inter false
      packet_t packet;
      const acc_t offset = kept[slot];
    UNITS:
      for (int unit = 0; unit < CELL_UNITS; ++unit) {
#pragma HLS UNROLL
        acc_t sum = 0;
      CHOICES:
        for (unsigned c = 0; c < PES / CELL_UNITS; ++c) {
#pragma HLS UNROLL
          if (q == c) {
            sum = acc[c * CELL_UNITS + unit][slot];
            acc[c * CELL_UNITS + unit][slot] = 0;
          }
        }
        sum += offset;
        value_t low;
        low = sum.range(15, 0);
        packet.value[unit] = rounded(low);
      }
      results.write(packet);
    }
  }
}

static void compute(beat_stream &beats, beat_t *state, packet_stream &results, unsigned steps,
                    unsigned start) {
  static acc_t acc[PES][DEPTH];
#pragma HLS ARRAY_PARTITION variable=acc dim=1
#pragma HLS BIND_STORAGE variable=acc type=ram_s2p impl=lutram latency=1
  static acc_t kept[DEPTH];
#pragma HLS ARRAY_PARTITION variable=kept cyclic factor=2 dim=1
  if (start) load_state(state, kept);
  accumulate(beats, acc, steps);
  cells(acc, kept, results);
STORE:
  for (unsigned k = 0; k < DEPTH; ++k) {
#pragma HLS PIPELINE II=1
    state[k] = kept[k].range(31, 0);
  }
}

static void store(packet_stream &results, beat_t *y) {
STORE_Y:
  for (unsigned k = 0; k < DEPTH * PES / CELL_UNITS; ++k) {
#pragma HLS PIPELINE II=1
    const packet_t packet = results.read();
    beat_t beat = 0;
    for (int unit = 0; unit < CELL_UNITS; ++unit) {
#pragma HLS UNROLL
      beat.range(unit * 16 + 15, unit * 16) = packet.value[unit].range(15, 0);
    }
    y[k] = beat;
  }
}

static void relay(axis_stream &from, axis_stream &to, unsigned steps) {
RELAY:
  for (unsigned n = 0; n < steps; ++n) {
#pragma HLS LOOP_TRIPCOUNT max=64
#pragma HLS PIPELINE II=1
    axis_t out;
    out.data = from.read().data;
    out.keep = -1;
    out.strb = -1;
    out.last = n + 1 == steps;
    to.write(out);
  }
}

extern "C" void lstm_top(const beat_t *x, beat_t *state, beat_t *y, unsigned steps, unsigned start,
                         axis_stream &from, axis_stream &to) {
#pragma HLS INTERFACE m_axi port=x bundle=gmem_x offset=slave depth=64 \
    max_read_burst_length=64
#pragma HLS INTERFACE m_axi port=state bundle=gmem_s offset=slave depth=DEPTH
#pragma HLS INTERFACE m_axi port=y bundle=gmem_y offset=slave depth=64
#pragma HLS INTERFACE axis port=from
#pragma HLS INTERFACE axis port=to
#pragma HLS INTERFACE s_axilite port=x
#pragma HLS INTERFACE s_axilite port=state
#pragma HLS INTERFACE s_axilite port=y
#pragma HLS INTERFACE s_axilite port=steps
#pragma HLS INTERFACE s_axilite port=start
#pragma HLS INTERFACE s_axilite port=return
#pragma HLS DATAFLOW
  beat_stream beats("beats");
#pragma HLS STREAM variable=beats depth=8
  packet_stream results("results");
#pragma HLS STREAM variable=results depth=8

  fetch(x, beats, steps);
  compute(beats, state, results, steps, start);
  store(results, y);
  relay(from, to, steps);
}
