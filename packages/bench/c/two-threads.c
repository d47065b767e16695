/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The same round trip as ../src/two-threads.ts, in C: the device's half of a split ring in a thread
 * of its own, the driver's in the first. Both spin; neither ever sleeps. The checks are those that
 * the TypeScript code makes. It is a reference for ratios, nothing else.
 *
 * run(OUTSTANDING, ROUNDS) returns the nanoseconds that they took.
 */
#include <pthread.h>

#include "split-ring.h"

static _Atomic int running, done;

static void *device(void *unused)
{
	(void)unused;
	atomic_store(&running, 1);
	while (!atomic_load_explicit(&done, memory_order_relaxed))
		serve();
	return NULL;
}

double run(unsigned outstanding, unsigned rounds)
{
	struct timespec from, to;
	pthread_t thread;

	if (!memory)
		set_up();
	if (outstanding == 0 || outstanding > SIZE / 2)
		fail("outstanding");
	/* It runs only while it is measured: nobody else loses a processor to it. */
	atomic_store(&done, 0);
	atomic_store(&running, 0);
	if (pthread_create(&thread, NULL, device, NULL))
		fail("no thread");
	while (!atomic_load(&running))
		;
	clock_gettime(CLOCK_MONOTONIC, &from);
	for (unsigned round = 0; round < rounds; round++) {
		uint32_t back = 0;

		for (unsigned i = 0; i < outstanding; i++) {
			uint64_t slot = SLOTS_AT + i * SLOT;

			if (add(slot, slot + 32) < 0)
				fail("full");
		}
		atomic_store_explicit(&avail->idx, driver_avail, memory_order_release);
		while (back < outstanding)
			back += reap();
	}
	clock_gettime(CLOCK_MONOTONIC, &to);
	atomic_store(&done, 1);
	pthread_join(thread, NULL);
	return (double)((to.tv_sec - from.tv_sec) * 1000000000LL + (to.tv_nsec - from.tv_nsec));
}
