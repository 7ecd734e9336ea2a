// TLS for the requests of programs. The library for it is a file of the machine, which containers
// do not see; and it has many addresses in it, which take memory in each process that loads it.
#pragma once

namespace wafer::shim {

// In the process that containers are forked from: makes load_tls() possible in each of them.
void prepare_tls();
// In a container's process, whatever confines it: loads the library. What is wrong is told where
// TLS is used.
void load_tls();
// The same for one that has no use for it.
void forget_tls();

}  // namespace wafer::shim
