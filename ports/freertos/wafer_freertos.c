/* The platform layer on FreeRTOS: memory from the kernel's heap (heap_4.c or another that frees),
 * and a fault of the library stops at configASSERT. The console is the application's: it defines
 * wafer_freertos_put, which is called while no other task runs, and, if there is any input,
 * wafer_freertos_get. On ESP-IDF heap, console and faults are those of wafer_esp_idf.c. */
#ifdef ESP_PLATFORM
#include "freertos/FreeRTOS.h"
#include "freertos/queue.h"
#include "freertos/task.h"
#else
#include "FreeRTOS.h"
#include "queue.h"
#include "task.h"
#endif
#include "wafer_port.h"

#ifndef ESP_PLATFORM
_Static_assert(portBYTE_ALIGNMENT >= WAFER_PORT_ALIGN, "blocks of the heap");

void* wafer_port_allocate(size_t size) { return pvPortMalloc(size); }
void wafer_port_release(void* block) { vPortFree(block); }
size_t wafer_port_free_bytes(void) { return xPortGetFreeHeapSize(); }
#endif

uint64_t wafer_port_clock(void) {
  return (uint64_t)xTaskGetTickCount() * (1000000000u / configTICK_RATE_HZ);
}

void wafer_port_sleep(uint64_t nanoseconds) {
  const uint64_t ticks = wafer_port_ticks(nanoseconds, configTICK_RATE_HZ);
  vTaskDelay(ticks < portMAX_DELAY ? (TickType_t)ticks : portMAX_DELAY - 1);
}

#ifndef ESP_PLATFORM
void wafer_freertos_put(const char* text, size_t size);
__attribute__((weak)) size_t wafer_freertos_get(char* out, size_t size) {
  (void)out;
  (void)size;
  return 0;
}

void wafer_port_put(const char* text, size_t size) {
  vTaskSuspendAll();
  wafer_freertos_put(text, size);
  xTaskResumeAll();
}
size_t wafer_port_get(char* out, size_t size) { return wafer_freertos_get(out, size); }
#endif

/* A task that wafer_port_start has made, with its slot. Its block lives as long as it runs. */
typedef struct started {
  struct started* next;
  TaskHandle_t task;
  void (*entry)(void*);
  void* argument;
  void* slot;
} started;
static started* running;
#ifdef ESP_PLATFORM /* two cores */
static portMUX_TYPE running_lock = portMUX_INITIALIZER_UNLOCKED;
#define LOCK() taskENTER_CRITICAL(&running_lock)
#define UNLOCK() taskEXIT_CRITICAL(&running_lock)
#else
#define LOCK() taskENTER_CRITICAL()
#define UNLOCK() taskEXIT_CRITICAL()
#endif

static void task(void* argument) {
  started* const self = argument;
  self->task = xTaskGetCurrentTaskHandle();
  LOCK();
  self->next = running;
  running = self;
  UNLOCK();
  self->entry(self->argument);
  LOCK();
  for (started** at = &running; *at; at = &(*at)->next)
    if (*at == self) {
      *at = self->next;
      break;
    }
  UNLOCK();
  wafer_port_release(self);
  vTaskDelete(NULL);
}

bool wafer_port_start(const char* name, void (*entry)(void*), void* argument, unsigned level,
                      size_t stack) {
  started* const what = wafer_port_allocate(sizeof *what);
  if (!what) return false;
  *what = (started){.entry = entry, .argument = argument};
  if (xTaskCreate(task, name, (configSTACK_DEPTH_TYPE)(stack / sizeof(StackType_t)), what,
                  tskIDLE_PRIORITY + 1 + level, NULL) == pdPASS)
    return true;
  wafer_port_release(what);
  return false;
}

static TickType_t ticks(int32_t milliseconds) {
  return wafer_port_timeout(milliseconds, configTICK_RATE_HZ, portMAX_DELAY - 1, portMAX_DELAY);
}

wafer_port_queue* wafer_port_queue_new(size_t depth) {
  return (wafer_port_queue*)xQueueCreate((UBaseType_t)depth, sizeof(int32_t));
}
void wafer_port_queue_delete(wafer_port_queue* queue) {
  if (queue) vQueueDelete((QueueHandle_t)queue);
}
bool wafer_port_queue_send(wafer_port_queue* queue, int32_t value, int32_t milliseconds) {
  return xQueueSend((QueueHandle_t)queue, &value, ticks(milliseconds)) == pdPASS;
}
bool wafer_port_queue_receive(wafer_port_queue* queue, int32_t* value, int32_t milliseconds) {
  return xQueueReceive((QueueHandle_t)queue, value, ticks(milliseconds)) == pdPASS;
}

/* Tasks that wafer_port_start has not made share one. */
void** wafer_port_slot(void) {
  static void* shared;
  const TaskHandle_t self = xTaskGetCurrentTaskHandle();
  void** slot = &shared;
  LOCK();
  for (started* at = running; at; at = at->next)
    if (at->task == self) slot = &at->slot;
  UNLOCK();
  return slot;
}

#ifndef ESP_PLATFORM
void wafer_port_panic(const char* message) {
  (void)message;
  configASSERT(message == NULL);
  for (;;) {
  }
}
#endif
