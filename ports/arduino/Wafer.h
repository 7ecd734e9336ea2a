// Wafer for Arduino and PlatformIO: the C API and what ports add to it. See wafer.h.
#pragma once

#include "wafer.h"
#include "wafer_port.h"
#include "wafer_wasi.h"
