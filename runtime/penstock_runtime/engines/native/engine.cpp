// Runs a program that plan.py made of a graph: for every step, group after group of vector
// instructions, each group in blocks of rows that stay in the first cache.
//
// "program.h" is written by library.py from the structures and opcodes of program.py. Values of a
// block lie in registers of BLOCK elements, (row, lane) with the lanes side by side, as int32 or, if
// the instruction is `wide`, int64. Nothing overflows: the planner has proven every interval.
#include "program.h"

#include "matvec.h"

namespace {

constexpr int64_t NEVER = INT64_MAX;

inline int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

// One step of one sweep, and which lanes have it: masks of 0 or -1.
struct Moment {
  int64_t t, frame;
  bool is_once, everywhere, unpadded;  // all lanes have this step; there is no lane of padding
  const int32_t *valid, *first, *last;
};

// A block of rows of a group.
struct Block {
  const Call &call;
  const Moment &moment;
  int row, rows, lanes;

  int elements() const { return rows * lanes; }
  // Registers only: whole vectors, of which the last elements are never stored.
  int padded() const { return (elements() + 15) & ~15; }
  template <class T> T *reg(int index) const {
    return reinterpret_cast<T *>(call.registers + static_cast<int64_t>(index) * 8 * BLOCK);
  }
  template <class T> T *at(int buffer) const {
    const Buffer &b = call.buffers[buffer];
    char *start = static_cast<char *>(b.start) + b.step_bytes * moment.t;
    return reinterpret_cast<T *>(start) + static_cast<int64_t>(row) * lanes;
  }
};

template <class T, class S> void load(const Block &b, const Instruction &i) {
  const S *from = b.at<S>(i.buffer);
  T *to = b.reg<T>(i.result);
  for (int k = 0, n = b.elements(); k < n; k++) to[k] = static_cast<T>(from[k]);
}

template <class T, class S> void store(const Block &b, const Instruction &i) {
  const T *from = b.reg<T>(i.a);
  S *to = b.at<S>(i.buffer);
  for (int k = 0, n = b.elements(); k < n; k++) to[k] = static_cast<S>(from[k]);
}

// A new state, in lanes that have this step; the others keep the old one.
template <class T, class S> void keep(const Block &b, const Instruction &i) {
  if (b.moment.everywhere) return store<T, S>(b, i);
  const T *from = b.reg<T>(i.a);
  const S *old = b.at<S>(i.other);
  S *to = b.at<S>(i.buffer);
  for (int r = 0; r < b.rows; r++)
    for (int l = 0; l < b.lanes; l++) {
      const int64_t k = static_cast<int64_t>(r) * b.lanes + l;
      to[k] = b.moment.valid[l] ? static_cast<S>(from[k]) : old[k];
    }
}

template <class T, class S> void capture(const Block &b, const Instruction &i) {
  const T *from = b.reg<T>(i.a);
  S *kept = b.at<S>(i.buffer);
  const int32_t *mask = i.mode == FIRST  ? b.moment.first
                        : i.mode == LAST ? b.moment.last
                                         : b.moment.valid;
  for (int r = 0; r < b.rows; r++)
    for (int l = 0; l < b.lanes; l++) {
      const int64_t k = static_cast<int64_t>(r) * b.lanes + l;
      if (!mask[l]) continue;
      const S value = static_cast<S>(from[k]);
      kept[k] = i.mode == SUM ? static_cast<S>(kept[k] + value)
                : i.mode == MAX && kept[k] > value ? kept[k]
                                                   : value;
    }
}

// By the type of the register and that of the buffer.
#define BY_STORAGE(FUNCTION, T)                                        \
  switch (b.call.buffers[i.buffer].storage) {                          \
    case INT16: return FUNCTION<T, int16_t>(b, i);                     \
    case INT32: return FUNCTION<T, int32_t>(b, i);                     \
    default: return FUNCTION<T, int64_t>(b, i);                        \
  }

template <class T> void load_any(const Block &b, const Instruction &i) { BY_STORAGE(load, T) }
template <class T> void store_any(const Block &b, const Instruction &i) { BY_STORAGE(store, T) }
template <class T> void keep_any(const Block &b, const Instruction &i) { BY_STORAGE(keep, T) }
template <class T> void capture_any(const Block &b, const Instruction &i) { BY_STORAGE(capture, T) }

template <class T, class F> inline void map(const Block &b, const Instruction &i, F function) {
  const T *x = b.reg<T>(i.a);
  T *to = b.reg<T>(i.result);
  for (int k = 0, n = b.padded(); k < n; k++) to[k] = function(x[k]);
}

template <class T, class F> inline void map2(const Block &b, const Instruction &i, F function) {
  const T *x = b.reg<T>(i.a), *y = b.reg<T>(i.b);
  T *to = b.reg<T>(i.result);
  for (int k = 0, n = b.padded(); k < n; k++) to[k] = function(x[k], y[k]);
}

template <class From, class To> void convert(const Block &b, const Instruction &i) {
  const From *x = b.reg<From>(i.a);
  To *to = b.reg<To>(i.result);
  for (int k = 0, n = b.padded(); k < n; k++) to[k] = static_cast<To>(x[k]);
}

template <class T> void add(const Block &b, const Instruction &i) {
  const int p = i.shift_a, q = i.shift_b;
  map2<T>(b, i, [=](T x, T y) { return static_cast<T>((x << p) + (y << q)); });
}

template <class T> void sub(const Block &b, const Instruction &i) {
  const int p = i.shift_a, q = i.shift_b;
  map2<T>(b, i, [=](T x, T y) { return static_cast<T>((x << p) - (y << q)); });
}

template <class T> void mul(const Block &b, const Instruction &i) {
  map2<T>(b, i, [](T x, T y) { return static_cast<T>(x * y); });
}

void mul_wide(const Block &b, const Instruction &i) {
  const int32_t *x = b.reg<int32_t>(i.a), *y = b.reg<int32_t>(i.b);
  int64_t *to = b.reg<int64_t>(i.result);
  for (int k = 0, n = b.padded(); k < n; k++) to[k] = static_cast<int64_t>(x[k]) * y[k];
}

template <class T> void scale(const Block &b, const Instruction &i) {
  map2<T>(b, i, [](T x, T bits) { return static_cast<T>(x << bits); });
}

template <class T> void shift(const Block &b, const Instruction &i) {
  const int bits = i.shift_a;
  map<T>(b, i, [=](T x) { return static_cast<T>(x << bits); });
}

template <class T> inline T within(T x, T lo, T hi) { return x < lo ? lo : x > hi ? hi : x; }

template <class T> void clip(const Block &b, const Instruction &i) {
  const T lo = static_cast<T>(i.lo), hi = static_cast<T>(i.hi);
  map<T>(b, i, [=](T x) { return within(x, lo, hi); });
}

// Out of range is zero.
template <class T> void zero(const Block &b, const Instruction &i) {
  const T lo = static_cast<T>(i.lo), hi = static_cast<T>(i.hi);
  map<T>(b, i, [=](T x) { return static_cast<T>(x < lo || x > hi ? 0 : x); });
}

// The low bits, as a number of `hi` at most.
template <class T> void wrap(const Block &b, const Instruction &i) {
  const T mask = static_cast<T>(i.lo), hi = static_cast<T>(i.hi);
  const T modulus = static_cast<T>(mask + 1);
  map<T>(b, i, [=](T x) {
    const T low = x & mask;
    return static_cast<T>(low > hi ? low - modulus : low);
  });
}

// Drop bits. Every rounding mode is a number to add before: `bias`, more if x is negative, more
// if the last bit that stays is set.
template <class T> void round(const Block &b, const Instruction &i) {
  const int bits = i.shift_a;
  const T bias = static_cast<T>(i.bias), negative = static_cast<T>(i.if_negative),
          odd = static_cast<T>(i.if_odd);
  map<T>(b, i, [=](T x) {
    const T more = (x < 0 ? negative : 0) + ((x >> bits) & 1 ? odd : 0);
    return static_cast<T>((x + (bias + more)) >> bits);
  });
}

// The usual case in one pass: add, shift, saturate.
template <class From, class To> void round_clip(const Block &b, const Instruction &i) {
  const int bits = i.shift_a;
  const From bias = static_cast<From>(i.bias);
  const From lo = static_cast<From>(i.lo), hi = static_cast<From>(i.hi);
  const From *x = b.reg<From>(i.a);
  To *to = b.reg<To>(i.result);
  for (int k = 0, n = b.padded(); k < n; k++)
    to[k] = static_cast<To>(within(static_cast<From>((x[k] + bias) >> bits), lo, hi));
}

template <class T> void lookup(const Block &b, const Instruction &i) {
  const T *table = static_cast<const T *>(b.call.tables[i.table].entries);
  const int bits = i.shift_a;
  const T mask = static_cast<T>(i.lo);
  map<T>(b, i, [=](T x) { return table[(x >> bits) & mask]; });
}

// Between two entries: not rounded yet.
template <class T> void interpolate(const Block &b, const Instruction &i) {
  const T *table = static_cast<const T *>(b.call.tables[i.table].entries);
  const T *rises = static_cast<const T *>(b.call.tables[i.other].entries);
  const int bits = i.shift_a;
  const T mask = static_cast<T>(i.lo), low = static_cast<T>((T{1} << bits) - 1);
  map<T>(b, i, [=](T x) {
    const T k = (x >> bits) & mask;
    return static_cast<T>((table[k] << bits) + rises[k] * (x & low));
  });
}

// How many values of this step lie outside lo..hi, in lanes that have it, and in which step; behind
// all tensors, how many of those that alarm (mode).
template <class T> void count(const Block &b, const Instruction &i) {
  const T *x = b.reg<T>(i.a);
  const T lo = static_cast<T>(i.lo), hi = static_cast<T>(i.hi);
  int any = 0;
  for (int k = 0, n = b.elements(); k < n; k++) any += (x[k] < lo) | (x[k] > hi);
  if (any == 0) return;
  int64_t &alarming = b.call.saturated[b.call.slots].count;
  Saturated &lost = b.call.saturated[i.slot];
  if (b.moment.everywhere && b.moment.unpadded && !b.moment.is_once) {
    lost.count += any;
    if (i.mode) alarming += any;
    lost.first = smaller(lost.first, b.call.steps_before + b.moment.t);
    return;
  }
  for (int l = 0; l < b.lanes; l++) {
    if (!b.moment.valid[l]) continue;
    int64_t found = 0;
    for (int r = 0; r < b.rows; r++) {
      const T value = x[static_cast<int64_t>(r) * b.lanes + l];
      found += (value < lo) | (value > hi);
    }
    if (found == 0) continue;
    const int64_t step = b.moment.is_once ? b.call.lengths[l] - 1 : b.moment.t;
    lost.count += found;
    if (i.mode) alarming += found;
    lost.first = smaller(lost.first, b.call.steps_before + step);
  }
}

void matvec(const Block &b, const Instruction &i) {
  const Matrix &m = b.call.matrices[i.table];
  int64_t *to = b.reg<int64_t>(i.result);
  const int last = b.row + b.rows;
  switch (m.storage) {
    case INT16:
      return narrow(m, static_cast<const int16_t *>(b.call.arena_0), b.row, last, b.lanes, to);
    case INT32:
      return wide(m, static_cast<const int32_t *>(b.call.arena_1), b.row, last, b.lanes, to);
    default:
      return wide(m, static_cast<const int64_t *>(b.call.arena_2), b.row, last, b.lanes, to);
  }
}

template <class S> void read_frame(const Block &b, const Instruction &i) {
  S *to = b.at<S>(i.buffer);
  const Call &c = b.call;
  for (int l = 0; l < b.lanes; l++) {
    const int64_t *x = c.x + l * c.x_lane + b.moment.frame * c.x_step + b.row;
    for (int r = 0; r < b.rows; r++)
      to[static_cast<int64_t>(r) * b.lanes + l] = l < c.lanes ? static_cast<S>(x[r]) : S{0};
  }
}

template <class T> void output(const Block &b, const Instruction &i) {
  const Call &c = b.call;
  const T *from = b.reg<T>(i.a);
  for (int l = 0; l < c.lanes; l++) {
    if (!b.moment.valid[l]) continue;  // y is zero
    int64_t *y = c.y + l * c.y_lane + b.moment.t * c.y_step + i.offset + b.row;
    for (int r = 0; r < b.rows; r++) y[r] = from[static_cast<int64_t>(r) * b.lanes + l];
  }
}

template <class S> void argmax(const Block &b, const Instruction &i) {
  const Buffer &buffer = b.call.buffers[i.buffer];
  const S *x = b.at<S>(i.buffer);
  int32_t *to = b.reg<int32_t>(i.result);
  for (int l = 0; l < b.lanes; l++) {
    int best = 0;
    for (int r = 1; r < buffer.rows; r++)
      if (x[static_cast<int64_t>(r) * b.lanes + l] > x[static_cast<int64_t>(best) * b.lanes + l])
        best = r;
    to[l] = best;
  }
}

// A sum over time by its number of steps, rounded half up.
void mean(const Block &b, const Instruction &i) {
  const int64_t *x = b.reg<int64_t>(i.a);
  int64_t *to = b.reg<int64_t>(i.result);
  for (int r = 0; r < b.rows; r++)
    for (int l = 0; l < b.lanes; l++) {
      const int64_t k = static_cast<int64_t>(r) * b.lanes + l;
      const int64_t length = b.call.lengths[l] > 1 ? b.call.lengths[l] : 1;
      const int64_t steps = length << i.shift_b;
      const int64_t above = 2 * (x[k] << i.shift_a) + steps, below = 2 * steps;
      to[k] = above / below - (above % below < 0);
    }
}

#define BY_WIDTH(FUNCTION) \
  if (i.wide) FUNCTION<int64_t>(b, i); else FUNCTION<int32_t>(b, i); break

#define BY_BUFFER(FUNCTION)                                   \
  switch (b.call.buffers[i.buffer].storage) {                 \
    case INT16: FUNCTION<int16_t>(b, i); break;               \
    case INT32: FUNCTION<int32_t>(b, i); break;               \
    default: FUNCTION<int64_t>(b, i);                         \
  }                                                           \
  break

void execute(const Block &b, const Instruction &i) {
  switch (i.opcode) {
    case LOAD: BY_WIDTH(load_any);
    case STORE: BY_WIDTH(store_any);
    case KEEP: BY_WIDTH(keep_any);
    case CAPTURE: BY_WIDTH(capture_any);
    case WIDEN: convert<int32_t, int64_t>(b, i); break;
    case NARROW: convert<int64_t, int32_t>(b, i); break;
    case ADD: BY_WIDTH(add);
    case SUB: BY_WIDTH(sub);
    case MUL: BY_WIDTH(mul);
    case MUL_WIDE: mul_wide(b, i); break;
    case SCALE: BY_WIDTH(scale);
    case SHIFT: BY_WIDTH(shift);
    case CLIP: BY_WIDTH(clip);
    case ZERO: BY_WIDTH(zero);
    case WRAP: BY_WIDTH(wrap);
    case ROUND: BY_WIDTH(round);
    case ROUND_CLIP:
      if (i.wide) round_clip<int64_t, int64_t>(b, i); else round_clip<int32_t, int32_t>(b, i);
      break;
    case ROUND_CLIP_NARROW: round_clip<int64_t, int32_t>(b, i); break;
    case LOOKUP: BY_WIDTH(lookup);
    case INTERPOLATE: BY_WIDTH(interpolate);
    case COUNT: BY_WIDTH(count);
    case MATVEC: matvec(b, i); break;
    case READ_FRAME: BY_BUFFER(read_frame);
    case OUTPUT: BY_WIDTH(output);
    case ARGMAX: BY_BUFFER(argmax);
    case MEAN: mean(b, i); break;
  }
}

void run_group(const Call &call, const Group &group, const Moment &moment) {
  const int lanes = call.padded_lanes, most = BLOCK / lanes;
  for (int row = 0; row < group.rows; row += most) {
    const int rows = group.rows - row < most ? group.rows - row : most;
    const Block block{call, moment, row, rows, lanes};
    for (int k = group.first; k < group.last; k++) execute(block, call.instructions[k]);
  }
}

// Which lanes have the step. -> false if none has.
bool look(const Call &call, Moment &moment) {
  const int lanes = call.padded_lanes;
  int32_t *valid = call.masks, *first = valid + lanes, *last = first + lanes;
  int found = 0;
  for (int l = 0; l < lanes; l++) {
    const int64_t length = l < call.lanes ? call.lengths[l] : 0;
    valid[l] = -(moment.t < length);
    first[l] = -(length > 0 && moment.frame == 0);
    last[l] = -(length == moment.frame + 1);
    found -= valid[l];
  }
  moment.valid = valid, moment.first = first, moment.last = last;
  moment.everywhere = found == call.lanes, moment.unpadded = lanes == call.lanes;
  return found > 0;
}

// A step of a sweep, `place`th in its order.
void run_step(const Call &call, const Sweep &sweep, int64_t place) {
  Moment moment{};
  moment.is_once = sweep.direction == ONCE;
  moment.frame = sweep.direction == FORWARD ? place : call.steps - 1 - place;
  moment.t = moment.is_once ? 0 : moment.frame;
  if (!look(call, moment) && !call.is_observed) return;
  for (int g = sweep.first_group; g < sweep.last_group; g++)
    run_group(call, call.groups[g], moment);
  for (int k = sweep.first_copy; k < sweep.last_copy; k++)
    std::memcpy(call.copies[k].to, call.copies[k].source, call.copies[k].bytes);
}

}  // namespace

// Steps first..last of a sweep, in its order.
extern "C" void penstock_run(const Call *call, int64_t sweep, int64_t first, int64_t last) {
  for (int64_t place = first; place < last; place++) run_step(*call, call->sweeps[sweep], place);
}

// All sweeps, over call->steps steps each.
extern "C" void penstock_run_all(const Call *call) {
  for (int k = 0; k < call->sweep_count; k++) {
    const bool is_once = call->sweeps[k].direction == ONCE;
    penstock_run(call, k, 0, is_once ? 1 : call->steps);
  }
}

// Whether a single lane's matrices may be packed in chunks of a block.
extern "C" int penstock_can_permute() { return CAN_PERMUTE; }
