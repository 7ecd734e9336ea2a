/* What the tests in C do with errors that they did not ask for. */
#pragma once

#include <stdio.h>
#include <stdlib.h>

#include "wafer.h"

static void fail(wafer_error_t* error) {
  if (!error) return;
  fprintf(stderr, "%s\n", wafer_error_message(error));
  exit(1);
}
