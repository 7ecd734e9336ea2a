// Tasks of several kinds on a cooperative scheduler, which pass packets to one another; almost
// every step is a virtual call.
#include "../bench.h"

namespace {

struct Packet {
  Packet* next = nullptr;
  int destination = 0;
  uint32_t data[4] = {};
};

class Queue {
 public:
  void push(Packet* packet) {
    packet->next = nullptr;
    *(head_ == nullptr ? &head_ : &tail_->next) = packet;
    tail_ = packet;
    ++size_;
  }
  Packet* pop() {
    Packet* packet = head_;
    if (packet != nullptr) {
      head_ = packet->next;
      --size_;
    }
    return packet;
  }
  int size() const { return size_; }

 private:
  Packet* head_ = nullptr;
  Packet* tail_ = nullptr;
  int size_ = 0;
};

class Scheduler;

class Task {
 public:
  virtual bool ready() const = 0;
  virtual void step(Scheduler& scheduler) = 0;
  virtual int priority() const { return 1; }
  virtual uint32_t digest() const { return work_; }
  void receive(Packet* packet) { inbox_.push(packet); }

 protected:
  ~Task() = default;
  Queue inbox_;
  uint32_t work_ = 0;
};

class Scheduler {
 public:
  enum { kTasks = 24 };
  void set(int index, Task* task) { tasks_[index] = task; }
  void send(Packet* packet, int destination) {
    packet->destination = destination % kTasks;
    tasks_[packet->destination]->receive(packet);
  }
  // Runs the first ready task of the highest priority, starting after the last one that ran.
  bool run_one() {
    Task* chosen = nullptr;
    int best = 0, best_index = 0;
    for (int i = 1; i <= kTasks; ++i) {
      int index = (last_ + i) % kTasks;
      Task* task = tasks_[index];
      if (task->ready() && task->priority() > best) {
        chosen = task;
        best = task->priority();
        best_index = index;
      }
    }
    if (chosen == nullptr) return false;
    last_ = best_index;
    chosen->step(*this);
    return true;
  }
  uint32_t digest() const {
    uint32_t all = 0;
    for (Task* task : tasks_) all = all * 31 + task->digest();
    return all;
  }

 private:
  Task* tasks_[kTasks] = {};
  int last_ = 0;
};

// Mixes each packet's words and sends it on by their value.
class Worker : public Task {
 public:
  explicit Worker(int stride) : stride_(stride) {}
  bool ready() const override { return inbox_.size() > 0; }
  void step(Scheduler& scheduler) override {
    Packet* packet = inbox_.pop();
    for (uint32_t& word : packet->data) {
      word = word * 1664525u + 1013904223u;
      work_ ^= word >> 7;
    }
    scheduler.send(packet, packet->destination + stride_ + static_cast<int>(packet->data[0] >> 30));
  }

 private:
  int stride_;
};

// Waits for pairs of packets, and swaps halves between them.
class Joiner : public Task {
 public:
  bool ready() const override { return inbox_.size() >= 2; }
  int priority() const override { return 2; }
  void step(Scheduler& scheduler) override {
    Packet* a = inbox_.pop();
    Packet* b = inbox_.pop();
    for (int i = 0; i < 2; ++i) {
      uint32_t word = a->data[i];
      a->data[i] = b->data[i + 2];
      b->data[i + 2] = word + 1;
    }
    ++work_;
    scheduler.send(a, a->destination + 1);
    scheduler.send(b, b->destination + 5);
  }
};

// Holds packets back until enough have come, then lets them all go.
class Gate : public Task {
 public:
  bool ready() const override { return open_ || inbox_.size() >= 3; }
  int priority() const override { return open_ ? 4 : 1; }
  void step(Scheduler& scheduler) override {
    open_ = true;
    Packet* packet = inbox_.pop();
    if (packet == nullptr) {
      open_ = false;
      return;
    }
    work_ += packet->data[3] & 0xff;
    scheduler.send(packet, packet->destination + 7);
  }
  uint32_t digest() const override { return work_ * 2 + (open_ ? 1 : 0); }

 private:
  bool open_ = false;
};

Worker workers[] = {Worker(1), Worker(2), Worker(3), Worker(5), Worker(8), Worker(11),
                    Worker(1), Worker(4), Worker(6), Worker(9), Worker(2), Worker(7)};
Joiner joiners[6];
Gate gates[6];
Packet packets[60];
Scheduler scheduler;

}  // namespace

int main(int argc, char** argv) {
  int steps = bench_start(argc, argv, 12000000, 400000);
  for (int i = 0; i < 6; ++i) {
    scheduler.set(4 * i, &workers[2 * i]);
    scheduler.set(4 * i + 1, &joiners[i]);
    scheduler.set(4 * i + 2, &workers[2 * i + 1]);
    scheduler.set(4 * i + 3, &gates[i]);
  }
  for (Packet& packet : packets) {
    for (uint32_t& word : packet.data) word = bench_random();
    scheduler.send(&packet, static_cast<int>(bench_random_below(Scheduler::kTasks)));
  }
  for (int i = 0; i < steps; ++i) bench_require(scheduler.run_one(), "every task waits");
  bench_add(scheduler.digest());
  return bench_finish("scheduler");
}
