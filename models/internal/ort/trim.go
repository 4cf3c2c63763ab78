package ort

/*
#include <stdlib.h>
#if defined(__GLIBC__)
#include <malloc.h>
static void needle_trim(void) { malloc_trim(0); }
static void needle_map_from(int bytes) { mallopt(M_MMAP_THRESHOLD, bytes); }
#else
static void needle_trim(void) {}
static void needle_map_from(int bytes) { (void)bytes; }
#endif
*/
import "C"

import "os"

// mappedFrom is from what size on a block of native memory is a mapping of its
// own, which goes back to the system when it is freed.
const mappedFrom = 1 << 20

// mapLarge fixes that size. The C library of GNU raises it up to 32 MB as large
// blocks are freed, and then puts weights between small blocks that stay: with
// models that were exchanged under traffic a process held up to 180 MB more, and
// none so. Who set MALLOC_MMAP_THRESHOLD_ knows better.
func mapLarge() {
	if os.Getenv("MALLOC_MMAP_THRESHOLD_") == "" {
		C.needle_map_from(C.int(mappedFrom))
	}
}

// trim gives memory back to the system that native code has freed. The C library
// of GNU keeps it for the thread that asked for it, and Go opens and closes
// sessions on whatever thread there is, so that each exchange of a model would
// leave some tens of megabytes behind. It takes a few milliseconds; other C
// libraries need none of it.
func trim() { C.needle_trim() }
