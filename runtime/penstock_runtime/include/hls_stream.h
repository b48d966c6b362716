// hls::stream for host compilation, bounded at its declared depth, with the processes of a dataflow
// region running side by side. Never on the synthesis path.
//
// Vitis C simulation runs the processes one after the other on unbounded streams, and so hides a
// stream that is too shallow, a region that deadlocks, and values that nobody reads. Here each process
// is a fiber (penstock_fiber.h): a read of an empty or a write to a full stream lets the others run. If
// none can go on, the streams on which they wait are named and the program ends with status 3. So it
// does for a stream that still holds values when it goes out of scope. Scheduling is deterministic. A
// process may run a region of its own: its processes join the others until they have ended, and it
// waits for them.
#ifndef PENSTOCK_HLS_STREAM_H
#define PENSTOCK_HLS_STREAM_H

#include <string>
#include <vector>

#include "penstock_fiber.h"

namespace penstock {

// The processes of one dataflow region, run in turn until all have ended.
class DataflowRegion {
 public:
  DataflowRegion() {}
  DataflowRegion(const DataflowRegion &) = delete;
  DataflowRegion &operator=(const DataflowRegion &) = delete;
  ~DataflowRegion() {
    for (Process *process : processes_) delete process;
  }

  template <class Body>
  void start(const Body &body) {
    processes_.push_back(new ProcessOf<Body>(body));
  }

  void run() {
    left_ = processes_.size();
    if (current() != nullptr) {
      current()->run_inside(*this);
      return;
    }
    current() = this;
    join(*this);
    while (left_ > 0) {
      active_ = next();
      scheduler_.switch_to(running_[active_]->fiber);  // until one has ended
    }
    current() = nullptr;
  }

  // Called by a stream: the process that runs has to wait for ``what``, of ``stream``, as long as its
  // ``values`` are so many. Another goes on: a switch costs as much as many values.
  void wait(const char *what, const std::string &stream, const std::size_t &values) {
    Process &waiting = *running_[active_];
    waiting.what = what;
    waiting.stream = &stream;
    waiting.values = &values;
    waiting.too_many_or_few = values;
    active_ = next();
    waiting.fiber.switch_to(running_[active_]->fiber);
  }

  static DataflowRegion *&current() {
    static DataflowRegion *region = nullptr;
    return region;
  }

 private:
  struct Process {
    virtual ~Process() {}
    virtual void run() = 0;

    Fiber fiber;
    const char *what = nullptr;
    const std::string *stream = nullptr;
    const std::size_t *values = nullptr;
    std::size_t too_many_or_few = 0;
    std::size_t *left = nullptr;  // of its region's processes
    bool is_done = false;

    bool waits() const { return values != nullptr && *values == too_many_or_few; }
  };

  template <class Body>
  struct ProcessOf : Process {
    explicit ProcessOf(const Body &body) : body_(body) {}
    void run() override { body_(); }
    const Body body_;
  };

  void join(DataflowRegion &region) {
    for (Process *process : region.processes_) {
      process->left = &region.left_;
      process->fiber.prepare(&DataflowRegion::enter, scheduler_);
      running_.push_back(process);
    }
  }

  // A region of the process that runs: it waits until the last of them has ended.
  void run_inside(DataflowRegion &region) {
    static const std::string name;
    Process *const own = running_[active_];
    join(region);
    while (region.left_ > 0) wait("its own processes", name, region.left_);
    std::vector<Process *> others;
    for (Process *process : running_) {
      if (process->left != &region.left_) others.push_back(process);
    }
    running_.swap(others);
    for (active_ = 0; running_[active_] != own;) ++active_;
  }

  // The first after the active process that can go on.
  std::size_t next() {
    for (std::size_t n = 1; n <= running_.size(); ++n) {
      const std::size_t number = (active_ + n) % running_.size();
      const Process &process = *running_[number];
      if (!process.is_done && !process.waits()) return number;
    }
    report_deadlock();
  }

  static void enter() {
    Process &process = *current()->running_[current()->active_];
    process.run();
    process.is_done = true;
    --*process.left;
  }

  [[noreturn]] void report_deadlock() {
    std::string message = "deadlock in the dataflow region:";
    for (const Process *process : running_) {
      if (process->is_done) continue;
      message += std::string("\n  a process waits for ") + process->what + *process->stream;
    }
    stop(message);
  }

  std::vector<Process *> processes_;
  std::vector<Process *> running_;  // of the outermost region: with those of regions inside
  std::size_t left_ = 0, active_ = 0;
  Fiber scheduler_;
};

}  // namespace penstock

#define PENSTOCK_DATAFLOW
#define DATAFLOW_BEGIN penstock::DataflowRegion dataflow_region;
#define PROCESS(...) dataflow_region.start([&] { __VA_ARGS__ });
#define DATAFLOW_END dataflow_region.run();

namespace hls {

// DEPTH 0 stands for a stream whose depth is not declared: 2, as in RTL. Values lie in a ring, and
// are assigned to it and from it: every constructor of AMD's types goes over its bits once more.
template <class T, int DEPTH = 0>
class stream {
 public:
  explicit stream(const char *name = "of an array")
      : name_(name), ring_(CAPACITY) {}
  stream(const stream &) = delete;
  stream &operator=(const stream &) = delete;

  ~stream() {
    if (!empty()) {
      penstock::stop("stream " + name_ + " still holds " + std::to_string(size_) +
                     " values that nobody read");
    }
  }

  bool empty() const { return size_ == 0; }
  bool full() const { return size_ == CAPACITY; }
  std::size_t size() const { return size_; }
  std::size_t capacity() const { return CAPACITY; }

  T read() {
    while (empty()) wait("a read of the empty stream ");
    const Taken taken(*this);
    return ring_[first_];
  }
  void read(T &value) {
    while (empty()) wait("a read of the empty stream ");
    const Taken taken(*this);
    value = ring_[first_];
  }
  void write(const T &value) {
    while (full()) wait("a write to the full stream ");
    const std::size_t end = first_ + size_;
    ring_[end < CAPACITY ? end : end - CAPACITY] = value;
    ++size_;
  }
  bool read_nb(T &value) {
    if (empty()) return false;
    read(value);
    return true;
  }
  bool write_nb(const T &value) {
    if (full()) return false;
    write(value);
    return true;
  }
  stream &operator>>(T &value) {
    read(value);
    return *this;
  }
  stream &operator<<(const T &value) {
    write(value);
    return *this;
  }

 private:
  static const std::size_t CAPACITY = DEPTH > 0 ? DEPTH : 2;

  // Lets go of the first value once it was copied.
  struct Taken {
    explicit Taken(stream &of) : of_(of) {}
    ~Taken() {
      of_.first_ = of_.first_ + 1 < CAPACITY ? of_.first_ + 1 : 0;
      --of_.size_;
    }
    stream &of_;
  };

  void wait(const char *what) {
    if (penstock::DataflowRegion::current() == nullptr) {
      penstock::stop(std::string(what) + name_ + ", outside a dataflow region");
    }
    penstock::DataflowRegion::current()->wait(what, name_, size_);
  }

  std::string name_;
  std::vector<T> ring_;
  std::size_t first_ = 0, size_ = 0;
};

}  // namespace hls

#endif
