/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The same round trip as ../src/raw-split.ts, in C: one thread plays both halves of a split ring,
 * with the checks that the TypeScript code makes. It is a reference for ratios, nothing else.
 *
 * run(OUTSTANDING, ROUNDS) returns the nanoseconds that they took.
 */
#include "split-ring.h"

double run(unsigned outstanding, unsigned rounds)
{
	struct timespec from, to;

	if (!memory)
		set_up();
	if (outstanding == 0 || outstanding > SIZE / 2)
		fail("outstanding");
	clock_gettime(CLOCK_MONOTONIC, &from);
	for (unsigned round = 0; round < rounds; round++) {
		for (unsigned i = 0; i < outstanding; i++) {
			uint64_t slot = SLOTS_AT + i * SLOT;

			if (add(slot, slot + 32) < 0)
				fail("full");
		}
		atomic_store_explicit(&avail->idx, driver_avail, memory_order_release);
		if (serve() != outstanding || reap() != outstanding)
			fail("lost");
	}
	clock_gettime(CLOCK_MONOTONIC, &to);
	return (double)((to.tv_sec - from.tv_sec) * 1000000000LL + (to.tv_nsec - from.tv_nsec));
}
