#include "cli/support.h"

int main(int argc, char** argv) { return wafer::cli::run_tool(argc, argv); }
