/* Wafer on ThreadX; see wafer_port.h. */
#ifndef WAFER_THREADX_H
#define WAFER_THREADX_H

#include "tx_api.h"
#include "wafer_port.h"

/* In place of wafer_port_init: the pool that all memory comes from. */
void wafer_threadx_init(TX_BYTE_POOL* pool);

/* The application's: writes to the console. */
void wafer_threadx_put(const char* text, size_t size);

#endif
