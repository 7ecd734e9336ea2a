/* The example of all ports. */
#ifndef EXAMPLE_H
#define EXAMPLE_H

/* Runs two WebAssembly applications, in tasks of different priority that talk through a queue,
 * and tells on the console what came of it; 0 if all was as expected. For a task of level 3, after
 * wafer_port_init. */
int wafer_example(void);

#endif
