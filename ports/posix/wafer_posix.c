/* The platform layer on systems with POSIX threads: NuttX, Linux and others. */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "wafer_console_posix.h"
#include "wafer_port.h"

#ifndef CLOCK_MONOTONIC
#define CLOCK_MONOTONIC CLOCK_REALTIME
#endif

void* wafer_port_allocate(size_t size) { return malloc(size); }
void wafer_port_release(void* block) { free(block); }

size_t wafer_port_free_bytes(void) {
#ifdef __NuttX__
  return (size_t)mallinfo().fordblks;
#else
  return 0;
#endif
}

uint64_t wafer_port_clock(void) {
  struct timespec time;
  return clock_gettime(CLOCK_MONOTONIC, &time) == 0
             ? (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec
             : 0;
}

void wafer_port_sleep(uint64_t nanoseconds) {
  struct timespec time = {(time_t)(nanoseconds / 1000000000u), (long)(nanoseconds % 1000000000u)};
  while (nanosleep(&time, &time) != 0 && errno == EINTR) {
  }
}

bool wafer_port_random(void* out, size_t size) {
  const int file = open("/dev/urandom", O_RDONLY);
  if (file < 0) return false;
  char* at = out;
  while (size) {
    const ssize_t got = read(file, at, size);
    if (got <= 0) break;
    at += got;
    size -= (size_t)got;
  }
  close(file);
  return size == 0;
}

void wafer_port_put(const char* text, size_t size) { wafer_console_write(text, size); }

typedef struct {
  void (*entry)(void*);
  void* argument;
} start;

static void* thread(void* argument) {
  const start what = *(start*)argument;
  free(argument);
  what.entry(what.argument);
  return NULL;
}

bool wafer_port_start(const char* name, void (*entry)(void*), void* argument, unsigned level,
                      size_t stack) {
  (void)name;
  start* const what = malloc(sizeof *what);
  if (!what) return false;
  what->entry = entry;
  what->argument = argument;
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  pthread_attr_setstacksize(&attributes, stack);
#ifdef __NuttX__
  struct sched_param priority = {.sched_priority = SCHED_PRIORITY_DEFAULT + (int)level};
  pthread_attr_setinheritsched(&attributes, PTHREAD_EXPLICIT_SCHED);
  pthread_attr_setschedpolicy(&attributes, SCHED_FIFO);
  pthread_attr_setschedparam(&attributes, &priority);
#else
  /* Priorities are privileges elsewhere. */
  (void)level;
#endif
  pthread_t id;
  const bool started = pthread_create(&id, &attributes, thread, what) == 0;
  pthread_attr_destroy(&attributes);
  if (!started) free(what);
  return started;
}

struct wafer_port_queue {
  pthread_mutex_t mutex;
  pthread_cond_t changed;
  size_t depth, count, first;
  int32_t values[];
};

wafer_port_queue* wafer_port_queue_new(size_t depth) {
  wafer_port_queue* const queue = malloc(sizeof *queue + depth * sizeof(int32_t));
  if (!queue) return NULL;
  pthread_mutex_init(&queue->mutex, NULL);
  pthread_cond_init(&queue->changed, NULL);
  queue->depth = depth;
  queue->count = queue->first = 0;
  return queue;
}

void wafer_port_queue_delete(wafer_port_queue* queue) {
  if (!queue) return;
  pthread_cond_destroy(&queue->changed);
  pthread_mutex_destroy(&queue->mutex);
  free(queue);
}

/* Locks the queue and waits while it has `count` values; true with the lock held. */
static bool wait_while(wafer_port_queue* queue, size_t count, int32_t milliseconds) {
  const uint64_t end = milliseconds < 0 ? 0 : wafer_port_date() + (uint64_t)milliseconds * 1000000u;
  const struct timespec until = {(time_t)(end / 1000000000u), (long)(end % 1000000000u)};
  pthread_mutex_lock(&queue->mutex);
  int failed = 0;
  while (queue->count == count && !failed)
    failed = milliseconds < 0 ? pthread_cond_wait(&queue->changed, &queue->mutex)
                              : pthread_cond_timedwait(&queue->changed, &queue->mutex, &until);
  if (queue->count != count) return true;
  pthread_mutex_unlock(&queue->mutex);
  return false;
}

static void changed(wafer_port_queue* queue) {
  pthread_cond_broadcast(&queue->changed);
  pthread_mutex_unlock(&queue->mutex);
}

bool wafer_port_queue_send(wafer_port_queue* queue, int32_t value, int32_t milliseconds) {
  if (!wait_while(queue, queue->depth, milliseconds)) return false;
  queue->values[(queue->first + queue->count++) % queue->depth] = value;
  changed(queue);
  return true;
}

bool wafer_port_queue_receive(wafer_port_queue* queue, int32_t* value, int32_t milliseconds) {
  if (!wait_while(queue, 0, milliseconds)) return false;
  *value = queue->values[queue->first];
  queue->first = (queue->first + 1) % queue->depth;
  --queue->count;
  changed(queue);
  return true;
}

/* glibc's, which the headers of its C++ library ask for, in case another C library is linked: there
 * may be threads. */
#ifdef __linux__
__attribute__((weak)) char __libc_single_threaded;
#endif

static pthread_key_t slot_key;
static pthread_once_t slot_once = PTHREAD_ONCE_INIT;
typedef struct {
  void* value;
} slot_holder;

static void make_slot_key(void) { pthread_key_create(&slot_key, free); }

void** wafer_port_slot(void) {
  pthread_once(&slot_once, make_slot_key);
  slot_holder* holder = pthread_getspecific(slot_key);
  if (!holder) {
    holder = calloc(1, sizeof *holder);
    if (!holder || pthread_setspecific(slot_key, holder) != 0) {
      free(holder);
      wafer_port_panic("out of memory");
    }
  }
  return &holder->value;
}
