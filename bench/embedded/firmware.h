/* What an engine gives the firmware that measures it. */
#ifndef FIRMWARE_H
#define FIRMWARE_H

#include <stddef.h>

/* Loads and instantiates the module; 0 is success, as below. */
int engine_open(const unsigned char* wasm, size_t size);
/* Calls the exported function `name`, which takes nothing and gives an i32. */
int engine_call(const char* name, int* result);

#endif
