/* The kernel as the example needs it: on Arm's MPS2 board in QEMU, and as a process. */
#ifndef FREERTOS_CONFIG_H
#define FREERTOS_CONFIG_H

#define configUSE_PREEMPTION 1
#define configUSE_IDLE_HOOK 0
#define configUSE_TICK_HOOK 0
#define configCPU_CLOCK_HZ 25000000
#define configTICK_RATE_HZ 1000
#define configMAX_PRIORITIES 5
#define configMAX_TASK_NAME_LEN 12
#define configTICK_TYPE_WIDTH_IN_BITS TICK_TYPE_WIDTH_32_BITS
#define configIDLE_SHOULD_YIELD 1
#define configUSE_MUTEXES 1
#define configUSE_COUNTING_SEMAPHORES 1
#define configSUPPORT_DYNAMIC_ALLOCATION 1
#define configSUPPORT_STATIC_ALLOCATION 0
#define configUSE_TIMERS 0

#define INCLUDE_vTaskDelete 1
#define INCLUDE_vTaskDelay 1
#define INCLUDE_vTaskSuspend 1

#ifdef __arm__
#define configMINIMAL_STACK_SIZE 256
#define configTOTAL_HEAP_SIZE (96 * 1024)
#define configCHECK_FOR_STACK_OVERFLOW 2
/* Priorities of interrupts on the Cortex-M: 3 bits on this board. */
#define configPRIO_BITS 3
#define configKERNEL_INTERRUPT_PRIORITY (7 << (8 - configPRIO_BITS))
#define configMAX_SYSCALL_INTERRUPT_PRIORITY (5 << (8 - configPRIO_BITS))
#define vPortSVCHandler board_svc
#define xPortPendSVHandler board_pendsv
#define xPortSysTickHandler board_systick
#else
#include <limits.h>
#define configMINIMAL_STACK_SIZE ((unsigned short)PTHREAD_STACK_MIN)
#define configTOTAL_HEAP_SIZE (1024 * 1024)
#define configSTACK_DEPTH_TYPE uint32_t
#endif

void example_assert(const char* file, int line);
#define configASSERT(x) \
  if (!(x)) example_assert(__FILE__, __LINE__)

#endif
