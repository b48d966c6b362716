// What a process of a dataflow region runs on, on the host: a Fiber, of which one at a time runs.
//
// Where the C library has ucontext, a fiber is one of its contexts. Elsewhere (musl, macOS, where it
// is deprecated) and where PENSTOCK_THREADS is defined, it is a thread that runs when it is its turn:
// the same order and the same bits, but a switch takes the system's scheduler.
//
// Arrays of a process, such as a frame of results, lie on its stack: hence so large a one. Pages are
// taken when they are touched; the lowest can't be, so a process that needs still more ends at once
// instead of writing into another's memory.
#ifndef PENSTOCK_FIBER_H
#define PENSTOCK_FIBER_H

#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <string>

namespace penstock {

[[noreturn]] inline void stop(const std::string &message) {
  std::fflush(stdout);
  std::fprintf(stderr, "ERROR: %s\n", message.c_str());
  std::_Exit(3);
}

const std::size_t MOST_STACK_BYTES = std::size_t(128) << 20;
const std::size_t LEAST_STACK_BYTES = std::size_t(1) << 20;  // where address space is limited

[[noreturn]] inline void stop_without_stack() {
  stop("there is no memory for the stack of a process");
}

}  // namespace penstock

#if !defined(PENSTOCK_THREADS) && (defined(__GLIBC__) || defined(__FreeBSD__))
#include "penstock_fiber_ucontext.h"
#else
#include "penstock_fiber_thread.h"
#endif

#endif
