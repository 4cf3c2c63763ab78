package ort

/*
#include <stdlib.h>
#if defined(__GLIBC__)
#include <malloc.h>
static void needle_trim(void) { malloc_trim(0); }
#else
static void needle_trim(void) {}
#endif
*/
import "C"

// trim gives memory back to the system that native code has freed. The C library
// of GNU keeps it for the thread that asked for it, and Go opens and closes
// sessions on whatever thread there is, so that each exchange of a model would
// leave some tens of megabytes behind. It takes a few milliseconds; other C
// libraries need none of it.
func trim() { C.needle_trim() }
