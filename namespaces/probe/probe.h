// What the parts of ninefold-probe share.
#pragma once
#include <stdbool.h>
#include <stddef.h>

// say reports one try: held, if it was denied. The text, of what denied it or what
// got through, has no tab and no newline.
__attribute__((format(printf, 3, 4)))
void say(const char *name, bool held, const char *format, ...);

// denied reports a call that must fail; errno is its error.
void denied(const char *name, bool failed);

void try_identity(unsigned uid);                  // identity.c
void try_namespaces(int count, char **of_host);   // identity.c
void try_files(unsigned uid);                     // files.c
void try_mounts(const char *disk);                // files.c; disk is MAJOR:MINOR, or NULL
void try_sockets(void);                           // network.c
void try_network(void);                           // network.c
void try_calls(void);                             // calls.c
void try_processes(void);                         // calls.c

// read_text reads a file of the kernel's whole, or as far as it fits, and ends it
// with a NUL; it returns false when it cannot.
bool read_text(const char *name, char *text, size_t size);
