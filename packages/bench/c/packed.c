/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The same round trip as ../src/raw-packed.ts, in C: one thread plays both halves of a packed ring,
 * with the checks that the TypeScript code makes. It is a reference for ratios, nothing else.
 *
 * run(OUTSTANDING, ROUNDS) returns the nanoseconds that they took.
 */
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
	SIZE = 256,
	MEMORY = 1 << 20,
	READABLE = 24,
	WRITABLE = 16,
	F_NEXT = 1,
	F_WRITE = 2,
	F_AVAIL = 1 << 7,
	F_USED = 1 << 15,
	F_TURN = F_AVAIL | F_USED,
	SLOT = 64,
	SLOTS_AT = 1 << 16,
};

struct desc {
	uint64_t addr;
	uint32_t len;
	uint16_t id;
	_Atomic uint16_t flags;
};

/* A place in the ring, and how AVAIL and USED stand there. */
struct place {
	uint16_t at;
	uint16_t mark;
};

/* What a half has written and not shown: its first flags come last. */
struct batch {
	struct desc *first;
	uint16_t flags;
};

static uint8_t *memory;
static struct desc *ring;

/* What the driver keeps for itself. */
static uint16_t next_id[SIZE];
static uint16_t count_of[SIZE];
static uint32_t writable_of[SIZE];
static uint16_t free_id, free_count;
static struct place driver_avail = { 0, F_AVAIL }, driver_used = { 0, F_TURN };
static struct batch driver_batch;
/* What the device keeps for itself. */
static struct place device_avail = { 0, F_AVAIL }, device_used = { 0, F_TURN };
static struct batch device_batch;
static uint8_t held[SIZE];
static uint32_t taken, unpublished;

static void fail(const char *what)
{
	fprintf(stderr, "%s\n", what);
	exit(1);
}

static void set_up(void)
{
	memory = aligned_alloc(4096, MEMORY);
	if (!memory)
		fail("no memory");
	memset(memory, 0, MEMORY);
	ring = (struct desc *)memory;
	for (int i = 0; i < SIZE; i++)
		next_id[i] = (uint16_t)(i + 1);
	free_count = SIZE;
}

static void advance(struct place *place, uint16_t count)
{
	place->at = (uint16_t)(place->at + count);
	if (place->at >= SIZE) {
		place->at = (uint16_t)(place->at - SIZE);
		place->mark ^= F_TURN;
	}
}

static void show(struct batch *batch, struct desc *d, uint16_t flags)
{
	if (batch->first) {
		atomic_store_explicit(&d->flags, flags, memory_order_relaxed);
		return;
	}
	batch->first = d;
	batch->flags = flags;
}

static void publish(struct batch *batch)
{
	if (!batch->first)
		return;
	atomic_store_explicit(&batch->first->flags, batch->flags, memory_order_release);
	batch->first = NULL;
}

static int add(uint64_t readable, uint64_t writable)
{
	if (free_count < 2)
		return -1;
	uint16_t id = free_id, mark = driver_avail.mark;
	struct desc *first = &ring[driver_avail.at];
	advance(&driver_avail, 1);
	struct desc *second = &ring[driver_avail.at];

	first->addr = readable;
	first->len = READABLE;
	first->id = id;
	second->addr = writable;
	second->len = WRITABLE;
	second->id = id;
	atomic_store_explicit(&second->flags, driver_avail.mark | F_WRITE, memory_order_relaxed);
	show(&driver_batch, first, mark | F_NEXT);
	advance(&driver_avail, 1);
	free_id = next_id[id];
	free_count -= 2;
	count_of[id] = 2;
	writable_of[id] = WRITABLE;
	return id;
}

static uint8_t *inside(uint64_t address, uint32_t length)
{
	if (address >= MEMORY || length > MEMORY - address)
		fail("unmapped");
	return memory + address;
}

static uint32_t serve(void)
{
	uint32_t served = 0;

	for (;;) {
		struct desc *d = &ring[device_avail.at];
		uint16_t flags = atomic_load_explicit(&d->flags, memory_order_acquire);
		struct place next = device_avail;
		uint16_t visited = 0, id;
		uint8_t *in = NULL, *out = NULL;

		if ((flags & F_TURN) != device_avail.mark)
			break;
		for (;;) {
			uint8_t *at = inside(d->addr, d->len);

			if (++visited > SIZE)
				fail("length");
			id = d->id;
			if (flags & F_WRITE)
				out = at;
			else if (out)
				fail("order");
			else
				in = at;
			advance(&next, 1);
			if (!(flags & F_NEXT))
				break;
			d = &ring[next.at];
			flags = atomic_load_explicit(&d->flags, memory_order_relaxed);
			if ((flags & F_TURN) != next.mark)
				fail("list");
		}
		if (!in || !out)
			fail("parts");
		if (taken + visited > SIZE || id >= SIZE || held[id])
			fail("overrun");
		taken += visited;
		held[id] = 1;
		device_avail = next;

		uint16_t opcode, group;
		uint64_t member;
		memcpy(&opcode, in, 2);
		memcpy(&group, in + 2, 2);
		memcpy(&member, in + 16, 8);
		uint64_t status = 0, result = (uint64_t)opcode + group + member;
		memcpy(out, &status, 8);
		memcpy(out + 8, &result, 8);

		struct desc *u = &ring[device_used.at];
		u->id = id;
		u->len = WRITABLE;
		show(&device_batch, u, device_used.mark | F_WRITE);
		advance(&device_used, visited);
		unpublished += visited;
		held[id] = 0;
		served++;
	}
	publish(&device_batch);
	taken -= unpublished;
	unpublished = 0;
	return served;
}

static uint32_t reap(void)
{
	uint32_t reaped = 0;

	for (;;) {
		struct desc *d = &ring[driver_used.at];
		uint16_t flags = atomic_load_explicit(&d->flags, memory_order_acquire);

		if ((flags & F_TURN) != driver_used.mark)
			return reaped;
		uint16_t id = d->id;
		uint32_t len = flags & F_WRITE ? d->len : 0;

		if (id >= SIZE || count_of[id] == 0 || len > writable_of[id])
			fail("used descriptor");
		next_id[id] = free_id;
		free_id = id;
		free_count = (uint16_t)(free_count + count_of[id]);
		advance(&driver_used, count_of[id]);
		count_of[id] = 0;
		reaped++;
	}
}

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
		publish(&driver_batch);
		if (serve() != outstanding || reap() != outstanding)
			fail("lost");
	}
	clock_gettime(CLOCK_MONOTONIC, &to);
	return (double)((to.tv_sec - from.tv_sec) * 1000000000LL + (to.tv_nsec - from.tv_nsec));
}
