// A call of the emitted kernel on plain bytes, for the fakes of XRT and PYNQ.
#pragma once
#include <cstddef>

struct Argument {
  unsigned char *bytes;  // null: a scalar
  std::size_t count;     // of bytes; of those that a stream gives: room, then how many came up to TLAST
  unsigned scalar;       // of a stream: not 0 if it is sent to the kernel
};

// Arguments in the kernel's order. Returns how many the kernel has; calls nothing if that differs.
extern "C" unsigned call_kernel(Argument *arguments, unsigned count);
