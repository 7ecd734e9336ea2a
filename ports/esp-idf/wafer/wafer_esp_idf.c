/* What the platform layer of FreeRTOS (wafer_freertos.c) has from ESP-IDF: its heap, its console
 * and its random numbers; wafer_console_posix.c has the rest. */
#include "esp_heap_caps.h"
#include "esp_random.h"
#include "freertos/FreeRTOS.h"
#include "freertos/semphr.h"
#include "freertos/task.h"
#include "wafer_console_posix.h"
#include "wafer_port.h"

/* As a process of Linux, tasks are threads that stop each other: none may be stopped while it holds
 * a lock of the C library that another waits for. */
#ifdef CONFIG_IDF_TARGET_LINUX
#define ALONE(statement) \
  do {                   \
    vTaskSuspendAll();   \
    statement;           \
    xTaskResumeAll();    \
  } while (0)
#else
#define ALONE(statement) statement
#endif

void* wafer_port_allocate(size_t size) {
  void* block;
  ALONE(block = heap_caps_malloc(size, MALLOC_CAP_DEFAULT));
  return block;
}
void wafer_port_release(void* block) { ALONE(heap_caps_free(block)); }
size_t wafer_port_free_bytes(void) { return heap_caps_get_free_size(MALLOC_CAP_DEFAULT); }

bool wafer_port_random(void* out, size_t size) {
  esp_fill_random(out, size);
  return true;
}

static SemaphoreHandle_t console(void) {
  static StaticSemaphore_t memory;
  static SemaphoreHandle_t mutex;
  static portMUX_TYPE once = portMUX_INITIALIZER_UNLOCKED;
  taskENTER_CRITICAL(&once);
  if (!mutex) mutex = xSemaphoreCreateMutexStatic(&memory);
  taskEXIT_CRITICAL(&once);
  return mutex;
}

void wafer_port_put(const char* text, size_t size) {
  const SemaphoreHandle_t mutex = console();
  xSemaphoreTake(mutex, portMAX_DELAY);
  wafer_console_write(text, size);
  xSemaphoreGive(mutex);
}
