/* The thermostat as a part of a firmware: its module lies in flash. */
#ifndef FIRMWARE_H
#define FIRMWARE_H

#include "wafer_devices.h"

/* Runs the module for so many rounds of a second, with the devices of `board`: the last
 * temperature in 1/16 degrees, or a number below -1000 and, for faults of ours, a text in `error`.
 */
int thermostat_run(const wafer_devices_t* board, unsigned rounds, int target, const char** error);

#endif
